"""Volumes on a coarser grid, by leaving out their high frequencies."""

from collections.abc import Collection
from fractions import Fraction

import torch
from torch import Tensor

from isonet2.physics.fourier import crop_spectrum, spectrum, volume

_TOLERANCE = 1e-3
_LARGEST = 128


def grid_ratio(old: float, new: float) -> Fraction:
    """Simplest fraction p/q near old/new, so that q old voxels become exactly p new ones.

    Parameters
    ----------
    old, new
        Voxel sizes, of one unit; `new` is not below `old`.

    Returns
    -------
    Fraction
        At most 1; within a thousandth of old/new where a `q` up to 128 allows that, else the
        nearest, within half a percent. The new voxel is exactly `old * q / p`.
    """
    wanted = old / new
    for q in range(1, _LARGEST + 1):
        p = round(wanted * q)
        if p and abs(p / q / wanted - 1) <= _TOLERANCE:
            return min(Fraction(p, q), Fraction(1))
    return max(Fraction(wanted).limit_denominator(_LARGEST), Fraction(1, _LARGEST))


def coarse_length(n: int, ratio: Fraction) -> int:
    """Voxels that an axis of `n` voxels has on the coarser grid."""
    return max(1, n * ratio.numerator // ratio.denominator)


def coarsen(block: Tensor, ratio: Fraction, axes: Collection[int]) -> Tensor:
    """Sample a volume on fewer voxels along some axes.

    The first voxel stays where it is. An axis is filled up with its mirror image to a multiple
    of the ratio's denominator, so that the new grid is exact along every axis. Frequencies
    from the new Nyquist frequency of an axis on are cut.

    Parameters
    ----------
    block
        Volume (z, y, x).
    ratio
        New voxels per old voxel.
    axes
        Those of 0, 1, 2 that are sampled anew.

    Returns
    -------
    Tensor
        Volume of `coarse_length` voxels along these axes, the same mean grey value.
    """
    if ratio == 1:
        return block
    lengths = [coarse_length(n, ratio) if i in axes else n for i, n in enumerate(block.shape)]
    for axis in axes:
        n = block.shape[axis]
        index = torch.arange(-(-n // ratio.denominator) * ratio.denominator)
        period = index % max(2 * n - 2, 1)
        block = block.index_select(axis, torch.minimum(period, (2 * n - 2 - period).clamp_min(0)))
    old = block.shape
    new = [int(n * ratio) if i in axes else n for i, n in enumerate(old)]
    waves = crop_spectrum(spectrum(block), old, new)
    for axis, (n, m) in enumerate(zip(old, new, strict=True)):
        if m < n and m % 2 == 0:
            waves.select(axis, m // 2).zero_()
    small = volume(waves, new)
    return small[: lengths[0], : lengths[1], : lengths[2]]
