"""How well a volume agrees with another: shell and region correlations."""

from collections.abc import Iterator

import torch
from torch import Tensor

from isonet2.physics.fourier import frequencies, multiplicity, shells, spectrum
from isonet2.physics.wedge import Sectors, ball, clear_wedge, measured
from isonet2.types import Sizes

SLAB_FREQUENCIES = 2**20
SPECIMEN_DEPTH = 0.83
"""Thickness of the specimen, as part of the volume's, where it is not known."""


def soft_edge(shape: Sizes, width: int = 10) -> Tensor:
    """Window that falls to nearly 0 over the outer `width` voxels, (z, y, x)."""
    window = torch.ones(())
    for ramp in _ramps(shape, width):
        window = window * ramp
    return window


def _ramps(shape: Sizes, width: int) -> Iterator[Tensor]:
    """Factors of `soft_edge`, one for each axis."""
    for axis, n in enumerate(shape):
        index = torch.arange(n, dtype=torch.float32)
        depth = (torch.minimum(index, n - 1 - index) + 1) / (width + 1)
        ramp = 0.5 - 0.5 * torch.cos(torch.pi * depth.clamp(0, 1))
        yield ramp.reshape([-1 if a == axis else 1 for a in range(3)])


def regions(
    shape: Sizes, sectors: Sectors, thickness: float, rows: slice = slice(None)
) -> dict[str, Tensor]:
    """Boolean parts of a half spectrum: `all`, `measured`, and the leak-free `wedge`.

    Of kz, only some `rows`.
    """
    inside = ball(shape, rows=rows).bool()
    of_tilt = measured((shape[0], 1, shape[2]), sectors)[rows].bool()
    return {
        "all": torch.ones_like(inside),
        "measured": of_tilt & inside,
        "wedge": clear_wedge(shape, sectors, thickness)[rows],
    }


def fourier_shell_correlation(
    first: Tensor, second: Tensor, shape: Sizes, region: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Correlation of two spectra in each shell of a region, from 0 to `min(shape)//2`.

    Parameters
    ----------
    first, second
        Half spectra (z, y, x//2+1) of volumes of `shape`.
    shape
        Of the volumes.
    region
        Boolean mask of the frequencies that take part.

    Returns
    -------
    tuple of Tensor
        Correlation (min(shape)//2+1,), and how many frequencies of the whole spectrum each shell
        holds.
    """
    count, shell = min(shape) // 2 + 1, shells(shape)
    keep = shell < count
    if region is not None:
        keep = keep & region
    sums = _shell_sums(first, second, shape, shell, count, keep)
    return _correlation(sums), sums[3].long()


def _shell_sums(
    first: Tensor, second: Tensor, shape: Sizes, shell: Tensor, count: int, keep: Tensor
) -> Tensor:
    """Sums over shells of the cross power, both powers and one, float64 (4, count).

    They are those of the whole spectrum: a half spectrum holds one of two Friedel mates, but both
    where kx is 0 or an even size's Nyquist.
    """
    index = shell[keep]
    mates = multiplicity(shape).double().expand(keep.shape)[keep]

    def total(values: Tensor) -> Tensor:
        summed = torch.zeros(count, dtype=torch.float64)
        return summed.index_add_(0, index, mates * values[keep].double())

    cross, powers = total((first * second.conj()).real), (first, second)
    size = torch.bincount(index, mates, minlength=count)
    return torch.stack([cross, *(total(p.abs().square()) for p in powers), size])


def _correlation(sums: Tensor) -> Tensor:
    """Correlation of two spectra from their sums (4, ...)."""
    return sums[0] / (sums[1] * sums[2]).sqrt().clamp_min(1e-30)


def _region_sums(
    spectra: tuple[Tensor, Tensor],
    shape: Sizes,
    pixel_size: float,
    sectors: Sectors,
    thickness: float,
    band: tuple[float, float],
) -> dict[str, Tensor]:
    """Sums over shells for each region, in a band of 1/angstrom; slab by slab of kz."""
    first, second = spectra
    count = min(shape)
    kz, ky, kx = frequencies(shape)
    step = max(1, SLAB_FREQUENCIES // (first.shape[1] * first.shape[2]))
    sums: dict[str, Tensor] = {}
    for low in range(0, shape[0], step):
        rows = slice(low, low + step)
        k = torch.sqrt(kz[rows] * kz[rows] + ky * ky + kx * kx) / pixel_size
        shell = (k / (2 / (min(shape) * pixel_size))).long()
        inside = (k > band[0]) & (k <= band[1])
        for name, region in regions(shape, sectors, thickness, rows).items():
            keep = region & inside
            slab = _shell_sums(first[rows], second[rows], shape, shell, count, keep)
            sums[name] = sums[name] + slab if name in sums else slab
    return sums


def region_correlations(
    first: Tensor, second: Tensor, sectors: Sectors, thickness: float
) -> dict[str, float]:
    """Correlation coefficients of two volumes (z, y, x) in `all`, `measured` and `wedge`.

    Every frequency but zero counts, and no window is laid over the volumes. Beside them, three
    more volumes are in memory.
    """
    spectra = spectrum(first - first.mean()), spectrum(second - second.mean())
    band = (0.0, float("inf"))
    sums = _region_sums(spectra, tuple(first.shape), 1.0, sectors, thickness, band)
    return {name: float(_correlation(total.sum(1))) for name, total in sums.items()}


def compare(
    volume: Tensor,
    truth: Tensor,
    pixel_size: float,
    sectors: Sectors,
    *,
    thickness: float | None = None,
    limit: float | None = None,
    coarsest: float | None = None,
) -> dict[str, float]:
    """Agreement of a volume with the truth, inside the measured region and inside the wedge.

    Parameters
    ----------
    volume, truth
        Volumes (z, y, x) of one grey-scale sign.
    pixel_size
        Angstrom.
    sectors
        Measured intervals of tilt angles, degrees.
    thickness
        Of the specimen in voxels; `SPECIMEN_DEPTH` of the volume's when not given.
    limit
        Finest resolution that counts, angstrom; 2.5 pixels when not given.
    coarsest
        Coarsest resolution that counts, angstrom; 20 pixels when not given.

    Returns
    -------
    dict
        `fsc_R`, the mean Fourier shell correlation over the shells between the limits, and
        `cc_R`, the correlation coefficient of the same frequencies, for R in `all`,
        `measured`, `wedge`.

    Notes
    -----
    Correlations are summed slab by slab; beside the two volumes, three more are in memory.
    """
    shape = tuple(volume.shape)
    if truth.shape != volume.shape:
        raise ValueError(f"shapes {shape} and {tuple(truth.shape)} differ")
    band = 1 / (coarsest or 20 * pixel_size), 1 / (limit or 2.5 * pixel_size)
    spectra = _windowed(volume), _windowed(truth)
    sums = _region_sums(
        spectra, shape, pixel_size, sectors, thickness or SPECIMEN_DEPTH * shape[0], band
    )
    found: dict[str, float] = {}
    for name, total in sums.items():
        full = total[3] > 8
        fsc = _correlation(total)[full]
        found[f"fsc_{name}"] = float(fsc.mean()) if bool(full.any()) else float("nan")
        found[f"cc_{name}"] = float(_correlation(total.sum(1)))
    return found


def _windowed(volume: Tensor) -> Tensor:
    """Spectrum of a volume under a soft edge, without its mean."""
    volume = volume.float() - volume.float().mean()
    for ramp in _ramps(tuple(volume.shape), 10):
        volume *= ramp
    return spectrum(volume)
