"""Mean, deviation and range of numbers that come block by block."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Moments:
    """Moments and range of numbers, in float64.

    Attributes
    ----------
    count
        How many numbers.
    mean
        Their mean.
    squares
        Sum of squared deviations from the mean.
    smallest, largest
        Their range.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    smallest: float = np.inf
    largest: float = -np.inf

    @classmethod
    def of(cls, block: NDArray[Any]) -> "Moments":
        """Moments of a block of finite values."""
        values = block.astype(np.float64).ravel()
        mean = float(values.mean())
        values -= mean
        squares = float(np.vdot(values, values))
        return cls(values.size, mean, squares, float(block.min()), float(block.max()))

    def add(self, other: "Moments") -> None:
        """Take in the moments of other numbers (Chan, Golub and LeVeque, 1983)."""
        total = self.count + other.count
        step = other.mean - self.mean
        self.squares += other.squares + step * step * self.count * other.count / total
        self.mean += step * other.count / total
        self.count = total
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)

    @property
    def std(self) -> float:
        """Standard deviation (over N)."""
        return float(np.sqrt(self.squares / max(self.count, 1)))
