"""The loss on parts of the tomograms that training never sees.

The training loss falls also while a network learns the noise of its targets by heart; the loss on
parts that were held out does not. Noise stays the largest share of both, so small changes count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from isonet2.training.assembly import Cubes
from isonet2.training.objectives import Method, Network, Recipe
from isonet2.training.tomogram import Source

ROOMY, SMALLEST = 8, 3
MOST_SOURCES = 8
CUBES = 32
HELD_OUT = "held_out"


@dataclass(slots=True)
class Validation:
    """Fixed cubes of the parts held out, and how their loss is computed.

    Parameters
    ----------
    method, recipe
        As in training.
    cubes
        Those held out.
    noise_level
        Of the noise added to the input, the same in every epoch.
    """

    method: Method
    recipe: Recipe
    cubes: Cubes
    noise_level: float

    @torch.no_grad()
    def __call__(self, network: Network) -> dict[str, float]:
        """Loss of a network in evaluation mode: the row that an epoch adds to the history.

        Returns
        -------
        dict
            `held_out_n2n` and `held_out_mw`, inside and outside the region that the input was
            left with; and `held_out`, their sum with the weight of training. All compare with
            measured data only, whatever the objective fills in.
        """
        objective, parts = self.method.with_recipe(self.recipe), []
        for samples in self.cubes.subtomograms.batches(0, batch_size=1):
            batch = self.cubes.assemble(samples, self.noise_level)
            losses = objective(network, network, batch)
            parts.append(torch.stack((losses.n2n, losses.mw)))
        n2n, mw = torch.stack(parts).mean(0).tolist()
        return self.named(n2n, mw)

    def named(self, n2n: float, mw: float) -> dict[str, float]:
        """Columns of the history, from the losses in the measured region and in the wedge."""
        weight = (max(self.recipe.mw_weight, 0.0) or 1.0) if self.method.fills_wedge else 0.0
        return {
            HELD_OUT: n2n + weight * mw,
            f"{HELD_OUT}_n2n": n2n,
            f"{HELD_OUT}_mw": mw,
        }


def hold_out(
    sources: Sequence[Source], size: int, *, small_too: bool = False
) -> tuple[list[Source], list[Source]]:
    """Keep the last cubes along y of some tomograms from training.

    Parameters
    ----------
    sources
        The tomograms.
    size
        Edge of a cube, voxels.
    small_too
        Take from tomograms that are `SMALLEST` cubes wide, not only from those of `ROOMY`.

    Returns
    -------
    tuple of list of Source
        All tomograms for training, some of them narrowed; and the parts held out of at most
        `MOST_SOURCES` of them, which together draw `CUBES` cubes.
    """
    room = (SMALLEST if small_too else ROOMY) * size
    parted = {
        place: part
        for place, source in enumerate(sources)
        if (part := _part(source, size, room)) is not None
    }
    spread = np.linspace(0, len(parted) - 1, min(len(parted), MOST_SOURCES)).round().astype(int)
    chosen = [list(parted)[i] for i in spread]
    train = [parted[i][0] if i in chosen else source for i, source in enumerate(sources)]
    count = -(-CUBES // max(1, len(chosen)))
    return train, [replace(parted[i][1], count=count) for i in chosen]


def _part(source: Source, size: int, room: int) -> tuple[Source, Source] | None:
    """A tomogram without its end along y, and the end; None where either would hold nothing.

    Blank planes at either end belong to neither part.
    """
    low, high = source.bounds or (0, source.first.volume.shape[1])
    for half in (source.first, source.second):
        if half.statistics.filled is not None:
            first, last = half.statistics.filled[1]
            low, high = max(low, first), min(high, last)
    if high - low < room or not source.count:
        return None
    seam = high - size
    train = replace(source, bounds=(low, seam))
    held = replace(source, bounds=(seam, high))
    if source.centres is not None:
        held = replace(held, centres=source.centres[source.centres[:, 1] >= seam])
    if source.weight is not None:
        z, _, x = source.weight.shape
        if not source.weight.read((slice(0, z), slice(seam, high), slice(0, x))).any():
            return None
    return (train, held) if train.has_room(size) and held.has_room(size) else None
