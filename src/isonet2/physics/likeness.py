"""How two noisy volumes of one specimen lie to each other: as they are, mirrored, turned, shifted.

What two halves of a tomogram share is coarse: a few shells of low frequencies, where specimen
outweighs noise. Per shell, the correlation `c` of `n` independent coefficients makes the pair
`-n/2 log(1 - c^2)` likelier (in natural logarithms) than two volumes without anything in common.
The way of laying one on the other that makes them likeliest is how they were meant to lie.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isonet2.physics.seen_wedge import windowed

BAND = (0.012, 0.06)  # cycles per voxel
BESIDE = (0.12, 0.2)
SHELL = 0.012
INDEPENDENT = 0.3
"""Part of the coefficients that are independent under a Hann window along all three axes."""
REACH = 10
CLOSEST = 0.995

WAYS = tuple(itertools.product((False, True), (False, True), (False, True), (False, True)))
"""Turned over the y-x diagonal; mirrored along z, y, x: all that keep the beam along z."""


@dataclass(frozen=True, slots=True)
class Lie:
    """One way of laying a volume on another.

    Attributes
    ----------
    way
        Whether its y and x are exchanged, then whether it is mirrored along z, y and x.
    shift
        Voxels (z, y, x) that it is moved by thereafter.
    likelihood
        Logarithm of how much likelier the pair is than two volumes without anything in common.
    correlations
        Per shell, from the coarsest.
    """

    way: tuple[bool, bool, bool, bool]
    shift: tuple[int, int, int]
    likelihood: float
    correlations: tuple[float, ...]

    @property
    def unchanged(self) -> bool:
        """Whether the volume stays as it is, but for a shift."""
        return not any(self.way)

    @property
    def words(self) -> str:
        """What must be done to the volume."""
        turned, *mirrors = self.way
        z, y, x = mirrors
        along = [axis for axis, mirrored in zip("zyx", mirrors, strict=True) if mirrored]
        if turned and y != x:
            parts = ["turned by 90 degrees about the beam"] + ["mirrored along z"] * z
        elif turned:
            parts = ["with y and x exchanged"] + ["mirrored along " + "".join(along)] * bool(along)
        elif y and x:
            parts = ["turned by 180 degrees about the beam"] + ["mirrored along z"] * z
        else:
            parts = [f"mirrored along {' and '.join(along)}"] * bool(along)
        if any(self.shift) and (self.unchanged or max(map(abs, self.shift)) > 1):
            parts.append("shifted by {} x {} x {} voxels (z x y x x)".format(*self.shift))
        return " and ".join(parts) or "as they are"


@dataclass(frozen=True, slots=True)
class Likeness:
    """What two volumes have in common.

    Attributes
    ----------
    own
        As they lie.
    opposite
        As they lie, with the contrast of one inverted.
    best
        The likeliest way of all.
    sharpness
        Power of each volume in the band over that beside it; noise of a reconstruction has about
        1, or less.
    """

    own: Lie
    opposite: Lie
    best: Lie
    sharpness: tuple[float, float]


class _Band:
    """The coarse coefficients of volumes of one shape (z, n, n)."""

    def __init__(self, shape: torch.Size) -> None:
        self.lines = [torch.fft.fftfreq(n) for n in shape]
        self.kept = [torch.nonzero(line.abs() < BAND[1]).flatten() for line in self.lines]
        self.axes = [line[kept] for line, kept in zip(self.lines, self.kept, strict=True)]
        kz, ky, kx = torch.meshgrid(*self.axes, indexing="ij")
        length = torch.sqrt(kz**2 + ky**2 + kx**2)
        self.inside = (length >= BAND[0]) & (length < BAND[1])
        self.shell = ((length[self.inside] - BAND[0]) / SHELL).long()
        self.count = torch.bincount(self.shell)
        self.turn = [torch.exp(2j * torch.pi * axis) for axis in self.axes]

    @property
    def independent(self) -> float:
        """How many independent numbers the band holds; of Friedel mates both count as half."""
        return INDEPENDENT * float(self.count.sum())

    def whitened(self, spectrum: Tensor) -> Tensor:
        """Coefficients (z, y, x) of the band, of mean power 1 in every shell."""
        z, y, x = self.kept
        coarse = spectrum[z][:, y][:, :, x]
        chosen = coarse[self.inside]
        power = torch.bincount(self.shell, chosen.abs().square().double())
        scale = (self.count / power.clamp_min(1e-30)).sqrt()
        white = torch.zeros_like(coarse)
        white[self.inside] = chosen * scale[self.shell].float()
        return white

    def laid(self, white: Tensor, way: tuple[bool, bool, bool, bool]) -> Tensor:
        """Coefficients of the volume with y and x exchanged, and mirrored about its middle."""
        turned, *mirrors = way
        out = white.transpose(1, 2) if turned else white
        for axis, mirrored in enumerate(mirrors):
            if mirrored:
                phase = self.turn[axis].reshape([-1 if a == axis else 1 for a in range(3)])
                out = out.flip(axis).roll(1, axis) * phase
        return out

    def best_shift(self, cross: Tensor) -> tuple[int, int, int]:
        """Shift of the second volume within `REACH` that a cross spectrum suits best."""
        reaches = [min(REACH, len(line) // 6) for line in self.lines]
        shifts = [torch.arange(-reach, reach + 1) for reach in reaches]
        waves = [
            torch.exp(2j * torch.pi * torch.outer(shift, axis))
            for shift, axis in zip(shifts, self.axes, strict=True)
        ]
        surface = torch.einsum("zyx,az,by,cx->abc", cross, *waves).real
        place = np.unravel_index(int(surface.argmax()), surface.shape)
        z, y, x = (int(shift[index]) for shift, index in zip(shifts, place, strict=True))
        return z, y, x

    def lie(
        self, cross: Tensor, way: tuple[bool, bool, bool, bool], shift: tuple[int, int, int]
    ) -> Lie:
        """How likely a pair is once the second volume is moved by a shift."""
        waves = [
            torch.exp(2j * torch.pi * axis * move)
            for axis, move in zip(self.axes, shift, strict=True)
        ]
        moved = cross * waves[0][:, None, None] * waves[1][:, None] * waves[2]
        alike = torch.bincount(self.shell, moved.real[self.inside].double()) / self.count
        number = INDEPENDENT * self.count
        gain = -number / 2 * torch.log(1 - alike.clamp(0, CLOSEST).square())
        return Lie(way, shift, float(gain.sum()), tuple(alike.tolist()))


def independent_numbers(shape: torch.Size) -> float:
    """How many independent numbers a comparison of volumes (z, n, n) rests on."""
    return _Band(shape).independent


def likeness(first: Tensor, second: Tensor) -> Likeness | None:
    """Try every way of laying one volume on another of the same specimen.

    Parameters
    ----------
    first, second
        Volumes (z, n, n); noise may differ, and does.

    Returns
    -------
    Likeness or None
        None where one of them is constant.
    """
    blocks = [windowed(block - block.mean((1, 2), keepdim=True)) for block in (first, second)]
    if blocks[0] is None or blocks[1] is None:
        return None
    band = _Band(first.shape)
    spectra = [torch.fft.fftn(block) for block in blocks if block is not None]
    one, two = (band.whitened(spectrum) for spectrum in spectra)
    lies = []
    for way in WAYS:
        cross = one * band.laid(two, way).conj()
        lies.append(band.lie(cross, way, (0, 0, 0)))
        shift = band.best_shift(cross)
        lies.append(band.lie(cross, way, shift))
    opposite = band.lie(-(one * two.conj()), WAYS[0], (0, 0, 0))
    own = lies[0]
    best = max(lies, key=lambda lie: lie.likelihood)
    sharp = _sharpness(spectra[0], band), _sharpness(spectra[1], band)
    return Likeness(own, opposite, best, sharp)


def _sharpness(spectrum: Tensor, band: _Band) -> float:
    """Power in the band over that of the somewhat finer detail in `BESIDE`.

    Both are near to each other, so that the filter of a reconstruction, whatever it is, makes
    little difference.
    """
    z, y, x = band.kept
    coarse = spectrum[z][:, y][:, :, x][band.inside].abs().square().mean()
    kz, ky, kx = torch.meshgrid(*band.lines, indexing="ij")
    length = torch.sqrt(kz**2 + ky**2 + kx**2)
    beside = spectrum[(length > BESIDE[0]) & (length < BESIDE[1])].abs().square().mean()
    return float(coarse / beside.clamp_min(1e-30))
