"""Parameters whose effect no other test shows: each one changes what it is there to change."""

import numpy as np
import pandas as pd
import pytest
import torch

from isonet2.commands.predict import predict
from isonet2.commands.simulate import simulate
from isonet2.data.star import write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.networks import build_network
from isonet2.parameters import PredictParameters, SimulateParameters
from isonet2.physics.ctf import ContrastTransfer, CtfTreatment
from isonet2.physics.fourier import apply_filter, radius
from isonet2.physics.wedge import ball
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.replicas import Replicas
from isonet2.prediction.usage import Usage

OPTIONS = {"filters": 2, "levels": 2, "convolutions": 1, "add_input": True}
SMALL = {"shape": (32, 40, 40), "count": 1, "tilt_step": 6, "snr": 1e9, "membranes": 1}


def simulated(folder, **changes):
    simulate(SimulateParameters(output_dir=folder, **(SMALL | changes)))
    return [open_volume(folder / name / "TS_01.mrc").read() for name in ("full", "truth")]


@pytest.mark.parametrize(
    "change", [{"defocus": 60_000}, {"defocus": None}, {"voltage": 100}, {"cs": 10}, {"ac": 1}]
)
def test_optics_change_the_images_and_not_the_specimen(tmp_path, change):
    full, truth = simulated(tmp_path / "a", pixel_size=3)
    other, same = simulated(tmp_path / "b", pixel_size=3, **change)
    np.testing.assert_array_equal(truth, same)
    assert np.corrcoef(full.ravel(), other.ravel())[0, 1] < 0.9999


@pytest.mark.parametrize("change", [{"membranes": 0}, {"pixel_size": 20}, {"density": 0.0}])
def test_each_setting_changes_the_specimen(tmp_path, change):
    _, truth = simulated(tmp_path / "a")
    _, other = simulated(tmp_path / "b", **change)
    assert np.corrcoef(truth.ravel(), other.ravel())[0, 1] < 0.95


@pytest.fixture
def star(halves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {
        "rlnIndex": 1,
        "rlnTomoReconstructedTomogramHalf1": halves[0],
        "rlnTomoReconstructedTomogramHalf2": halves[1],
        "rlnMine": "mine.mrc",
        "rlnPixelSize": 10.0,
        "rlnDefocus": 30000,
        "rlnTiltMin": -60,
        "rlnTiltMax": 60,
    }
    write_table(tmp_path / "t.star", pd.DataFrame([row]))
    return tmp_path / "t.star"


def restored(star, mode="None", untrained=False, **options):
    """What a network that changes nothing, or an untrained one, makes of the table's tomogram."""
    torch.manual_seed(0)
    network = build_network("unet-small", **OPTIONS)
    if not untrained:
        with torch.no_grad():
            network.final.weight.zero_()
            network.final.bias.zero_()
    treatment = CtfTreatment(mode=mode, do_phaseflip_input=True)
    Checkpoint(
        method="isonet2-n2n", reads_halves=True, fills_wedge=True, arch="unet-small",
        usage=Usage(32, treatment, apply_mw_x1=False, in_ball=True),
        weights=network.state_dict(), network_options=OPTIONS,
    ).save("m.pt")  # fmt: skip
    options = {"mixed_precision": False, "overwrite": True, "gpuID": "cpu"} | options
    predict(PredictParameters(star_file=star, model="m.pt", **options))
    return open_volume("corrected_tomos/TS_01.mrc").read()


def middle(volume):
    return np.asarray(volume)[12:-12, 12:-12, 12:-12].ravel()


def test_phases_are_flipped_only_where_that_is_wanted_and_needed(star, halves):
    mean = (open_volume(halves[0]).read() + open_volume(halves[1]).read()) / 2
    curve = ContrastTransfer(30000, 300, 2.7, 0.1).curve(radius(mean.shape) / 10)
    turned = apply_filter(torch.from_numpy(mean), curve.sign())
    for options, wanted, other in (
        ({}, turned, mean),
        ({"do_phaseflip_input": False}, mean, turned),
        ({"isCTFflipped": True}, mean, turned),
    ):
        found = middle(restored(star, "phase_only", **options))
        likeness = [abs(np.corrcoef(found, middle(volume))[0, 1]) for volume in (wanted, other)]
        assert likeness[0] > 0.95
        assert likeness[0] > likeness[1] + 0.03


def test_the_input_column_is_what_is_restored(star):
    white = torch.randn(48, 56, 64, generator=torch.Generator().manual_seed(0))
    mine = 3 + 2 * apply_filter(white, ball(white.shape)).numpy()
    write_volume("mine.mrc", mine, voxel_size=10.0, label="mine")
    found = restored(star, input_column="rlnMine")
    assert np.corrcoef(found.ravel(), mine.ravel())[0, 1] > 0.98
    assert found.mean() == pytest.approx(3, abs=0.05)


def test_the_wedge_of_the_input_is_emptied_where_that_is_wanted(star):
    white = np.random.default_rng(0).standard_normal((48, 56, 64), dtype=np.float32)
    write_volume("mine.mrc", white, voxel_size=10.0, label="mine")
    kept, emptied = (
        restored(star, untrained=True, input_column="rlnMine", apply_mw_x1=wanted)
        for wanted in (False, True)
    )
    assert np.corrcoef(kept.ravel(), emptied.ravel())[0, 1] < 0.97


def test_tiles_go_to_the_network_in_batches_with_the_same_result(star, monkeypatch):
    sizes = []
    run = Replicas.run

    def spy(self, cubes, *rest):
        sizes.append(len(cubes))
        return run(self, cubes, *rest)

    monkeypatch.setattr(Replicas, "run", spy)
    few = {"chunk_size": 32, "overlap_rate": 0.0, "orientations": 1}
    unchanged = restored(star, **few)
    found = []
    for batch in (1, 3):
        sizes.clear()
        found.append(restored(star, untrained=True, batch_size=batch, **few))
        assert max(sizes) == batch
    assert np.abs(found[0] - unchanged).std() > 0.01 * unchanged.std()
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)


def test_mixed_precision_changes_the_result_a_little(star, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    full, mixed = (
        restored(star, untrained=True, mixed_precision=flag, orientations=1)
        for flag in (False, True)
    )
    assert 1e-5 < (mixed - full).std() / full.std() < 0.02


def test_the_processor_is_taken_when_it_is_asked_for(star, caplog):
    caplog.set_level("INFO")
    restored(star, gpuID="cpu")
    assert "processor thread" in caplog.text
    assert "no GPU is visible" not in caplog.text
