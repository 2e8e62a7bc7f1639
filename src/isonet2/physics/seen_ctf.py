"""The CTF, and filters, as the two halves of a tomogram show them together.

The noise of two halves is independent, so the mean over directions of `Re(F1 conj F2)` holds the
specimen alone: `S(k) CTF(k)^2`. Where a zero of the CTF lies nothing can be left of it, whatever
the specimen, so signal there contradicts a defocus. The opposite does not hold: specimens have
dips of their own (membranes at 80 and 27 angstrom, hollow particles), and where the zeros of the
data lie is sure only when two of them agree. Phase flipping changes none of this.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.fourier import frequencies, spectrum
from isonet2.physics.seen_wedge import windowed

STEEPEST = 45.0  # degrees: where the specimen is thin, and measured by nearly every series
COARSEST = 0.03  # cycles per voxel, as all that follow
NOISE_ONLY = 0.45
SAME = 0.05  # part of the finest detail that must differ
SCATTER_BAND = (0.05, 0.48)
NEIGHBOURS = 1.8  # variance of a mean of shells, times what independent shells would have

ZERO_ZONE = 0.1  # half turns of the phase about a zero: at most 0.1 of the power is left
SHOULDER = (0.2, 0.5)
SEEN = 5.0  # standard errors
SURELY, LIKELY = 4.0, 2.0
NO_ZERO = 0.35
DEEP = 0.3
FEWEST_SHELLS = 14.0

DEFOCI = tuple(5e3 * 1.02**step for step in range(134))  # to 70000 angstrom
MOST_ZEROS = 12
FINEST = 4.0  # angstrom
TOLERANCE = 0.15

MIDDLE = (0.1, 0.2)
FINE = 1 / 3.5
FAINT, GONE = 0.05, 1e-3


@dataclass(frozen=True, slots=True)
class Shells:
    """What two halves share, and what they do not, against frequency.

    Attributes
    ----------
    frequency
        Cycles per voxel, (n,).
    shared
        Mean cross spectrum, less a share of the noise that halves have in common at the finest
        detail, (n,).
    error
        Its standard error, (n,).
    noise
        Power of half their difference, (n,).
    resolution
        Shells that can be told apart from 0 to one cycle per voxel.
    """

    frequency: Tensor
    shared: Tensor
    error: Tensor
    noise: Tensor
    resolution: float


@dataclass(frozen=True, slots=True)
class Depth:
    """Power at a zero of a supposed CTF over that of its surroundings without the CTF.

    Attributes
    ----------
    least, value, most
        0 in a true zero, about 1 where there is none; `SURELY` above and `LIKELY` below.
    between
        Whether there is signal on both sides.
    """

    least: float
    value: float
    most: float
    between: bool


@dataclass(frozen=True, slots=True)
class SeenDefocus:
    """A defocus whose zeros are dips of the cross spectrum.

    Attributes
    ----------
    defocus
        Angstrom, good to about 5 % where it is right.
    first_zero
        Angstrom.
    zeros
        How many dips; a single one may be the specimen's own.
    """

    defocus: float
    first_zero: float
    zeros: int


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What speaks against a declared CTF.

    Attributes
    ----------
    first_zero
        Angstrom; where the declared CTF has its first zero, and the halves share signal.
    seen
        What would suit better, where that can be told.
    """

    first_zero: float
    seen: SeenDefocus | None


def shared_shells(pairs: Iterable[tuple[Tensor, Tensor]]) -> Shells | None:
    """Compare the spectra of two halves, block by block.

    Parameters
    ----------
    pairs
        The same block (z, y, x) of either half; all blocks are of one shape.

    Returns
    -------
    Shells or None
        None where no block holds anything, or both halves are the same.
    """
    cross: Tensor | None = None
    power = torch.zeros(())
    chosen = shell = torch.zeros(0)
    shape: torch.Size = torch.Size()
    for blocks in pairs:
        first, second = (windowed(block) for block in blocks)
        if first is None or second is None:
            continue
        if cross is None:
            shape = first.shape
            chosen, shell = _directions(shape)
        one, other = spectrum(first)[chosen], spectrum(second)[chosen]
        product = one * other.conj()
        cross = product if cross is None else cross + product
        power = power + (one.abs().square() + other.abs().square()) / 2
    return None if cross is None else _shells(cross, power, shell, shape)


def _directions(shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Which frequencies of a half spectrum count, and the shell of each of those.

    Of Friedel mates one counts: at kx = 0, where the half spectrum holds both, that with ky > 0.
    """
    kz, ky, kx = frequencies(shape)
    length = torch.sqrt(kz**2 + ky**2 + kx**2)
    slope = math.tan(math.radians(STEEPEST))
    chosen = (kz.abs() <= slope * kx) & ((kx > 0) | (ky > 0)) & (length < 0.5)
    return chosen, torch.round(length[chosen] * max(shape)).long()


def _shells(cross: Tensor, power: Tensor, shell: Tensor, shape: torch.Size) -> Shells | None:
    """Means over shells; the error from the imaginary part, which holds no specimen."""
    number = torch.bincount(shell)
    kept = number > 0

    def mean(values: Tensor) -> Tensor:
        return torch.bincount(shell, values.double())[kept] / number[kept]

    k = torch.arange(len(number), dtype=torch.float64)[kept] / max(shape)
    real, whole = mean(cross.real), mean(power)
    noise = (whole - real).clamp_min(0)
    finest = k >= NOISE_ONLY
    if not noise[finest].sum() > SAME * whole[finest].sum():
        return None
    unit = whole / number[kept].sqrt()
    band = (k >= SCATTER_BAND[0]) & (k <= SCATTER_BAND[1])
    scatter = (mean(cross.imag)[band] / unit[band]).square().mean().sqrt()
    common = (real[finest].sum() / noise[finest].sum()).clamp_min(0)
    z, y, x = shape
    resolution = min(z / math.sin(math.radians(STEEPEST)), y, x)
    return Shells(k, real - common * noise, scatter * unit, noise, resolution)


def first_zero(ctf: ContrastTransfer) -> float | None:
    """Detail (angstrom) at which a CTF is zero for the first time; None beyond `FINEST`."""
    k = torch.linspace(0, 1 / FINEST, 4096, dtype=torch.float64)
    beyond = torch.nonzero(_half_turns(ctf, k) >= 1)
    return 1 / float(k[int(beyond[0])]) if len(beyond) and beyond[0] > 0 else None


def _half_turns(ctf: ContrastTransfer, k: Tensor) -> Tensor:
    """Phase of the CTF with its amplitude contrast: whole at its zeros."""
    return (ctf.phase(k) + math.asin(ctf.amplitude_contrast)) / math.pi


def depth_of_zero(
    shells: Shells, ctf: ContrastTransfer, pixel_size: float, number: int = 1
) -> Depth | None:
    """Ask how deep the cross spectrum is at a zero of a CTF.

    Parameters
    ----------
    shells
        Of the two halves.
    ctf
        The supposed transfer function.
    pixel_size
        Angstrom.
    number
        Of the zero, from 1.

    Returns
    -------
    Depth or None
        None where there is too little signal before the zero, or the zero lies where it cannot
        be told from its surroundings.

    Notes
    -----
    The surroundings are the geometric mean of either side. Where the far side lies beyond the
    last shell or holds no signal, the answer is rather too deep, for power falls.
    """
    k = shells.frequency
    turns = _half_turns(ctf, k / pixel_size) - number
    inside = (k >= COARSEST) & (k < NOISE_ONLY)
    zone = inside & (turns.abs() < ZERO_ZONE)
    before = inside & (turns > -SHOULDER[1]) & (turns < -SHOULDER[0])
    after = (turns > SHOULDER[0]) & (turns < SHOULDER[1])
    if not zone.any() or not before.any():
        return None
    if float(k[zone].mean()) * shells.resolution < FEWEST_SHELLS:
        return None
    share = torch.sin(math.pi * turns).square()
    here, here_error = _mean(shells, zone, torch.ones_like(share))
    low, low_error = _mean(shells, before, share)
    if not low > SEEN * low_error:
        return None
    around, between = low, False
    if after.any() and float(k[after].max()) <= NOISE_ONLY:
        high, high_error = _mean(shells, after, share)
        around = math.sqrt(low * (max(high, 0.0) + LIKELY * high_error))
        between = high > SEEN * high_error
    return Depth(
        least=(here - SURELY * here_error) / around,
        value=here / around,
        most=(here + LIKELY * here_error) / around,
        between=between,
    )


def _mean(shells: Shells, where: Tensor, share: Tensor) -> tuple[float, float]:
    """Mean of what some shells hold, each divided by its share, and its standard error."""
    whole = float(share[where].sum())
    error = math.sqrt(NEIGHBOURS * float(shells.error[where].square().sum()))
    return float(shells.shared[where].sum()) / whole, error / whole


def seen_defocus(shells: Shells, ctf: ContrastTransfer, pixel_size: float) -> SeenDefocus | None:
    """Find the defocus whose zeros are the deepest dips, whatever is declared.

    Parameters
    ----------
    shells
        Of the two halves.
    ctf
        The transfer function, of which all but the defocus is believed.
    pixel_size
        Angstrom.

    Returns
    -------
    SeenDefocus or None
        None where there is no dip with signal on both sides, or signal where another zero
        should be.
    """
    best: SeenDefocus | None = None
    least = math.inf
    for defocus in DEFOCI:
        supposed = replace(ctf, defocus=defocus)
        depths = _depths(shells, supposed, pixel_size)
        zero = first_zero(supposed)
        if not depths or zero is None or depths[0].most > DEEP:
            continue
        if any(depth.least > NO_ZERO for depth in depths):
            continue
        found = SeenDefocus(defocus, zero, sum(depth.most < DEEP for depth in depths))
        mean = sum(d.value for d in depths) / len(depths)
        if best is None or (found.zeros, -mean) > (best.zeros, -least):
            best, least = found, mean
    return best


def _depths(shells: Shells, ctf: ContrastTransfer, pixel_size: float) -> list[Depth]:
    """Depth at each zero up to the last with signal on both sides, and after it where shallow."""
    depths: list[Depth] = []
    for number in range(1, MOST_ZEROS):
        depth = depth_of_zero(shells, ctf, pixel_size, number)
        if depth is not None and (depth.between or (depths and depth.least > NO_ZERO)):
            depths.append(depth)
        if depth is None or not depth.between:
            break
    return depths


def contradiction(shells: Shells, ctf: ContrastTransfer, pixel_size: float) -> Contradiction | None:
    """Say what speaks against a declared CTF: signal where its first zero should be.

    Returns
    -------
    Contradiction or None
        None where there is no such signal, or nothing can be told.
    """
    zero = first_zero(ctf)
    depth = depth_of_zero(shells, ctf, pixel_size)
    if zero is None or depth is None or not depth.least > NO_ZERO:
        return None
    seen = seen_defocus(shells, ctf, pixel_size)
    alike = seen is not None and abs(seen.defocus - ctf.defocus) <= TOLERANCE * ctf.defocus
    return None if alike else Contradiction(zero, seen)


def finest_detail(frequency: Tensor, noise: Tensor) -> float | None:
    """Frequency (cycles per voxel) beyond which even the noise was filtered away.

    Parameters
    ----------
    frequency, noise
        Cycles per voxel, and power of the noise, or of all there is; (n,).

    Returns
    -------
    float or None
        None where noise goes on to 3.5 voxels or finer, as it does after weighted back
        projection and SIRT; it may stop beyond, as reconstructions have filters of their own.
    """
    k = frequency
    level = float(noise[(k >= MIDDLE[0]) & (k < MIDDLE[1])].mean())
    loud = k[noise >= FAINT * level]
    gone = float(noise[k >= NOISE_ONLY].mean()) < GONE * level
    return float(loud[-1]) if gone and float(loud[-1]) < FINE else None
