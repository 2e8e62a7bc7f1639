"""The tiles that a tomogram is restored in."""

from isonet2.physics.tiling import AxisTiling
from isonet2.types import Shape

SMALLEST_TILE = 64
LARGEST_TILE = 128
"""Edges of the tiles that small cubes grow to, voxels."""


def training_tiles(shape: Shape, cube_size: int, padding_factor: float) -> list[AxisTiling]:
    """Tile a tomogram by cubes as in training, with trusted cores of `cube_size/padding_factor`."""
    core = max(1, round(cube_size / padding_factor))
    return [AxisTiling.plan(length, cube_size, core) for length in shape]


def fitted_tiles(
    shape: Shape, cube_size: int, padding_factor: float, multiple: int
) -> list[AxisTiling]:
    """Tile a tomogram with as few voxels as a network trained on cubes of some edge can take.

    Neighbours overlap as training cubes would, by `cube_size (1 - 1/padding_factor)`. Larger
    tiles have a smaller share of overlap, but waste more where they do not fit the tomogram:
    so the best edge is looked for along each axis.

    Parameters
    ----------
    shape
        Of the tomogram, (z, y, x).
    cube_size
        Edge of the training cubes, voxels.
    padding_factor
        See above.
    multiple
        What a tile's edges must be multiples of.
    """
    overlap = cube_size - max(1, round(cube_size / padding_factor))
    least = max(min(SMALLEST_TILE, cube_size), overlap + 1)
    largest = max(LARGEST_TILE, cube_size)
    edges = [edge for edge in range(multiple, largest + 1, multiple) if edge >= least]

    def plan(length: int) -> AxisTiling:
        plans = [AxisTiling.plan(length, edge, edge - overlap) for edge in edges]
        return min(plans, key=lambda p: p.count * p.tile)

    return [plan(length) for length in shape]
