"""Ways round in which a tomogram is restored and averaged."""

import torch
from torch import Tensor

from isonet2.physics.rotation import cube_rotations
from isonet2.physics.wedge import Sectors, measured

WAYS = 2
"""Orientations in which a tomogram is restored, unless the user says how many."""


def orientations(sectors: Sectors, halves: int, count: int) -> list[Tensor]:
    """Rotations under which a tomogram is restored and averaged.

    Turning the data by 180 degrees about the tilt axis leaves the wedge in place; about the
    beam and about x likewise, where the tilt range is symmetric. A network's errors differ
    from one way round to the next, so their mean is better than each. The halves take
    different ways round; a single one is as the data lie.

    Parameters
    ----------
    sectors
        Measured intervals of tilt angles, degrees.
    halves
        Volumes that are restored together.
    count
        Ways round for each of them.

    Returns
    -------
    list of Tensor
        At most `count` sets of rotations (halves, 3, 3).
    """
    grid = (16, 16, 16)
    kept = measured(grid, sectors)
    halfway = [r for r in cube_rotations() if torch.equal(r, torch.diag(r.diagonal()))]
    same = [r for r in halfway if torch.equal(measured(grid, sectors, r), kept)]
    count = min(count, len(same))
    if count == 1:
        return [same[0].expand(halves, 3, 3)]
    return [
        torch.stack([same[(half * count + i) % len(same)] for half in range(halves)])
        for i in range(count)
    ]
