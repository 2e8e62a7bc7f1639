"""The missing wedge emptied of a volume of any size, exactly and in bounded memory."""

from collections.abc import Callable

import torch
from torch import Tensor

from isonet2.physics.wedge import Sectors, measured
from isonet2.types import Block, Region, Shape

SLAB_VOXELS = 2**24
"""Voxels in memory at a time, beside their transform."""


def wedge_filter(shape: Shape, sectors: Sectors) -> Tensor:
    """What the missing wedge leaves of the x-z planes of a volume.

    Parameters
    ----------
    shape
        Of the volume, (z, y, x).
    sectors
        Measured intervals of tilt angles, degrees.

    Returns
    -------
    Tensor
        1 where `(kz, kx)` was measured, 0 elsewhere, (z, 1, x//2+1).
    """
    return measured((shape[0], 1, shape[2]), sectors)


def empty_wedge(
    read: Callable[[Region], Block],
    write: Callable[[Region, Block], None],
    shape: Shape,
    sectors: Sectors,
) -> None:
    """Take out of a volume what lies in its missing wedge.

    Parameters
    ----------
    read
        Takes a region inside the volume, returns (z, y, x) float32.
    write
        Takes a region and its voxels; every voxel is written once.
    shape
        Of the volume, (z, y, x).
    sectors
        Measured intervals of tilt angles, degrees.

    Notes
    -----
    Whether a frequency was measured does not depend on ky, as the tilt axis runs along y: so
    every x-z plane is filtered by itself, and slabs of them give what the whole volume would.
    The volume counts as periodic.
    """
    kept = wedge_filter(shape, sectors)
    z, y, x = shape
    step = max(1, SLAB_VOXELS // (z * x))
    for low in range(0, y, step):
        region = slice(0, z), slice(low, min(low + step, y)), slice(0, x)
        planes = torch.fft.rfftn(torch.from_numpy(read(region)), dim=(0, 2))
        write(region, torch.fft.irfftn(planes * kept, s=(z, x), dim=(0, 2)).numpy())
