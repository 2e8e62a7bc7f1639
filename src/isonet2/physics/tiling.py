"""Apply a function to a volume of any size, tile by tile, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, product
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isonet2.types import Block, Region

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

    def covers(self, index: int, margin: int = 0) -> slice:
        """Voxels under a tile and in a margin around it, some perhaps beyond the volume."""
        return slice(self.start(index) - margin, self.start(index) + self.tile + margin)

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
    margin: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Apply a function to overlapping tiles of a volume and write their smooth blend.

    The volume is walked in slabs across its longest axis, and of a slab's results only what the
    next one overlaps stays in memory. The next tiles are read, and the last ones blended and
    written, while `function` works; an error in either is raised here, and nothing is written
    any more when this returns or raises.

    Parameters
    ----------
    function
        Takes (b, c, z, y, x) with the edges of a tile and `margin` on either side, returns
        (b, o, z, y, x) with the edges of a tile.
    read
        Takes a region inside the volume, returns (c, z, y, x) float32.
    write
        Takes a region and its finished values (o, z, y, x); every voxel is written once, from
        one other thread.
    plans
        How the volume's z, y and x are tiled.
    batch
        Tiles per call of `function`.
    margin
        Voxels around a tile that `function` is given as well.
    progress
        Called with (tiles done, tiles in all).
    """
    shape = (plans[0].length, plans[1].length, plans[2].length)
    along = int(np.argmax(shape))
    across = [axis for axis in range(3) if axis != along]
    blend = _Blend(plans, (along, across[0], across[1]), write)
    total = plans[0].count * plans[1].count * plans[2].count
    done = 0

    def place(step: int, pair: tuple[int, int]) -> list[int]:
        index = [0, 0, 0]
        index[along], index[across[0]], index[across[1]] = step, *pair
        return index

    def load(group: list[list[int]]) -> Tensor:
        cubes = []
        for index in group:
            z, y, x = (plan.covers(i, margin) for plan, i in zip(plans, index, strict=True))
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
    """Tiles added up with their windows, and written as soon as no other will come.

    Tiles of a row are added up in a bar, one tile thick along two axes. Of a finished bar, what
    later rows and slabs will touch is kept, one overlap thick, and the rest is written.

    Parameters
    ----------
    plans, write
        As in `map_tiles`.
    order
        Axes in the order in which tiles come, the last one quickest.
    """

    def __init__(
        self, plans: Sequence[AxisTiling], order: tuple[int, int, int], write: Write
    ) -> None:
        self.plans, self.order, self.write = plans, order, write
        self.windows = [[plan.window(index) for index in range(plan.count)] for plan in plans]
        self.bar: Block | None = None
        self.rims: dict[int, Block] = {}

    def add(self, group: list[list[int]], results: Block) -> None:
        """Add tiles at their places, results (b, o, z, y, x)."""
        slab, row, last = self.order
        if self.bar is None:
            extent = [plan.tile for plan in self.plans]
            extent[last] = self.plans[last].length
            self.bar = np.zeros((results.shape[1], *extent), np.float32)
            for axis in (row, slab):
                extent[axis] = self.plans[axis].tile - self.plans[axis].stride
                self.rims[axis] = np.zeros((results.shape[1], *extent), np.float32)
                extent[axis] = self.plans[axis].length
        for index, result in zip(group, results, strict=True):
            self._add(self.bar, index, result)
            if index[last] == self.plans[last].count - 1:
                self._finish(self.bar, index)

    def _add(self, bar: Block, index: list[int], result: Block) -> None:
        """Add a weighted tile to its bar, which reaches from end to end along the last axis."""
        to: list[slice] = []
        of: list[slice] = []
        weight = np.ones((1, 1, 1), np.float32)
        for axis, (plan, i) in enumerate(zip(self.plans, index, strict=True)):
            inside, own = plan.inside(i)
            to.append(inside if axis == self.order[-1] else own)
            of.append(own)
            shape = [-1 if a == axis else 1 for a in range(3)]
            weight = weight * self.windows[axis][i][own].reshape(shape)
        bar[:, *to] += weight * result[:, *of]

    def _finish(self, bar: Block, index: list[int]) -> None:
        """Write what no later row or slab will touch of a bar, and empty it."""
        slab, row, last = self.order
        region = [slice(None)] * 3
        block, region[row] = self._pass_on(bar, row, index[row], region)
        block, region[slab] = self._pass_on(block, slab, index[slab], region)
        region[last] = slice(0, self.plans[last].length)
        if block.size:
            self.write((region[0], region[1], region[2]), np.ascontiguousarray(block))
        bar[:] = 0

    def _pass_on(
        self, block: Block, axis: int, step: int, region: list[slice]
    ) -> tuple[Block, slice]:
        """Add the rim of the last block along an axis, and keep the one for the next.

        Returns what is finished of a block one tile thick, and where along the axis that lies.
        """
        plan = self.plans[axis]
        front = np.moveaxis(block, 1 + axis, 0)
        rim = np.moveaxis(self.rims[axis][:, *region], 1 + axis, 0)
        if step > 0:
            front[: len(rim)] += rim
        rim[:] = front[plan.stride :]
        start, end = plan.start(step), plan.length
        if step < plan.count - 1:
            end = min(max(plan.start(step + 1), 0), end)
        done = slice(min(max(start, 0), end), end)
        return np.moveaxis(front[done.start - start : end - start], 0, 1 + axis), done
