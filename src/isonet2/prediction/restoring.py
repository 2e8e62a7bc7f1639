"""A trained network applied to a tomogram of any size."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from isonet2.opening.halves import Half
from isonet2.physics.fourier import radial_weight
from isonet2.physics.geometry import Geometry
from isonet2.physics.metrics import soft_edge
from isonet2.physics.tiling import AxisTiling, map_tiles
from isonet2.physics.wedge import ball
from isonet2.prediction.orientations import orientations
from isonet2.prediction.replicas import Replicas
from isonet2.prediction.usage import Usage
from isonet2.types import Block, Region

MARGIN = 16
"""Voxels around a tile that the filter of the inputs is applied with: it wraps round the faces of
what it is applied to, and would take a tenth of a bare tile's amplitude."""


def restore(
    replicas: Replicas,
    halves: Sequence[Half],
    geometry: Geometry,
    usage: Usage,
    write: Callable[[Region, Block], None],
    plans: Sequence[AxisTiling],
    *,
    batch: int = 1,
    ways: int = 1,
    merge: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Restore a tomogram, tile by tile, in memory that does not grow with it.

    Parameters
    ----------
    replicas
        The networks.
    halves
        The two halves, or one whole tomogram.
    geometry, usage
        Decide the filters of inputs and results, as in training.
    write
        Takes a region and its finished voxels (networks, z, y, x) in standard scale: mean 0,
        deviation 1, protein bright. Without `merge`, all results in a row, (results, z, y, x).
        Called from one other thread.
    plans
        Tiles; see `fitted_tiles`.
    batch
        Tiles at a time.
    ways
        Ways round in which each half is restored; see `orientations`.
    merge
        Take the mean of the restored halves.
    progress
        Told (tiles done, tiles in all).
    """
    edges = (plans[0].tile, plans[1].tile, plans[2].tile)
    wide = (edges[0] + 2 * MARGIN, edges[1] + 2 * MARGIN, edges[2] + 2 * MARGIN)
    weight = geometry.input_filter(usage.treatment, wide, empty_wedge=usage.apply_mw_x1)
    margin = 0 if weight is None else MARGIN
    kept = ball(edges) if usage.in_ball else None
    if usage.gain and merge and len(halves) == 2 and replicas.networks == 1:
        gain = radial_weight(torch.tensor(usage.gain), edges)
        kept = gain if kept is None else kept * gain
    filters = replicas.filters(weight, kept)

    def read(region: Region) -> Block:
        return np.stack([half.region(region) for half in halves])

    taper = soft_edge(wide, MARGIN)
    turns = orientations(geometry.sectors, len(halves), ways)

    def function(cubes: Tensor) -> Tensor:
        restored = replicas(cubes * taper if margin else cubes, filters, turns, margin)
        return restored.mean(2) if merge else restored.flatten(1, 2)

    map_tiles(function, read, write, plans, batch=batch, margin=margin, progress=progress)
