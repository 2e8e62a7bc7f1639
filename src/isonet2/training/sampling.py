"""Where cubes are cut, how they are turned, and how they become a batch."""

import logging
import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isonet2.data.volumes import Statistics, Volume
from isonet2.errors import InputError
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.rotation import (
    cube_rotations,
    is_exact,
    moves_wedge,
    random_rotations,
    source_size,
)
from isonet2.physics.tiling import Region, padded
from isonet2.physics.wedge import Sectors

log = logging.getLogger(__name__)

MOST_CENTRES = 500_000
PREFETCH = 4

Cube = NDArray[np.float32]
Position = tuple[int, int, int]


class Unreadable(InputError):
    """A file that was there when the run began cannot be read any more."""


def cube_region(low: Position, size: int) -> Region:
    """Slices of the cube of edge `size` with its lowest corner at `low`."""
    z, y, x = (slice(a, a + size) for a in low)
    return z, y, x


@dataclass(frozen=True, slots=True)
class Half:
    """One volume of a tomogram with the statistics that standardise it."""

    volume: Volume
    statistics: Statistics

    def region(self, region: Region) -> Cube:
        """Read a region and standardise it: protein bright, mean 0, deviation 1."""
        try:
            block = self.volume.read(region)
        except (OSError, ValueError) as error:
            raise Unreadable(
                f"{self.volume.path}: could not be read ({error}); is the file still there, and "
                f"whole?"
            ) from error
        if not np.isfinite(block).all():
            raise InputError(
                f"{self.volume.path}: holds NaN or infinite values; reconstruct it again"
            )
        return (np.float32(self.statistics.mean) - block) / np.float32(self.statistics.std)

    def cube(self, low: Position, size: int) -> Cube:
        """Cut a standardised cube; beyond a thin volume lies its mirror image."""
        return padded(self.region, cube_region(low, size), self.volume.shape)


@dataclass(frozen=True, slots=True)
class Source:
    """A tomogram as training sees it.

    Parameters
    ----------
    name
        For messages.
    first, second
        The two halves; one volume twice where there are none.
    sectors
        Measured intervals of tilt angles, degrees.
    ctf
        The microscope's transfer function, or None.
    pixel_size
        Angstrom.
    count
        Cubes to draw in an epoch.
    centres
        Voxels (n, 3) that cubes may be centred on; None: everywhere.
    weight
        Volume whose values weight the loss, or None.
    bounds
        First and last voxel along y (exclusive) that cubes may hold, or None.
    """

    name: str
    first: Half
    second: Half
    sectors: Sectors
    ctf: ContrastTransfer | None
    pixel_size: float
    count: int
    centres: NDArray[np.int32] | None = None
    weight: Volume | None = None
    bounds: tuple[int, int] | None = None

    @property
    def identity(self) -> str:
        """What of the tomogram decides on the numbers of a training run."""
        z, y, x = self.first.volume.shape
        files = " and ".join(dict.fromkeys(h.volume.path.name for h in (self.first, self.second)))
        measured = ", ".join(f"{low:g} to {high:g}" for low, high in self.sectors)
        places = "everywhere" if self.centres is None else f"at {len(self.centres)} places"
        return (
            f"{files}, {x} x {y} x {z} voxels of {self.pixel_size:g} A, tilts {measured}, "
            f"{self.ctf or 'no CTF'}, {self.count} cubes drawn {places}"
        )

    def limits(self, size: int) -> list[tuple[int, int]]:
        """Lowest and highest corner (inclusive) of a cube of edge `size` that fits, per axis.

        Where none fits, the highest is below the lowest.
        """
        z, y, x = self.first.volume.shape
        low, high = self.bounds or (0, y)
        return [(0, z - size), (low, high - size), (0, x - size)]

    def corners(self, size: int) -> list[tuple[int, int]]:
        """Like `limits`, but a cube that is larger than the volume is put in its middle."""
        return [
            (low, high) if high >= low else ((low + high) // 2,) * 2
            for low, high in self.limits(size)
        ]

    def fitting_centres(self, size: int) -> NDArray[np.int32]:
        """Those of the centres that leave room for a cube of edge `size`."""
        assert self.centres is not None
        corner = self.centres - size // 2
        low, high = np.array(self.corners(size)).T
        corner = np.where(high == low, low, corner)
        return self.centres[((corner >= low) & (corner <= high)).all(axis=1)]

    def has_room(self, size: int) -> bool:
        """Whether a cube of edge `size` can be drawn."""
        return self.centres is None or len(self.fitting_centres(size)) > 0

    def places(self, size: int) -> "Places":
        """Where cubes of edge `size` may lie."""
        low, high = np.array(self.corners(size)).T
        centres = None if self.centres is None else self.fitting_centres(size)
        return Places(size, low, high, centres)


@dataclass(frozen=True, slots=True)
class Places:
    """Where cubes of edge `size` may lie: lowest and highest corner, or chosen centres."""

    size: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    centres: NDArray[np.int32] | None

    def draw(self, rng: np.random.Generator) -> Position:
        """Lowest corner of one cube, each place equally likely."""
        if self.centres is None:
            corner = rng.integers(self.low, self.high + 1)
        else:
            centre = self.centres[rng.integers(len(self.centres))]
            corner = np.clip(centre - self.size // 2, self.low, self.high)
        return int(corner[0]), int(corner[1]), int(corner[2])


def centres_of_mask(mask: Volume) -> tuple[NDArray[np.int32], float]:
    """Voxels of a mask that are above zero, evenly thinned out where there are very many.

    Returns
    -------
    tuple
        Positions (n, 3), and the part of its voxels that the mask keeps.
    """
    z, y, x = mask.shape
    every = math.ceil(z * y * x / MOST_CENTRES)
    found, kept = [], 0
    for plane in range(z):
        values = mask.read((slice(plane, plane + 1), slice(0, y), slice(0, x)))[0]
        if values.min() < 0:
            raise InputError(
                f"{mask.path}: is no mask, it has values below zero; 0 is outside, 1 inside"
            )
        spots = np.flatnonzero(values > 0)
        chosen = spots[-kept % every :: every]
        found.append(np.stack([np.full_like(chosen, plane), *divmod(chosen, x)], axis=1))
        kept += len(spots)
    return np.concatenate(found).astype(np.int32), kept / (z * y * x)


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
    halves: tuple[Cube, Cube]
    wide: tuple[Cube, Cube] | None
    weight: Cube | None


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
        if places.centres is not None and not len(places.centres):
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
