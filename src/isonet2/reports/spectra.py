"""One picture of what a tomogram is: two slices, its x-z spectrum, its power against frequency."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isonet2.reports.figures import figure, plain_settings
from isonet2.reports.pictures import power_spectrum, round_details
from isonet2.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

DECLARED, MEASURED = "cyan", "white"


@dataclass(frozen=True, slots=True)
class Portrait:
    """What is drawn of a tomogram.

    Attributes
    ----------
    binned
        Voxels (z, y, x) on a coarse grid.
    binned_size
        Their edge, angstrom; 0 where it is not known.
    block
        Voxels (z, y, x) of its middle on the true grid.
    size
        Their edge, angstrom; 0 where it is not known.
    declared, measured
        Tilt ranges in degrees.
    curves
        Frequency (cycles per voxel) and power by name.
    zeros
        Frequencies of the declared CTF's zeros, cycles per voxel.
    agree
        Frequency to which its halves agree, cycles per voxel; None where there are none.
    """

    binned: Floats
    binned_size: float
    block: Floats
    size: float
    declared: Sequence[tuple[float, float]]
    measured: Sequence[tuple[float, float]]
    curves: dict[str, tuple[Floats, Floats]]
    zeros: Sequence[float]
    agree: float | None = None


def portrait(what: Portrait, name: str) -> bytes | None:
    """Draw a tomogram of some name as a PNG; None, with a warning, where that fails."""
    try:
        with plain_settings():
            return _drawn(what)
    except Exception as error:  # whatever a library that draws may raise
        log.warning("%s: its picture was not drawn: %s", name, str(error) or repr(error))
        return None


def _drawn(what: Portrait) -> bytes:
    drawn = figure(16, 4)
    above, beside, middle, right = drawn.subplots(1, 4)
    z, y, _ = what.binned.shape
    _slice(above, what.binned[max(0, z // 2 - 1) : z // 2 + 1].mean(0), what, "y")
    _slice(beside, what.binned[:, max(0, y // 2 - 1) : y // 2 + 1].mean(1), what, "z")
    _spectrum(middle, what)
    _curves(right, what)
    sink = io.BytesIO()
    drawn.savefig(sink, format="png", backend="agg")
    return sink.getvalue()


def _slice(axes: Axes, image: Floats, what: Portrait, name: str) -> None:
    unit, scale = ("nm", what.binned_size / 10) if what.binned_size else ("voxels", 1.0)
    low, high = np.percentile(image, (1, 99))
    height, width = image.shape
    extent = (0.0, width * scale, 0.0, height * scale)
    axes.imshow(
        image, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), origin="lower", extent=extent
    )
    axes.set(xlabel=f"x ({unit})", ylabel=f"{name} ({unit})", title=f"middle x-{name} slice")


def _spectrum(axes: Axes, what: Portrait) -> None:
    power = power_spectrum(what.block)
    low, high = np.percentile(power, (2, 99.8))
    axes.imshow(
        power, cmap="magma", vmin=low, vmax=max(high, low + 1e-9), origin="lower",
        extent=(-0.5, 0.5, -0.5, 0.5), aspect="equal",
    )  # fmt: skip
    for ranges, color, style, label in (
        (what.declared, DECLARED, "-", "declared"),
        (what.measured, MEASURED, "--", "measured"),
    ):
        for end in [end for ends in ranges for end in ends]:
            x, z = np.cos(np.radians(end)) / 2, np.sin(np.radians(end)) / 2
            axes.plot([-x, x], [-z, z], style, color=color, linewidth=2, label=label)
            label = "_"
    axes.set(
        xlim=(-0.5, 0.5), ylim=(-0.5, 0.5), xlabel="kx (1/voxel)", ylabel="kz (1/voxel)",
        title="x-z power spectrum",
    )  # fmt: skip
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right", fontsize=8, facecolor="dimgrey", labelcolor="white")


def _curves(axes: Axes, what: Portrait) -> None:
    scale = 1 / what.size if what.size else 1.0
    for name, (frequency, power) in what.curves.items():
        shown = np.where(power > 0, power, np.nan)
        axes.plot(frequency * scale, shown, label=name)
    for number, zero in enumerate(what.zeros):
        label = "zeros of the declared CTF" if number == 0 else "_"
        axes.axvline(zero * scale, color="grey", linestyle=":", linewidth=1, label=label)
    if what.agree is not None:
        axes.axvline(what.agree * scale, color="black", linewidth=1, label="halves agree to here")
    axes.set_yscale("log")
    unit = "1/angstrom" if what.size else "1/voxel"
    axes.set(xlabel=f"frequency ({unit})", ylabel="power")
    if what.size:
        details = round_details(scale / 2)
        above = axes.secondary_xaxis("top")
        above.set_xticks([1 / detail for detail in details], [f"{detail:g}" for detail in details])
        above.set_xlabel("power against detail (angstrom)")
    axes.grid(visible=True, alpha=0.3)
    if what.curves:
        axes.legend(fontsize=8)
