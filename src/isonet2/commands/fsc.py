"""The command `fsc`: how far two volumes agree, frequency by frequency."""

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isonet2.data.files import atomic_path
from isonet2.data.labels import OF_TWO, restored_state
from isonet2.data.progress import ProgressFile
from isonet2.data.volumes import Volume, no_mask, open_volume
from isonet2.data.voxels import statistics
from isonet2.errors import InputError
from isonet2.parameters import FscParameters, write_parameters
from isonet2.parameters.record import FILE_NAME
from isonet2.physics.fourier import spectrum
from isonet2.physics.metrics import (
    SPECIMEN_DEPTH,
    fourier_shell_correlation,
    regions,
    soft_edge,
)
from isonet2.reports.pictures import fsc_picture
from isonet2.reports.table import show_table

log = logging.getLogger(__name__)

THRESHOLDS = (0.5, 0.143)
FEWEST = 16  # frequencies, mates counted, that a shell of a region must hold to be compared

_RESTORED = {
    2: "of two outputs of one network proves nothing: both hold what the network invented; compare "
    "with a truth, or train two networks on separate data (refine --split_halves True, predict "
    "--model2)",
    1: "of a restored volume and another one says something where the other is a truth, and "
    "nothing where it is a tomogram as reconstructed",
    0: "compares nothing in tomograms as reconstructed, and proves nothing if one network made "
    "both",
}
"""What the FSC in the missing wedge is worth, by how many of the volumes are known as restored."""

Curve = NDArray[np.float64]


def fsc(parameters: FscParameters) -> Path:
    """Write the curve as `fsc.csv` and `fsc.png`, and show the resolution.

    Parameters
    ----------
    parameters
        Two volumes, mask, and the tilt range for curves inside what was measured and inside
        the missing wedge.

    Returns
    -------
    Path
        The table: frequency (1/angstrom), resolution (angstrom) and the correlations `all`,
        `measured` and `wedge`; cells of shells that hold too few frequencies are empty.

    Raises
    ------
    InputError
        When shapes differ, or the pixel size is not known.
    """
    p = parameters
    volumes = [open_volume(path) for path in (p.first, p.second)]
    _check_shapes(volumes)
    pixel_size = p.pixel_size or _pixel_size(volumes[0])
    _warn(p, volumes)
    with ProgressFile(p.output_dir, p.command, FILE_NAME):
        return _compared(p, volumes, pixel_size)


def _compared(p: FscParameters, volumes: list[Volume], pixel_size: float) -> Path:
    """Compare, write and show."""
    curves = _curves(p, volumes)
    count = len(curves["all"])
    frequency = np.arange(count) / (min(volumes[0].shape) * pixel_size)
    path = p.output_dir / "fsc.csv"
    _write(path, frequency, curves)
    title = f"{p.first.name} against {p.second.name}"
    fsc_picture(p.output_dir / "fsc.png", frequency, curves, THRESHOLDS, title)
    write_parameters(p, p.output_dir)
    rows = [
        [name, *(_words(resolution(frequency, curve, level), pixel_size) for level in THRESHOLDS)]
        for name, curve in curves.items()
    ]
    headings = ["region", *(f"resolution at {level:g} (A)" for level in THRESHOLDS)]
    show_table(f"{p.first} against {p.second}", headings, rows)
    log.info("wrote fsc.csv and fsc.png in %s", p.output_dir)
    return path


def resolution(frequency: Curve, curve: Curve, level: float) -> float | None:
    """Resolution at which a curve first falls below a level, by linear interpolation.

    Parameters
    ----------
    frequency
        Rising, from 0; 1/angstrom.
    curve
        Correlations; NaN where there is none.
    level
        Threshold.

    Returns
    -------
    float or None
        Angstrom; 0 when the curve never falls below, None when it starts below.
    """
    known = np.flatnonzero(np.isfinite(curve) & (frequency > 0))
    below = [place for place, index in enumerate(known) if curve[index] < level]
    if not below:
        return 0.0 if known.size else None
    if below[0] == 0:
        return None
    left, right = known[below[0] - 1], known[below[0]]
    part = (curve[left] - level) / (curve[left] - curve[right])
    return float(1 / (frequency[left] + part * (frequency[right] - frequency[left])))


def _words(found: float | None, pixel_size: float) -> str:
    if found is None:
        return "none"
    return f"{found:.2f}" if found else f"{2 * pixel_size:.2f} or finer"


def _check_shapes(volumes: list[Volume]) -> None:
    first = volumes[0]
    for other in volumes[1:]:
        if other.shape != first.shape:
            raise InputError(
                f"{other.path}: its shape {other.shape} (z, y, x) is not that of {first.path}, "
                f"{first.shape}; bring both to one grid (isonet.py resize)"
            )


def _pixel_size(volume: Volume) -> float:
    if volume.voxel_size is None:
        raise InputError(f"{volume.path}: has no voxel size; add --pixel_size")
    return float(np.mean(volume.voxel_size))


def _warn(p: FscParameters, volumes: list[Volume]) -> None:
    """Say what a high curve does not prove."""
    notes = [" ".join(volume.header.labels) for volume in volumes]
    states = [restored_state(volume) for volume in volumes]
    for volume, state in zip(volumes, states, strict=True):
        if state is not None:
            log.info("%s: is a restored volume: %s", volume.path, state)
    if p.first.resolve() == p.second.resolve():
        log.warning("both volumes are the same file: the correlation is 1 and means nothing")
    two = all(any(name in note for name in OF_TWO) for note in notes)
    said = _RESTORED[sum(state is not None for state in states)]
    if not two and (p.tilt_min is not None or any(states)):
        log.warning("in the missing wedge the FSC %s", said)


def _curves(p: FscParameters, volumes: list[Volume]) -> dict[str, Curve]:
    """Correlations by region; both volumes are in memory, with their spectra."""
    shape = volumes[0].shape
    window = _window(p.mask, volumes[0])
    waves = []
    for volume in volumes:
        mean = statistics(volume).mean
        waves.append(spectrum((torch.from_numpy(volume.read()) - mean) * window))
    parts: Mapping[str, Tensor | None] = {"all": None}
    if p.tilt_min is not None and p.tilt_max is not None:
        parts = regions(shape, ((p.tilt_min, p.tilt_max),), SPECIMEN_DEPTH * shape[0])
    curves: dict[str, Curve] = {}
    for name, region in parts.items():
        values, sizes = fourier_shell_correlation(waves[0], waves[1], shape, region)
        curve = np.asarray(values, np.float64)
        curve[np.asarray(sizes) < (1 if region is None else FEWEST)] = np.nan
        curves[name] = curve
    return curves


def _window(path: Path | None, like: Volume) -> Tensor:
    if path is None:
        return soft_edge(like.shape)
    mask = open_volume(path)
    _check_shapes([like, mask])
    values = mask.read()
    if values.min() < 0:
        raise no_mask(path, float(values.min()))
    if not values.any():
        raise InputError(f"{path}: the mask is empty; make it again")
    if np.isin(values, (0, values.max())).all() and not values.all():
        log.warning("%s has a hard edge, which raises the correlation; soften it", path)
    return torch.from_numpy(values)


def _write(path: Path, frequency: Curve, curves: Mapping[str, Curve]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["frequency", "resolution", *curves])
    for index, k in enumerate(frequency):
        row = [f"{k:.6g}", f"{1 / k:.6g}" if k else ""]
        cells = [curve[index] for curve in curves.values()]
        table.writerow([*row, *(f"{c:.6f}" if np.isfinite(c) else "" for c in cells)])
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
