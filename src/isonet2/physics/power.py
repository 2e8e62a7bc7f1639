"""The fall of a volume's power with frequency, and a filter that changes it."""

import torch
from torch import Tensor

from isonet2.physics.fourier import multiplicity, radius, shell_sums, shells
from isonet2.types import Sizes

_ROUNDS = 5


def shell_power(half_spectrum: Tensor, shape: Sizes, region: Tensor | None = None) -> Tensor:
    """Mean power in each shell from 0 to `min(shape)//2`.

    Parameters
    ----------
    half_spectrum
        (z, y, x//2+1) of a volume of `shape`.
    shape
        Of the volume.
    region
        Boolean frequencies that take part; all, when not given.

    Returns
    -------
    Tensor
        float64; NaN for a shell without such frequencies.
    """
    count = min(shape) // 2 + 1
    shell = shells(shape)
    weight = multiplicity(shape).double().expand(half_spectrum.shape)
    if region is not None:
        weight = weight * region
    power = half_spectrum.abs().double().square()
    return shell_sums(power * weight, shell, count) / shell_sums(weight, shell, count)


def power_law_weight(
    half_spectrum: Tensor, shape: Sizes, exponent: float, region: Tensor | None = None
) -> Tensor:
    """Real weight after which a volume's mean power falls as `k ** -exponent`.

    `w(k) = c * sqrt(k ** -exponent / P(k))`, where `P` is the mean power at frequency `k` and
    `c` keeps the volume's variance. `P` is drawn through the shells as a power law from each to
    the next, and improved until the mean of every shell is right. The mean grey value (k = 0)
    is kept; corners beyond the last shell are weighted as that is.

    Parameters
    ----------
    half_spectrum
        (z, y, x//2+1) of a volume of `shape`.
    shape
        Of the volume.
    exponent
        0 makes the spectrum flat.
    region
        Boolean frequencies that `P` is measured in, such as those that a tilt series holds.

    Returns
    -------
    Tensor
        float32 (z, y, x//2+1).
    """
    k = radius(shape, dtype=torch.float64) * min(shape)
    k[0, 0, 0] = 1
    wanted = k.pow(-exponent)
    aim = shell_power(wanted.sqrt(), shape, region)
    squares = wanted.clone()
    for _ in range(_ROUNDS):
        power = shell_power(half_spectrum * squares.sqrt(), shape, region)
        squares *= _between(aim / power, k)
    squares[0, 0, 0] = 0
    energy = half_spectrum.abs().double().square() * multiplicity(shape)
    energy[0, 0, 0] = 0
    weight = (squares * energy.sum() / (energy * squares).sum()).sqrt()
    weight[0, 0, 0] = 1
    return weight.float()


def _between(values: Tensor, k: Tensor) -> Tensor:
    """Values of shells 1, 2, ... at frequencies between them, as a power law."""
    known = torch.isfinite(values) & (values > 0)
    known[0] = False
    if not bool(known.any()):
        raise ValueError("the volume holds no power besides its mean")
    at = known.nonzero()[:, 0].double().log()
    level = values[known].log()
    place = k.log().clamp(at[0], at[-1])
    right = torch.searchsorted(at, place).clamp(min(1, len(at) - 1), len(at) - 1)
    left = (right - 1).clamp_min(0)
    part = ((place - at[left]) / (at[right] - at[left]).clamp_min(1e-12)).clamp(0, 1)
    return (level[left] + part * (level[right] - level[left])).exp()
