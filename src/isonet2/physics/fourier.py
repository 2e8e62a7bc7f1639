"""The one Fourier layout: `rfftn` of the last three axes, not shifted, cycles per voxel."""

from functools import lru_cache

import torch
from torch import Tensor

from isonet2.types import Sizes

AXES = (-3, -2, -1)


def frequencies(
    shape: Sizes, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Frequency along each axis of a half spectrum, ready to broadcast.

    Parameters
    ----------
    shape
        Shape (z, y, x) of the volume in real space.
    device, dtype
        Of the returned tensors.

    Returns
    -------
    tuple of Tensor
        `kz` (z, 1, 1), `ky` (y, 1), `kx` (x//2+1,) in cycles per voxel.
    """
    z, y, x = shape
    return (
        torch.fft.fftfreq(z, device=device, dtype=dtype)[:, None, None],
        torch.fft.fftfreq(y, device=device, dtype=dtype)[:, None],
        torch.fft.rfftfreq(x, device=device, dtype=dtype),
    )


def radius(
    shape: Sizes, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Length of the frequency vector, cycles per voxel, (z, y, x//2+1)."""
    kz, ky, kx = frequencies(shape, device=device, dtype=dtype)
    return torch.sqrt(kz * kz + ky * ky + kx * kx)


@lru_cache(maxsize=8)
def distinct_radii(
    shape: tuple[int, int, int], device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Lengths that frequency vectors have, and which of them each frequency has.

    What depends on the length alone need be computed for some thousands of lengths only, where
    the volume is a cube.

    Parameters
    ----------
    shape
        Shape (z, y, x) of the volume in real space.
    device
        Of the second tensor.

    Returns
    -------
    tuple of Tensor
        Lengths (m,) in cycles per voxel, float64, on the CPU; their indices (z, y, x//2+1).
    """
    n = shape[0]
    if shape != (n, n, n):
        lengths = radius(shape, dtype=torch.float64)
        return lengths.flatten(), torch.arange(lengths.numel(), device=device).view(lengths.shape)
    squares = [(axis * n).round().long() ** 2 for axis in frequencies(shape, dtype=torch.float64)]
    index = squares[0] + squares[1] + squares[2]
    lengths = torch.arange(int(index.max()) + 1, dtype=torch.float64).sqrt() / n
    return lengths, index.to(device)


def spectrum(volume: Tensor) -> Tensor:
    """Half spectrum (..., z, y, x//2+1) of real volumes (..., z, y, x), in float32 or better."""
    return torch.fft.rfftn(volume if volume.dtype == torch.float64 else volume.float(), dim=AXES)


def volume(half_spectrum: Tensor, shape: Sizes) -> Tensor:
    """Real volumes (..., z, y, x) of half spectra; the inverse of `spectrum`."""
    return torch.fft.irfftn(half_spectrum, s=tuple(shape[-3:]), dim=AXES)


def apply_filter(x: Tensor, weight: Tensor | None) -> Tensor:
    """Multiply the spectrum of real volumes by a weight; no weight leaves them as they are.

    Parameters
    ----------
    x
        Volumes (..., z, y, x).
    weight
        Real weights that broadcast to (..., z, y, x//2+1), or None.

    Returns
    -------
    Tensor
        Filtered volumes, same shape.
    """
    return x if weight is None else volume(spectrum(x) * weight, x.shape)


def multiplicity(shape: Sizes, *, device: torch.device | str | None = None) -> Tensor:
    """How often each kx column of a half spectrum stands in the whole one: 1 or 2, (x//2+1,)."""
    x = shape[-1]
    count = torch.full((x // 2 + 1,), 2.0, device=device)
    count[0] = 1.0
    if x % 2 == 0:
        count[-1] = 1.0
    return count


def shells(shape: Sizes, *, device: torch.device | str | None = None) -> Tensor:
    """Index of the shell that each frequency of a half spectrum belongs to.

    A shell is one frequency step `1/min(shape)` wide; the last shell before the corners of
    the cube is `min(shape)//2`.

    Returns
    -------
    Tensor
        Integers (z, y, x//2+1).
    """
    return torch.round(radius(shape, device=device) * min(shape[-3:])).long()


def radial_weight(values: Tensor, shape: Sizes) -> Tensor:
    """Spread values at equal steps from frequency 0 to 0.5 over a half spectrum.

    Parameters
    ----------
    values
        (n,), drawn linearly in between; the last one holds beyond 0.5 cycles per voxel.
    shape
        Of the volume.

    Returns
    -------
    Tensor
        (z, y, x//2+1).
    """
    last = len(values) - 1
    place = (radius(shape) * (2 * last)).clamp_max(last)
    below = place.long().clamp_max(last - 1)
    return torch.lerp(values[below], values[below + 1], place - below)


def shell_sums(values: Tensor, shell: Tensor, count: int) -> Tensor:
    """Sum values (b, z, y, x//2+1) over each of the first `count` shells: (b, count)."""
    flat = values.flatten(-3)
    index = shell.flatten().clamp_max(count)
    sums = torch.zeros(*flat.shape[:-1], count + 1, dtype=flat.dtype, device=flat.device)
    return sums.index_add_(-1, index, flat)[..., :count]


def crop_spectrum(half_spectrum: Tensor, old: Sizes, new: Sizes) -> Tensor:
    """Keep the low frequencies of a half spectrum: that of the volume sampled on fewer voxels.

    Parameters
    ----------
    half_spectrum
        (..., z, y, x//2+1) of volumes of shape `old`.
    old, new
        Real-space shapes; `new` is nowhere larger than `old`.

    Returns
    -------
    Tensor
        (..., z', y', x'//2+1), scaled so that mean grey values are kept.
    """
    scale = 1.0
    for axis, (n, m) in enumerate(zip(old[:2], new[:2], strict=True)):
        dim = axis - 3
        low = half_spectrum.narrow(dim, 0, (m + 1) // 2)
        high = half_spectrum.narrow(dim, n - m // 2, m // 2)
        half_spectrum = torch.cat([low, high], dim)
        scale *= m / n
    scale *= new[2] / old[2]
    return half_spectrum[..., : new[2] // 2 + 1] * scale
