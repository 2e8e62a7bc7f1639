"""Anisotropy: power in cones along x, y and z."""

import math

import torch
from torch import Tensor

from isonet2.physics.fourier import frequencies, multiplicity, spectrum
from isonet2.physics.metrics import soft_edge
from isonet2.trust.controls import shape_of
from isonet2.trust.sums import EDGE, ratio

ANGLE = 20.0
"""Half the opening of a cone, degrees."""
BAND = (100.0, 40.0)
"""Resolutions between which power is summed, angstrom."""


def cone_power(x: Tensor, pixel_size: float) -> dict[str, float]:
    """Mean power in a cone around each axis over that of all directions, at 100 to 40 A.

    Parameters
    ----------
    x
        (z, y, x).
    pixel_size
        Angstrom.

    Returns
    -------
    dict
        By axis; 1 each for what looks the same from all sides.
    """
    shape = shape_of(x)
    edge = soft_edge(shape, min(EDGE, min(shape) // 4))
    weight = multiplicity(shape).double()
    power = spectrum((x - x.mean()) * edge).abs().square().double() * weight
    kz, ky, kx = frequencies(shape, dtype=torch.float64)
    k = torch.sqrt(kz * kz + ky * ky + kx * kx)
    low, high = pixel_size / BAND[0], min(0.5, pixel_size / BAND[1])
    inside = (k > low) & (k <= high)
    counted = weight.expand(power.shape)
    whole = ratio(power[inside].sum(), counted[inside].sum())
    found = {}
    for name, along in (("x", kx), ("y", ky), ("z", kz)):
        cone = inside & (along.abs() >= math.cos(math.radians(ANGLE)) * k)
        found[name] = float(ratio(ratio(power[cone].sum(), counted[cone].sum()), whole))
    return found
