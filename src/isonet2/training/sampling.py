"""Which cubes are drawn, how they are turned, and how they are read, a batch at a time."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from isonet2.errors import InputError
from isonet2.opening.halves import cube_region
from isonet2.physics.rotation import (
    cube_rotations,
    is_exact,
    moves_wedge,
    random_rotations,
    source_size,
)
from isonet2.physics.tiling import padded
from isonet2.training.tomogram import Places, Source
from isonet2.types import Block, Position

log = logging.getLogger(__name__)

PREFETCH = 4


@dataclass(frozen=True, slots=True)
class Draw:
    """All random choices for one cube."""

    source: int
    low: Position
    rotation: Tensor
    swap: bool
    seed: int

    @property
    def free(self) -> bool:
        """Whether the rotation mixes voxels."""
        return not is_exact(self.rotation)


@dataclass(frozen=True, slots=True)
class Sample:
    """A drawn cube with its voxels, and its surroundings where it is turned freely."""

    draw: Draw
    halves: tuple[Block, Block]
    wide: tuple[Block, Block] | None
    weight: Block | None


class Subtomograms:
    """Fresh random cubes of every epoch, the same ones whoever asks for them.

    Every choice follows from (seed, epoch, place in the epoch) alone, so that a resumed run
    and a run on several devices draw the very cubes of one uninterrupted run on one device.

    Parameters
    ----------
    sources
        The tomograms.
    size
        Edge of a cube, voxels.
    seed
        Of all randomness.
    random_rot_weight
        Chance of a free rotation, where the tomogram holds the larger cube that it needs.
    swap
        Exchange the halves at random.
    turn
        Rotate at all.

    Raises
    ------
    InputError
        When a tomogram is too thin for a cube, or no centre leaves room for one.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        size: int,
        *,
        seed: int,
        random_rot_weight: float = 0.0,
        swap: bool = True,
        turn: bool = True,
    ) -> None:
        self.sources = list(sources)
        self.size = size
        self.seed = seed
        self.random_rot_weight = random_rot_weight if turn else 0.0
        self.swap = swap
        rotations = cube_rotations()
        self.rotations = rotations[moves_wedge(rotations)] if turn else rotations[:1]
        self.places = [self._places(source) for source in self.sources]
        self.wide_places = [self._wide_places(source) for source in self.sources]
        self.owners = np.repeat(np.arange(len(sources)), [source.count for source in sources])

    def replace(self, place: int, source: Source) -> None:
        """Take another source, such as one with a new mask, in the place of one."""
        self.sources[place] = source
        self.places[place] = self._places(source)
        self.wide_places[place] = self._wide_places(source)

    @property
    def upright(self) -> list[str]:
        """Names of the tomograms that are too small for the free turns that were asked for."""
        if not self.random_rot_weight:
            return []
        pairs = zip(self.sources, self.wide_places, strict=True)
        return [source.name for source, places in pairs if places is None and source.count]

    def __len__(self) -> int:
        """Cubes in an epoch."""
        return len(self.owners)

    def _wide_places(self, source: Source) -> Places | None:
        """Where the surroundings that a free turn needs lie in the volume with all their voxels."""
        size = source_size(self.size)
        inside = all(high >= low for low, high in source.limits(size))
        return source.places(size) if inside and source.has_room(size) else None

    def _places(self, source: Source) -> Places:
        places = source.places(self.size)
        if source.count == 0:
            return places
        if source.bounds is not None and source.bounds[1] - source.bounds[0] < self.size:
            raise InputError(
                f"{source.name}: its parts along y for split_halves are "
                f"{source.bounds[1] - source.bounds[0]} voxels wide, fewer than cube_size "
                f"{self.size}; choose a smaller cube_size"
            )
        if any(high < low for low, high in source.limits(self.size)):
            log.warning(
                "%s: what may be used of it is smaller than cube_size %d along an axis; cubes are "
                "filled up with its mirror image (a smaller cube_size avoids this)",
                source.name,
                self.size,
            )
        if places.fitting is not None and not len(places.fitting):
            assert source.centres is not None
            raise InputError(
                f"{source.name}: none of the {len(source.centres)} voxels of its mask or "
                f"coordinate file leaves room for a cube of cube_size {self.size}; choose a "
                f"smaller cube_size, widen the mask, or use --with_mask False"
            )
        return places

    def draw(self, epoch: int, place: int, owner: int) -> Draw:
        """Choose place, rotation and direction of one cube."""
        rng = np.random.default_rng((self.seed, epoch, place))
        seed = int(rng.integers(2**31))
        rotation = self.rotations[rng.integers(len(self.rotations))]
        wide = self.wide_places[owner] if rng.random() < self.random_rot_weight else None
        places = wide or self.places[owner]
        if wide is not None:
            rotation = random_rotations(1, torch.Generator().manual_seed(seed))[0]
        z, y, x = places.draw(rng)
        shift = (places.size - self.size) // 2
        low = (z + shift, y + shift, x + shift)
        return Draw(owner, low, rotation, bool(self.swap and rng.random() < 0.5), seed)

    def load(self, draw: Draw) -> Sample:
        """Read what a draw needs."""
        source = self.sources[draw.source]
        halves = (source.first, source.second)
        if draw.swap:
            halves = (source.second, source.first)
        low, size = draw.low, self.size
        if draw.free:
            size = source_size(self.size)
            shift = (size - self.size) // 2
            low = (low[0] - shift, low[1] - shift, low[2] - shift)
        first = halves[0].cube(low, size)
        second = first if halves[1] is halves[0] else halves[1].cube(low, size)
        weight = None
        if source.weight is not None:
            region = cube_region(draw.low, self.size)
            weight = padded(source.weight.read, region, source.weight.shape)
        if not draw.free:
            return Sample(draw, (first, second), None, weight)
        middle = (slice(shift, shift + self.size),) * 3
        inner = first[middle]
        other = inner if second is first else second[middle]
        return Sample(draw, (inner, other), (first, second), weight)

    def batches(
        self,
        epoch: int,
        batch_size: int,
        *,
        first: int = 0,
        rank: int = 0,
        ranks: int = 1,
        workers: int = 2,
    ) -> Iterator[list[Sample]]:
        """Read an epoch's batches ahead of their use; each rank gets its share of every batch.

        Parameters
        ----------
        epoch, batch_size
            Which epoch; cubes per batch over all ranks.
        first
            Batch to begin with.
        rank, ranks
            Which share of how many.
        workers
            Reading threads.
        """
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(self.owners)
        order = order[: len(order) // ranks * ranks]
        starts = range(first * batch_size, len(order), batch_size)

        def sample(place: int) -> Sample:
            return self.load(self.draw(epoch, place, int(order[place])))

        def places(start: int) -> range:
            return range(start + rank, min(start + batch_size, len(order)), ranks)

        with ThreadPoolExecutor(max(1, workers)) as pool:
            pending = ([pool.submit(sample, p) for p in places(start)] for start in starts)
            waiting = deque(islice(pending, PREFETCH))
            while waiting:
                ready = [future.result() for future in waiting.popleft()]
                waiting.extend(islice(pending, 1))
                yield ready
