"""The slab that a specimen fills: two parallel planes, fitted to where the tomogram varies."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

COLUMN, COLUMNS = 8, 24
"""Least edge, voxels, and largest number along an axis, of the columns that are fitted."""
STEEPEST = 30
"""Largest angle between a slab and the x-y plane along x and along y, degrees."""
STEPS = 5, 1
"""Steps of the angles in a first and in a second search, degrees."""
ROUNDS = 6
BRIGHTEST = 0.98
"""Columns vary no more than this part of all, so that a bead does not pull the planes to it."""
CLEAR = 1.5
"""A slab differs from its surroundings by so many of the deviations that these have,"""
DISTINCT = 1.2
"""varies more than they by such a factor,"""
SMALLEST = 0.1
"""and takes so much of the volume: in a small one, noise alone makes corners that differ."""


@dataclass(frozen=True, slots=True)
class Slab:
    """The part of a volume between two parallel planes.

    Parameters
    ----------
    low, high
        Where the planes meet the axis through the volume's middle along z; voxels, their edges
        at whole numbers.
    slope_y, slope_x
        Rise of the planes along z for each voxel along y and x.
    """

    low: float
    high: float
    slope_y: float
    slope_x: float

    @property
    def thickness(self) -> float:
        """Distance of the planes, voxels."""
        return (self.high - self.low) / math.hypot(1.0, self.slope_y, self.slope_x)

    @property
    def angles(self) -> tuple[float, float]:
        """Angles with the x-y plane along y and along x, degrees."""
        return math.degrees(math.atan(self.slope_y)), math.degrees(math.atan(self.slope_x))

    def voxels(self, shape: tuple[int, ...]) -> Tensor:
        """True for the voxels of a volume whose centres lie in the slab, (z, y, x)."""
        z, y, x = (torch.arange(n, dtype=torch.float32) + 0.5 for n in shape)
        rise = _rise(self.slope_y, self.slope_x, y - shape[1] / 2, x - shape[2] / 2)
        depth = z[:, None, None] - rise
        return (depth > self.low) & (depth < self.high)


def fit_slab(deviation: Tensor) -> Slab | None:
    """Find the slab inside which a tomogram varies more than outside it.

    For a given limit between both, the best slab is the one over which the sum of what lies
    above the limit is largest; the limit then moves to the middle between the slab and the
    rest, until both agree.

    Parameters
    ----------
    deviation
        Local standard deviation of a smoothed tomogram, (z, y, x).

    Returns
    -------
    Slab or None
        None when nothing empty stands out beside the slab.
    """
    edge = max(COLUMN, math.ceil(max(deviation.shape[1:]) / COLUMNS))
    y, x = (_centres(n, edge) for n in deviation.shape[1:])
    cells = F.avg_pool2d(deviation.float()[:, None], edge, ceil_mode=True, count_include_pad=False)[
        :, 0
    ].cpu()
    cells = cells.clamp_max(torch.quantile(_sample(cells), BRIGHTEST))
    limit = _otsu(_sample(cells))
    for _ in range(ROUNDS):
        slab = _best(cells - limit, y, x)
        inside = _cells_inside(slab, cells.shape, y, x)
        if inside.all() or inside.float().mean() < SMALLEST:
            return None
        specimen, rest = cells[inside].mean(), cells[~inside].mean()
        limit = float(specimen + rest) / 2
    clear = specimen - rest > CLEAR * cells[~inside].std() and specimen > DISTINCT * rest
    return slab if clear else None


def _rise(slope_y: float, slope_x: float, y: Tensor, x: Tensor) -> Tensor:
    return slope_y * y[:, None] + slope_x * x


def _centres(size: int, edge: int) -> Tensor:
    """Middles of the columns along an axis, counted from the volume's middle."""
    first = torch.arange(0, size, edge, dtype=torch.float32)
    return (first + (first + edge).clamp_max(size)) / 2 - size / 2


def _cells_inside(slab: Slab, shape: torch.Size, y: Tensor, x: Tensor) -> Tensor:
    z = torch.arange(shape[0], dtype=torch.float32)[:, None, None] + 0.5
    depth = z - _rise(slab.slope_y, slab.slope_x, y, x)
    return (depth > slab.low) & (depth < slab.high)


def _best(excess: Tensor, y: Tensor, x: Tensor) -> Slab:
    """The slab with the largest sum of a quantity (z, columns along y, columns along x)."""
    below = F.pad(excess.cumsum(0), (0, 0, 0, 0, 1, 0))
    found, reach = Slab(0, 0, 0, 0), STEEPEST
    for step in STEPS:
        y_angle, x_angle = found.angles
        turns = range(-reach, reach + 1, step)
        angles = [(y_angle + a, x_angle + b) for a in turns for b in turns]
        slabs = [_best_between(below, y, x, a, b) for a, b in angles]
        found = max(slabs, key=lambda pair: pair[0])[1]
        reach = step
    return found


def _best_between(
    below: Tensor, y: Tensor, x: Tensor, y_angle: float, x_angle: float
) -> tuple[float, Slab]:
    """The best slab of given angles, and its sum; `below` holds sums below each height."""
    size = len(below) - 1
    slope_y, slope_x = math.tan(math.radians(y_angle)), math.tan(math.radians(x_angle))
    heights = torch.arange(-size, 2 * size + 1)
    planes = heights[:, None, None] + _rise(slope_y, slope_x, y, x).round().long()
    sums = below.gather(0, planes.clamp(0, size)).sum((1, 2))
    least, where = sums.cummin(0)
    gain, top = (sums - least).max(0)
    low, high = float(heights[where[top]]), float(heights[top])
    return float(gain), Slab(low, high, slope_y, slope_x)


def _sample(values: Tensor, size: int = 100_000) -> Tensor:
    """At most so many of the values, evenly spread."""
    flat = values.flatten()
    return flat[:: math.ceil(len(flat) / size)]


def _otsu(values: Tensor) -> float:
    """The limit that parts values into two groups as different as possible (Otsu 1979)."""
    ordered = values.double().sort().values
    sums = ordered.cumsum(0)
    count = torch.arange(1, len(ordered), dtype=torch.float64)
    rest = len(ordered) - count
    apart = sums[:-1] / count - (sums[-1] - sums[:-1]) / rest
    return float(ordered[int((count * rest * apart**2).argmax())])
