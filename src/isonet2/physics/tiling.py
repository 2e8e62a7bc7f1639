"""Apply a function to a volume of any size, tile by tile, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, product
from math import ceil, prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Region = tuple[slice, slice, slice]
Block = NDArray[np.float32]
Read = Callable[[Region], Block]
Write = Callable[[Region, Block], None]
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class AxisTiling:
    """Evenly spaced tiles along one axis, and the window that blends them.

    Parameters
    ----------
    length
        Voxels of the volume along this axis.
    tile
        Edge of a tile.
    stride
        Distance between tiles; neighbours share `tile - stride` voxels.
    count
        Number of tiles.
    """

    length: int
    tile: int
    stride: int
    count: int

    @classmethod
    def plan(cls, length: int, tile: int, core: int) -> "AxisTiling":
        """Fewest tiles of which each answers for at most `core` voxels."""
        count = max(1, ceil(length / core))
        return cls(length, tile, ceil(length / count), count)

    def start(self, index: int) -> int:
        """First voxel of a tile; negative where the tile reaches beyond the volume."""
        covered = (self.count - 1) * self.stride + self.tile
        return index * self.stride - (covered - self.length) // 2

    def covers(self, index: int) -> slice:
        """Voxels under a tile, some of them perhaps beyond the volume."""
        return slice(self.start(index), self.start(index) + self.tile)

    def window(self, index: int) -> NDArray[np.float32]:
        """Weight of a tile's voxels, (tile,): all tiles' windows add up to one everywhere.

        The outer quarter of an overlap is dropped on either side, since a network knows
        least at the edge of its cube; the middle half is a straight cross-fade.
        """
        total = np.zeros(self.tile)
        for other in range(self.count):
            shift = (other - index) * self.stride
            if abs(shift) < self.tile:
                low, high = max(0, shift), min(self.tile, self.tile + shift)
                total[low:high] += self._fade(other)[low - shift : high - shift]
        return (self._fade(index) / np.maximum(total, 1e-12)).astype(np.float32)

    def _fade(self, index: int) -> NDArray[np.float64]:
        """Weight of a tile before the weights of all tiles are made to add up to one."""
        overlap = self.tile - self.stride
        position = np.arange(self.tile) + 0.5
        fade = max(overlap / 2, 1.0)
        weight = np.ones(self.tile)
        if index > 0:
            weight *= np.clip((position - overlap / 2) / fade + 0.5, 0.0, 1.0)
        if index < self.count - 1:
            weight *= np.clip((self.stride + overlap / 2 - position) / fade + 0.5, 0.0, 1.0)
        return weight

    def inside(self, index: int) -> tuple[slice, slice]:
        """Part of the volume that a tile covers, and the same voxels counted in the tile."""
        start = self.start(index)
        low, high = max(start, 0), min(start + self.tile, self.length)
        return slice(low, high), slice(low - start, high - start)


def padded(read: Read, region: Region, shape: tuple[int, int, int]) -> Block:
    """Read a region (..., z, y, x) that may reach beyond the volume, to its mirror image."""
    clipped: list[slice] = []
    pads: list[tuple[int, int]] = []
    for part, length in zip(region, shape, strict=True):
        low, high = max(part.start, 0), min(part.stop, length)
        clipped.append(slice(low, high))
        pads.append((low - part.start, part.stop - high))
    block = read((clipped[0], clipped[1], clipped[2]))
    if not any(a or b for a, b in pads):
        return block
    return np.pad(block, [(0, 0)] * (block.ndim - 3) + pads, mode="symmetric")


def _batches(items: Iterator[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    while batch := list(islice(items, size)):
        yield batch


def map_tiles(
    function: Function,
    read: Read,
    write: Write,
    plans: Sequence[AxisTiling],
    *,
    batch: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Apply a function to overlapping tiles of a volume and write their smooth blend.

    The volume is walked in slabs across its longest axis, so that no more than one slab of
    results, one tile thick, is in memory at a time. The next tiles are read, and the last ones
    blended and written, while `function` works; an error in either is raised here, and nothing
    is written any more when this returns or raises.

    Parameters
    ----------
    function
        Takes (b, c, z, y, x) with the edges of a tile, returns (b, o, z, y, x).
    read
        Takes a region inside the volume, returns (c, z, y, x) float32.
    write
        Takes a region and its finished values (o, z, y, x); every voxel is written once, from
        one other thread.
    plans
        How the volume's z, y and x are tiled.
    batch
        Tiles per call of `function`.
    progress
        Called with (tiles done, tiles in all).
    """
    shape = (plans[0].length, plans[1].length, plans[2].length)
    along = int(np.argmax(shape))
    across = [axis for axis in range(3) if axis != along]
    blend = _Blend(plans, along, write)
    total = plans[0].count * plans[1].count * plans[2].count
    done = 0

    def place(step: int, pair: tuple[int, int]) -> list[int]:
        index = [0, 0, 0]
        index[along], index[across[0]], index[across[1]] = step, *pair
        return index

    def load(group: list[list[int]]) -> Tensor:
        cubes = []
        for index in group:
            z, y, x = (plan.covers(i) for plan, i in zip(plans, index, strict=True))
            cubes.append(padded(read, (z, y, x), shape))
        return torch.from_numpy(np.stack(cubes))

    jobs = [
        [place(step, pair) for pair in group]
        for step in range(plans[along].count)
        for group in _batches(
            iter(product(range(plans[across[0]].count), range(plans[across[1]].count))), batch
        )
    ]
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        upcoming = reader.submit(load, jobs[0])
        blending: Future[None] | None = None
        for number, group in enumerate(jobs):
            cubes = upcoming.result()
            if number + 1 < len(jobs):
                upcoming = reader.submit(load, jobs[number + 1])
            results = function(cubes).float().cpu().numpy()
            if blending is not None:
                blending.result()
            blending = writer.submit(blend.add, group, results)
            done += len(group)
            if progress is not None:
                progress(done, total)
        if blending is not None:
            blending.result()


class _Blend:
    """Tiles added up with their windows in a slab, and written as soon as no other will come.

    Parameters
    ----------
    plans, write
        As in `map_tiles`.
    along
        Axis that the slab is one tile thick along; tiles come in its order.
    """

    def __init__(self, plans: Sequence[AxisTiling], along: int, write: Write) -> None:
        self.plans, self.along, self.write = plans, along, write
        self.windows = [[plan.window(index) for index in range(plan.count)] for plan in plans]
        self.slab: Block | None = None
        self.missing = self.tiles = prod(p.count for a, p in enumerate(plans) if a != along)
        self.finished = 0

    def add(self, group: list[list[int]], results: Block) -> None:
        """Add tiles of one slab at their places, results (b, o, z, y, x)."""
        if self.slab is None:
            extent = [results.shape[1], *(plan.length for plan in self.plans)]
            extent[1 + self.along] = self.plans[self.along].tile
            self.slab = np.zeros(extent, np.float32)
        for index, result in zip(group, results, strict=True):
            self._add(self.slab, index, result)
        self.missing -= len(group)
        if self.missing == 0:
            self._flush(self.slab, group[0][self.along])
            self.missing = self.tiles

    def _add(self, slab: Block, index: list[int], result: Block) -> None:
        """Add a weighted tile to the slab, whose long axis is counted from the tile's own start."""
        to: list[slice] = []
        of: list[slice] = []
        weight = np.ones((1, 1, 1), np.float32)
        for axis, (plan, i) in enumerate(zip(self.plans, index, strict=True)):
            inside, own = plan.inside(i)
            to.append(own if axis == self.along else inside)
            of.append(own)
            shape = [-1 if a == axis else 1 for a in range(3)]
            weight = weight * self.windows[axis][i][own].reshape(shape)
        slab[:, *to] += weight * result[:, *of]

    def _flush(self, slab: Block, step: int) -> None:
        """Write what no later tile will touch, and move the rest to the slab's front."""
        plan = self.plans[self.along]
        start, end = plan.start(step), plan.length
        if step < plan.count - 1:
            end = min(max(plan.start(step + 1), 0), end)
        region = [slice(0, p.length) for p in self.plans]
        region[self.along] = slice(self.finished, end)
        front = np.moveaxis(slab, 1 + self.along, 0)
        if end > self.finished:
            block = np.moveaxis(front[self.finished - start : end - start], 0, 1 + self.along)
            self.write((region[0], region[1], region[2]), np.ascontiguousarray(block))
        front[: plan.tile - plan.stride] = front[plan.stride :].copy()
        front[plan.tile - plan.stride :] = 0
        self.finished = end
