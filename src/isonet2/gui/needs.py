"""What a job will need, and whether it is there: disk space for its results, memory of a GPU."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isonet2.data.progress import progresses
from isonet2.errors import InputError
from isonet2.gui.overview import TRAININGS
from isonet2.gui.project import Project
from isonet2.gui.written import needed
from isonet2.jobs import Jobs, gpus
from isonet2.jobs.lanes import LOCAL
from isonet2.jobs.waiting import own_folder
from isonet2.parameters.base import Parameters
from isonet2.parameters.commands import COMMANDS

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
    """Disk space that a command needs; None where it writes no volumes, or that cannot be told."""
    found = needed(project, parameters)
    if found is None:
        return None
    size, tomograms = found
    place = project.folder / (own_folder(parameters) or _usual_folder(parameters))
    while not place.is_dir():
        place = place.parent
    return Disk(size, tomograms, shutil.disk_usage(place).free, place)


def _usual_folder(parameters: Parameters) -> Path:
    """Where results go that the user chose no folder for: beside a new table, or to the jobs'."""
    table = getattr(parameters, "star_name", None)
    return Path(parameters.command) if table is None else Path(table).parent


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
