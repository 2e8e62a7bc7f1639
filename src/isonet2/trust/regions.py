"""Parts of Fourier space that are asked about: measured, missing, held out.

All are marked in the x-z plane, boolean (z, x//2+1); see `sums.products`.
"""

from torch import Tensor

from isonet2.physics.fourier import apply_filter
from isonet2.physics.wedge import Sectors, clear_wedge, measured
from isonet2.types import Shape

SECTORS = 5
"""Parts of the tilt range, of equal width, that the residual is looked at in."""
OUTER = 1.0
"""Degrees by which held-out directions keep clear of the end of the tilt range."""


def measured_part(shape: Shape, sectors: Sectors) -> Tensor:
    """What the tilts measured."""
    return measured((shape[0], 1, shape[2]), sectors)[:, 0].bool()


def wedge_part(shape: Shape, sectors: Sectors, thickness: float) -> Tensor:
    """The missing wedge where a specimen of so many voxels thickness cannot leak into it."""
    return clear_wedge((shape[0], 1, shape[2]), sectors, thickness)[:, 0]


def kept_sectors(sectors: Sectors, share: float) -> Sectors:
    """The tilts that are left when the outermost `share` of each side of the range is held out.

    Of -60 to 60 degrees with a fifth held out: -48 to 48.
    """
    low, high = min(a for a, _ in sectors), max(b for _, b in sectors)
    cut = (high - low) / 2 * share
    ends = low + cut, high - cut
    inside = [(max(a, ends[0]), min(b, ends[1])) for a, b in sectors]
    return tuple((a, b) for a, b in inside if a < b)


def held_out_part(shape: Shape, sectors: Sectors, kept: Sectors, thickness: float) -> Tensor:
    """What was measured and is held out, clear of what was kept as the wedge is."""
    inside = measured((shape[0], 1, shape[2]), sectors, margin=-OUTER)[:, 0].bool()
    return inside & wedge_part(shape, kept, thickness)


def tilt_parts(shape: Shape, sectors: Sectors) -> dict[str, Tensor]:
    """The measured region cut into parts of the tilt range, by their ends in degrees."""
    low, high = min(a for a, _ in sectors), max(b for _, b in sectors)
    step = (high - low) / SECTORS
    whole = measured_part(shape, sectors)
    ends = [(low + i * step, low + (i + 1) * step) for i in range(SECTORS)]
    return {f"{a:.0f} to {b:.0f}": measured_part(shape, ((a, b),)) & whole for a, b in ends}


def without_tilts(volume: Tensor, sectors: Sectors) -> Tensor:
    """Take everything out of planes (z, ..., x) but what tilts of `sectors` measured.

    Parameters
    ----------
    volume
        (z, y, x); y may be any part of a tomogram's, as each x-z plane is filtered alone.
    sectors
        Measured intervals that are left, degrees.
    """
    shape = (volume.shape[0], 1, volume.shape[2])
    weight = measured(shape, sectors)
    planes = volume.float().transpose(0, 1)[:, :, None]
    return apply_filter(planes, weight)[:, :, 0].transpose(0, 1).contiguous()
