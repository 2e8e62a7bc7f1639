import math

import pytest
import torch
from torch.nn import functional as F

from isonet2.physics.lamella import Slab, fit_slab
from isonet2.physics.masking import gaussian, local_deviation
from isonet2.physics.projection import (
    back_project,
    detector_width,
    noisy_halves,
    project,
    specimen_width,
)
from isonet2.physics.specimen import build, library

SHAPE = (48, 90, 70)


def slab_of(low, high, y_angle, x_angle):
    return Slab(low, high, *(math.tan(math.radians(a)) for a in (y_angle, x_angle)))


def deviations(slab, contrast, seed=0):
    """A map that is higher inside a slab, and uneven everywhere."""
    noise = torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))
    return 1 + 0.1 * noise + contrast * noise.flip(0) * slab.voxels(SHAPE)


@pytest.mark.parametrize(
    "truth",
    [(12, 34, 0, 0), (20, 29, 8, -11), (5, 30, -20, 3), (18, 40, 0.4, 12.3)],
    ids=str,
)
def test_a_slab_is_found_where_it_is(truth):
    slab = slab_of(*truth)
    found = fit_slab(deviations(slab, 1.0))
    assert found is not None
    assert found.low == pytest.approx(slab.low, abs=1.5)
    assert found.high == pytest.approx(slab.high, abs=1.5)
    assert found.angles == pytest.approx(slab.angles, abs=1.5)


def test_thickness_is_measured_across_the_planes():
    slab = slab_of(10, 30, 0, 60)
    assert slab.thickness == pytest.approx(10)
    assert slab.angles == pytest.approx((0, 60))


def test_without_an_empty_region_there_is_no_slab():
    assert fit_slab(torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))) is None
    assert fit_slab(deviations(slab_of(-100, 100, 0, 0), 1.0)) is None


def test_a_bead_beside_the_slab_does_not_move_it():
    slab = slab_of(10, 24, 5, 0)
    x = deviations(slab, 1.0)
    x[36:44, 20:28, 30:38] = 60
    found = fit_slab(x)
    assert found is not None
    assert found.high == pytest.approx(slab.high, abs=1.5)


@pytest.mark.parametrize(
    ("thickness", "tilts_of_slab", "shift"), [(40, (0, 0), 0), (36, (8, -12), 6)]
)
def test_a_simulated_lamella_is_covered(thickness, tilts_of_slab, shift):
    """Ice above and below a crowded slab, projected, made noisy and reconstructed."""
    shape, tilts = (96, 128, 128), list(range(-60, 61, 5))
    generator = torch.Generator().manual_seed(0)
    wide = specimen_width(shape[0], shape[2], tilts)
    molecules = library(generator)
    specimen, _ = build((*shape[:2], wide), 13.0, molecules, 0.15, 2, generator)
    middle = shape[0] / 2 + shift
    slab = slab_of(middle - thickness / 2, middle + thickness / 2, *tilts_of_slab)
    images = project(
        specimen * slab.voxels(specimen.shape), tilts, detector_width(shape[0], shape[2])
    )
    tomogram = sum(
        back_project(half, tilts, shape) for half in noisy_halves(images, 0.1, generator)
    )
    binned = F.avg_pool3d(tomogram[None, None], 2)[0, 0]
    binned = (binned - binned.mean()) / binned.std()
    found = fit_slab(local_deviation(gaussian(binned, 2), 4))
    assert found is not None
    truth = slab.voxels(shape)[1::2, 1::2, 1::2]
    kept = found.voxels(binned.shape)
    dice = 2 * (truth & kept).sum() / (truth.sum() + kept.sum())
    assert dice > 0.9
