import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from isonet2.physics.masking import (
    Boundary,
    around,
    bead_cores,
    gaussian,
    in_polygon,
    local_deviation,
    local_maximum,
    specimen_mask,
    top,
)
from isonet2.physics.projection import (
    back_project,
    detector_width,
    noisy_halves,
    project,
    specimen_width,
)
from isonet2.physics.specimen import build, library


def test_the_local_filters_against_scipy():
    x = torch.randn(9, 14, 11, generator=torch.Generator().manual_seed(0))
    for sigma in (0.5, 2.0):
        truth = ndimage.gaussian_filter(x.numpy(), sigma, mode="nearest", truncate=4 + 1e-3)
        np.testing.assert_allclose(gaussian(x, sigma), truth, atol=1e-5)
    for reach in (1, 3):
        truth = ndimage.maximum_filter(x.numpy(), 2 * reach + 1)
        np.testing.assert_array_equal(local_maximum(x, reach), truth)
        found = local_deviation(x, reach)
        window = x.numpy()[4 - reach : 5 + reach, 7 - reach : 8 + reach, 5 - reach : 6 + reach]
        assert float(found[4, 7, 5]) == pytest.approx(window.std(), rel=1e-4)
        corner = x.numpy()[: reach + 1, : reach + 1, : reach + 1]
        assert float(found[0, 0, 0]) == pytest.approx(corner.std(), rel=1e-4)


@pytest.mark.parametrize("percentage", [1, 30, 50, 99])
def test_top_keeps_as_many_as_asked_for(percentage):
    x = torch.randperm(1000).float().reshape(10, 10, 10)
    kept = top(x, percentage)
    assert int(kept.sum()) == 10 * percentage
    assert x[kept].min() > x[~kept].max()


def test_all_is_all_and_a_flat_half_is_not_kept():
    assert top(torch.zeros(2, 2, 2), 100).all()
    x = torch.tensor([0.0] * 6 + [1.0, 2.0]).reshape(2, 2, 2)
    assert top(x, 50).flatten().tolist() == [False] * 6 + [True, True]
    assert top(-x, 50).flatten().tolist() == [True] * 6 + [False, False]


def drawn(**changes):
    """One bright rough patch in the middle of a flat volume."""
    x = torch.zeros(20, 40, 40)
    x[8:12, 16:24, 16:24:2] = 1
    settings = {"patch_size": 2, "density_percentage": 15, "std_percentage": 15, "z_crop": 0.0}
    return specimen_mask(x, **(settings | changes))


def test_a_drawn_patch_is_found_and_nothing_else():
    mask = drawn()
    assert mask.voxels[8:12, 16:24, 16:24].all()
    z, y, x = torch.nonzero(mask.voxels).T
    for places, low, high in ((z, 8, 12), (y, 16, 24), (x, 16, 23)):
        assert int(places.min()) >= low - 7
        assert int(places.max()) < high + 7
    assert mask.kept["local density"] == pytest.approx(0.15, abs=0.05)


def test_the_scale_does_not_matter():
    x = torch.randn(12, 16, 16)
    assert torch.equal(specimen_mask(x).voxels, specimen_mask(1e-6 * x + 1e-4).voxels)


def test_each_percentage_acts_alone():
    x = torch.randn(16, 32, 32, generator=torch.Generator().manual_seed(3))
    density = specimen_mask(x, density_percentage=20, std_percentage=100, z_crop=0)
    deviation = specimen_mask(x, density_percentage=100, std_percentage=20, z_crop=0)
    both = specimen_mask(x, density_percentage=20, std_percentage=20, z_crop=0)
    assert density.fraction == pytest.approx(0.2, abs=0.01)
    assert deviation.fraction == pytest.approx(0.2, abs=0.001)
    assert torch.equal(both.voxels, density.voxels & deviation.voxels)


def test_the_z_crop_takes_half_of_itself_off_either_end():
    mask = specimen_mask(
        torch.randn(40, 8, 8), density_percentage=100, std_percentage=100, z_crop=0.2
    )
    assert mask.voxels.any(2).any(1).tolist() == [False] * 4 + [True] * 32 + [False] * 4


def test_a_polygon_drawn_by_hand():
    corners = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [2.0, 2.0], [2.0, 4.0], [0.0, 4.0]])
    grid = torch.arange(5) + 0.5
    picture = ["".join("#" if v else "." for v in row) for row in in_polygon(corners, grid, grid)]
    assert picture == ["####.", "####.", "##...", "##...", "....."]


def test_the_boundary_is_in_voxels_before_binning():
    everything = {"density_percentage": 100, "std_percentage": 100, "z_crop": 0}
    square = np.array([[4.0, 8.0], [12.0, 8.0], [12.0, 20.0], [4.0, 20.0]])
    x = torch.randn(8, 16, 16)
    mask = specimen_mask(x, boundary=Boundary((square,)), **everything).voxels
    truth = torch.zeros(8, 16, 16, dtype=torch.bool)
    truth[:, 4:10, 2:6] = True
    assert torch.equal(mask, truth)
    mask = specimen_mask(x, boundary=Boundary((square,), (4, 9)), **everything).voxels
    truth[:2] = truth[5:] = False
    assert torch.equal(mask, truth)


def test_the_specimen_is_found_far_better_than_by_chance():
    generator = torch.Generator().manual_seed(5)
    shape = (48, 96, 96)
    volume, _ = build(shape, 20.0, library(generator), 0.03, 1, generator)
    truth = ndimage.binary_dilation(volume.numpy() > 0.1, iterations=2)
    noisy = volume + 2 * volume.std() * torch.randn(shape, generator=generator)
    mask = specimen_mask(noisy, patch_size=3, density_percentage=30, std_percentage=30)
    found = mask.voxels.numpy()
    recall, share = (found & truth).sum() / truth.sum(), mask.fraction
    assert recall > 0.7
    assert recall > 3 * share


@pytest.mark.parametrize("crowding", [0.02, 0.15])
@pytest.mark.parametrize("snr", [0.1, math.inf])
def test_gold_is_found_and_protein_is_not_taken_for_it(crowding, snr):
    shape, tilts = (64, 96, 96), list(range(-60, 61, 6))
    generator = torch.Generator().manual_seed(0)
    wide = specimen_width(shape[0], shape[2], tilts)
    protein, _ = build((*shape[:2], wide), 10.0, library(generator), crowding, 1, generator)
    first = (wide - shape[2]) // 2
    gold, cores = torch.zeros_like(protein), torch.zeros(shape, dtype=torch.bool)
    for z, y, x in ((20, 24, 30), (44, 70, 60)):
        grid = torch.meshgrid(*(torch.arange(n) for n in protein.shape), indexing="ij")
        apart = sum((g - c) ** 2 for g, c in zip(grid, (z, y, x + first), strict=True))
        gold[apart <= 25] = 5 * protein.max()
        cores |= apart[..., first : first + shape[2]] <= 9

    def found(specimen):
        images = project(specimen, tilts, detector_width(shape[0], shape[2]))
        noisy = sum(noisy_halves(images, snr, torch.Generator().manual_seed(1)))
        binned = F.avg_pool3d(back_project(noisy, tilts, shape)[None, None], 2)[0, 0]
        return around(bead_cores((binned - binned.mean()) / binned.std()), 4)

    assert not found(protein).any()
    marked = found(protein + gold)
    assert marked[F.max_pool3d(cores.float()[None], 2)[0] > 0].all()
    assert marked.float().mean() < 0.1


def test_gold_beads_are_counted_where_they_lie():
    x = torch.randn(24, 40, 40, generator=torch.Generator().manual_seed(0))
    places = [(6, 10, 12), (12, 25, 30), (18, 8, 33)]
    for z, y, place in places:
        x[z - 1 : z + 2, y - 1 : y + 2, place - 1 : place + 2] += 60
    found = specimen_mask(x, patch_size=2).beads
    np.testing.assert_allclose(found, places, atol=0.6)
    assert not len(specimen_mask(x, patch_size=2, exclude_gold=False).beads)
