"""Which frequencies a tilt series measured, in any orientation of the specimen.

A tilt by `t` measures the plane whose x-z direction is `(cos t, sin t)` in `(kx, kz)`; a
continuous range of tilts measures a double wedge around the kx-ky plane.
"""

import itertools
import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from isonet2.physics.fourier import frequencies
from isonet2.types import Sizes

Sectors = Sequence[tuple[float, float]]
"""Measured intervals of tilt angles in degrees, such as ((-60, 60),)."""

_ROUNDING = 1e-9


def sectors_of_tilts(tilts: Sequence[float], largest_gap: float = 3.0) -> Sectors:
    """Intervals that a list of real tilt angles measures.

    Parameters
    ----------
    tilts
        Angles in degrees, in any order.
    largest_gap
        A gap wider than this many times the median step counts as missing.

    Returns
    -------
    Sectors
        One interval for each run of angles; a lone angle measures half a step on each side.
    """
    angles = sorted(set(tilts))
    if not angles:
        raise ValueError("a tilt list needs at least one angle")
    steps = [b - a for a, b in itertools.pairwise(angles)]
    step = sorted(steps)[len(steps) // 2] if steps else 1.0
    runs = [[angles[0], angles[0]]]
    for angle, gap in zip(angles[1:], steps, strict=True):
        if gap > largest_gap * step:
            runs.append([angle, angle])
        runs[-1][1] = angle
    return tuple((a, b) if b > a else (a - step / 2, b + step / 2) for a, b in runs)


def measured(
    shape: Sizes,
    sectors: Sectors,
    rotation: Tensor | None = None,
    *,
    margin: float = 0.0,
    device: torch.device | str | None = None,
) -> Tensor:
    """Mark the frequencies that were measured: 1 there, 0 in the missing wedge.

    Parameters
    ----------
    shape
        Shape (z, y, x) of the volume in real space.
    sectors
        Measured intervals of tilt angles in degrees.
    rotation
        Proper rotations (..., 3, 3) acting on (z, y, x) vectors: the mask is then that of the
        measured volume after rotation, `F(R v)(k) = F(v)(R^-1 k)`. None: as reconstructed.
    margin
        Degrees by which every sector is widened (negative: narrowed).
    device
        Where the mask is made; that of `rotation` when given.

    Returns
    -------
    Tensor
        float32 (..., z, y, x//2+1), limited to the ball `|k| <= 0.5`.
    """
    normals = planes(sectors, rotation, margin=margin)
    return between(shape, normals if rotation is not None else normals.to(device or "cpu"))


def planes(sectors: Sectors, rotation: Tensor | None = None, *, margin: float = 0.0) -> Tensor:
    """Normals of the two planes that bound each measured sector.

    Parameters
    ----------
    sectors, rotation, margin
        As in `measured`.

    Returns
    -------
    Tensor
        float64 (..., sectors, 2, 3), each a (z, y, x) vector, where `rotation` is. They are few:
        whoever needs masks on a GPU makes them on the CPU and sends them.
    """
    if not sectors:
        raise ValueError("sectors must not be empty")
    turn = torch.eye(3, dtype=torch.float64) if rotation is None else rotation.double()
    found = []
    for low, high in sectors:
        a, b = math.radians(low - margin), math.radians(high + margin)
        normals = (math.cos(a), 0.0, -math.sin(a)), (-math.cos(b), 0.0, math.sin(b))
        if high - low + 2 * margin >= 180:
            normals = normals[0], normals[0]
        pair = torch.tensor(normals, dtype=torch.float64, device=turn.device)
        found.append(torch.stack([turn @ normal for normal in pair], -2))
    return torch.stack(found, -3)


def between(shape: Sizes, normals: Tensor) -> Tensor:
    """Mark the frequencies that lie in one of several sectors.

    Parameters
    ----------
    shape
        Shape (z, y, x) of the volume in real space.
    normals
        Of the planes that bound the sectors, from `planes`, (..., sectors, 2, 3); the mask is
        made where they are.

    Returns
    -------
    Tensor
        float32 (..., z, y, x//2+1), limited to the ball `|k| <= 0.5`.

    Notes
    -----
    A direction lies between tilts `a` and `b` (or is the Friedel mate of one that does) when
    the two products with the normals of the bounding planes have one sign. Both are linear in
    `k`, so a rotated mask is made as exactly as the unrotated one. One normal twice bounds
    nothing, and a sector twice is the sector.
    """
    kz, ky, kx = frequencies(shape, device=normals.device, dtype=torch.float64)

    def side(normal: Tensor) -> Tensor:
        nz, ny, nx = (normal[..., i, None, None, None] for i in range(3))
        return nz * kz + ny * ky + nx * kx

    within = (
        side(sector[..., 0, :]) * side(sector[..., 1, :]) >= -_ROUNDING
        for sector in normals.unbind(-3)
    )
    return reduce(torch.logical_or, within) * ball(shape, device=normals.device)


def ball(
    shape: Sizes, *, device: torch.device | str | None = None, rows: slice = slice(None)
) -> Tensor:
    """Mark the frequencies up to Nyquist along every direction, `|k| <= 0.5`.

    Returns
    -------
    Tensor
        float32 (z, y, x//2+1), 0 in the corners of the Fourier cube; of kz, only some `rows`.
    """
    kz, ky, kx = frequencies(shape, device=device, dtype=torch.float64)
    kz = kz[rows]
    return (kz * kz + ky * ky + kx * kx <= 0.25 + _ROUNDING).float()


def clear_wedge(shape: Sizes, sectors: Sectors, thickness: float) -> Tensor:
    """Mark the missing wedge where a specimen of finite thickness cannot leak into it.

    A specimen `thickness` voxels thick smears every Fourier value by about `1/thickness`, so
    the wedge is kept clear of the measured region by `max(2 degrees, atan(1/(thickness k)))`
    with `k` the length of the frequency in the x-z plane.

    Parameters
    ----------
    shape
        Shape (z, y, x) of the volume.
    sectors
        Measured intervals of tilt angles in degrees.
    thickness
        Of the specimen along the beam, in voxels.

    Returns
    -------
    Tensor
        Boolean (z, y, x//2+1).
    """
    kz, _, kx = frequencies(shape, dtype=torch.float64)
    angle = torch.rad2deg(torch.atan2(kz, kx))
    reach = torch.rad2deg(torch.atan(1 / (thickness * torch.hypot(kz, kx).clamp_min(1e-6))))
    margin = reach.clamp_min(2.0)
    clear = torch.ones_like(angle, dtype=torch.bool)
    for low, high in sectors:
        for friedel in (-180.0, 0.0, 180.0):
            near = (angle >= low + friedel - margin) & (angle <= high + friedel + margin)
            clear &= ~near
    return clear.expand(shape[0], shape[1], shape[2] // 2 + 1)
