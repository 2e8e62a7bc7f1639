"""Distances between a prediction and its target, both given as spectra."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from isonet2.physics.fourier import multiplicity, shell_sums, shells, volume
from isonet2.types import Sizes

Loss = Callable[[Tensor, Tensor, Tensor | None, Sizes, Tensor | None], Tensor]
"""(prediction, target, region, shape, weight) to one number.

Prediction and target are half spectra (b, 1, z, y, x//2+1) of volumes of `shape`; `region`
(b, 1, z, y, x//2+1) marks the frequencies that count (None: all); `weight` (b, 1, z, y, x)
weights the loss voxel by voxel (None: evenly). Values are per voxel of the volume.
"""


def _difference(prediction: Tensor, target: Tensor, region: Tensor | None, shape: Sizes) -> Tensor:
    difference = prediction - target
    return volume(difference if region is None else difference * region, shape)


def _weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over the cubes of each one's weighted mean, so that no split of a batch changes it."""
    if weight is None:
        return values.mean()
    axes = (1, 2, 3, 4)
    return ((values * weight).sum(axes) / weight.sum(axes).clamp_min(1.0)).mean()


def l2(
    prediction: Tensor, target: Tensor, region: Tensor | None, shape: Sizes, weight: Tensor | None
) -> Tensor:
    """Mean squared difference; without voxel weights by Parseval, so without a transform."""
    if weight is not None:
        return _weighted_mean(_difference(prediction, target, region, shape).square(), weight)
    power = torch.view_as_real(prediction - target).square().sum(-1)
    if region is not None:
        power = power * region
    voxels = shape[-3] * shape[-2] * shape[-1]
    total = (power * multiplicity(shape, device=power.device)).sum()
    return total / (voxels**2 * len(prediction))


def l1(
    prediction: Tensor, target: Tensor, region: Tensor | None, shape: Sizes, weight: Tensor | None
) -> Tensor:
    """Mean absolute difference."""
    return _weighted_mean(_difference(prediction, target, region, shape).abs(), weight)


def huber(
    prediction: Tensor, target: Tensor, region: Tensor | None, shape: Sizes, weight: Tensor | None
) -> Tensor:
    """Mean Huber distance: quadratic up to one standard deviation of the data, then linear."""
    difference = _difference(prediction, target, region, shape)
    values = F.huber_loss(difference, torch.zeros_like(difference), reduction="none")
    return _weighted_mean(values, weight)


def fsc(
    prediction: Tensor, target: Tensor, region: Tensor | None, shape: Sizes, weight: Tensor | None
) -> Tensor:
    """One minus the Fourier shell correlation, mean over the shells below Nyquist.

    Shells in which the target holds nothing do not count, nor does a cube without any.
    """
    if weight is not None:
        prediction, target = (
            torch.fft.rfftn(volume(s, shape) * weight, dim=(-3, -2, -1))
            for s in (prediction, target)
        )
    count = min(shape[-3:]) // 2
    shell = shells(shape[-3:], device=prediction.device)
    double = multiplicity(shape, device=prediction.device)
    if region is not None:
        double = double * region

    def total(values: Tensor) -> Tensor:
        return shell_sums(values * double, shell, count)

    cross = total((prediction * target.conj()).real)
    held = total(target.abs().square())
    correlation = cross / (total(prediction.abs().square()) * held + 1e-12).sqrt()
    shells_held = (held > 0).sum(-1)
    mean = (correlation * (held > 0)).sum(-1) / shells_held.clamp_min(1)
    return ((1 - mean) * (shells_held > 0)).mean()


LOSSES: dict[str, Loss] = {"L2": l2, "L1": l1, "Huber": huber, "FSC": fsc}
OF_DIFFERENCES = (l2, l1, huber)
"""Losses that depend on nothing but the difference of prediction and target."""
