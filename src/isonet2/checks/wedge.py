"""What a tomogram's power spectrum says of its tilts: their range, and those of its halves."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isonet2.checks.findings import Finding
from isonet2.checks.looks import tamed
from isonet2.data.volumes import Volume
from isonet2.physics.seen_wedge import (
    STEP,
    SeenWedge,
    block_power,
    fan_likeness,
    seen_lean,
    seen_wedge,
    tilt_profile,
)
from isonet2.physics.wedge import Sectors

BLOCK = 96
THINNEST = 24
NARROWEST = 40.0
PLACES = ((0.5, 0.5), (0.25, 0.5), (0.75, 0.5), (0.5, 0.25), (0.5, 0.75))
TOLERANCE = 5.0
BEAM, TILT_AXIS = 0, 1
ALTERNATING = -0.3
FULL = 0.3
"""Power beyond the declared tilts over that within, where no wedge is empty."""
THINNEST_FULL = 48
"""Voxels; the wedge of a thinner volume is narrow at its rim, and never quite empty."""
MARGIN, NARROWEST_WEDGE = 6.0, 15.0
SLANTED = 6.0
"""Degrees; wedges of nearly all tomograms lean by less."""
MIDDLE = 0.3
"""Cycles per voxel where tilts are told, about; voxels of the spectrum are wide there."""
GAP, WIDEST_GAP = 0.15, 8.0
"""Power relative to the rest, over so many degrees, where tilts are missing."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Power spectrum of a tomogram's middle.

    Attributes
    ----------
    power
        Of a half spectrum, (z, y, x//2+1).
    shape
        Of the blocks that it was made of, (z, y, x).
    seen
        The empty wedge; None where there is none, or it cannot be told.
    """

    power: Tensor
    shape: tuple[int, int, int]
    seen: SeenWedge | None

    @property
    def upright(self) -> bool:
        """Whether the wedge that is seen is that of a beam along z and a tilt axis along y."""
        seen = self.seen
        return seen is not None and (seen.beam, seen.tilt_axis) == (BEAM, TILT_AXIS)

    @property
    def lean(self) -> float | None:
        """How far the tilt axis leans out of the x-y plane, degrees; None where it is not told."""
        seen = self.seen if self.upright else None
        return None if seen is None else seen_lean(self.power, self.shape, seen)

    def profile(self) -> Tensor:
        """Power against tilt from -90 to 90 degrees in steps of `STEP`."""
        return tilt_profile(self.power, self.shape, BEAM, TILT_AXIS)


def spectrum_of(volume: Volume) -> Spectrum | None:
    """Power spectrum of a volume; None where it is too small, or constant."""
    if min(volume.shape) < THINNEST:
        return None
    z, y, x = (min(BLOCK, edge) for edge in volume.shape)
    power = block_power(_blocks(volume, [z, y, x]))
    return None if power is None else Spectrum(power, (z, y, x), seen_wedge(power, (z, y, x)))


def wedge_findings(
    spectrum: Spectrum | None, sectors: Sectors, thickness: int, name: str = ""
) -> list[Finding]:
    """Say how a tomogram's empty wedge contradicts its declared tilts.

    Parameters
    ----------
    spectrum
        Of the tomogram, or of one of its halves.
    sectors
        Measured intervals of tilt angles in degrees.
    thickness
        Voxels along z.
    name
        Of the tomogram.

    Returns
    -------
    list of Finding
        Empty also where the wedge cannot be told, or the tilt range that is declared and the
        one that is seen both are narrow.
    """
    low, high = sectors[0][0], sectors[-1][1]
    if spectrum is None:
        return []
    seen = spectrum.seen
    narrow = high - low < NARROWEST
    declared = f"{low:g} to {high:g}"
    if seen is None:
        return [] if thickness < THINNEST_FULL else _no_wedge(spectrum, low, high, name)
    if narrow and seen.high - seen.low < NARROWEST:
        return []
    if not spectrum.upright:
        return [] if narrow else [_turned(seen, name)]
    if _between(seen.faint_low, low, seen.low) and _between(seen.high, high, seen.faint_high):
        return []
    mirrored = max(abs(seen.low + high), abs(seen.high + low)) <= TOLERANCE
    remedy = "reverse the signs of the tilts" if mirrored else "correct the tilt angles"
    measured = f"{seen.low:.0f} to {seen.high:.0f}"
    told = f"tilts from {declared} degrees are declared, but its power spectrum shows {measured}"
    kind = "tilts: sign" if mirrored else "tilts: range"
    return [Finding(kind, "warning", told, remedy, name, (low, high), (seen.low, seen.high))]


def _no_wedge(spectrum: Spectrum, low: float, high: float, name: str) -> list[Finding]:
    """Say that there is as much power where nothing was measured as elsewhere."""
    profile = spectrum.profile()
    tilt = torch.arange(len(profile)) * STEP - 90 + STEP / 2
    outside = (tilt < low - MARGIN) | (tilt > high + MARGIN)
    inside = (tilt > low + MARGIN) & (tilt < high - MARGIN)
    if int(outside.sum()) * STEP < NARROWEST_WEDGE or not inside.any():
        return []
    share = float(profile[outside].nanmean() / profile[inside].nanmedian())
    if not share > FULL:
        return []
    told = (
        f"tilts from {low:g} to {high:g} degrees are declared, but its power spectrum has no empty "
        f"wedge ({100 * share:.0f} % of the power of the measured part lies there)"
    )
    remedy = "give the tomogram as reconstructed; was it restored or denoised before?"
    return [Finding("tilts: no empty wedge", "warning", told, remedy, name, (low, high), share)]


def untold_findings(spectrum: Spectrum | None, name: str = "") -> list[Finding]:
    """Say that a tomogram's spectrum does not tell which tilts were measured."""
    if spectrum is not None and spectrum.upright:
        return []
    told = "its power spectrum does not tell which tilts were measured"
    remedy = "see to it that those declared are right"
    return [Finding("tilts: not told", "remark", told, remedy, name)]


def gaps_findings(spectrum: Spectrum | None, sectors: Sectors, name: str = "") -> list[Finding]:
    """Say that tilts are missing inside the declared range, where nothing declares it."""
    if spectrum is None or not spectrum.upright or spectrum.seen is None:
        return []
    profile = spectrum.profile()
    tilt = torch.arange(len(profile)) * STEP - 90 + STEP / 2
    level = profile[(tilt > spectrum.seen.low) & (tilt < spectrum.seen.high)].nanmedian()
    empty = torch.zeros(len(profile), dtype=torch.bool)
    for low, high in sectors:
        empty |= (tilt > low + MARGIN / 2) & (tilt < high - MARGIN / 2)
    empty &= (tilt > spectrum.seen.low) & (tilt < spectrum.seen.high) & (profile < GAP * level)
    found, run = [], list[float]()
    for angle, missing in [*zip(tilt.tolist(), empty.tolist(), strict=True), (90.0, False)]:
        if missing:
            run.append(angle)
            continue
        if len(run) * STEP >= WIDEST_GAP:
            ends = run[0] - STEP / 2, run[-1] + STEP / 2
            told = f"tilts from {ends[0]:.0f} to {ends[1]:.0f} degrees seem to be missing"
            remedy = "give the file of all tilts (rlnTiltFile)"
            found.append(Finding("tilts: gap", "warning", told, remedy, name, None, ends))
        run = []
    return found


def lean_findings(lean: float | None, name: str = "") -> list[Finding]:
    """Say that the tilt axis leans out of the x-y plane, by some degrees."""
    if lean is None or abs(lean) < SLANTED:
        return []
    told = (
        f"its wedge leans: the tilt axis stands {abs(lean):.0f} degrees out of the x-y plane, and "
        "is taken to lie in it"
    )
    remedy = "reconstruct it without a tilt about x (IMOD: XAXISTILT), or undo the turn about x"
    return [Finding("tilts: about x", "warning", told, remedy, name, 0.0, lean)]


def uncertainty(spectra: Sequence[Spectrum | None]) -> float:
    """Degrees to which the ends of the tilt range are known, by thickness and by two halves."""
    known = [(s.seen, s.shape) for s in spectra if s is not None and s.seen is not None]
    thickness = min(min(shape) for _, shape in known)
    grain = math.degrees(math.atan(1 / (2 * MIDDLE * thickness)))
    (first, _), (second, _) = known[0], known[-1]
    apart = max(abs(first.low - second.low), abs(first.high - second.high)) / 2
    return max(STEP / 2, grain, apart)


def tilt_halves_findings(
    first: Spectrum | None, second: Spectrum | None, name: str = ""
) -> list[Finding]:
    """Say that two halves were made from every second tilt each."""
    if first is None or second is None or not fan_of(first, second) < ALTERNATING:
        return []
    told = "the halves were made from every second tilt each"
    remedy = (
        "declare the tilts of the whole series, and prefer halves of frames, which lose less detail"
    )
    return [Finding("halves: of tilts", "remark", told, remedy, name)]


def fan_of(first: Spectrum, second: Spectrum) -> float:
    """Whether two halves measured the same tilts: about 1 of frames, below 0 of tilts."""
    return fan_likeness(first.power, second.power, first.shape)


def _between(least: float, value: float, most: float) -> bool:
    return least - TOLERANCE <= value <= most + TOLERANCE


def _turned(seen: SeenWedge, name: str) -> Finding:
    beam, tilt_axis = "zyx"[seen.beam], "zyx"[seen.tilt_axis]
    remedies = {
        (1, 0): "turn it about x (IMOD: trimvol -rx)",
        (0, 2): "turn it by 90 degrees about z",
    }
    remedy = remedies.get((seen.beam, seen.tilt_axis), "put its axes in that order")
    told = (
        f"its power spectrum shows a beam along {beam} and a tilt axis along {tilt_axis}, but "
        f"the beam must run along z and the tilt axis along y"
    )
    return Finding("axes", "warning", told, remedy, name, ("z", "y"), (beam, tilt_axis))


def _blocks(volume: Volume, size: list[int]) -> Iterator[Tensor]:
    """Blocks around the centre, half way through the thickness, without doubles."""
    free = [edge - block for edge, block in zip(volume.shape, size, strict=True)]
    corners = {(free[0] // 2, int(free[1] * y), int(free[2] * x)) for y, x in PLACES}
    for z, y, x in sorted(corners):
        region = slice(z, z + size[0]), slice(y, y + size[1]), slice(x, x + size[2])
        yield torch.from_numpy(tamed(volume.read(region)))
