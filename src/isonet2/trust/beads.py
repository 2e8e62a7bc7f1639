"""Gold beads: where they are, and the streaks that a result has beside them.

Beads are so much denser than specimen that what reconstruction smears of them outweighs molecules,
and a network learns to restore what outweighs the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from isonet2.physics.masking import around, bead_cores, middles
from isonet2.types import Position

NEAR, FAR = 3, 12
"""Voxels around a bead's core that are its own, and within which its streaks are looked for."""


@dataclass(frozen=True, slots=True)
class Beads:
    """Gold beads of a tomogram.

    Attributes
    ----------
    middles
        (n, 3) as (z, y, x), voxels.
    roughness
        Deviation beside beads over that far from them, of volumes by name: 1 for no streaks.
    """

    middles: NDArray[np.float64]
    roughness: dict[str, float]


def beads_in(data: Tensor, volumes: Mapping[str, Tensor], corner: Position) -> Beads | None:
    """Find beads in data, and the streaks beside them in what was made of the data.

    Parameters
    ----------
    data
        (z, y, x), mean 0, dense is bright.
    volumes
        Like it, by name.
    corner
        Of `data` in the tomogram (z, y, x), where `Beads.middles` are counted from.

    Returns
    -------
    Beads or None
        None where there are no beads, or nothing else.
    """
    cores = bead_cores(data)
    near, far = around(cores, NEAR), around(cores, FAR)
    beside, away = far & ~near, ~far
    if not cores.any() or not beside.any() or not away.any():
        return None
    roughness = {
        name: float(volume[beside].std() / volume[away].std().clamp_min(1e-12))
        for name, volume in volumes.items()
    }
    return Beads(middles(cores) + np.array(corner), roughness)
