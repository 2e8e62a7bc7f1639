"""How well tilts show a specimen at all: between them nothing was measured.

Tilts a few degrees apart leave gaps that grow with the frequency, and with the thickness of the
specimen. So even held-out data without noise would agree with the specimen only in part; how far
is found by taking noise for a specimen, and by tilting and reconstructing that.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from isonet2.physics.projection import back_project, detector_width, project, specimen_width
from isonet2.physics.wedge import Sectors
from isonet2.trust.sums import SHELLS, THINNEST, correlation, products
from isonet2.types import Shape

STEP = 3.0
"""Degrees between tilts, where only the ends of their range are known."""
LEAST = 0.3
"""No result is raised by more than the inverse of this."""


def tilts_of(sectors: Sectors, known: Sequence[float] | None) -> list[float]:
    """The tilt angles, or those that are assumed between the ends of their range."""
    if known is not None:
        return list(known)
    found: list[float] = []
    for low, high in sectors:
        steps = max(1, round((high - low) / STEP))
        found += [low + (high - low) * i / steps for i in range(steps + 1)]
    return found


def tilt_agreement(
    shape: Shape, tilts: Sequence[float], part: Tensor, thickness: float, seed: int = 0
) -> Tensor:
    """Correlation of a specimen with what tilts show of it without noise, shell by shell.

    Parameters
    ----------
    shape
        Of the tomogram, (z, y, x); of y, one slab is enough.
    tilts
        Degrees.
    part
        Of Fourier space, (z, x//2+1).
    thickness
        Of the specimen, voxels.
    seed
        Of the noise that is taken for a specimen.

    Returns
    -------
    Tensor
        (shells,), not below `LEAST`; NaN where a shell holds nothing of the part.
    """
    depth, _, width = shape
    height = 4 * THINNEST
    generator = torch.Generator().manual_seed(seed)
    full = specimen_width(depth, width, tilts)
    specimen = torch.randn((depth, height, full), generator=generator)
    outside = round((depth - thickness) / 2)
    specimen[:outside] = specimen[depth - outside :] = 0
    images = project(specimen, tilts, detector_width(depth, width))
    seen = back_project(images, tilts, (depth, height, width))
    side = (full - width) // 2
    volumes = {"t": specimen[:, :, side : side + width], "y": seen}
    sums = products(volumes, [("t", "y"), ("t", "t"), ("y", "y")], {"part": part})
    cross, own, shown = (sums[a, b, "part"].sum(0) for a, b in (("t", "y"), ("t", "t"), ("y", "y")))
    found = correlation(cross, own, shown).clamp_min(LEAST)
    assert found.shape == (SHELLS + 1,)
    return found
