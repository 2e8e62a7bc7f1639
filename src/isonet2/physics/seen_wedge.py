"""The missing wedge as a tomogram's own power spectrum shows it.

Back projection leaves the wedge empty of noise as well as of specimen, so the power of any
part of a tomogram, summed along the tilt axis, falls to nothing at the tilts that were not
measured. This tells a wrong tilt range, and a tomogram whose axes are in another order.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isonet2.physics.fourier import frequencies, multiplicity, spectrum
from isonet2.types import Sizes

STEP = 2
BAND = (0.12, 0.48)
RINGS = 16
EMPTY = 0.1
FAINT = 0.15
NARROWEST = 16
MEASURED = 0.85
"""Part of all tilts that have less power than the well measured ones."""
FILTERED = 1e-4
"""Of the power of other rings, where a filter has left nothing."""
REACH = 3
"""Steps to either side of an end over which power is compared."""
STEEP = 0.2
"""Least fall of amplitude at an end, where that of the well measured tilts is 1;"""
SHOWN = 0.75
"""in at least a quarter of the rings: this part of them may show less."""
HALF_STEP = 1.0
"""Degrees that the last image of a series at each end measures beyond its own tilt, about."""
ORDERS = tuple(itertools.permutations(range(3), 2))

STEEPEST_LEAN, LEAN_STEP = 36, 4
"""Degrees out of the x-y plane at which a tilt axis is looked for."""
RISE = 0.05
"""Of the power in a supposed wedge, over that of the rest."""

FAN_BAND = (0.25, 0.48)
FAN_REACH = 45
FAN_SMOOTH = 9


@dataclass(frozen=True, slots=True)
class SeenWedge:
    """An empty wedge that was found in a power spectrum.

    Attributes
    ----------
    beam, tilt_axis
        Array axes (0 is z, 1 is y, 2 is x) that the beam and the tilt axis run along.
    low, high
        Least and greatest tilt that were measured, degrees, good to about `STEP`.
    faint_low, faint_high
        Least and greatest tilt with any power, where that is beyond them.
    """

    beam: int
    tilt_axis: int
    low: float
    high: float
    faint_low: float
    faint_high: float


def block_power(blocks: Iterable[Tensor]) -> Tensor | None:
    """Mean power of blocks (z, y, x) of one shape under a Hann window; None without blocks.

    Every block counts alike, whatever its contrast; constant ones count nothing.
    """
    total: Tensor | None = None
    for block in blocks:
        voxels = windowed(block)
        if voxels is not None:
            power = spectrum(voxels).abs().square()
            total = power if total is None else total + power
    return total


def windowed(block: Tensor) -> Tensor | None:
    """Standardise a block (z, y, x) and lay a Hann window over it; None where it is constant."""
    voxels = block.float() - block.float().mean()
    deviation = voxels.std()
    if not deviation > 0:
        return None
    for axis, size in enumerate(block.shape):
        window = torch.hann_window(size + 2, periodic=False)[1:-1]
        voxels = voxels * window.reshape([-1 if a == axis else 1 for a in range(3)])
    return voxels / deviation


def tilt_profile(power: Tensor, shape: Sizes, beam: int, tilt_axis: int) -> Tensor:
    """Power against tilt, had the series been taken with this beam and this axis.

    Parameters
    ----------
    power
        Power (z, y, x//2+1) of a half spectrum.
    shape
        Shape (z, y, x) in real space.
    beam, tilt_axis
        Array axes.

    Returns
    -------
    Tensor
        One value for each `STEP` degrees from -90 to 90: the median over rings of frequency,
        each ring relative to its own mean.
    """
    return _median(_rings(power, shape, beam, tilt_axis))


def _median(rings: Tensor) -> Tensor:
    return torch.nanmedian(rings / torch.nanmean(rings, 1, keepdim=True), 0).values


def _rings(power: Tensor, shape: Sizes, beam: int, tilt_axis: int) -> Tensor:
    """Power against frequency and tilt, (rings, tilts); without rings that a filter emptied."""
    k = [axis.expand(power.shape) for axis in frequencies(shape)]
    along, across = k[beam], k[3 - beam - tilt_axis]
    length = torch.sqrt(k[0] ** 2 + k[1] ** 2 + k[2] ** 2)
    in_band = (torch.hypot(along, across) > BAND[0]) & (length < BAND[1])
    angle = torch.rad2deg(torch.atan2(along, across))
    count = 180 // STEP
    bins = (torch.remainder(angle[in_band] + 90, 180) / STEP).long().clamp_max(count - 1)
    share = (length[in_band] - BAND[0]) / (BAND[1] - BAND[0])
    slots = (share * RINGS).long().clamp(0, RINGS - 1) * count + bins
    size = RINGS * count
    mates = multiplicity(shape).double().expand(power.shape)[in_band]
    summed = torch.bincount(slots, power[in_band].double() * mates, size).reshape(RINGS, count)
    number = torch.bincount(slots, mates, size).reshape(RINGS, count)
    rings = torch.where(number > 0, summed / number.clamp_min(1), torch.nan)
    mean = torch.nanmean(rings, 1)
    return rings[mean > FILTERED * mean.max()] if mean.max() > 0 else rings


def fan_likeness(first: Tensor, second: Tensor, shape: Sizes) -> float:
    """How far two halves measured the same tilts: correlation of their fans of power.

    Each image of a tilt series is a plane of Fourier space; between the planes of neighbouring
    tilts lies a gap at high frequency. Halves made of frames have the same planes, halves made
    of every second tilt have one's planes in the other's gaps. Power is taken relative to that of
    its shell, for what it does against frequency is alike in all halves.

    Parameters
    ----------
    first, second
        Powers (z, y, x//2+1) of half spectra, beam along z and tilt axis along y.
    shape
        Shape (z, y, x) in real space.

    Returns
    -------
    float
        Near 1 for the same tilts, below 0 for alternating ones.
    """
    kz, ky, kx = (axis.expand(first.shape) for axis in frequencies(shape))
    length = torch.hypot(kz, kx)
    chosen = (length > FAN_BAND[0]) & (length < FAN_BAND[1]) & (ky.abs() < FAN_BAND[0])
    tilt = torch.rad2deg(torch.atan2(kz[chosen], kx[chosen]))
    near = tilt.abs() < FAN_REACH
    bins = (tilt[near] + FAN_REACH).long()
    number = torch.bincount(bins).clamp_min(1)
    whole = torch.sqrt(length**2 + ky**2)[chosen][near]
    shell = torch.round(whole * max(shape)).long()
    fans = []
    for power in (first, second):
        one = power[chosen][near].double()
        one = one / (torch.bincount(shell, one) / torch.bincount(shell).clamp_min(1))[shell]
        fans.append(torch.bincount(bins, one) / number)
    one, two = (fan / _smooth(fan) - 1 for fan in fans)
    return float(torch.cosine_similarity(one, two, dim=0))


def _smooth(fan: Tensor) -> Tensor:
    """Mean over the neighbours, the ends mirrored."""
    reach = FAN_SMOOTH // 2
    padded = torch.cat([fan[:reach].flip(0), fan, fan[-reach:].flip(0)])
    return padded.unfold(0, FAN_SMOOTH, 1).mean(1).clamp_min(1e-30)


def seen_wedge(power: Tensor, shape: Sizes) -> SeenWedge | None:
    """Find the empty wedge in a power spectrum.

    Parameters
    ----------
    power
        Power (z, y, x//2+1) of a half spectrum.
    shape
        Shape (z, y, x) in real space.

    Returns
    -------
    SeenWedge or None
        None where no wedge of at least `NARROWEST` degrees is empty (a volume that was restored
        already, or that is no tomogram), or its ends are too soft to be told.
    """
    emptiest: tuple[float, int, int, Tensor] | None = None
    for beam, tilt_axis in ORDERS:
        rings = _rings(power, shape, beam, tilt_axis)
        relative = _relative(_median(rings))
        ends = NARROWEST // 2 // STEP
        outside = float(torch.cat([relative[:ends], relative[-ends:]]).nanmean())
        if outside < (EMPTY if emptiest is None else emptiest[0]):
            emptiest = outside, beam, tilt_axis, rings
    if emptiest is None:
        return None
    _, beam, tilt_axis, rings = emptiest
    ends_seen = _ends(rings)
    if ends_seen is None:
        return None
    low, high = (end - step * HALF_STEP for end, step in zip(ends_seen, (-1, 1), strict=True))
    above = torch.nonzero(_relative(_median(rings)) > FAINT).flatten()
    faint = float(above[0]) * STEP - 90, float(above[-1] + 1) * STEP - 90
    return SeenWedge(beam, tilt_axis, low, high, min(faint[0], low), max(faint[1], high))


def _relative(profile: Tensor) -> Tensor:
    """Power over that of the well measured tilts, whatever part of all tilts they are."""
    level = float(profile.nanquantile(MEASURED))
    return profile / level if level > 0 else torch.ones_like(profile)


def _ends(rings: Tensor) -> tuple[float, float] | None:
    """First and last tilt that were measured, degrees; None where power fades out gradually.

    Dose, thickness and filters make power fade towards the last images, and more so at fine
    detail. An end is therefore the outermost place where it falls steeply, in the rings that show
    it best; there may be gaps inside. The place is where power has fallen half
    way, in the finer of the rings that show the fall, in which tilts lie farther apart.
    """
    relative = rings / rings.nanquantile(MEASURED, 1, keepdim=True).clamp_min(1e-300)
    ends = []
    for step in (1, -1):
        seen = relative if step > 0 else relative.flip(1)
        windows = seen.unfold(1, REACH, 1).nanmean(2)
        outside, inside = windows[:, :-REACH], windows[:, REACH:]
        falls = inside.sqrt() - outside.sqrt()
        steepness = falls.nanquantile(SHOWN, 0).nan_to_num(0.0)
        steep = torch.nonzero(steepness > STEEP).flatten()
        if not len(steep):
            return None
        at, steepest = -1, int(steep[0])
        while at != steepest:
            at = steepest
            steepest = at + int(steepness[at : at + REACH + 1].argmax())
        clear = torch.nonzero(falls[:, at] >= steepness[at] / 2).flatten()
        fine = clear[len(clear) // 2 :]
        near = (seen[fine, at : at + 2 * REACH] / inside[fine, at, None]).nanmedian(0).values
        ends.append(step * ((at + _half_way(near)) * STEP - 90))
    return ends[0], ends[1]


def _half_way(rise: Tensor) -> float:
    """Where a rise over twice `REACH` steps passes the middle between its two ends, in steps."""
    low, high = (float(part.nanmean()) for part in (rise[: REACH - 1], rise[REACH + 1 :]))
    middle = (low + high) / 2
    known = torch.nonzero(~rise.isnan()).flatten().tolist()
    above = next(place for place in known if rise[place] > middle)
    below = max((place for place in known if place < above), default=above)
    if below == above:
        return float(above)
    part = float((middle - rise[below]) / (rise[above] - rise[below]))
    return below + 0.5 + part * (above - below)


def seen_lean(power: Tensor, shape: Sizes, seen: SeenWedge) -> float | None:
    """How far the tilt axis leans out of the x-y plane, by where the wedge is emptiest.

    A volume that was turned about x, or reconstructed with a tilt about x, has a wedge around
    an axis that lies in the y-z plane, but not along y.

    Parameters
    ----------
    power
        Power (z, y, x//2+1) of a half spectrum, beam along z and tilt axis along y.
    shape
        Shape (z, y, x) in real space.
    seen
        The wedge, as it is seen when the axis is taken to run along y.

    Returns
    -------
    float or None
        Degrees from y towards z, good to about 2; None where it cannot be told. Power in the
        supposed wedge rises alike to both sides of the true angle, so that is half way between
        the two angles of some power.
    """
    kz, ky, kx = (axis.expand(power.shape) for axis in frequencies(shape))
    length = torch.sqrt(kz**2 + ky**2 + kx**2)
    chosen = (length > BAND[0]) & (length < BAND[1])
    weight = (power * multiplicity(shape).to(power))[chosen]
    count = multiplicity(shape).expand(power.shape)[chosen].float()
    z, y, x = kz[chosen], ky[chosen], kx[chosen]
    low, high = (math.tan(math.radians(end)) for end in (seen.low, seen.high))
    leans, shares = [], []
    for lean in range(-STEEPEST_LEAN, STEEPEST_LEAN + 1, LEAN_STEP):
        angle = math.radians(lean)
        along = z * math.cos(angle) - y * math.sin(angle)
        outside = ((along < low * x) | (along > high * x)) & (torch.hypot(along, x) > BAND[0])
        level = weight[~outside].sum() / count[~outside].sum()
        leans.append(float(lean))
        shares.append(float(weight[outside].sum() / count[outside].sum() / level))
    return _middle(leans, shares)


def _middle(places: Sequence[float], values: Sequence[float]) -> float | None:
    """Half way between the two places at which values rise a step above their least."""
    least = min(range(len(values)), key=values.__getitem__)
    level = values[least] + RISE
    ends = []
    for step in (-1, 1):
        inner = least
        while 0 <= inner + step < len(values) and values[inner + step] < level:
            inner += step
        outer = inner + step
        if not 0 <= outer < len(values):
            return None
        part = (level - values[inner]) / (values[outer] - values[inner])
        ends.append(places[inner] + part * (places[outer] - places[inner]))
    return sum(ends) / 2
