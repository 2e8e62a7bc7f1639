"""What a job will need, and whether it is there: disk space for its results, memory of a GPU."""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from isonet2.data.progress import progresses
from isonet2.data.star import TomogramTable, rows_of
from isonet2.data.tomograms import Tomogram
from isonet2.data.volumes import open_volume
from isonet2.errors import InputError
from isonet2.gui.overview import TRAININGS
from isonet2.gui.project import Project
from isonet2.jobs import Jobs, gpus
from isonet2.jobs.lanes import LOCAL
from isonet2.jobs.waiting import own_folder
from isonet2.parameters.base import Parameters
from isonet2.parameters.commands import COMMANDS

BYTES = {"float32": 4, "float16": 2, "int8": 1}
"""Of a voxel."""
ALIKE = ("arch", "cube_size", "batch_size", "mixed_precision")
"""Parameters of two trainings that take as much memory of a GPU, if they have one method."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Disk space for volumes.

    Attributes
    ----------
    needed
        Bytes of all volumes that are written; formats with compression may take less.
    tomograms
        Of how many.
    free
        Bytes that may be written in `place`.
    place
        Where they go: a folder that exists, that of the results or the next above it.
    """

    needed: int
    tomograms: int
    free: int
    place: Path

    @property
    def suffices(self) -> bool:
        """Whether there is room."""
        return self.needed <= self.free


@dataclass(frozen=True, slots=True)
class Device:
    """Where a job computes that likes to have a GPU.

    Attributes
    ----------
    name
        Of the GPU with most free memory among those that it may take; empty where there is none.
    free
        Bytes of its memory that nobody uses; None where that is not known.
    needed
        Bytes that an earlier training took, of the same network and sub-tomograms; None where
        there was none.
    like
        Folder of that training.
    """

    name: str
    free: int | None = None
    needed: int | None = None
    like: str = ""

    @property
    def suffices(self) -> bool:
        """Whether nothing speaks against it."""
        return bool(self.name) and (not self.needed or self.free is None or self.needed < self.free)


def disk_of(project: Project, parameters: Parameters) -> Disk | None:
    """Disk space that a command needs; None where it writes no volumes, or that cannot be told.

    Of tomograms whose files are not there, or lie where the pages may not look, the size is taken
    to be that of the others.
    """
    rows = rows_of(project.folder / getattr(parameters, "star_file", ""))
    chosen = _chosen(rows, getattr(parameters, "tomo_idx", None))
    previewed = _chosen(rows, getattr(parameters, "prev_tomo_idx", None)) or rows[:1]
    each = written(parameters, len(chosen), len(previewed))
    sizes = [voxels for row in chosen if (voxels := _voxels(project, row))] if each else []
    if not sizes:
        return None
    place = project.folder / (own_folder(parameters) or parameters.command)
    while not place.is_dir():
        place = place.parent
    needed = round(each * sum(sizes) / len(sizes))
    return Disk(needed, len(chosen), shutil.disk_usage(place).free, place)


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


def _none(told: Mapping[str, Any]) -> int:
    return 0


_BYTES_OF: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "deconv": lambda told: BYTES["float32"],
    "make_mask": lambda told: BYTES["int8"],
    "predict": _restored,
}


def _voxels(project: Project, row: Tomogram) -> int:
    """Voxels of a tomogram, by the first of its files that can be read; 0 for none."""
    for path in (row.full, row.half1, row.half2, row.deconvolved, row.denoised, row.corrected):
        if path is None:
            continue
        try:
            whole = project.allowed(path)
            state = whole.stat()
            return _voxels_in(str(whole), state.st_mtime_ns, state.st_size)
        except (InputError, OSError):
            continue
    return 0


@lru_cache(maxsize=10_000)
def _voxels_in(path: str, changed: int, size: int) -> int:
    """Voxels of a file as it was at a time."""
    return math.prod(open_volume(path).shape)


def device_of(project: Project, parameters: Parameters, lane: str = LOCAL) -> Device | None:
    """The GPU that a command would have on this machine; None where it wants none here."""
    chosen = getattr(parameters, "gpuID", "cpu")
    if lane != LOCAL or chosen == "cpu":
        return None
    try:
        there = gpus.usable(project.folder)
    except InputError:
        return None  # which submitting says
    if chosen is not None:
        names = chosen.casefold().split(",")
        there = tuple(gpu for gpu in there if {str(gpu.number), gpu.id.casefold()} & {*names})
    if not there:
        return None if gpus.visible() else Device("")
    room = gpus.free_memory()
    best = max(there, key=lambda gpu: room.get(gpu.id, 0))
    free = room[best.id] * 2**20 if best.id in room else None
    needed, like = _taken(project, parameters)
    return Device(f"GPU {best.number}", free, needed, like)


def _taken(project: Project, parameters: Parameters) -> tuple[int | None, str]:
    """Memory that the latest training of this kind took on a GPU, and its folder."""
    if parameters.command not in TRAININGS:
        return None, ""
    wanted = _kind_of(parameters.command, parameters.model_dump())
    for job in reversed(Jobs(project.folder).list()):
        if job.kind in TRAININGS and _kind_of(job.kind, job.parameters) == wanted:
            for told in progresses(job.results):
                if told.device_memory:
                    return told.device_memory, job.place
    return None, ""


def _kind_of(command: str, values: Mapping[str, Any]) -> Sequence[object]:
    """What a training's need of memory hangs on."""
    fields = COMMANDS[command].model_fields
    return [command, *(values.get(name, fields[name].default) for name in ALIKE)]
