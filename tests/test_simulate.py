import json

import numpy as np
import pytest
import torch

from isonet2.commands.simulate import simulate
from isonet2.data.volumes import open_volume
from isonet2.errors import InputError
from isonet2.parameters import SimulateParameters
from isonet2.physics.metrics import compare


def run(folder, **changes):
    settings = {
        "output_dir": folder, "shape": (32, 48, 48), "count": 1, "tilt_min": -40.0,
        "tilt_max": 60.0, "tilt_step": 4.0, "membranes": 1,
    }  # fmt: skip
    simulate(SimulateParameters(**(settings | changes)))
    names = ("EVN/TS_01_EVN", "ODD/TS_01_ODD", "full/TS_01", "truth/TS_01")
    return [open_volume(folder / f"{name}.mrc").read() for name in names]


def test_files_carry_what_the_next_commands_need(tmp_path):
    run(tmp_path / "set", count=2, defocus=[20_000, 30_000], pixel_size=8.0)
    assert sorted(p.name for p in (tmp_path / "set").rglob("*.mrc")) == [
        "TS_01.mrc", "TS_01.mrc", "TS_01_EVN.mrc", "TS_01_ODD.mrc",
        "TS_02.mrc", "TS_02.mrc", "TS_02_EVN.mrc", "TS_02_ODD.mrc",
    ]  # fmt: skip
    volume = open_volume(tmp_path / "set/EVN/TS_02_EVN.mrc")
    assert volume.shape == (32, 48, 48)
    assert volume.voxel_size == pytest.approx((8.0, 8.0, 8.0))
    tilts = np.loadtxt(tmp_path / "set/tilts.tlt")
    assert tilts.tolist() == [-40.0 + 4 * step for step in range(26)]
    meta = json.loads((tmp_path / "set/meta.json").read_text())
    assert [t["defocus"] for t in meta["tomograms"]] == [20_000, 30_000]
    assert meta["pixel_size"] == 8.0


def test_protein_is_dark_and_the_mean_is_the_mean(tmp_path):
    even, odd, full, truth = run(tmp_path, snr=1e6)
    assert truth.max() == 0
    assert truth.min() < -0.5
    assert np.allclose(full, (even + odd) / 2, atol=1e-5)
    protein = truth < -0.3
    assert full[protein].mean() < full[~protein].mean() - 0.05


def test_without_noise_the_measured_region_is_the_truth(tmp_path):
    sectors, size = ((-40.0, 60.0),), {"shape": (48, 64, 64), "pixel_size": 10.0}
    _, _, full, truth = run(tmp_path / "plain", snr=1e9, defocus=None, **size)
    scores = compare(torch.from_numpy(full), torch.from_numpy(truth), 10.0, sectors, limit=30.0)
    assert scores["fsc_measured"] > 0.93
    assert scores["cc_measured"] > 0.93
    assert scores["fsc_wedge"] < 0.3
    _, _, full, truth = run(tmp_path / "ctf", snr=1e9, **size)
    sharp = compare(torch.from_numpy(full), torch.from_numpy(truth), 10.0, sectors, limit=60.0)
    assert 0.7 < sharp["cc_measured"] < scores["cc_measured"]


def test_halves_share_the_specimen_and_nothing_else(tmp_path):
    clean = run(tmp_path / "clean", snr=1e9)
    even, odd, _, truth = run(tmp_path / "noisy", snr=0.2)
    assert np.array_equal(truth, clean[3])
    noises = np.stack([(even - clean[0]).ravel(), (odd - clean[1]).ravel()])
    assert abs(np.corrcoef(noises)[0, 1]) < 0.03
    assert noises.std(axis=1)[0] == pytest.approx(noises.std(axis=1)[1], rel=0.03)


def test_a_seed_gives_the_same_tomograms(tmp_path):
    first, again = run(tmp_path / "a", seed=4), run(tmp_path / "b", seed=4)
    other = run(tmp_path / "c", seed=5)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[3], other[3])


def test_impossible_settings_are_refused(tmp_path):
    with pytest.raises(InputError, match="defocus has 3 values and count is 2"):
        run(tmp_path, count=2, defocus=[2e4, 3e4, 4e4])
    with pytest.raises(InputError, match="tilt_step = 20"):
        run(tmp_path, tilt_min=-5.0, tilt_max=5.0, tilt_step=20.0)
    assert not list(tmp_path.rglob("*.mrc"))
