"""A tomogram as training sees it: its standardised halves, and where cubes of it may lie."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isonet2.data.volumes import Volume, no_mask
from isonet2.opening.halves import Half, names_of
from isonet2.physics.geometry import Geometry
from isonet2.types import Position

MOST_CENTRES = 500_000


@dataclass(frozen=True, slots=True)
class Source:
    """A tomogram as training sees it.

    Parameters
    ----------
    name
        For messages.
    first, second
        The two halves; one volume twice where there are none.
    geometry
        What of Fourier space was measured, and how the microscope transferred it.
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
    geometry: Geometry
    count: int
    centres: NDArray[np.int32] | None = None
    weight: Volume | None = None
    bounds: tuple[int, int] | None = None

    @property
    def files(self) -> str:
        """Names of its halves' files, or of the one that it has."""
        return names_of((self.first, self.second))

    @property
    def identity(self) -> dict[str, str]:
        """What of the tomogram decides on the numbers of a training run, by what it is called."""
        z, y, x = self.first.volume.shape
        return {
            "file": self.files,
            "size": f"{x} x {y} x {z} voxels",
            "rlnPixelSize": f"{self.geometry.pixel_size:g} A",
            "tilt range": self.geometry.tilts,
            "CTF": str(self.geometry.ctf),
            "rlnNumberSubtomo": str(self.count),
            "number of places for cubes": "any" if self.centres is None else f"{len(self.centres)}",
        }

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
        """Numbers (m,) of those centres that leave room for a cube of edge `size`."""
        assert self.centres is not None
        corner = self.centres - size // 2
        low, high = np.array(self.corners(size)).T
        corner = np.where(high == low, low, corner)
        fits = ((corner >= low) & (corner <= high)).all(axis=1)
        return np.flatnonzero(fits).astype(np.int32)

    def has_room(self, size: int) -> bool:
        """Whether a cube of edge `size` can be drawn."""
        return self.centres is None or len(self.fitting_centres(size)) > 0

    def places(self, size: int) -> "Places":
        """Where cubes of edge `size` may lie."""
        low, high = np.array(self.corners(size)).T
        fitting = None if self.centres is None else self.fitting_centres(size)
        return Places(size, low, high, self.centres, fitting)


@dataclass(frozen=True, slots=True)
class Places:
    """Where cubes of edge `size` may lie: lowest and highest corner, or chosen centres.

    The centres (n, 3) are the tomogram's own, not a copy; `fitting` holds the numbers (m,) of
    those that leave room.
    """

    size: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    centres: NDArray[np.int32] | None
    fitting: NDArray[np.int32] | None

    def draw(self, rng: np.random.Generator) -> Position:
        """Lowest corner of one cube, each place equally likely."""
        if self.centres is None or self.fitting is None:
            corner = rng.integers(self.low, self.high + 1)
        else:
            centre = self.centres[self.fitting[rng.integers(len(self.fitting))]]
            corner = np.clip(centre - self.size // 2, self.low, self.high)
        return int(corner[0]), int(corner[1]), int(corner[2])


def changes(
    had: Mapping[str, Mapping[str, str]], has: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """What has become of tomograms, given the identity of each by name, then and now."""
    found = [f"{name} is no longer in it" for name in had if name not in has]
    found += [f"{name} is new in it" for name in has if name not in had]
    return found + [
        f"{what} of {name} was {had[name].get(what)} and is {now}"
        for name in has
        if name in had
        for what, now in has[name].items()
        if had[name].get(what) != now
    ]


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
            raise no_mask(mask.path, float(values.min()))
        spots = np.flatnonzero(values > 0)
        chosen = spots[-kept % every :: every]
        found.append(np.stack([np.full_like(chosen, plane), *divmod(chosen, x)], axis=1))
        kept += len(spots)
    return np.concatenate(found).astype(np.int32), kept / (z * y * x)
