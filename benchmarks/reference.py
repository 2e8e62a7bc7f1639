"""A plain reading of the method, for comparison: nothing shared, nothing clever.

Full complex spectra shifted to the centre, one network pass for each volume, every turn by
interpolation, float32 in the default memory layout, all tiles of a tomogram in memory. The
package must give the same numbers, faster.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def shifted_frequencies(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """kz, ky, kx of a cube's whole spectrum with the zero frequency in the middle."""
    k = torch.fft.fftshift(torch.fft.fftfreq(n, dtype=torch.float64))
    kz, ky, kx = torch.meshgrid(k, k, k, indexing="ij")
    return kz, ky, kx


def measured_mask(n: int, low: float, high: float, matrix: Tensor | None = None) -> Tensor:
    """Where a cube turned by `matrix` was measured, on the whole shifted grid."""
    kz, ky, kx = shifted_frequencies(n)
    ball = kz**2 + ky**2 + kx**2 <= 0.25 + 1e-12
    if matrix is not None:
        k = torch.stack([kz, ky, kx], -1) @ matrix.double()
        kz, _, kx = k.unbind(-1)
    flip = torch.where(kx < -1e-12, -1.0, 1.0)
    kz, kx = kz * flip, kx * flip
    angle = torch.rad2deg(torch.atan2(kz, kx))
    axis = (kz.abs() < 1e-12) & (kx.abs() < 1e-12)
    on_beam = (kx.abs() < 1e-12) & (((angle.abs() - 180).abs() >= 0) & (angle.abs() <= high))
    return ((((angle >= low - 1e-9) & (angle <= high + 1e-9)) | axis | on_beam) & ball).float()


def to_fourier(x: Tensor) -> Tensor:
    return torch.fft.fftshift(torch.fft.fftn(x, dim=(-3, -2, -1)), dim=(-3, -2, -1))


def to_real(f: Tensor) -> Tensor:
    return torch.fft.ifftn(torch.fft.ifftshift(f, dim=(-3, -2, -1)), dim=(-3, -2, -1)).real


def ctf_volume(n: int, pixel: float, defocus: float, kv: float, cs: float, ac: float) -> Tensor:
    """CTF on the whole shifted grid, clipped to its first maximum below it (mode 1)."""
    kz, ky, kx = shifted_frequencies(n)
    k = torch.sqrt(kz**2 + ky**2 + kx**2) / pixel
    lam = 12.2643 / math.sqrt(kv * 1e3 * (1 + 0.978466e-6 * kv * 1e3))

    def curve(k: Tensor) -> Tensor:
        chi = math.pi * lam * defocus * k**2 - math.pi / 2 * cs * 1e7 * lam**3 * k**4
        return math.sqrt(1 - ac**2) * torch.sin(chi) + ac * torch.cos(chi)

    fine = torch.linspace(0, 0.5 / pixel, 4096, dtype=torch.float64)
    values = curve(fine)
    falling = torch.nonzero(values[1:] < values[:-1])
    peak = fine[int(falling[0])] if len(falling) else fine[-1]
    plain = curve(k)
    return torch.where(k < peak, curve(peak), plain)


def turn(x: Tensor, matrix: Tensor) -> Tensor:
    """Turn one cube about its middle by trilinear interpolation."""
    n = x.shape[-1]
    step = torch.arange(n, dtype=torch.float32) - (n - 1) / 2
    z, y, w = torch.meshgrid(step, step, step, indexing="ij")
    points = torch.stack([z, y, w], -1) @ matrix
    grid = (points * 2 / (n - 1)).flip(-1)[None]
    return F.grid_sample(x[None, None], grid, align_corners=True)[0, 0]


def shell_noise(difference: Tensor, mask: Tensor) -> Tensor:
    """Noise whose power in each shell is that of the difference of the halves over sqrt 2."""
    n = difference.shape[-1]
    kz, ky, kx = shifted_frequencies(n)
    shell = torch.round(torch.sqrt(kz**2 + ky**2 + kx**2) * n).long()
    power = to_fourier(difference).abs() ** 2 * mask
    noise = to_fourier(torch.randn(n, n, n)) / n**1.5
    amplitude = torch.zeros(n, n, n)
    for s in range(n // 2 + 1):
        inside = shell == s
        count = (mask * inside).sum().clamp_min(1e-12)
        amplitude[inside] = ((power * inside).sum() / count / 2).sqrt()
    return noise * amplitude


def network_pass(network: nn.Module, x: Tensor) -> Tensor:
    return network(x[None, None])[0, 0]


def projected_noise(mask: Tensor) -> Tensor:
    """Noise of unit deviation with the spectrum of a back-projection without a filter."""
    n = mask.shape[-1]
    kz, _, kx = shifted_frequencies(n)
    fall = torch.hypot(kz, kx).clamp_min(1 / n).float().rsqrt()
    noise = to_real(to_fourier(torch.randn(n, n, n)) * mask * fall)
    return noise / noise.std()


def denoise_loss(
    network: nn.Module, first: list[Tensor], second: list[Tensor], ctf: Tensor | None
) -> Tensor:
    """Loss of noise2noise over a batch of pairs, both directions, one volume at a time."""
    total = torch.zeros(())
    sign = 1.0 if ctf is None else torch.where(ctf < 0, -1.0, 1.0)
    size = 1.0 if ctf is None else ctf.abs()
    for pair in zip(first, second, strict=True):
        data = [to_fourier(x) * sign for x in pair]
        for i, j in ((0, 1), (1, 0)):
            y = to_fourier(network_pass(network, to_real(data[i]).float())) * size
            total = total + to_real(y - data[j]).square().mean()
    return total / (2 * len(first))


def step_loss(
    network: nn.Module,
    halves: list[list[Tensor]],
    matrices: list[Tensor],
    low: float,
    high: float,
    ctf: Tensor | None,
    mw_weight: float,
    noise_level: float = 0.0,
) -> Tensor:
    """Loss that teaches the wedge, over a batch of cubes, one volume at a time.

    `halves` holds two volumes of each cube (isonet2-n2n, both directions), or one (isonet2).
    """
    total = torch.zeros(())
    n = halves[0][0].shape[-1]
    sign = 1.0 if ctf is None else torch.where(ctf < 0, -1.0, 1.0)
    size = 1.0 if ctf is None else ctf.abs()
    directions = [(0, 1), (1, 0)] if len(halves[0]) == 2 else [(0, 0)]
    for cube, matrix in zip(halves, matrices, strict=True):
        mask = measured_mask(n, low, high)
        turned_mask = measured_mask(n, low, high, matrix)
        data = [to_real(to_fourier(x) * sign * mask).float() for x in cube]
        was_training = network.training
        network.eval()
        with torch.no_grad():
            filled = []
            noise = shell_noise(data[0] - data[-1], mask)
            for x in data:
                prediction = to_fourier(network_pass(network, x)) * size + noise
                filled.append(to_real(to_fourier(x) * mask + prediction * (1 - mask)).float())
        network.train(was_training)
        turned = [turn(x, matrix) for x in filled]
        for i, j in directions:
            source = to_real(to_fourier(turned[i]) * mask).float()
            source = (source - source.mean()) / source.std() * data[i].std() + data[i].mean()
            if noise_level:
                source = source + noise_level * projected_noise(mask)
            y = to_fourier(network_pass(network, source)) * size
            difference = y - to_fourier(turned[j])
            inside = to_real(difference * turned_mask * mask)
            outside = to_real(difference * turned_mask * (1 - mask))
            total = total + inside.square().mean() + mw_weight * outside.square().mean()
    return total / (len(directions) * len(halves))


def predict(
    network: nn.Module, halves: list[np.ndarray], tile: int, low: float, high: float
) -> np.ndarray:
    """Restore a tomogram: all tiles cut first, restored one by one, then put together."""
    core = round(tile / 1.5)
    margin = (tile - core) // 2
    mask = measured_mask(tile, low, high)
    shape = halves[0].shape
    counts = [math.ceil(s / core) for s in shape]
    starts = [
        (a * core, b * core, c * core)
        for a in range(counts[0])
        for b in range(counts[1])
        for c in range(counts[2])
    ]
    ramp = np.clip((np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5) / (2 * margin), 0, 1)
    window = ramp[:, None, None] * ramp[:, None] * ramp
    result = np.zeros(shape, np.float32)
    for half in halves:
        extra = [(margin, margin + c * core - s) for s, c in zip(shape, counts, strict=True)]
        padded = np.pad(half, extra, mode="symmetric")
        tiles = [padded[tuple(slice(a, a + tile) for a in s)].copy() for s in starts]
        with torch.no_grad():
            done = [
                network_pass(
                    network, to_real(to_fourier(torch.from_numpy(t)) * mask).float()
                ).numpy()
                for t in tiles
            ]
        total, weight = np.zeros(padded.shape), np.zeros(padded.shape)
        for s, t in zip(starts, done, strict=True):
            place = tuple(slice(a, a + tile) for a in s)
            total[place] += t * window
            weight[place] += window
        merged = total / np.maximum(weight, 1e-6)
        result += merged[tuple(slice(margin, margin + s) for s in shape)].astype(np.float32) / 2
    return result
