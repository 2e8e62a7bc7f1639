"""Slices of several volumes at the same places, and curves against resolution, as PNG data."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isonet2.reports.figures import figure, plain_settings
from isonet2.reports.pictures import round_details, scale_bar, show_slice
from isonet2.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 3.2
"""Inches of a slice."""
DOTS = 80
STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True, slots=True)
class Line:
    """Values shell by shell, perhaps with errors; those that are NaN are left out."""

    name: str
    values: Sequence[float]
    errors: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over shells of equal width from frequency 0 to Nyquist.

    Attributes
    ----------
    title, says
        Above, and along the upright axis.
    lines
        What is drawn.
    limits
        Of the upright axis.
    level
        Where a thin line is drawn, or None.
    """

    title: str
    says: str
    lines: Sequence[Line]
    limits: tuple[float, float]
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Values of several things at some resolutions, with errors.

    Attributes
    ----------
    title, says
        Above, and along the upright axis.
    groups
        What the values are at, in words.
    bars
        Values and errors by name, one for each group.
    nothing
        What is said in place of the bars where there are none.
    """

    title: str
    says: str
    groups: Sequence[str]
    bars: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    nothing: str = ""


def slices(
    volumes: Mapping[str, Floats], places: Sequence[tuple[int, int]], pixel_size: float
) -> list[bytes]:
    """Draw x-y and x-z slices of volumes side by side, protein dark: a picture for each place.

    Grey values are of one scale in all pictures of a volume.

    Parameters
    ----------
    volumes
        (z, y, x) of one shape, protein bright, by the title of their column.
    places
        z and y of the slices.
    pixel_size
        Angstrom.
    """
    depth, height, width = next(iter(volumes.values())).shape
    scale = pixel_size / 10
    with plain_settings():
        rows = WIDE * height / width, WIDE * depth / width
        drawn = figure(WIDE * len(volumes) + 0.4, sum(rows) + 1.1)
        axes = drawn.subplots(2, len(volumes), squeeze=False, height_ratios=rows)
        images = []
        for column, (name, volume) in enumerate(volumes.items()):
            for one, image, high, axis in (
                (axes[0, column], volume[places[0][0]], height, "y"),
                (axes[1, column], volume[:, places[0][1]], depth, "z"),
            ):
                extent = (0.0, width * scale, 0.0, high * scale)
                show_slice(one, -image, extent, ("x (nm)", f"{axis} (nm)" if not column else ""))
                one.images[0].set_clim(*np.percentile(-volume[::2, ::2, ::2], (0.5, 99.5)))
                images.append(one.images[0])
            axes[0, column].set_title(name, fontsize=10)
            scale_bar(axes[0, column], width * scale)
        found = []
        for z, y in places:
            for number, volume in enumerate(volumes.values()):
                images[2 * number].set_data(-volume[z])
                images[2 * number + 1].set_data(-volume[:, y])
            found.append(_png(drawn))
            drawn.set_layout_engine("none")
        return found


def curves(panels: Sequence[Panel | Bars], pixel_size: float) -> bytes:
    """Draw panels beside and below each other."""
    with plain_settings():
        drawn = figure(11.5, 3.6 * -(-len(panels) // 2))
        axes = drawn.subplots(-(-len(panels) // 2), 2, squeeze=False).flatten()
        for panel, one in zip(panels, axes, strict=False):
            if isinstance(panel, Bars):
                _bars(one, panel)
            else:
                _lines(one, panel, pixel_size)
            one.set_title(panel.title, fontsize=11)
            one.set_ylabel(panel.says)
        for unused in axes[len(panels) :]:
            unused.set_axis_off()
        return _png(drawn)


def _lines(axes: Axes, panel: Panel, pixel_size: float) -> None:
    highest = 0.5 / pixel_size
    for number, line in enumerate(panel.lines):
        values = np.asarray(line.values, float)
        k = np.linspace(0, highest, len(values))
        kept = np.isfinite(values) & (k > 0)
        axes.plot(k[kept], values[kept], STYLES[number % 4], color=f"C{number}", label=line.name)
        if line.errors is not None:
            wide = np.asarray(line.errors, float)[kept]
            axes.fill_between(
                k[kept], values[kept] - wide, values[kept] + wide, color=f"C{number}", alpha=0.2,
                linewidth=0,
            )  # fmt: skip
    if panel.level is not None:
        axes.axhline(panel.level, color="grey", linewidth=0.8)
    details = round_details(highest)
    axes.set_xticks([1 / one for one in details], [f"{one:g}" for one in details])
    axes.set(xlim=(0, highest), ylim=panel.limits, xlabel="resolution (angstrom)")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)


def _bars(axes: Axes, panel: Bars) -> None:
    if not panel.groups:
        axes.text(0.5, 0.5, panel.nothing, ha="center", va="center", wrap=True)
        axes.set(xticks=[], yticks=[])
        return
    width = 0.8 / len(panel.bars)
    for number, (name, (values, errors)) in enumerate(panel.bars.items()):
        at = np.arange(len(panel.groups)) + (number - (len(panel.bars) - 1) / 2) * width
        axes.bar(at, values, width, yerr=errors, capsize=3, label=name, color=f"C{number}")
    axes.set_xticks(range(len(panel.groups)), panel.groups)
    axes.set(ylim=(0, 1), xlabel="resolution")
    axes.grid(visible=True, axis="y", alpha=0.3)
    axes.legend(fontsize=8)


def _png(drawn: Figure) -> bytes:
    sink = io.BytesIO()
    drawn.savefig(sink, format="png", dpi=DOTS)
    return sink.getvalue()
