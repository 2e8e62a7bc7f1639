"""What a tomogram's power spectrum says of its tilts: their range, and those of its halves."""

from collections.abc import Iterator

import torch
from torch import Tensor

from isonet2.data.volumes import Volume
from isonet2.physics.seen_wedge import SeenWedge, block_power, fan_likeness, seen_wedge
from isonet2.physics.wedge import Sectors

BLOCK = 96
THINNEST = 24
NARROWEST = 40.0
PLACES = ((0.5, 0.5), (0.25, 0.5), (0.75, 0.5), (0.5, 0.25), (0.5, 0.75))
TOLERANCE = 5.0
BEAM, TILT_AXIS = 0, 1
ALTERNATING = -0.3


def wedge_remark(volume: Volume, sectors: Sectors) -> str | None:
    """Say how a tomogram's empty wedge contradicts its declared tilts, or None.

    Parameters
    ----------
    volume
        The tomogram, or one of its halves.
    sectors
        Measured intervals of tilt angles in degrees.

    Returns
    -------
    str or None
        None also where no empty wedge can be seen, or the volume is too small to tell, or the
        tilt range that is declared and the one that is seen both are.
    """
    low, high = sectors[0][0], sectors[-1][1]
    if min(volume.shape) < THINNEST:
        return None
    size = [min(BLOCK, edge) for edge in volume.shape]
    power = block_power(_blocks(volume, size))
    seen = None if power is None else seen_wedge(power, size)
    narrow = high - low < NARROWEST
    if seen is None or (narrow and seen.high - seen.low < NARROWEST):
        return None
    if (seen.beam, seen.tilt_axis) != (BEAM, TILT_AXIS):
        return None if narrow else _turned(seen)
    if _between(seen.faint_low, low, seen.low) and _between(seen.high, high, seen.faint_high):
        return None
    mirrored = max(abs(seen.low + high), abs(seen.high + low)) <= TOLERANCE
    remedy = "reverse the signs of the tilts" if mirrored else "correct the tilt angles"
    return (
        f"tilts from {low:g} to {high:g} degrees are declared, but its power spectrum shows "
        f"{seen.low:g} to {seen.high:g}; {remedy}"
    )


def tilt_halves_remark(first: Volume, second: Volume) -> str | None:
    """Say that two halves were made from every second tilt each, or None."""
    if min(first.shape) < THINNEST:
        return None
    size = [min(BLOCK, edge) for edge in first.shape]
    one, two = (block_power(_blocks(volume, size)) for volume in (first, second))
    if one is None or two is None or fan_likeness(one, two, size) > ALTERNATING:
        return None
    return (
        "the halves were made from every second tilt each: declare the tilts of the whole series, "
        "and prefer halves of frames, which lose less detail"
    )


def _between(least: float, value: float, most: float) -> bool:
    return least - TOLERANCE <= value <= most + TOLERANCE


def _turned(seen: SeenWedge) -> str:
    beam, tilt_axis = "zyx"[seen.beam], "zyx"[seen.tilt_axis]
    remedies = {
        (1, 0): "turn it about x (IMOD: trimvol -rx)",
        (0, 2): "turn it by 90 degrees about z",
    }
    remedy = remedies.get((seen.beam, seen.tilt_axis), "put its axes in that order")
    return (
        f"its power spectrum shows a beam along {beam} and a tilt axis along {tilt_axis}, but "
        f"the beam must run along z and the tilt axis along y; {remedy}"
    )


def _blocks(volume: Volume, size: list[int]) -> Iterator[Tensor]:
    """Blocks around the centre, half way through the thickness, without doubles."""
    free = [edge - block for edge, block in zip(volume.shape, size, strict=True)]
    corners = {(free[0] // 2, int(free[1] * y), int(free[2] * x)) for y, x in PLACES}
    for z, y, x in sorted(corners):
        region = slice(z, z + size[0]), slice(y, y + size[1]), slice(x, x + size[2])
        yield torch.from_numpy(volume.read(region))
