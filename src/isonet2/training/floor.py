"""What noise alone contributes to the loss: the floor that a network cannot go below."""

from dataclasses import replace
from itertools import islice

import torch

from isonet2.training.assembly import Cubes
from isonet2.training.losses import OF_DIFFERENCES
from isonet2.training.objectives import Batch, Method, Recipe

CUBES = 16
"""That the floor is measured on, of those that are drawn anew in each epoch."""


@torch.no_grad()
def noise_floor(
    method: Method, recipe: Recipe, cubes: Cubes, most: int = CUBES
) -> tuple[float, float] | None:
    """Loss of a network that predicts the specimen and nothing else.

    The halves hold one specimen and independent noise of one strength, so their difference over
    the square root of 2 is noise as the target holds it. It goes the way of the target, and a
    network that predicts nothing is compared with it.

    Parameters
    ----------
    method, recipe
        As in training.
    cubes
        To measure it on.
    most
        How many of them.

    Returns
    -------
    tuple of float or None
        In the measured region and in the wedge; None where it cannot be known, with one volume in
        place of halves, or a loss that is no function of the difference.
    """
    if recipe.loss not in OF_DIFFERENCES or not method.reads_halves:
        return None
    plain = replace(recipe, mw_weight=1.0, fill_probability=0.0)
    objective, parts = method.with_recipe(plain), []
    for samples in islice(cubes.subtomograms.batches(0, batch_size=1), most):
        batch = cubes.assemble(samples)
        if batch.second is batch.first:
            return None
        losses = objective(torch.zeros_like, torch.zeros_like, _noise(batch))
        parts.append(torch.stack((losses.n2n, losses.mw)))
    n2n, mw = torch.stack(parts).mean(0).tolist()
    return n2n, mw


def _noise(batch: Batch) -> Batch:
    """The same batch with the noise of one half in place of both halves."""
    noise = (batch.first - batch.second) / 2**0.5
    wide = batch.wide
    if wide is not None:
        around = (wide.first - wide.second) / 2**0.5
        wide = replace(wide, first=around, second=around)
    return replace(batch, first=noise, second=noise, wide=wide)
