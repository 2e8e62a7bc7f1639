"""Imprint: what a network makes of inputs that hold nothing.

Whatever stands in the wedge of a result whose input was noise did not come from a specimen.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from isonet2.physics.fourier import spectrum, volume
from isonet2.physics.lattice import lattice
from isonet2.physics.wedge import Sectors
from isonet2.trust.controls import blur, shape_of
from isonet2.trust.sums import Sums, correlation, ratio

NARROWER = 10.0
"""Degrees that both ends of the tilt range are declared too narrow by."""
HEAVY = 1.0
"""Excess kurtosis from which on a blurred result of noise is said to hold shapes: noise has 0."""
BLUR = 2.0
CLEAR = 100.0
"""Times its surroundings from which a frequency is part of a lattice that can be seen. Small
networks after 15 to 100 steps reached 40."""


def noise_of(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent noises as strong as halves, with their own noise's spectrum and wedge.

    The difference of the halves holds no signal; random phases make two of its power.
    """
    return without_phases(first - second, 1), without_phases(first - second, 2)


def without_phases(x: Tensor, seed: int) -> Tensor:
    """Give a volume (z, y, x) random phases; its power stays in each frequency."""
    generator = torch.Generator().manual_seed(seed)
    phases = spectrum(torch.randn(x.shape, generator=generator))
    phases = phases / phases.abs().clamp_min(1e-20)
    return volume(spectrum(x - x.mean()).abs() * phases, shape_of(x))


def narrower(sectors: Sectors) -> Sectors:
    """A tilt range that is declared too narrow at both ends."""
    low, high = min(a for a, _ in sectors), max(b for _, b in sectors)
    cut = min(NARROWER, (high - low) / 4)
    inside = [(max(a, low + cut), min(b, high - cut)) for a, b in sectors]
    return tuple((a, b) for a, b in inside if a < b)


def turned(x: Tensor, quarters: int = 1) -> Tensor:
    """Turn a volume (z, y, x) by quarters about the beam: its wedge then lies around ky."""
    return torch.rot90(x, quarters, (1, 2)).contiguous()


@dataclass(frozen=True, slots=True)
class Imprint:
    """What stands in results that should be empty.

    Attributes
    ----------
    noise, phases
        Power in the wedge of what was made of noise, and of the data with random phases, over
        the power there of what was made of the data.
    narrow
        The same of the data when their tilt range is declared too narrow.
    turned
        Correlation in the wedge of what was made of the data, and of the turned data, turned back;
        where both were measured or filled it is near 1 for a network that follows the data.
    lattice
        How many single frequencies stand clearly out of what was made of noise, and not of the
        noise.
    shapes
        Excess kurtosis of what was made of noise, blurred; noise stays near 0.
    """

    noise: float
    phases: float
    narrow: float
    turned: float
    lattice: int
    shapes: float

    @property
    def holds_shapes(self) -> bool:
        """Whether the result of noise holds more than noise."""
        return self.shapes > HEAVY


def imprint(sums: Sums, noise: Tensor, made: Tensor) -> Imprint:
    """Measure what stands in results that should be empty.

    Parameters
    ----------
    sums
        Of `f`, `noise`, `phases`, `narrow`, each with itself, and of `f` and `turned`, in the part
        "wedge"; what was made of halves, averaged.
    noise, made
        The noise, and what was made of it, (z, y, x).
    """
    real = sums["f", "f", "wedge"].sum()

    def over(name: str) -> float:
        return float(ratio(sums[name, name, "wedge"].sum(), real))

    turned = correlation(
        sums["f", "turned", "wedge"].sum(), real, sums["turned", "turned", "wedge"].sum()
    )
    smooth = blur(made, BLUR)
    smooth = (smooth - smooth.mean()) / smooth.std().clamp_min(1e-12)
    return Imprint(
        noise=over("noise"),
        phases=over("phases"),
        narrow=over("narrow"),
        turned=float(turned),
        lattice=int((lattice(made).beyond(lattice(noise)).heights > CLEAR).sum()),
        shapes=float(smooth.double().pow(4).mean() - 3),
    )
