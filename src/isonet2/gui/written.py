"""Bytes of the volumes that a command will write, by its parameters and the headers of files."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from isonet2.data.blocks import is_missing
from isonet2.data.pairing import find_sources
from isonet2.data.run_folder import AVERAGES, RESIZED
from isonet2.data.star import TomogramTable, rows_of
from isonet2.data.tomograms import Tomogram
from isonet2.data.volumes import Volume, open_volume
from isonet2.errors import InputError
from isonet2.gui.overview import TRAININGS
from isonet2.gui.project import Project
from isonet2.parameters.base import Parameters
from isonet2.types import Shape

BYTES = {"float32": 4, "float16": 2, "int8": 1}
"""Of a voxel."""
JUDGED: Shape = (256, 256, 384)
"""Largest part of a tomogram that `validate` judges, along z, y, x."""
RESULTS, HELD_OUT = 9, 1
"""What `validate` keeps of each network and that part, of both halves: as it is, of four controls
and of four flips; and without the tilts that are held out."""


def needed(project: Project, parameters: Parameters) -> tuple[int, int] | None:
    """Bytes of all volumes that a command writes, and of how many tomograms; None for none.

    Of tomograms whose files are not there, or lie where the pages may not look, the size is taken
    to be that of the others. Formats with compression may take less.
    """
    special = {"prepare_star": _averages, "resize": _resized}.get(parameters.command)
    if special is not None:
        return special(project, parameters.model_dump())
    rows = rows_of(project.folder / getattr(parameters, "star_file", ""))
    chosen = _chosen(rows, getattr(parameters, "tomo_idx", None))
    previewed = _chosen(rows, getattr(parameters, "prev_tomo_idx", None)) or rows[:1]
    each = written(parameters, len(chosen), len(previewed))
    shapes = [shape for row in chosen if (shape := _shape(project, row))] if each else []
    if not shapes:
        return None
    total = each * sum(map(math.prod, shapes))
    if parameters.command == "validate":
        total += len(chosen) * sum(_judging(parameters.model_dump(), shape) for shape in shapes)
    return round(total / len(shapes)), len(chosen)


def _chosen(rows: tuple[Tomogram, ...], indices: str | None) -> tuple[Tomogram, ...]:
    """Rows of a table by index; none where it lacks one of them."""
    try:
        return TomogramTable(Path(), rows).select(indices)
    except InputError:
        return ()


def written(parameters: Parameters, tomograms: int, previewed: int) -> int:
    """Bytes that a command writes for each voxel of a tomogram, summed over its tomograms.

    Parameters
    ----------
    parameters
        Of the command.
    tomograms
        How many it works on.
    previewed
        Of how many a training makes previews.
    """
    told: dict[str, Any] = parameters.model_dump()
    if parameters.command not in TRAININGS:
        return _BYTES_OF.get(parameters.command, _none)(told) * tomograms
    networks = 2 if told["split_halves"] else 1
    saves = math.ceil(told["epochs"] / told["save_interval"]) if told["with_preview"] else 0
    each = _restored({"dtype": "float32", "model2": networks > 1}) if told["with_predict"] else 0
    if told.get("with_deconv"):
        each += BYTES["float32"] + BYTES["int8"]
    each += networks * told.get("num_mask_updates", 0) * BYTES["int8"]
    return each * tomograms + networks * saves * previewed * BYTES["float32"]


def _restored(told: Mapping[str, Any]) -> int:
    """With two networks, the map of each beside their mean."""
    return BYTES[told["dtype"]] * (3 if told["model2"] else 1)


def _spreads(told: Mapping[str, Any]) -> int:
    """A spread of each network, and halves without tilts where it is trained anew.

    With several networks, their means too, and the spread over all.
    """
    networks = len(told["models"])
    volumes = networks * (3 if told["held_out"] == "full" else 1)
    return BYTES["float32"] * (volumes + (networks + 1 if networks > 1 else 0))


def _none(told: Mapping[str, Any]) -> int:
    return 0


_BYTES_OF: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "deconv": lambda told: BYTES["float32"],
    "make_mask": lambda told: BYTES["int8"],
    "predict": _restored,
    "validate": _spreads,
}


def _judging(told: Mapping[str, Any], shape: Shape) -> int:
    """Bytes of all results of a tomogram that `validate` keeps, so that none is made twice."""
    part = math.prod(min(length, most) for length, most in zip(shape, JUDGED, strict=True))
    results = RESULTS + (HELD_OUT if told["held_out"] != "none" else 0)
    return len(told["models"]) * results * 2 * BYTES["float32"] * part


def _averages(project: Project, told: Mapping[str, Any]) -> tuple[int, int] | None:
    """Means of halves that a new table lists, other than those that are there."""
    if not told["create_average"] or told["full"] is not None:
        return None
    even, odd = (told[half] and project.folder / told[half] for half in ("even", "odd"))
    try:
        sources, _ = find_sources(None, even, odd)
    except InputError:
        return None
    folder = (project.folder / told["star_name"]).parent / AVERAGES
    new = [one for one in sources if not (folder / f"{one.name}.mrc").exists()]
    opened = [found for one in new if (found := _first(project, *one.files)) is not None]
    if not opened:
        return None
    voxels = sum(math.prod(volume.shape) for volume in opened)
    return round(BYTES["float32"] * voxels * len(new) / len(opened)), len(new)


def _resized(project: Project, told: Mapping[str, Any]) -> tuple[int, int] | None:
    """Binned volumes, and the largest one while it is binned along x and y only."""
    source = project.folder / told["volumes"]
    if source.suffix.lower() != ".star":
        rows: tuple[Tomogram, ...] = ()
        sizes = [_binned(told, volume) for volume in (_first(project, source),) if volume]
    else:
        rows = _chosen(rows_of(source), told["tomo_idx"])
        sizes = [
            _binned(told, volume, row.pixel_size)
            for row in rows
            for column in RESIZED
            if not is_missing(row.cells.get(column, "None"))
            and (column != "rlnTomoName" or row.full is not None)
            and (volume := _first(project, row.column(column))) is not None
        ]
    if not sizes:
        return None
    return sum(whole for whole, _ in sizes) + max(aside for _, aside in sizes), max(1, len(rows))


def _binned(
    told: Mapping[str, Any], volume: Volume, pixel_size: float | None = None
) -> tuple[int, int]:
    """Bytes of a binned volume, and of what lies beside it meanwhile."""
    edges = volume.voxel_size
    old = told["old_pixel_size"] or pixel_size or (sum(edges) / 3 if edges else 0.0)
    ratio = min(1.0, old / told["pixel_size"]) or 1.0
    z, y, x = (max(1, int(length * ratio + 1e-6)) for length in volume.shape)
    return BYTES["float32"] * z * y * x, BYTES["float32"] * volume.shape[0] * y * x


def _shape(project: Project, row: Tomogram) -> Shape | None:
    """Shape of a tomogram, by the first of its files that can be read."""
    paths = (row.full, row.half1, row.half2, row.deconvolved, row.denoised, row.corrected)
    volume = _first(project, *(path for path in paths if path is not None))
    return None if volume is None else volume.shape


def _first(project: Project, *paths: Path) -> Volume | None:
    """The first of some files that can be read."""
    for path in paths:
        try:
            whole = project.allowed(path)
            state = whole.stat()
            return _opened(str(whole), state.st_mtime_ns, state.st_size)
        except (InputError, OSError):
            continue
    return None


@lru_cache(maxsize=10_000)
def _opened(path: str, changed: int, size: int) -> Volume:
    """A volume as it was at a time."""
    return open_volume(path)
