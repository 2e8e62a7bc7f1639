"""The noise floor of the losses, against noise of known strength, and what is made of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from quick import QUICK

from isonet2.commands.refine import refine
from isonet2.parameters import RefineParameters
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.fourier import multiplicity
from isonet2.training import floor as floors
from isonet2.training.assembly import Assembler, Cubes
from isonet2.training.floor import noise_floor
from isonet2.training.losses import LOSSES
from isonet2.training.objectives import METHODS, Recipe
from isonet2.training.sampling import Subtomograms

NOISE = 0.25
"""Variance of the noise of each half before it loses what lies in the wedge."""


def cubes_of(source, **options):
    return Cubes(
        Subtomograms([source], 32, seed=0, **options),
        Assembler([source], CtfTreatment(), torch.device("cpu")),
    )


@pytest.fixture
def noise(source):
    """Variance of the noise in standard units: two thirds of the frequencies were measured."""
    measured = source.geometry.measured(source.first.volume.shape)
    weight = multiplicity(source.first.volume.shape)
    part = ((measured * weight).sum() / weight.expand_as(measured).sum()).item()
    return 4 * NOISE * part / source.first.statistics.std**2


@pytest.mark.parametrize(("method", "turn"), [("n2n", False), ("isonet2-n2n", True)])
@pytest.mark.parametrize("free", [0.0, 0.5])
def test_the_floor_is_the_power_of_the_noise_in_the_target(source, noise, method, turn, free):
    cubes = cubes_of(source, turn=turn, random_rot_weight=free)
    inside, outside = noise_floor(METHODS[method], Recipe(), cubes)
    assert inside + outside == pytest.approx(noise, rel=0.1)
    assert 0 < outside < inside
    if method == "n2n":
        assert outside < 0.1 * inside


@pytest.mark.parametrize("method", ["n2n", "isonet2-n2n"])
def test_a_network_that_predicts_the_specimen_comes_down_to_the_floor(source, method):
    """Two halves of noise alone: nothing is the specimen, and to predict it the best there is."""
    cubes = cubes_of(source, turn=method != "n2n")
    objective = METHODS[method].with_recipe(Recipe(mw_weight=1.0))
    losses = []
    for samples in cubes.subtomograms.batches(0, 1):
        batch = cubes.assemble(samples)
        noise = torch.randn(2, *batch.first.shape, generator=torch.Generator().manual_seed(0))
        alone = replace(batch, first=noise[0], second=noise[1], wide=None)
        floor = floors._noise(alone)
        pair = [objective(torch.zeros_like, torch.zeros_like, b) for b in (alone, floor)]
        losses.append([[one.n2n.item(), one.mw.item()] for one in pair])
    found, floor = np.mean(losses, axis=0)
    np.testing.assert_allclose(found, floor, rtol=0.03)


def test_the_floor_is_not_known_without_halves_or_with_other_losses(source):
    cubes = cubes_of(source)
    assert noise_floor(METHODS["isonet2"], Recipe(), cubes) is None
    assert noise_floor(METHODS["n2n"], Recipe(loss=LOSSES["FSC"]), cubes) is None
    one = cubes_of(replace(source, second=source.first))
    assert noise_floor(METHODS["n2n"], Recipe(), one) is None
    by_l1 = noise_floor(METHODS["n2n"], Recipe(loss=LOSSES["L1"]), cubes, 2)
    by_l2 = noise_floor(METHODS["n2n"], Recipe(), cubes, 2)
    assert by_l1[0] == pytest.approx((2 * by_l2[0] / np.pi) ** 0.5, rel=0.05)


def test_the_history_says_what_of_the_loss_is_not_noise(star):
    (path,) = refine(RefineParameters(star_file=star, epochs=2, **QUICK))
    rows = pd.read_csv(path.parent / "history.csv")
    for name in ("n2n", "mw"):
        floor = rows[name] - rows[f"{name}_above_noise"]
        assert floor[0] == pytest.approx(floor[1])
        assert 0 < floor[0] < rows[name][0]
