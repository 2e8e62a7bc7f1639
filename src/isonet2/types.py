"""Words that all rooms share: shapes, regions and blocks of voxels, always in the order z, y, x."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
"""Voxels along z, y, x."""
Sizes = Sequence[int]
"""Any shape whose last three numbers are voxels along z, y, x."""
Position = tuple[int, int, int]
"""A voxel, (z, y, x)."""
Region = tuple[slice, slice, slice]
"""Slices of whole voxels along z, y, x."""
Block = NDArray[np.float32]
"""Voxels (z, y, x) of a region."""
Floats = NDArray[np.floating[Any]]
"""Numbers of any shape."""


def all_of(shape: tuple[int, ...]) -> Region:
    """The region of all voxels of a volume of some shape."""
    z, y, x = (slice(0, edge) for edge in shape)
    return z, y, x
