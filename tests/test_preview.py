"""Previews: what is written and measured, and that none of it can end a training run."""

import numpy as np
import pytest
import torch

from isonet2.data.run_folder import NetworkFiles
from isonet2.data.volumes import open_volume
from isonet2.networks import build_network
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.metrics import compare, region_correlations
from isonet2.prediction.usage import Usage
from isonet2.runs import preview
from isonet2.runs.preview import Preview, mean_row

CPU = torch.device("cpu")


@pytest.fixture
def shown(source, halves):
    return Preview(
        source=source, truth=halves[2], usage=Usage(32, CtfTreatment(), in_ball=True),
        precision=torch.float32,
    )  # fmt: skip


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network("unet-small", filters=2, levels=2, convolutions=1).eval()


def test_volume_and_measures_are_those_of_the_restored_halves(shown, network, tmp_path):
    found = shown.make(network, CPU, NetworkFiles(tmp_path, "n2n", "unet", 32), 1)
    restored = shown.restored(network, CPU)
    written = open_volume(tmp_path / "TS_01_epoch1.mrc")
    statistics = shown.source.first.statistics
    expected = statistics.mean - restored.mean(0) * statistics.std
    np.testing.assert_allclose(written.read(), expected, rtol=1e-5, atol=1e-5)
    assert written.header.labels[-1] == "IsoNet2 preview, do not average"
    assert (tmp_path / "TS_01_epoch1.png").is_file()
    sectors = shown.source.geometry.sectors
    halves = region_correlations(*torch.from_numpy(restored), sectors, 0.83 * 48)
    truth = torch.from_numpy(-open_volume(shown.truth).read())
    agreement = compare(torch.from_numpy(restored.mean(0)), truth, 10.0, sectors)
    wanted = {f"cc_halves_{name}": halves[name] for name in ("measured", "wedge")} | agreement
    assert found == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("pretended"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        OSError("disk full"),
    ],
)
@pytest.mark.parametrize("where", ["restore", "compare", "compare_picture"])
def test_a_preview_that_fails_is_a_warning(
    shown, network, tmp_path, monkeypatch, caplog, error, where
):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(preview, where, fail)
    assert shown.make(network, CPU, NetworkFiles(tmp_path, "n2n", "unet", 32), 1) == {}
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "TS_01: the preview failed, and training goes on: " in record.message
    assert record.message.endswith(str(error) or "MemoryError")
    assert where != "restore" or not any(tmp_path.iterdir())


def test_a_preview_that_fails_leaves_the_others_their_mean():
    rows = [{}, {"cc": 0.5, "fsc": 0.2}, {"cc": 0.7}]
    assert mean_row(rows) == pytest.approx({"cc": 0.6, "fsc": 0.2})
    assert mean_row([{}]) == {}
