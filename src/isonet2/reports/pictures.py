"""Pictures of volumes, masks and training, as PNG files; one that fails is a warning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from isonet2.errors import counted
from isonet2.reports.figures import figure, never_fatal, save
from isonet2.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Voxels(Protocol):
    """A volume `(z, y, x)` in memory, or one that is read where it is indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""

    def __getitem__(self, index: Any, /) -> Any:
        """Some of them."""


Extent = tuple[float, float, float, float]

CURVES = {"n2n": "measured region", "mw": "missing wedge", "held_out": "held out"}
"""Columns of a training history that have a panel each, with what it is called."""

_BLOCK = 256  # voxels along an axis that a spectrum is made of, at most
_PLANES = 5  # ky planes about zero that a spectrum is averaged over
_WIDE, _SQUARE = 4.2, 3.0  # inches: the longer side of an x-y slice, and a spectrum
_SIDES, _GAP, _TOP = 1.0, 0.75, 0.75  # inches around panels, between them, and above
_APART = 0.09  # of an axis between two numbers
_TINT = (0.2, 0.8, 0.4)
_ROUND_LENGTHS = [m * 10.0**p for p in range(-2, 6) for m in (1, 2, 5)]


@never_fatal
def compare_picture(
    path: Path | str, volumes: Mapping[str, Voxels], pixel_size: float, title: str = ""
) -> None:
    """Draw volumes side by side: x-y slice, x-z slice and x-z power spectrum, at one scale.

    Parameters
    ----------
    path
        PNG file to write.
    volumes
        Volumes of one shape by the title of their column; of those on disk a part is read.
    pixel_size
        Angstrom.
    title
        Stands above all.
    """
    scale = pixel_size / 10
    z, y, x = next(iter(volumes.values())).shape
    inches = _WIDE / max(x, y)  # of a voxel
    heights = (y * inches, z * inches, _SQUARE)
    width, height = _WIDE + _SIDES, sum(heights) + _GAP * 3 + _TOP
    drawn = figure(width * len(volumes), height, layout=None)
    for column, (name, volume) in enumerate(volumes.items()):
        bottom = height - _TOP

        def panel(wide: float, high: float, column: int = column) -> Axes:
            nonlocal bottom
            bottom -= high
            left = column * width + _SIDES * 0.75 + (_WIDE - wide) / 2
            place = (
                left / (width * len(volumes)), bottom / height,
                wide / (width * len(volumes)), high / height,
            )  # fmt: skip
            bottom -= _GAP
            return drawn.add_axes(place)

        above, beside = panel(x * inches, heights[0]), panel(x * inches, heights[1])
        show_slice(above, volume[z // 2], (0, x * scale, 0, y * scale), ("x (nm)", "y (nm)"))
        show_slice(beside, volume[:, y // 2], (0, x * scale, 0, z * scale), ("x (nm)", "z (nm)"))
        scale_bar(above, x * scale)
        power = panel(heights[2], heights[2])
        _show_spectrum(power, volume, scale)
        above.set_title(f"{name}: x-y slice {z // 2 + 1} of {z}", fontsize=10)
        beside.set_title(f"{name}: x-z slice {y // 2 + 1} of {y}", fontsize=10)
        power.set_title(f"{name}: x-z power spectrum", fontsize=10)
    drawn.suptitle(title, fontsize=12, y=1 - 0.12 / height, va="top")
    save(drawn, path)


@never_fatal
def loss_picture(
    path: Path | str,
    history: Sequence[Mapping[str, float]],
    floor: Mapping[str, float] | None = None,
) -> None:
    """Draw the loss of every epoch, a panel for each part, so that its fall can be seen.

    Noise is most of every loss, so each panel has a scale of its own, which follows the later
    epochs: the first ones may leave it at the top.

    Parameters
    ----------
    path
        PNG file to write.
    history
        One row for each epoch, with `epoch` and some of the columns in `CURVES`. A part that
        is zero throughout took no part and is not drawn.
    floor
        What noise contributes to these columns, where it is known; drawn as a line.
    """
    from matplotlib.ticker import MaxNLocator

    epochs = np.array([row["epoch"] for row in history])
    parts: dict[str, Floats] = {}
    for key in CURVES:
        values = np.array([row.get(key, np.nan) for row in history], dtype=float)
        values[~np.isfinite(values) | (values <= 0)] = np.nan
        if np.isfinite(values).any():
            parts[key] = values
    drawn = figure(4.6 * max(1, len(parts)), 3.6)
    panels = drawn.subplots(1, max(1, len(parts)), squeeze=False)[0]
    for axes, (key, values) in zip(panels, parts.items(), strict=False):
        axes.plot(epochs, values, marker="." if len(epochs) < 60 else "")
        _follow_the_end(axes, values, None if floor is None else floor.get(key))
        best = int(np.nanargmin(values))
        axes.set_title(f"{CURVES[key]}: {values[np.isfinite(values)][-1]:.5g}")
        axes.set(xlabel=f"epoch (lowest in {epochs[best]:g})", ylabel="loss")
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, alpha=0.3)
    save(drawn, path)


def _follow_the_end(axes: Axes, values: Floats, floor: float | None) -> None:
    """Scale a panel to its later epochs, and draw the noise floor or say where it lies."""
    known = values[np.isfinite(values)]
    late = known[len(known) // 5 :] if len(known) > 4 else known
    low, high = float(late.min()), float(late.max())
    span = max(high - low, 1e-3 * high)
    if floor is not None and floor > low - 3 * span:
        low = min(low, floor)
        axes.axhline(floor, color="grey", linestyle=":", label=f"noise {floor:.5g}")
        axes.legend(loc="upper right")
    elif floor is not None:
        axes.annotate(
            f"noise {floor:.5g}, below", (0.98, 0.02), xycoords="axes fraction", ha="right"
        )
    span = max(high - low, span)
    axes.set_ylim(low - 0.08 * span, high + 0.08 * span)
    axes.ticklabel_format(axis="y", useOffset=False)


@never_fatal
def fsc_picture(
    path: Path | str,
    frequency: Floats,
    curves: Mapping[str, Floats],
    thresholds: Sequence[float] = (0.5, 0.143),
    title: str = "Fourier shell correlation",
) -> None:
    """Draw Fourier shell correlations against frequency, and against angstrom above.

    Parameters
    ----------
    path
        PNG file to write.
    frequency
        1/angstrom, rising from 0.
    curves
        Correlations at these frequencies by name; NaN is left out.
    thresholds
        Levels that are marked with their numbers.
    title
        Stands above.
    """
    drawn = figure(6.7, 4.2)
    axes = drawn.subplots()
    for name, curve in curves.items():
        axes.plot(frequency, curve, label=name)
    last = float(frequency[-1])
    for level in thresholds:
        axes.axhline(level, color="grey", linestyle="--", linewidth=1)
        axes.text(0.995 * last, level + 0.01, f"{level:g}", ha="right", color="dimgrey")
    low = min(-0.05, *(float(np.nanmin(curve, initial=0)) for curve in curves.values()))
    axes.set(xlim=(0, last), ylim=(low, 1.05))
    axes.set(xlabel="frequency (1/angstrom)", ylabel="FSC")
    above = axes.secondary_xaxis("top")
    details = round_details(last)
    above.set_xticks([1 / detail for detail in details], [f"{detail:g}" for detail in details])
    above.set_xlabel("resolution (angstrom)")
    drawn.suptitle(title)
    axes.legend()
    axes.grid(visible=True, alpha=0.3)
    save(drawn, path)


def round_details(highest: float) -> list[float]:
    """Round numbers of angstrom that stand well apart on an axis from 0 to a frequency."""
    numbers = [m * 10.0**p for p in range(-1, 5) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]
    chosen: list[float] = []
    for detail in sorted(numbers):
        place = 1 / (detail * highest)
        if _APART / 2 <= place <= 1 and (
            not chosen or 1 / (chosen[-1] * highest) - place >= _APART
        ):
            chosen.append(detail)
    return chosen


def overlay_picture(
    path: Path | str,
    volume: Floats,
    mask: Floats,
    *,
    voxel_size: float | None = None,
    title: str = "",
    beads: Floats | None = None,
) -> None:
    """Draw a mask over the middle slices of its volume: what it keeps is tinted.

    Parameters
    ----------
    path
        PNG file to write.
    volume, mask
        `(z, y, x)` of one shape; the outline is where the mask passes 0.5.
    voxel_size
        Of these voxels, angstrom; None where it is not known.
    title
        Stands above.
    beads
        Middles of gold beads, (n, 3) as (z, y, x) in voxels, which are marked wherever they lie.
    """
    if volume.shape != mask.shape:
        raise ValueError(f"a mask of {mask.shape} does not lie over a volume of {volume.shape}")
    _draw_mask(path, volume, mask, voxel_size, title, np.zeros((0, 3)) if beads is None else beads)


@never_fatal
def _draw_mask(
    path: Path | str,
    volume: Floats,
    mask: Floats,
    voxel_size: float | None,
    title: str,
    beads: Floats,
) -> None:
    from matplotlib.patches import Patch

    z, y, x = volume.shape
    scale, unit = (1.0, "voxels") if voxel_size is None else (voxel_size / 10, "nm")
    drawn = figure(8.4, 4.6)
    above, beside = drawn.subplots(1, 2, width_ratios=(1, 1))
    for axes, index, height, name, where in (
        (above, np.s_[z // 2], y, "y", 1),
        (beside, np.s_[:, y // 2], z, "z", 0),
    ):
        extent = (0.0, x * scale, 0.0, height * scale)
        show_slice(axes, volume[index], extent, (f"x ({unit})", f"{name} ({unit})"))
        part = np.asarray(mask[index], dtype=float)
        tint = np.zeros((*part.shape, 4))
        tint[part > 0.5] = (*_TINT, 0.3)
        axes.imshow(tint, origin="lower", extent=extent, interpolation="nearest")
        if part.min() < 0.5 < part.max():
            axes.contour(part, levels=[0.5], extent=extent, colors="tab:red", linewidths=1.0)
        axes.scatter(
            (beads[:, 2] + 0.5) * scale, (beads[:, where] + 0.5) * scale,
            s=60, facecolors="none", edgecolors="gold", linewidths=1.2,
        )  # fmt: skip
        axes.set_title(f"middle x-{name} slice", fontsize=10)
    marks = [Patch(facecolor=(*_TINT, 0.5), edgecolor=_TINT, label="kept")]
    if len(beads):
        gold = f"gold: {counted(len(beads), 'bead')}, at all heights"
        marks.append(Patch(facecolor="none", edgecolor="gold", linewidth=1.5, label=gold))
    drawn.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False)
    drawn.suptitle(title, fontsize=12)
    save(drawn, path)


def scale_bar(axes: Axes, width: float) -> None:
    """Lay a bar of a round length over the lower left of a slice that is `width` nm wide."""
    length = next(n for n in _ROUND_LENGTHS if n >= width / 6)
    left, low = 0.05, 0.06
    at = [left, left + length / width]
    axes.plot(
        at, [low, low], transform=axes.transAxes, color="black", linewidth=6, solid_capstyle="butt"
    )
    axes.plot(
        at,
        [low, low],
        transform=axes.transAxes,
        color="white",
        linewidth=3.5,
        solid_capstyle="butt",
    )
    axes.text(
        sum(at) / 2, low + 0.025, f"{length:g} nm", transform=axes.transAxes, ha="center",
        va="bottom", color="white", fontsize=9,
        bbox={"facecolor": "black", "alpha": 0.45, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def show_slice(axes: Axes, image: Floats, extent: Extent, labels: tuple[str, str]) -> None:
    """Draw a slice in grey with contrast limits that outliers do not move."""
    image = np.asarray(image, dtype=float)
    low, high = np.percentile(image, (0.5, 99.5))
    if low == high:
        low, high = float(image.min()), float(image.max())
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent)
    axes.set(xlabel=labels[0], ylabel=labels[1])


def _show_spectrum(axes: Axes, volume: Voxels, scale: float) -> None:
    """Draw the power of the x-z frequencies of a volume; `scale` is its voxel in nm."""
    power = power_spectrum(volume)
    low, high = np.percentile(power, (2, 99.8))
    edge = 0.5 / scale
    axes.imshow(
        power, cmap="magma", vmin=low, vmax=max(high, low + 1e-6), origin="lower",
        extent=(-edge, edge, -edge, edge), aspect="equal",
    )  # fmt: skip
    axes.set(xlabel="kx (1/nm)", ylabel="kz (1/nm)")


def power_spectrum(volume: Voxels) -> Floats:
    """Return the log10 power of the x-z frequencies of a volume, zero frequency in the middle.

    Parameters
    ----------
    volume
        `(z, y, x)`; its middle block of at most 256 voxels along each axis is used, under a
        smooth window, and averaged over the planes nearest to `ky = 0`.

    Returns
    -------
    array
        `(kz, kx)`, shifted for drawing.
    """
    cut = tuple(slice((n - min(n, _BLOCK)) // 2, (n + min(n, _BLOCK)) // 2) for n in volume.shape)
    block = np.array(volume[cut], dtype=np.float64)
    block -= block.mean()
    for axis, n in enumerate(block.shape):
        window = np.hanning(n + 2)[1:-1]
        block *= window.reshape([-1 if a == axis else 1 for a in range(3)])
    planes = np.fft.fft(block, axis=1)
    nearest = [ky for ky in range(-(_PLANES // 2), _PLANES // 2 + 1) if abs(ky) < block.shape[1]]
    power = (np.abs(np.fft.fft2(planes[:, nearest], axes=(0, 2))) ** 2).mean(axis=1)
    power = np.fft.fftshift(power)
    floor = max(float(power.max()) * 1e-12, np.finfo(np.float64).tiny)
    shown: Floats = np.log10(np.maximum(power, floor))
    return shown
