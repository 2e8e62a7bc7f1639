"""What the voxels of a volume are, read once: mean and deviation, what is wild, what is blank."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isonet2.data.moments import Moments
from isonet2.data.volumes import Volume, slabs
from isonet2.errors import InputError
from isonet2.types import Block, Position

CENTRAL_SLICES = 64
WILD = 100.0
"""Robust deviations from the median beyond which a lone voxel is no density of a tomogram."""
MOST_WILD = 1e-4
"""Part of all voxels; more are structure, such as gold in an empty volume."""
CENTRAL_PERCENT = (0.5, 99.5)
DEVIATIONS_BETWEEN = 5.152
"""Standard deviations of a normal distribution between those percentiles."""
SAMPLE = 2**18
_KNOWN: dict[tuple[Path, str, int, int], "Statistics"] = {}
"""What this process has read, by file, size and time of its last change."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the voxels of a volume are, in the file's own scale.

    Attributes
    ----------
    mean, std
        Of the central z slices, in float64, without wild voxels.
    smallest, largest
        Of all voxels.
    zeros, at_ends
        Parts of all voxels that are exactly 0, and the smallest or the largest value.
    wild
        How many voxels lie beyond `limits`.
    wildest, wildest_value
        The first of those (z, y, x), and its value.
    limits
        What voxels are held to when they are used; infinite where none is wild.
    filled
        First and last plane (exclusive) along z, y, x that hold more than one value.
    holes
        How many planes between those hold one value, along z, y, x.
    """

    mean: float
    std: float
    smallest: float = -np.inf
    largest: float = np.inf
    zeros: float = 0.0
    at_ends: float = 0.0
    wild: int = 0
    wildest: Position | None = None
    wildest_value: float = 0.0
    limits: tuple[float, float] = (-np.inf, np.inf)
    filled: tuple[Range, Range, Range] | None = None
    holes: Position = (0, 0, 0)

    def tame(self, block: Block) -> Block:
        """Hold voxels to the limits, where some of the volume are wild."""
        if not self.wild:
            return block
        low, high = map(np.float32, self.limits)
        tamed: Block = np.clip(block, low, high)
        return tamed


def statistics(volume: Volume) -> Statistics:
    """Read a volume once: moments of its central 64 z slices (all, if thinner), all else of all.

    What was read is remembered as long as the file does not change.

    Raises
    ------
    InputError
        When any voxel is NaN or infinite, or the central slices hold nothing but one value.
    """
    if not volume.path.is_file():
        return _read(volume)
    state = volume.path.stat()
    key = volume.path.resolve(), str(volume.dtype), state.st_size, state.st_mtime_ns
    if key not in _KNOWN:
        _KNOWN[key] = _read(volume)
    return _KNOWN[key]


def _read(volume: Volume) -> Statistics:
    limits = _limits(volume)
    tally = _count(volume, limits)
    if tally.wild > 8 + MOST_WILD * np.prod(volume.shape):
        tally = _count(volume, (-np.inf, np.inf))
    return tally.statistics()


def _central(volume: Volume) -> Range:
    depth = volume.shape[0]
    low = max(0, (depth - CENTRAL_SLICES) // 2)
    return low, min(depth, low + CENTRAL_SLICES)


def _limits(volume: Volume) -> tuple[float, float]:
    """Values beyond which a voxel is wild, by a sample of the middle slices; infinite without."""
    low, high = _central(volume)
    region = next(slabs(volume, (low + high) // 2, high))
    values = volume.read(region).ravel()
    values = values[:: max(1, values.size // SAMPLE)].astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return -np.inf, np.inf
    bottom, middle, top = np.percentile(values, (CENTRAL_PERCENT[0], 50, CENTRAL_PERCENT[1]))
    reach = WILD * (top - bottom) / DEVIATIONS_BETWEEN
    return (middle - reach, middle + reach) if reach > 0 else (-np.inf, np.inf)


def _count(volume: Volume, limits: tuple[float, float]) -> "_Tally":
    low, high = _central(volume)
    tally = _Tally(volume, limits)
    for first, last, central in (
        (0, low, False),
        (low, high, True),
        (high, volume.shape[0], False),
    ):
        for region in slabs(volume, first, last):
            tally.take(region[0].start, volume.read(region), central=central)
    return tally


class _Tally:
    """Takes the slabs of a volume in order."""

    def __init__(self, volume: Volume, limits: tuple[float, float]) -> None:
        self.volume, self.limits = volume, limits
        self.moments = Moments()
        self.zeros = self.wild = 0
        self.wildest: Position | None = None
        self.wildest_value = 0.0
        self.least = [np.full(n, np.inf) for n in volume.shape]
        self.most = [np.full(n, -np.inf) for n in volume.shape]
        self.ends = {np.inf: 0, -np.inf: 0}

    def take(self, z: int, slab: Block, *, central: bool) -> None:
        """Take the slices from `z` on."""
        low, high = slab.min((1, 2)), slab.max((1, 2))
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise InputError(self._not_finite(z, slab))
        planes = slice(z, z + len(slab))
        self.least[0][planes], self.most[0][planes] = low, high
        for axis, others in ((1, (0, 2)), (2, (0, 1))):
            np.minimum(self.least[axis], slab.min(others), out=self.least[axis])
            np.maximum(self.most[axis], slab.max(others), out=self.most[axis])
        self.zeros += slab.size - int(np.count_nonzero(slab))
        for end in {float(low.min()), float(high.max())}:
            self.ends[end] = self.ends.get(end, 0) + int(np.count_nonzero(slab == np.float32(end)))
        kept: NDArray[np.float32] = slab
        if low.min() < self.limits[0] or high.max() > self.limits[1]:
            outside = (slab < self.limits[0]) | (slab > self.limits[1])
            self.wild += int(outside.sum())
            if self.wildest is None:
                place = np.argwhere(outside)[0]
                self.wildest = z + int(place[0]), int(place[1]), int(place[2])
                self.wildest_value = float(slab[tuple(place)])
            kept = slab[~outside]
        if central and kept.size:
            self.moments.add(Moments.of(kept))

    def _not_finite(self, z: int, slab: Block) -> str:
        bad = np.argwhere(~np.isfinite(slab))
        where = z + int(bad[0][0]), int(bad[0][1]), int(bad[0][2])
        return (
            f"{self.volume.path}: holds NaN or infinite values (the first at z, y, x = "
            f"{where[0]}, {where[1]}, {where[2]}); reconstruct it again"
        )

    def statistics(self) -> Statistics:
        """What was counted."""
        moments, total = self.moments, int(np.prod(self.volume.shape))
        if moments.std <= 1e-6 * abs(moments.mean):
            raise InputError(f"{self.volume.path}: {self._emptiness()}; reconstruct it again")
        smallest, largest = float(self.least[0].min()), float(self.most[0].max())
        filled = [
            np.flatnonzero(most > least) for least, most in zip(self.least, self.most, strict=True)
        ]
        whole = ((0, edge) for edge in self.volume.shape)
        z, y, x = (
            (int(planes[0]), int(planes[-1]) + 1) if len(planes) else all_planes
            for planes, all_planes in zip(filled, whole, strict=True)
        )
        holes = [
            int(planes[-1]) + 1 - int(planes[0]) - len(planes) if len(planes) else 0
            for planes in filled
        ]
        return Statistics(
            mean=moments.mean,
            std=moments.std,
            smallest=smallest,
            largest=largest,
            zeros=self.zeros / total,
            at_ends=max(self.ends.get(smallest, 0), self.ends.get(largest, 0)) / total,
            wild=self.wild,
            wildest=self.wildest,
            wildest_value=self.wildest_value,
            limits=self.limits if self.wild else (-np.inf, np.inf),
            filled=(z, y, x),
            holes=(holes[0], holes[1], holes[2]),
        )

    def _emptiness(self) -> str:
        """Say how a volume without contrast in its central slices is empty."""
        centre = self.moments
        value = "zero" if centre.smallest == centre.largest == 0 else f"{centre.mean:g}"
        if self.least[0].min() < centre.smallest or self.most[0].max() > centre.largest:
            return f"its central z slices are {value} throughout"
        return f"every voxel is {value}"
