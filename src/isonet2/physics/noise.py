"""Noise as a reconstruction has it: coloured, and only where the tilts measured."""

from collections.abc import Callable

import torch
from torch import Tensor

from isonet2.physics.fourier import (
    apply_filter,
    frequencies,
    multiplicity,
    shell_sums,
)
from isonet2.types import Sizes

NOISE_MODES: dict[str, Callable[[Tensor], Tensor]] = {
    "nofilter": torch.ones_like,
    "ramp": lambda k: k,
    "hamming": lambda k: k * (0.54 + 0.46 * torch.cos(2 * torch.pi * k.clamp_max(0.5))),
}
"""Projection filters of a back projection, by name, as functions of cycles per voxel."""


def back_projection_amplitude(shape: Sizes, mode: str, device: torch.device | str) -> Tensor:
    """Amplitude spectrum of back-projected white noise, (z, y, x//2+1).

    Planes of all tilts cross at the tilt axis, so their density falls as `1/k` with the
    distance `k` from it: noise that went through the projection filter `h` has power
    `h(k)^2 / k`.
    """
    kz, ky, kx = frequencies(shape, device=device)
    k = torch.hypot(kz, kx).clamp_min(1 / min(shape))
    amplitude = NOISE_MODES[mode](k) / k.sqrt()
    return amplitude.expand(shape[0], ky.shape[0], kx.shape[0])


def back_projection_noise(measured: Tensor, amplitude: Tensor, white: Tensor) -> Tensor:
    """Colour white noise as a back projection does, and bring it to unit deviation.

    Parameters
    ----------
    measured
        Measured masks that broadcast to (b, 1, z, y, x//2+1).
    amplitude
        From `back_projection_amplitude`, (z, y, x//2+1).
    white
        White noise (b, 1, z, y, x).

    Returns
    -------
    Tensor
        (b, 1, z, y, x).
    """
    noise = apply_filter(white, measured * amplitude)
    return noise / noise.std(dim=(-3, -2, -1), keepdim=True).clamp_min(1e-12)


def weighted_shell_power(half_spectra: Tensor, weight: Tensor, shell: Tensor, count: int) -> Tensor:
    """Mean power of spectra (b, z, y, x//2+1) in each shell under a weight: (b, count)."""
    double = multiplicity((1, 1, 2 * (shell.shape[-1] - 1)), device=shell.device) * weight
    power = shell_sums(half_spectra.abs().square() * double, shell, count)
    return power / shell_sums(double.expand_as(half_spectra.real), shell, count).clamp_min(1e-12)


def spread_over_shells(values: Tensor, shell: Tensor) -> Tensor:
    """Give every frequency its shell's value: (b, count) to (b, z, y, x//2+1); 0 beyond."""
    count = values.shape[1]
    padded = torch.cat([values, values.new_zeros(len(values), 1)], 1)
    return padded[:, shell.clamp_max(count)]
