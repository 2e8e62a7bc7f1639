import numpy as np
import pytest
import torch

from isonet2.physics import binning
from isonet2.physics.binning import SmoothCopy, bin_volume, block_means, unbin


def test_block_means_of_a_drawn_volume():
    block = np.arange(16, dtype=np.float32).reshape(1, 4, 4).repeat(2, 0)
    assert block_means(block, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]


def test_an_incomplete_block_repeats_its_edge():
    row = np.array([[[1.0, 3.0, 7.0]]], np.float32)
    assert block_means(row, 2).tolist() == [[[2.0, 7.0]]]


@pytest.mark.parametrize("shape", [(8, 12, 16), (7, 9, 10)])
@pytest.mark.parametrize("factor", [2, 3])
def test_slab_by_slab_is_the_same_as_at_once(monkeypatch, shape, factor):
    monkeypatch.setattr(binning, "SLAB_VOXELS", 1)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    largest = []

    def read(region):
        part = x[region]
        largest.append(len(part))
        return part

    np.testing.assert_allclose(bin_volume(read, shape, factor), block_means(x, factor), atol=1e-6)
    assert max(largest) == factor


def test_unbin_fills_blocks_and_crops():
    coarse = np.array([[[1, 2]]])
    region = (slice(0, 1), slice(0, 2), slice(1, 4))
    assert unbin(coarse, 2, region).tolist() == [[[1, 2, 2], [1, 2, 2]]]


def test_the_smooth_copy_of_a_constant_and_of_a_ramp():
    flat = SmoothCopy(torch.full((3, 4, 5), 2.0), 4)
    assert np.allclose(flat.region((slice(0, 12), slice(3, 16), slice(0, 20))), 2)
    centres = (torch.arange(10.0) + 0.5) * 4
    ramp = SmoothCopy(centres.expand(10, 10, 10).clone(), 4)
    for axis in range(3):
        turned = SmoothCopy(ramp.values.movedim(2, axis), 4)
        region = [slice(16, 18)] * 3
        region[axis] = slice(10, 25)
        found = np.moveaxis(turned.region(tuple(region)), axis, 2)
        np.testing.assert_allclose(found[0, 0], np.arange(10, 25) + 0.5, rtol=1e-5)


def test_a_region_is_part_of_the_whole():
    copy = SmoothCopy(torch.randn(5, 6, 7), 3)
    whole = copy.region((slice(0, 15), slice(0, 18), slice(0, 21)))
    part = copy.region((slice(4, 9), slice(0, 5), slice(17, 21)))
    np.testing.assert_allclose(part, whole[4:9, 0:5, 17:21], atol=1e-6)
