"""What the measures mean, in sentences, with traffic lights for three of them."""

import math
from dataclasses import dataclass

from isonet2.checks.findings import Severity

LIMIT = (
    "No measurement of this kind proves a single voxel: where nothing was measured, any structure "
    "agrees with the data as well as any other. Held-out tilts test the same kind of filling "
    "nearer to the data."
)


@dataclass(frozen=True, slots=True)
class Light:
    """A traffic light: its limits, and why they are there.

    Attributes
    ----------
    name
        What it is of.
    warning, refusal
        From which value on it is yellow, and red; where `falling`, below which.
    why
        The reason of the limits.
    falling
        Whether large values are good.
    """

    name: str
    warning: float
    refusal: float
    why: str
    falling: bool = False

    def colour(self, value: float) -> Severity | None:
        """The severity of a value; None where it is green. What cannot be told is a remark."""
        if math.isnan(value):
            return "remark"
        sign = -1 if self.falling else 1
        if sign * value > sign * self.refusal:
            return "refusal"
        return "warning" if sign * value > sign * self.warning else None

    @property
    def limits(self) -> str:
        """In words."""
        side, other = ("below", "at or above") if self.falling else ("above", "at or below")
        return (
            f"green {other} {self.warning:g}, yellow {side} it, red {side} {self.refusal:g}: "
            f"{self.why}"
        )


LOST = Light(
    "signal left in the residual",
    0.25,
    0.5,
    "short trainings of small networks on simulated data left 0.1 to 0.2; a network of the wrong "
    "tilt range more than 1, because what it adds to the measured region counts too",
)
THROUGH = Light("noise let through", 0.15, 0.4, "a network that copies its input reads 1")
FILL = Light(
    "fill beyond positivity",
    0.05,
    -0.05,
    "a fill that learns nothing, only that densities are positive, must be beaten",
    falling=True,
)
IMPRINT = Light(
    "wedge out of noise",
    0.2,
    0.6,
    "what stands in the wedge when the input is noise did not come from a specimen",
)
