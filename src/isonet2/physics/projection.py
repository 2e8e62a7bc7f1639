"""Tilt series of a volume and their reconstruction by weighted back projection.

The tilt axis is y and the beam runs along z. A point `(x, z)`, counted from the middle of the
volume, falls at tilt `t` on the detector coordinate `u = x cos t + z sin t`, counted from the
middle of the detector; so a projection is the central slice of the spectrum whose direction in
`(kx, kz)` is `(cos t, sin t)`. Projection and back projection share this one footprint, drawn on
a detector sampled so finely that linear interpolation costs no accuracy.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from isonet2.physics.ctf import ContrastTransfer

_FINE = 4  # detector samples per voxel while interpolating: 5 % are lost at half a cycle
_STEEPEST = 70.0  # degrees: beyond, the matter that only the steepest tilts see is left out


def detector_width(thickness: int, width: int) -> int:
    """Return how many voxels of u see every voxel of an x-z plane at every tilt."""
    return width + 2 * math.ceil((math.hypot(thickness, width) - width) / 2)


def specimen_width(thickness: int, width: int, tilts: Sequence[float]) -> int:
    """Return how far a slab must extend in x to meet every ray through the middle `width` voxels.

    Parameters
    ----------
    thickness, width
        Size of the field of view in z and x, voxels.
    tilts
        Degrees.
    """
    steepest = math.radians(min(_STEEPEST, max(abs(tilt) for tilt in tilts)))
    return width + 2 * math.ceil(thickness * math.tan(steepest))


def project(volume: Tensor, tilts: Sequence[float], width: int) -> Tensor:
    """Project a volume along the beam at every tilt.

    Parameters
    ----------
    volume
        `(z, y, x)`; the spectrum beyond half a cycle per voxel is taken as empty.
    tilts
        Degrees.
    width
        Detector size in u, voxels; of the same parity as x.

    Returns
    -------
    Tensor
        `(tilts, y, width)` line integrals, in density times voxels.
    """
    thickness, height, length = volume.shape
    full = length + 2 * math.ceil((math.hypot(thickness, length) - length) / 2 + 1)
    rows = volume.permute(0, 2, 1).reshape(-1, height)
    first = (full - width) // 2
    images = []
    for tilt in tilts:
        sample, part = _footprint((thickness, length), tilt, full)
        fine = torch.zeros(_FINE * full, height)
        fine.index_add_(0, sample, rows * (1 - part)[:, None])
        fine.index_add_(0, sample + 1, rows * part[:, None])
        spectrum = torch.fft.rfft(fine, dim=0)[: full // 2 + 1]
        image = torch.fft.irfft(spectrum, n=full, dim=0)
        images.append(image[first : first + width].T)
    return torch.stack(images)


def modulate(images: Tensor, transfer: ContrastTransfer, pixel_size: float) -> Tensor:
    """Multiply the spectra of images `(..., y, u)` by a contrast transfer function.

    Parameters
    ----------
    images
        Real images; their borders are taken as periodic.
    transfer
        Isotropic, the same for all images.
    pixel_size
        Angstrom.
    """
    height, width = images.shape[-2:]
    ky = torch.fft.fftfreq(height, pixel_size)[:, None]
    ku = torch.fft.rfftfreq(width, pixel_size)[None, :]
    curve = transfer.curve(torch.hypot(ky, ku))
    return torch.fft.irfft2(torch.fft.rfft2(images) * curve, s=(height, width))


def noisy_halves(images: Tensor, snr: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return two exposures of the same images with independent white noise.

    Parameters
    ----------
    images
        `(tilts, y, u)` without noise.
    snr
        Variance of all images over the noise variance of the mean of both exposures; each alone
        has half the dose, hence twice that noise variance. Infinite: no noise.
    generator
        Draws the noise.
    """
    deviation = float(images.std()) * math.sqrt(2 / snr)
    first, second = (
        images + deviation * torch.randn(images.shape, generator=generator) for _ in range(2)
    )
    return first, second


def back_project(images: Tensor, tilts: Sequence[float], shape: tuple[int, int, int]) -> Tensor:
    """Reconstruct a volume by back projection weighted with a ramp and a Hamming window.

    Parameters
    ----------
    images
        `(tilts, y, u)`, at least two; their means carry nothing and are removed.
    tilts
        Ascending, degrees; each counts for the angle halfway to its neighbours.
    shape
        `(z, y, x)` of the volume, x of the same parity as u.

    Returns
    -------
    Tensor
        `(z, y, x)`, where measured in the units of the projected volume (but for the window).
    """
    thickness, height, length = shape
    width = images.shape[-1]
    padded = 2 * width
    frequency = torch.fft.rfftfreq(padded)
    weight = frequency * (0.54 + 0.46 * torch.cos(2 * math.pi * frequency))
    angle = torch.deg2rad(torch.tensor(tilts, dtype=torch.float32))
    (share,) = torch.gradient(angle)
    volume = torch.zeros(thickness * length, height)
    for image, tilt, part_of_turn in zip(images, tilts, share.tolist(), strict=True):
        spectrum = torch.fft.rfft((image - image.mean()).T, n=padded, dim=0) * weight[:, None]
        fine = torch.fft.irfft(spectrum, n=_FINE * padded, dim=0)[: _FINE * width]
        fine = fine * (_FINE * part_of_turn)
        sample, part = _footprint((thickness, length), tilt, width)
        sample = sample.clamp(0, _FINE * width - 2)
        volume += torch.lerp(fine[sample], fine[sample + 1], part[:, None])
    return volume.reshape(thickness, length, height).permute(0, 2, 1).contiguous()


def _footprint(plane: tuple[int, int], tilt: float, width: int) -> tuple[Tensor, Tensor]:
    """Return where the voxels of an x-z plane fall on a finely sampled detector.

    Parameters
    ----------
    plane
        Size in z and x, voxels.
    tilt
        Degrees.
    width
        Detector size, voxels.

    Returns
    -------
    sample
        `(z * x,)` index of the sample at or before each voxel.
    part
        `(z * x,)` distance beyond it, from 0 to 1 sample.
    """
    thickness, length = plane
    angle = math.radians(tilt)
    z = torch.arange(thickness, dtype=torch.float64)[:, None] - (thickness - 1) / 2
    x = torch.arange(length, dtype=torch.float64)[None, :] - (length - 1) / 2
    u = x * math.cos(angle) + z * math.sin(angle)
    position = (_FINE * (u + (width - 1) / 2)).reshape(-1)
    sample = position.floor()
    return sample.long(), (position - sample).float()
