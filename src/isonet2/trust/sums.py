"""Products of spectra, summed over shells and parts of Fourier space, slab by slab along y."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isonet2.physics.fourier import multiplicity, radius, spectrum
from isonet2.physics.metrics import soft_edge
from isonet2.types import Shape

SHELLS = 32
"""Shells from frequency 0 to Nyquist, all of one width: 1/64 cycles per voxel."""
THINNEST, FEWEST, MOST = 24, 4, 12
"""Voxels of a slab, and how many slabs a volume is cut into."""
EDGE = 8
TINY = 1e-30

Sums = dict[tuple[str, str, str], Tensor]
"""Sums (slabs, shells) by the names of two volumes and of a part of Fourier space."""


def slabs_of(shape: Shape) -> list[slice]:
    """Cut a volume along y, the tilt axis, where a cut changes nothing of the missing wedge."""
    length = shape[1]
    count = max(FEWEST, min(MOST, length // THINNEST))
    return [slice(length * i // count, length * i // count + length // count) for i in range(count)]


def shell_of(shape: Shape) -> Tensor:
    """Shell of each frequency of a half spectrum, (z, y, x//2+1); `SHELLS` + 1 beyond Nyquist."""
    return torch.round(radius(shape) * (2 * SHELLS)).long().clamp_max(SHELLS + 1)


def products(
    volumes: Mapping[str, Tensor],
    pairs: Sequence[tuple[str, str]],
    parts: Mapping[str, Tensor],
) -> Sums:
    """Sum products of the spectra of volumes over shells.

    Parameters
    ----------
    volumes
        By name, all of one shape (z, y, x).
    pairs
        Names of two volumes, whose real cross power is summed.
    parts
        Parts of Fourier space by name, boolean (z, x//2+1): the tilt axis is y, so whether a
        frequency was measured does not depend on ky.

    Returns
    -------
    Sums
        Float64, for each pair and part; one volume's slabs are in memory at a time as spectra.
    """
    shape = next(iter(volumes.values())).shape
    slabs = slabs_of((shape[0], shape[1], shape[2]))
    height = slabs[0].stop - slabs[0].start
    slab_shape = (shape[0], height, shape[2])
    shell = shell_of(slab_shape)
    edge = soft_edge(slab_shape, min(EDGE, height // 4, shape[0] // 4, shape[2] // 4))
    mates = multiplicity(slab_shape).double()
    index = {
        name: (part[:, None, :].expand(shell.shape) & (shell <= SHELLS)).flatten().nonzero()[:, 0]
        for name, part in parts.items()
    }
    weight = mates.expand(shell.shape).flatten()
    places = shell.flatten()
    found: Sums = {
        (*pair, name): torch.zeros(len(slabs), SHELLS + 1, dtype=torch.float64)
        for pair in pairs
        for name in parts
    }
    for number, slab in enumerate(slabs):
        cut = {name: volume[:, slab].float() for name, volume in volumes.items()}
        spectra = {name: spectrum((part - part.mean()) * edge) for name, part in cut.items()}
        for first, second in pairs:
            power = (spectra[first] * spectra[second].conj()).real.flatten().double() * weight
            for name, kept in index.items():
                row = found[first, second, name][number]
                row.index_add_(0, places[kept], power[kept])
    return found


def frequencies_in(shape: Shape, part: Tensor) -> Tensor:
    """How many frequencies of a slab each shell of a part holds, (shells,)."""
    slab = slabs_of(shape)[0]
    shell = shell_of((shape[0], slab.stop - slab.start, shape[2]))
    inside = part[:, None, :].expand(shell.shape) & (shell <= SHELLS)
    return torch.bincount(shell[inside], minlength=SHELLS + 1)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Numbers with their errors, by jackknife over slabs; NaN where nothing could be told.

    Parameters
    ----------
    value, error
        Of one shape.
    """

    value: Tensor
    error: Tensor


def jackknife(function: Callable[..., Tensor], *sums: Tensor) -> Estimate:
    """A function of sums over all slabs, and its error from leaving one slab out after the other.

    Parameters
    ----------
    function
        Takes sums without their first axis.
    sums
        (slabs, ...) each.
    """
    totals = [one.sum(0) for one in sums]
    count = len(sums[0])
    without = torch.stack(
        [
            function(*(total - one[i] for total, one in zip(totals, sums, strict=True)))
            for i in range(count)
        ]
    )
    spread = (without - without.mean(0)).square().sum(0)
    return Estimate(function(*totals), (spread * (count - 1) / count).sqrt())


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """Quotient; NaN where what stands below is not positive."""
    return torch.where(below > TINY, above / below.clamp_min(TINY), torch.nan)


def correlation(cross: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Correlation from a cross power and two powers; NaN where a power is not positive."""
    return ratio(cross, (first * second).clamp_min(0).sqrt())


def resolution_of(shell: int, pixel_size: float) -> float:
    """Resolution of a shell, angstrom."""
    return 2 * SHELLS * pixel_size / shell


def band(resolution: float, pixel_size: float, reach: float = 1.25) -> slice:
    """Shells from `reach` times coarser than a resolution in angstrom to as much finer.

    Empty where that is beyond Nyquist.
    """
    low = 2 * SHELLS * pixel_size / (resolution * reach)
    high = 2 * SHELLS * pixel_size * reach / resolution
    first, last = max(1, round(low)), round(high)
    return slice(first, last + 1) if last <= SHELLS else slice(0, 0)
