"""A volume on a coarser grid: block means, taken slab by slab, and drawn smoothly at full size."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isonet2.types import Block, Region, Shape

SLAB_VOXELS = 2**22


def block_means(block: Block, factor: int) -> Block:
    """Mean of every `factor`^3 voxels of (z, y, x); an incomplete last block repeats its edge."""
    for axis in range(3):
        lack = -block.shape[axis] % factor
        if lack:
            edge = np.take(block, [-1], axis)
            block = np.concatenate([block, np.repeat(edge, lack, axis)], axis)
        block = np.moveaxis(block, axis, 0)
        total = block[::factor].copy()
        for offset in range(1, factor):
            total += block[offset::factor]
        block = np.moveaxis(total / np.float32(factor), 0, axis)
    return np.ascontiguousarray(block)


def bin_volume(read: Callable[[Region], Block], shape: Shape, factor: int) -> Block:
    """Block means of a volume of any size.

    Parameters
    ----------
    read
        Takes a region inside the volume, returns (z, y, x) float32.
    shape
        Of the volume, (z, y, x).
    factor
        Edge of a block, voxels.

    Returns
    -------
    array
        float32, `ceil(shape / factor)`; beside it no more than a slab of the volume is in memory.
    """
    z, y, x = shape
    coarse = np.empty([-(-n // factor) for n in shape], np.float32)
    step = factor * max(1, SLAB_VOXELS // (factor * y * x))
    for low in range(0, z, step):
        means = block_means(
            read((slice(low, min(low + step, z)), slice(0, y), slice(0, x))), factor
        )
        coarse[low // factor : low // factor + len(means)] = means
    return coarse


def unbin(coarse: NDArray[np.generic], factor: int, region: Region) -> NDArray[np.generic]:
    """Part of a binned volume at full size, each block filled with its one value."""
    for axis, part in enumerate(region):
        coarse = np.take(coarse, np.arange(part.start, part.stop) // factor, axis)
    return coarse


@dataclass(frozen=True, slots=True)
class SmoothCopy:
    """The coarse features of a volume: cubic B-splines on the centres of a binned one.

    Parameters
    ----------
    values
        Heights of the splines, (z, y, x).
    factor
        Distance of their centres, voxels of the volume.
    """

    values: Tensor
    factor: int

    def region(self, region: Region) -> Block:
        """The splines' sum in a region of the volume, (z, y, x)."""
        matrices, part = [], self.values
        for axis, wanted in enumerate(region):
            low, matrix = self._weights(wanted, self.values.shape[axis])
            part = part.narrow(axis, low, matrix.shape[1])
            matrices.append(matrix)
        sums: Block = torch.einsum("zyx,cx,by,az->abc", part, *matrices[::-1]).numpy()
        return sums

    def _weights(self, wanted: slice, count: int) -> tuple[int, Tensor]:
        """First spline that reaches into some voxels of an axis, and all weights (voxel, spline).

        Beyond the volume its outermost splines are repeated.
        """
        place = (np.arange(wanted.start, wanted.stop) + 0.5) / self.factor - 0.5
        left = np.floor(place).astype(int)
        near = left[:, None] + np.arange(-1, 3)
        distance = np.abs(place[:, None] - near)
        weight = np.where(
            distance < 1,
            2 / 3 - distance**2 + distance**3 / 2,
            np.clip(2 - distance, 0, None) ** 3 / 6,
        )
        near = np.clip(near, 0, count - 1)
        low = int(near.min())
        matrix = np.zeros((len(place), int(near.max()) - low + 1), np.float32)
        np.add.at(matrix, (np.arange(len(place))[:, None], near - low), weight)
        return low, torch.from_numpy(matrix)
