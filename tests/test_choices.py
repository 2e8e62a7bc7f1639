"""What a command is told reaches what it computes: one choice changed, another result."""

import numpy as np
import pandas as pd
import pytest
import torch

from isonet2.commands.check import check
from isonet2.commands.deconv import deconv
from isonet2.commands.denoise import denoise
from isonet2.commands.make_mask import make_mask
from isonet2.commands.prepare_star import prepare_star
from isonet2.commands.psf import psf
from isonet2.commands.refine import refine
from isonet2.data.blocks import read_star
from isonet2.data.star import TomogramTable, write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.machine.devices import choose_devices
from isonet2.parameters import (
    CheckParameters,
    DeconvParameters,
    DenoiseParameters,
    MakeMaskParameters,
    PrepareStarParameters,
    PsfParameters,
    RefineParameters,
)
from isonet2.prediction.checkpoint import Checkpoint

EDGE = 64
NETWORK, WIENER = {"CTF_mode": "network"}, {"CTF_mode": "wiener"}
NOISY = {"method": "isonet2", "noise_level": 0.2}
CHOICES = [
    ({}, {"seed": 1}),
    ({}, {"ema": 0.1}),
    ({}, {"warm_up": 1.0}),
    ({}, {"optimizer": "AdamW"}),
    ({}, {"learning_rate": 0.01}),
    ({}, {"learning_rate_min": 0.002}),
    ({}, {"acc_batches": 2}),
    ({}, {"batch_size": 4}),
    ({}, {"epochs": 2}),
    ({}, {"pairing": "fixed"}),
    ({}, {"pairing": "both"}),
    ({}, {"loss_func": "L1"}),
    ({}, {"normalization": "instance"}),
    ({}, {"with_mask": True}),
    ({}, {"mask_weighted_loss": True}),
    ({}, {"mw_weight": 20}),
    ({}, {"apply_mw_x1": False}),
    ({}, {"random_rot_weight": 1.0}),
    ({}, {"fill_probability": 0.0}),
    ({}, {"method": "isonet2"}),
    ({}, NETWORK),
    ({}, WIENER),
    (NETWORK, {"bfactor": 2000}),
    (NETWORK, {"clip_first_peak_mode": 0}),
    (NETWORK, {"isCTFflipped": True}),
    (NETWORK, {"do_phaseflip_input": False}),
    (WIENER, {"snrfalloff": 0.3}),
    (WIENER, {"deconvstrength": 3.0}),
    (WIENER, {"highpassnyquist": 0.3}),
    (NOISY, {"noise_level": 0.4}),
    (NOISY, {"noise_mode": "ramp"}),
    (NOISY, {"epochs": 2, "noise_level": (0.2, 0.9), "noisestartiter": (1, 2)}),
]
DENOISING = [
    ({}, {"seed": 1}),
    ({}, {"loss_func": "Huber"}),
    ({}, {"pairing": "fixed"}),
    (NETWORK, {"bfactor": 2000}),
    (WIENER, {"deconvstrength": 3.0}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of halves, full tomogram and mask, 64 voxels wide, and a network's definition."""
    folder = tmp_path_factory.mktemp("choices")
    rng = np.random.default_rng(0)
    grid = np.indices((EDGE,) * 3)
    truth = np.zeros((EDGE,) * 3)
    for centre in rng.uniform(8, EDGE - 8, (30, 3)):
        apart = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        truth += np.exp(-apart / (2 * 2.5**2))
    halves = [-truth + 0.5 * rng.standard_normal(truth.shape) for _ in range(2)]
    files = {"even": halves[0], "odd": halves[1], "full": sum(halves) / 2, "mask": grid[2] > 30}
    for name, values in files.items():
        path = folder / f"{name}.mrc"
        write_volume(path, values.astype(np.float32), voxel_size=10.0, label="test")
    row = {
        "rlnIndex": 1, "rlnTomoName": folder / "full.mrc",
        "rlnTomoReconstructedTomogramHalf1": folder / "even.mrc",
        "rlnTomoReconstructedTomogramHalf2": folder / "odd.mrc",
        "rlnPixelSize": 10.0, "rlnDefocus": 30000, "rlnMaskName": folder / "mask.mrc",
        "rlnTiltMin": -60, "rlnTiltMax": 60, "rlnNumberSubtomo": 6,
    }  # fmt: skip
    write_table(folder / "t.star", pd.DataFrame([row]))
    (folder / "tiny.yaml").write_text("family: unet\nfilters: 8\nlevels: 2\nconvolutions: 1\n")
    return folder


@pytest.fixture(scope="module")
def learned(folder):
    """Weights that a training command comes to; each set of choices is run once."""
    known = {}

    def weights(command, model, choices):
        key = command.__name__, repr(sorted(choices.items()))
        if key not in known:
            given = {
                "star_file": folder / "t.star", "arch": str(folder / "tiny.yaml"), "epochs": 1,
                "cube_size": 32, "batch_size": 2, "with_preview": False, "gpuID": "cpu",
                "ncpus": 1, "output_dir": folder / f"run{len(known)}",
            }  # fmt: skip
            (path,) = command(model(**(given | choices)))
            found = Checkpoint.load(path).weights.values()
            known[key] = torch.cat([value.float().flatten() for value in found])
        return known[key]

    return weights


@pytest.mark.parametrize(("given", "change"), CHOICES)
def test_each_choice_of_refine_leaves_another_network(learned, given, change):
    given = {"method": "isonet2-n2n", **given}
    first, second = (learned(refine, RefineParameters, c) for c in (given, given | change))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("given", "change"), DENOISING)
def test_each_choice_of_denoise_leaves_another_network(learned, given, change):
    first, second = (learned(denoise, DenoiseParameters, c) for c in (given, given | change))
    assert not torch.equal(first, second)


def test_the_same_choices_leave_the_same_network(learned):
    first = learned(refine, RefineParameters, {"method": "isonet2-n2n"})
    again = {"method": "isonet2-n2n", "seed": 0}
    assert torch.equal(first, learned(refine, RefineParameters, again))


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ({}, {"snrfalloff": 0.3}),
        ({}, {"deconvstrength": 3.0}),
        ({}, {"highpassnyquist": 0.3}),
        ({}, {"phaseflipped": True}),
        ({"chunk_size": 32, "overlap_rate": 0.0}, {"overlap_rate": 0.5}),
    ],
)
def test_each_choice_of_deconv_gives_another_tomogram(folder, tmp_path, given, change):
    results = []
    for choices in (given, given | change):
        parameters = DeconvParameters(
            star_file=folder / "t.star", output_dir=tmp_path, ncpus=1, **choices
        )
        deconv(parameters)
        path = TomogramTable.read(folder / "t.star").tomograms[0].deconvolved
        results.append(open_volume(path).read())
    assert not np.allclose(*results, atol=1e-4)


def test_the_patch_size_changes_the_mask(folder, tmp_path):
    masks = []
    for size in (1, 4):
        output = tmp_path / str(size)
        table = tmp_path / "t.star"
        table.write_text((folder / "t.star").read_text())
        given = {"star_file": table, "output_dir": output, "input_column": "rlnTomoName"}
        make_mask(MakeMaskParameters(patch_size=size, ncpus=1, **given))
        masks.append(open_volume(next(output.glob("*.mrc"))).read())
    assert 0.02 < np.mean(masks[0] != masks[1]) < 0.6


def test_the_microscope_is_written_into_the_table(folder, tmp_path):
    path = prepare_star(
        PrepareStarParameters(
            full=folder / "full.mrc", voltage=200, cs=1.4, ac=0.15, star_name=tmp_path / "n.star"
        )
    )
    (block,) = read_star(path).blocks.values()
    written = block[["rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"]].iloc[0]
    assert written.astype(float).tolist() == [200, 1.4, 0.15]


def test_the_voxel_size_of_a_point_spread_is_that_asked_for(tmp_path):
    psf(PsfParameters(output_dir=tmp_path, size=16, pixel_size=3.5))
    sizes = {open_volume(path).voxel_size for path in tmp_path.glob("*.mrc")}
    assert all(size == pytest.approx((3.5,) * 3) for size in sizes)
    assert sizes


def test_check_tries_the_device_and_the_cubes_asked_for(folder, capsys, monkeypatch):
    asked = []

    def chosen(gpu_ids):
        asked.append(gpu_ids)
        return choose_devices("cpu")

    monkeypatch.setattr("isonet2.commands.check.choose_devices", chosen)
    arch = str(folder / "tiny.yaml")
    told = []
    for size in (32, 80):
        check(CheckParameters(arch=arch, cube_size=size, gpuID="1", steps=1))
        told.append(capsys.readouterr().out)
    assert asked == ["1", "1"]
    assert ["80" in text for text in told] == [False, True]
