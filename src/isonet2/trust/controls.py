"""Controls: what simple methods, which learn nothing and invent nothing, make of the same data."""

import math

import torch
from torch import Tensor

from isonet2.physics.fourier import apply_filter, radial_weight, radius, spectrum, volume
from isonet2.physics.wedge import Sectors, measured
from isonet2.types import Shape

ROUNDS = 30
STEPS = 10
"""Halvings in search of a blur."""


def blur(x: Tensor, width: float) -> Tensor:
    """Blur volumes (..., z, y, x) by a Gaussian of a deviation in voxels."""
    k = radius(x.shape[-3:])
    return apply_filter(x, torch.exp(-2 * (math.pi * width * k) ** 2))


def matched_blur(x: Tensor, power: float) -> tuple[Tensor, float]:
    """Blur a volume until as much of its power is left as a network leaves.

    Parameters
    ----------
    x
        (z, y, x).
    power
        Part of the power that is to be left.

    Returns
    -------
    tuple
        The volume, and the Gaussian's deviation in voxels; 0 where the network adds power.
    """
    total = float(x.var())
    low, high = 0.0, 16.0
    if power >= 1 or total == 0:
        return x, 0.0
    for _ in range(STEPS):
        width = (low + high) / 2
        low, high = (low, width) if float(blur(x, width).var()) < power * total else (width, high)
    return blur(x, low), low


def wiener_filtered(x: Tensor, shared: Tensor) -> Tensor:
    """Weight a volume by what its halves share, shell by shell.

    Parameters
    ----------
    x
        Mean of the halves, (z, y, x).
    shared
        Correlation of the halves at equal steps from frequency 0 to 0.5, (n,).

    Returns
    -------
    Tensor
        Its Wiener estimate: `2 F / (1 + F)` is the signal's part of the mean's power.
    """
    known = shared.nan_to_num().clamp(0, 1).float()
    known[0] = known[1]
    return apply_filter(x, radial_weight(2 * known / (1 + known), shape_of(x)))


def positive(x: Tensor, sectors: Sectors, rounds: int = ROUNDS) -> Tensor:
    """Fill the wedge by one thing only: no density lies below the empty ice's.

    Each round sets what is below the median to it, and puts the data back where they were
    measured. It is the fill that a network must beat.

    Parameters
    ----------
    x
        A denoised volume (z, y, x), protein bright.
    sectors
        Measured intervals, degrees.
    rounds
        How often.
    """
    shape = shape_of(x)
    kept = measured(shape, sectors).bool()
    data = spectrum(x - x.median())
    filled = volume(torch.where(kept, data, 0), shape)
    for _ in range(rounds):
        filled = volume(torch.where(kept, data, spectrum(filled.clamp_min(0))), shape)
    return filled


def shape_of(x: Tensor) -> Shape:
    """Voxels along z, y, x."""
    z, y, x_ = x.shape[-3:]
    return z, y, x_
