"""How well a volume agrees with another: shell and region correlations."""

import torch
from torch import Tensor

from isonet2.physics.fourier import Shape, frequencies, radius, spectrum
from isonet2.physics.wedge import Sectors, clear_wedge, measured


def soft_edge(shape: Shape, width: int = 10) -> Tensor:
    """Window that falls to nearly 0 over the outer `width` voxels, (z, y, x)."""
    window = torch.ones(())
    for axis, n in enumerate(shape):
        index = torch.arange(n, dtype=torch.float32)
        depth = (torch.minimum(index, n - 1 - index) + 1) / (width + 1)
        ramp = 0.5 - 0.5 * torch.cos(torch.pi * depth.clamp(0, 1))
        window = window * ramp.reshape([-1 if a == axis else 1 for a in range(3)])
    return window


def regions(shape: Shape, sectors: Sectors, thickness: float) -> dict[str, Tensor]:
    """Boolean parts of a half spectrum: `all`, `measured`, and the leak-free `wedge`."""
    kz, ky, kx = frequencies(shape)
    everything = torch.ones(kz.shape[0], ky.shape[0], kx.shape[0], dtype=torch.bool)
    return {
        "all": everything,
        "measured": measured(shape, sectors).bool(),
        "wedge": clear_wedge(shape, sectors, thickness),
    }


def fourier_shell_correlation(
    first: Tensor, second: Tensor, shell: Tensor, count: int, region: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Correlation of two spectra in each shell of a region.

    Parameters
    ----------
    first, second
        Half spectra (z, y, x//2+1).
    shell
        Shell index of each frequency; those of `count` and above are left out.
    count
        Number of shells.
    region
        Boolean mask of the frequencies that take part.

    Returns
    -------
    tuple of Tensor
        Correlation (count,) and the number of half-spectrum frequencies in each shell.
    """
    keep = shell < count
    if region is not None:
        keep = keep & region
    index = shell[keep]

    def total(values: Tensor) -> Tensor:
        return torch.zeros(count, dtype=torch.float64).index_add_(0, index, values[keep].double())

    cross = total((first * second.conj()).real)
    power = total(first.abs().square()) * total(second.abs().square())
    return cross / power.sqrt().clamp_min(1e-30), torch.bincount(index, minlength=count)


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
        Of the specimen in voxels; 0.83 of the volume's when not given.
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
    """
    shape = tuple(volume.shape)
    window = soft_edge(shape)
    a, b = (spectrum((v.float() - v.float().mean()) * window) for v in (volume, truth))
    k = radius(shape) / pixel_size
    low = 1 / (coarsest or 20 * pixel_size)
    high = 1 / (limit or 2.5 * pixel_size)
    band = (k > low) & (k <= high)
    shell = (k / (2 / (min(shape) * pixel_size))).long()
    count = int(shell[band].max()) + 1 if bool(band.any()) else 1
    found: dict[str, float] = {}
    for name, region in regions(shape, sectors, thickness or 0.83 * shape[0]).items():
        keep = region & band
        fsc, size = fourier_shell_correlation(a, b, shell, count, keep)
        full = size > 8
        found[f"fsc_{name}"] = float(fsc[full].mean()) if bool(full.any()) else float("nan")
        one = torch.zeros_like(shell)
        found[f"cc_{name}"] = float(fourier_shell_correlation(a, b, one, 1, keep)[0])
    return found
