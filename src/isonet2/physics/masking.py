"""Where the specimen is: voxels of high local density and high local deviation."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from isonet2.physics.lamella import Slab, fit_slab

BINNING = 2
"""The tomogram is binned so many times before its mask is made."""

DENSITY = "local density"
DEVIATION = "local deviation"
BOTH = "local density and deviation together"
CROP = "z crop"
SLAB = "fitted slab"
BEADS = "gold"
BOUNDARY = "boundary"


BEAD_RANK, BEAD_RATIO = 0.99, 5.0
"""Gold is so many times as dense as the voxel of that rank; protein and noise reach 3 times."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """The part of a tomogram that a person drew; full-size voxels, their edges at whole numbers.

    Parameters
    ----------
    polygons
        Corners (n, 2), each x and y; the area inside any of them counts.
    z_range
        First and last slice, or None for all.
    """

    polygons: tuple[NDArray[np.float64], ...]
    z_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class SpecimenMask:
    """A mask, and how it came about.

    Parameters
    ----------
    voxels
        (z, y, x), true where the specimen is.
    kept
        Part of all voxels that is left after each step, in order; the first two, local density
        and local deviation, stand for themselves.
    slab
        What was fitted, if anything; in `voxels`' own voxels.
    beads
        Middles of the gold beads that were left out, (n, 3) as (z, y, x) in `voxels`' own voxels.
    """

    voxels: Tensor
    kept: dict[str, float] = field(default_factory=dict)
    slab: Slab | None = None
    beads: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def fraction(self) -> float:
        """Part of all voxels that the mask keeps."""
        return float(self.voxels.sum(dtype=torch.float64)) / self.voxels.numel()


def specimen_mask(
    volume: Tensor,
    *,
    patch_size: int = 4,
    density_percentage: float = 50.0,
    std_percentage: float = 50.0,
    z_crop: float = 0.2,
    slab: bool = False,
    exclude_gold: bool = True,
    boundary: Boundary | None = None,
) -> SpecimenMask:
    """Find the specimen in a tomogram.

    Parameters
    ----------
    volume
        (z, y, x), protein bright, binned `BINNING` times, in any scale.
    patch_size
        Reach of the local filters, voxels of `volume`: they look at `2 * patch_size + 1` voxels
        along each axis, after a Gaussian smoothing of deviation `patch_size / 2`.
    density_percentage, std_percentage
        Part of the voxels to keep, in %, by local maximum and by local deviation; a voxel must
        be kept by both.
    z_crop
        Part of the slices to leave out, half of it at either end.
    slab
        Leave out what lies outside the specimen's slab instead, where one can be fitted.
    exclude_gold
        Leave out what lies within `patch_size` of gold beads; see `bead_cores`.
    boundary
        Part of the tomogram outside which nothing counts, in voxels before binning.

    Returns
    -------
    SpecimenMask
        Of `volume`'s shape.
    """
    x = volume.float()
    deviation, mean = torch.std_mean(x)
    x = (x - mean) / deviation.clamp_min(torch.finfo(torch.float32).tiny)
    dense = bead_cores(x) if exclude_gold else torch.zeros_like(x, dtype=torch.bool)
    x = gaussian(x, patch_size / 2)
    kept: dict[str, float] = {}

    def note(step: str, voxels: Tensor) -> Tensor:
        kept[step] = SpecimenMask(voxels).fraction
        return voxels

    mask = note(DENSITY, top(local_maximum(x, patch_size), density_percentage))
    x = local_deviation(x, patch_size)
    mask &= note(DEVIATION, top(x, std_percentage))
    note(BOTH, mask)
    fitted = fit_slab(x) if slab else None
    if fitted is not None:
        mask &= fitted.voxels(mask.shape).to(mask.device)
        note(SLAB, mask)
    else:
        crop = round(z_crop / 2 * len(mask))
        mask[:crop] = False
        mask[len(mask) - crop :] = False
        note(CROP, mask)
    if dense.any():
        mask &= ~around(dense, patch_size)
        note(BEADS, mask)
    if boundary is not None:
        mask &= inside(boundary, mask.shape).to(mask.device)
        note(BOUNDARY, mask)
    return SpecimenMask(mask, kept, fitted, middles(dense))


def middles(bodies: Tensor) -> NDArray[np.float64]:
    """Middles (n, 3) of connected bodies, which are true in (z, y, x)."""
    marked, count = ndimage.label(bodies.cpu().numpy(), np.ones((3, 3, 3)))
    found = ndimage.center_of_mass(marked > 0, marked, range(1, count + 1))
    return np.asarray(found, dtype=np.float64).reshape(-1, 3)


def around(bodies: Tensor, reach: int) -> Tensor:
    """Mark bodies and so many voxels around them along each axis, (z, y, x)."""
    return local_maximum(bodies.float(), reach) > 0


def bead_cores(x: Tensor) -> Tensor:
    """Mark gold beads and the like: bodies far denser than the densest hundredth of all voxels.

    Parameters
    ----------
    x
        (z, y, x), mean 0, dense is bright.

    Returns
    -------
    Tensor
        True or false, (z, y, x).
    """
    smooth = gaussian(x, 1.0)
    rank = smooth.flatten().kthvalue(max(1, round(BEAD_RANK * smooth.numel()))).values
    return (smooth > BEAD_RATIO * rank) & (rank > 0)


def gaussian(x: Tensor, sigma: float) -> Tensor:
    """Smooth a volume (z, y, x) by a Gaussian, cut at four deviations; its edge is repeated."""
    reach = max(1, math.ceil(4 * sigma))
    offset = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(offset**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in range(3):
        edges = [0, 0, 0, 0, 0, 0]
        edges[4 - 2 * axis] = edges[5 - 2 * axis] = reach
        wide = F.pad(x[None, None], edges, mode="replicate")[0, 0]
        x = torch.zeros_like(x)
        for shift, weight in enumerate(kernel.tolist()):
            x.add_(wide.narrow(axis, shift, x.shape[axis]), alpha=weight)
    return x


def local_maximum(x: Tensor, reach: int) -> Tensor:
    """Largest of the `2 * reach + 1` voxels along each axis, (z, y, x)."""
    for axis in range(3):
        window = [2 * reach + 1 if a == axis else 1 for a in range(3)]
        margin = [reach if a == axis else 0 for a in range(3)]
        x = F.max_pool3d(x[None, None], window, stride=1, padding=margin)[0, 0]
    return x


def local_mean(x: Tensor, reach: int) -> Tensor:
    """Mean of the `2 * reach + 1` voxels along each axis that lie in the volume, (z, y, x)."""
    for axis in range(3):
        window = [2 * reach + 1 if a == axis else 1 for a in range(3)]
        edges = [0, 0, 0, 0, 0, 0]
        edges[4 - 2 * axis] = edges[5 - 2 * axis] = reach
        sums = F.avg_pool3d(F.pad(x[None, None], edges), window, stride=1, divisor_override=1)
        place = torch.arange(x.shape[axis], device=x.device)
        count = place.add(reach + 1).clamp_max(len(place)) - place.sub(reach).clamp_min(0)
        x = sums[0, 0] / count.reshape([-1 if a == axis else 1 for a in range(3)])
    return x


def local_deviation(x: Tensor, reach: int) -> Tensor:
    """Standard deviation of the same voxels, (z, y, x); `x` is standardised."""
    mean = local_mean(x, reach)
    return (local_mean(x * x, reach) - mean * mean).clamp_min_(0).sqrt_()


def top(x: Tensor, percentage: float) -> Tensor:
    """True for the largest values: `percentage` % of them, at least one.

    Of many equal values at the limit none counts, or all where nothing lies above them.
    """
    if percentage >= 100:
        return torch.ones_like(x, dtype=torch.bool)
    below = round(x.numel() * (1 - percentage / 100))
    limit = x.flatten().kthvalue(max(1, below)).values
    above = x > limit
    return above if above.any() else x >= limit


def inside(boundary: Boundary, shape: tuple[int, ...]) -> Tensor:
    """Voxels of a binned volume that lie in a boundary; true or false, (z, y, x)."""
    z, y, x = ((torch.arange(n, dtype=torch.float64) + 0.5) * BINNING for n in shape)
    area = torch.zeros(len(y), len(x), dtype=torch.bool)
    for polygon in boundary.polygons:
        area |= in_polygon(torch.from_numpy(polygon), y, x)
    slices = torch.ones(len(z), dtype=torch.bool)
    if boundary.z_range is not None:
        low, high = boundary.z_range
        slices = (z + BINNING / 2 > low) & (z - BINNING / 2 <= high)
    return slices[:, None, None] & area


def in_polygon(corners: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Points of a grid that lie in a polygon: a ray from them crosses its edges an odd number.

    Parameters
    ----------
    corners
        (n, 2), each x and y.
    y, x
        Positions of the grid's rows and columns.

    Returns
    -------
    Tensor
        True or false, (rows, columns).
    """
    result = torch.zeros(len(y), len(x), dtype=torch.bool)
    ends = corners.roll(-1, 0)
    for (x1, y1), (x2, y2) in zip(corners.tolist(), ends.tolist(), strict=True):
        if y1 == y2:
            continue
        crossed = (y1 > y) != (y2 > y)
        where = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
        result ^= crossed[:, None] & (x < where[:, None])
    return result
