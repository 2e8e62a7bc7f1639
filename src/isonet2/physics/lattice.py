"""Whether a volume holds a lattice: what networks that halve and double volumes can print.

Whatever differs between the places in a network's cells of 2, 4, 8 or 16 voxels repeats all over
its results, and stands in their spectra as single bright voxels at multiples of 1/16 cycles per
voxel.
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

CELL = 16
AROUND = 4
MOST = 256
"""Voxels of an axis that are looked at, in the middle of larger volumes."""
HIGH = 10.0
"""Times the median of its surroundings from which a voxel stands out. In noise one of a thousand
does by chance, and the highest of a volume's is about 10 to 15."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """How far the voxels of a spectrum at multiples of 1/16 stand above their surroundings.

    Parameters
    ----------
    heights
        Power of each over the median power of the voxels around it, (16, 16, 9); index i is the
        frequency i/16 cycles per voxel along its axis. 0 at the origin and beyond Nyquist.
    """

    heights: Tensor

    @property
    def highest(self) -> float:
        """The highest of them."""
        return float(self.heights.max())

    @property
    def peaks(self) -> int:
        """How many stand out."""
        return int((self.heights > HIGH).sum())

    def beyond(self, other: "Lattice") -> "Lattice":
        """Without those that stand out in another volume as well, such as the input."""
        return Lattice(self.heights.where(other.heights <= HIGH, 0.0))


def lattice(volume: Tensor) -> Lattice:
    """Measure the lattice of a volume.

    Surroundings beyond Nyquist do not count: networks leave nothing there.

    Parameters
    ----------
    volume
        (z, y, x), each edge of 16 voxels at least; what is left over beyond a multiple of 16 is
        not looked at, so that the lattice lies on whole frequencies.
    """
    size = [min(n, MOST) // CELL * CELL for n in volume.shape]
    middle = [
        slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(volume.shape, size, strict=True)
    ]
    part = volume[tuple(middle)].float()
    part = part - part.mean()
    for axis, n in enumerate(size):
        part *= torch.hann_window(n).view([-1 if a == axis else 1 for a in range(3)])
    power = torch.fft.fftn(part).abs().square()
    kz, ky, kx = (torch.fft.fftfreq(n) for n in size)
    inside = kz[:, None, None] ** 2 + ky[:, None] ** 2 + kx**2 <= 0.25
    near = torch.arange(-AROUND, AROUND + 1)
    heights = torch.zeros(CELL, CELL, CELL // 2 + 1)
    turns = [min(i, CELL - i) for i in range(CELL)]
    for place in product(range(CELL), range(CELL), range(CELL // 2 + 1)):
        if not 0 < sum(turns[i] ** 2 for i in place) <= (CELL // 2) ** 2:
            continue
        at = [i * n // CELL for i, n in zip(place, size, strict=True)]
        z, y, x = ((a + near) % n for a, n in zip(at, size, strict=True))
        box = z[:, None, None], y[None, :, None], x[None, None]
        around = power[box][inside[box]]
        heights[place] = power[tuple(at)] / around.median().clamp_min(1e-30)
    return Lattice(heights)
