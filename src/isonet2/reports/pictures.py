"""Pictures of volumes, masks and training, as PNG files.

matplotlib is loaded when a picture is drawn, and only its canvas for files: no window system
and no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isonet2.data.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating[Any]]
Extent = tuple[float, float, float, float]

CURVES = {
    "loss": "total",
    "n2n": "measured region",
    "mw": "missing wedge",
    "held_out": "held out, total",
    "held_out_n2n": "held out, measured region",
    "held_out_mw": "held out, missing wedge",
}
"""Columns of a training history that are drawn, with what they are called."""

_BLOCK = 256  # voxels along an axis that a spectrum is made of, at most
_PLANES = 5  # ky planes about zero that a spectrum is averaged over
_DOTS = 130  # per inch


def compare_picture(path: Path | str, volumes: Mapping[str, Floats], pixel_size: float) -> None:
    """Draw volumes side by side: x-y slice, x-z slice and x-z power spectrum.

    Parameters
    ----------
    path
        PNG file to write.
    volumes
        Volumes `(z, y, x)` by the title of their column; memory maps are read in part only.
    pixel_size
        Angstrom.
    """
    figure = _figure(len(volumes), 3)
    axes = figure.subplots(3, len(volumes), squeeze=False)
    scale = pixel_size / 10
    for column, (title, volume) in enumerate(volumes.items()):
        z, y, x = volume.shape
        top, middle, bottom = axes[:, column]
        _show(top, volume[z // 2], (0, x * scale, 0, y * scale), ("x (nm)", "y (nm)"))
        _show(middle, volume[:, y // 2], (0, x * scale, 0, z * scale), ("x (nm)", "z (nm)"))
        _show_spectrum(bottom, volume, scale)
        top.set_title(f"{title}: x-y slice")
        middle.set_title(f"{title}: x-z slice")
        bottom.set_title(f"{title}: x-z power spectrum")
    _save(figure, path)


def loss_picture(path: Path | str, history: Sequence[Mapping[str, float]]) -> None:
    """Draw the loss of every epoch: the total and the parts that it is made of.

    Parameters
    ----------
    path
        PNG file to write.
    history
        One row for each epoch, with `epoch` and some of the columns in `CURVES`. A part that
        is zero throughout took no part and is not drawn.
    """
    from matplotlib.ticker import MaxNLocator

    figure = _figure(1.6, 1)
    axes = figure.subplots()
    epochs = [row["epoch"] for row in history]
    drawn = False
    for key, label in CURVES.items():
        values = np.array([row.get(key, np.nan) for row in history], dtype=float)
        values[~np.isfinite(values) | (values <= 0)] = np.nan
        if np.isfinite(values).any():
            axes.plot(epochs, values, marker="." if len(epochs) < 60 else "", label=label)
            drawn = True
    if drawn:
        axes.set_yscale("log")
        axes.legend()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="loss", title="training")
    axes.grid(visible=True, which="both", alpha=0.3)
    _save(figure, path)


def fsc_picture(
    path: Path | str,
    frequency: Floats,
    curves: Mapping[str, Floats],
    thresholds: Sequence[float] = (0.5, 0.143),
) -> None:
    """Draw Fourier shell correlations.

    Parameters
    ----------
    path
        PNG file to write.
    frequency
        1/angstrom.
    curves
        Correlations at these frequencies by name; NaN is left out.
    thresholds
        Levels that are marked.
    """
    figure = _figure(1.6, 1)
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(frequency, curve, label=name)
    for level in thresholds:
        axes.axhline(level, color="grey", linestyle=":", linewidth=1)
    low = min(-0.05, *(float(np.nanmin(curve, initial=0)) for curve in curves.values()))
    axes.set(xlim=(0, float(frequency[-1])), ylim=(low, 1.05))
    axes.set(xlabel="frequency (1/angstrom)", ylabel="FSC", title="Fourier shell correlation")
    axes.legend()
    axes.grid(visible=True, alpha=0.3)
    _save(figure, path)


def overlay_picture(path: Path | str, volume: Floats, mask: Floats) -> None:
    """Draw the outline of a mask over the middle slices of its volume.

    Parameters
    ----------
    path
        PNG file to write.
    volume, mask
        `(z, y, x)` of one shape; the outline is where the mask passes 0.5.
    """
    if volume.shape != mask.shape:
        raise ValueError(f"a mask of {mask.shape} does not lie over a volume of {volume.shape}")
    z, y, x = volume.shape
    figure = _figure(2, 1)
    above, beside = figure.subplots(1, 2)
    for axes, index, height, name in (
        (above, np.s_[z // 2], y, "y"),
        (beside, np.s_[:, y // 2], z, "z"),
    ):
        extent = (0.0, float(x), 0.0, float(height))
        _show(axes, volume[index], extent, ("x (voxels)", f"{name} (voxels)"))
        part = np.asarray(mask[index], dtype=float)
        if part.min() < 0.5 < part.max():
            axes.contour(part, levels=[0.5], extent=extent, colors="tab:red", linewidths=1.0)
        axes.set_title(f"mask over the middle x-{name} slice")
    _save(figure, path)


def _figure(columns: float, rows: float) -> Figure:
    """Return an empty figure for so many panels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(4.2 * columns, 3.6 * rows), layout="constrained", dpi=_DOTS)


def _save(figure: Figure, path: Path | str) -> None:
    """Write a figure that appears whole."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _show(axes: Axes, image: Floats, extent: Extent, labels: tuple[str, str]) -> None:
    """Draw a slice in grey with contrast limits that outliers do not move."""
    image = np.asarray(image, dtype=float)
    low, high = np.percentile(image, (0.5, 99.5))
    if low == high:
        low, high = float(image.min()), float(image.max())
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent)
    axes.set(xlabel=labels[0], ylabel=labels[1])


def _show_spectrum(axes: Axes, volume: Floats, scale: float) -> None:
    """Draw the power of the x-z frequencies of a volume; `scale` is its voxel in nm."""
    power = power_spectrum(volume)
    low, high = np.percentile(power, (2, 99.8))
    edge = 0.5 / scale
    axes.imshow(
        power, cmap="magma", vmin=low, vmax=max(high, low + 1e-6), origin="lower",
        extent=(-edge, edge, -edge, edge), aspect="equal",
    )  # fmt: skip
    axes.set(xlabel="kx (1/nm)", ylabel="kz (1/nm)")


def power_spectrum(volume: Floats) -> Floats:
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
