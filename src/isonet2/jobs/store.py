"""The jobs of one project: made, listed, changed and ended."""

import logging
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isonet2.data.files import atomic_path, locked, make_folder
from isonet2.data.progress import FILE_NAME as PROGRESS
from isonet2.data.progress import Progress, read_progress
from isonet2.errors import InputError
from isonet2.jobs import descendants, gpus, start
from isonet2.jobs.records import (
    BATCH,
    CANCEL,
    CARD,
    CLAIM,
    HIDDEN,
    JOB,
    STATE,
    Job,
    read_job,
    read_json,
    write_json,
)
from isonet2.jobs.waiting import Files, among, ended_how, waited_for, with_waiting
from isonet2.parameters.base import Parameters
from isonet2.parameters.command_line import words_of

log = logging.getLogger(__name__)

GRACE = 60.0
"""Seconds that a cancelled command is given to save its state before it is pressed."""
LOCAL = "local"
_FOLDER = re.compile(r"job(\d{3,})")


@dataclass(frozen=True, slots=True)
class Removed:
    """A job's folder in the trash, and how many bytes it holds."""

    path: Path
    size: int


class Jobs:
    """The jobs of a project, which is the folder where the user works.

    Nothing is kept in memory: every answer is read from the files, which other programs, other
    users and other hosts may change at any time.

    Parameters
    ----------
    project
        The folder; made with the first job where it has none yet.
    """

    def __init__(self, project: Path | str = ".") -> None:
        self.project = Path(project).absolute().resolve()
        self.hidden = self.project / HIDDEN

    def submit(
        self,
        parameters: Parameters,
        *,
        name: str = "",
        notes: str = "",
        after: Collection[int] = (),
        priority: int = 0,
        now: bool = False,
        lane: str = LOCAL,
        number_of_gpus: int | None = None,
        request: Mapping[str, str] | None = None,
    ) -> Job:
        """Queue a command.

        Parameters
        ----------
        parameters
            Of the command. Relative paths are meant from the project. Where no `output_dir` was
            set, results go to the job's own folder.
        name, notes, priority
            See `Job`.
        after
            Jobs that must succeed first; those that make what the command reads are added.
        now
            Start at once, past the queue, on a GPU that is free or, where none is, on one that is
            busy, which is said.
        lane
            Where.
        number_of_gpus
            How many; None takes those of `gpuID`, or one for a command that computes on GPUs.
        request
            What a lane is asked for: cpus, memory, time, partition, extra.

        Raises
        ------
        InputError
            For whatever can be seen to be wrong before the command runs.
        """
        jobs = self.list()
        own = _own_folder(parameters)
        files = Files.of(parameters, self.project, self.project / own if own else None)
        if files.results is not None:
            _refuse_inside_a_job(files.results, jobs)
        waits = waited_for(after, jobs)
        waits |= {job.number: job for job in jobs if not job.has_ended and files.needs(job)}
        unready = [job for job in waits.values() if job.status != "succeeded"]
        if now and unready:
            names = ", ".join(job.place for job in unready)
            raise InputError(f"now: {names} must end first; submit it without now")
        files.check(parameters, unready)
        ids, count = gpus.wanted(parameters, number_of_gpus, lane)
        number, folder = self._new_folder(parameters.command)
        place = folder.relative_to(self.project)
        if own is None and "output_dir" in type(parameters).model_fields:
            parameters = parameters.model_copy(update={"output_dir": place})
        record = {
            "number": number,
            "kind": parameters.command,
            "project": str(self.project),
            "argv": ["isonet.py", *words_of(parameters)],
            "parameters": parameters.model_dump(
                mode="json", include=set(parameters.model_fields_set)
            ),
            "results": str(own or place),
            "inputs": [str(path) for path in files.inputs.values()],
            "outputs": [str(path) for path in files.outputs],
            "after": sorted(waits),
            "lane": lane,
            "gpus": count,
            "gpu_ids": ids,
            "resumes": "resume" in type(parameters).model_fields,
            "request": dict(request or {}),
            "now": now,
            "submitted": time.time(),
        }
        return self._begin(folder, record, {"name": name, "notes": notes, "priority": priority})

    def submit_program(
        self,
        argv: Sequence[str],
        *,
        kind: str = "run",
        name: str = "",
        after: Collection[int] = (),
        priority: int = 0,
        number_of_gpus: int = 0,
        now: bool = False,
    ) -> Job:
        """Queue any program, given as words; it runs in the project."""
        if not re.fullmatch(r"[A-Za-z]\w*", kind):
            raise InputError(f"kind {kind}: names a folder; give letters, digits and _")
        number, folder = self._new_folder(kind)
        record = {
            "number": number,
            "kind": kind,
            "project": str(self.project),
            "argv": list(argv),
            "results": str(folder.relative_to(self.project)),
            "after": sorted(waited_for(after, self.list())),
            "gpus": number_of_gpus,
            "now": now,
            "submitted": time.time(),
        }
        return self._begin(folder, record, {"name": name, "priority": priority})

    def list(self) -> list[Job]:
        """All jobs by number, as they stand now."""
        found = []
        for folder in self._folders():
            try:
                job = read_job(folder)
            except InputError as error:
                log.warning("%s", error)
                continue
            if job is not None:
                found.append(job)
        return with_waiting(sorted(found, key=lambda job: job.number))

    def show(self, number: int) -> Job:
        """One job.

        Raises
        ------
        InputError
            Where there is none of this number.
        """
        return among(number, self.list())

    def log(self, number: int, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """Bytes of a job's log from an offset on, and the offset to ask for next."""
        try:
            with self.show(number).log.open("rb") as handle:
                handle.seek(offset)
                part = handle.read(limit)
        except FileNotFoundError:
            part = b""
        return part, offset + len(part)

    def cancel(self, number: int, grace: float = GRACE) -> Job:
        """End a job, or see that it never begins; returns at once.

        A running command is asked as Ctrl-C does, so that a training saves its state, and after
        `grace` seconds with more and more force, with all that came of it.

        Raises
        ------
        InputError
            When it has ended.
        """
        job = self.show(number)
        if job.status == "lost":
            descendants.end(lambda: descendants.of_job(job.folder), descendants.pressing(2.0))
        elif job.has_ended:
            raise InputError(f"{job.place}: has {ended_how(job)}; there is nothing to cancel")
        write_json(job.folder / CANCEL, {"grace": grace})
        return self.show(number)

    def retry(self, number: int) -> Job:
        """Run a job again that has ended, in its folder.

        A training goes on from its saved state, and commands that skip what is there do so.

        Raises
        ------
        InputError
            When it has not ended.
        """
        job = self.show(number)
        if not job.has_ended:
            raise InputError(f"{job.place}: is {job.status}; cancel it first")
        if job.status == "skipped":
            raise InputError(f"{job.place}: {job.reason}; run that again first")
        if job.status == "lost":
            descendants.end(lambda: descendants.of_job(job.folder), descendants.pressing(2.0))
        put_back(job.folder)
        self._start(self.show(number))
        return self.show(number)

    def remove(self, number: int) -> Removed:
        """Move a job that has ended to the trash, `.isonet/trash`.

        Raises
        ------
        InputError
            When it has not ended, or another one waits for it.
        """
        jobs = self.list()
        job = among(number, jobs)
        if not job.has_ended:
            raise InputError(f"{job.place}: is {job.status}; cancel it first")
        needing = [other.place for other in jobs if not other.has_ended and number in other.after]
        inside = str(job.folder)
        needing += [
            other.place
            for other in jobs
            if not other.has_ended and any(Path(p).is_relative_to(inside) for p in other.inputs)
        ]
        if needing:
            raise InputError(f"{job.place}: {', '.join(dict.fromkeys(needing))} needs it still")
        size = sum(p.stat().st_size for p in job.folder.rglob("*") if p.is_file())
        place = make_folder(self.hidden / "trash" / job.kind) / job.folder.name
        job.folder.rename(place)
        return Removed(place, size)

    def edit(
        self,
        number: int,
        *,
        name: str | None = None,
        notes: str | None = None,
        priority: int | None = None,
    ) -> Job:
        """Change what people write on a job; None leaves it as it is."""
        job = self.show(number)
        news = {"name": name, "notes": notes, "priority": priority}
        with locked(job.folder / CARD):
            card = read_json(job.folder / CARD)
            write_json(job.folder / CARD, card | {k: v for k, v in news.items() if v is not None})
        return self.show(number)

    @property
    def paused(self) -> bool:
        """Whether no queued job of the local lane begins."""
        return (self.hidden / "paused").exists()

    def pause(self) -> None:
        """Let no queued job begin; those that run go on."""
        with atomic_path(self.hidden / "paused") as temporary:
            temporary.touch()

    def resume(self) -> None:
        """Let queued jobs begin again."""
        (self.hidden / "paused").unlink(missing_ok=True)
        start.dispatcher(self.project)

    def runs(self) -> Sequence[tuple[Path, Progress]]:
        """Runs that were started otherwise, in a terminal or a batch script: folder and progress.

        They are looked for in the folders of the project and in those below them.
        """
        own = {job.results for job in self.list()}
        found = []
        for folder in _two_levels(self.project):
            if folder not in own and (told := read_progress(folder / PROGRESS)) is not None:
                found.append((folder, told))
        return sorted(found, key=lambda run: run[1].started)

    def wake(self) -> None:
        """See that somebody starts what is queued, after a restart of the machine for instance."""
        if any(job.lane == LOCAL and not job.has_ended for job in self.list()):
            start.dispatcher(self.project)

    def _folders(self) -> Iterable[Path]:
        """Folders of jobs, in those of all kinds that there are."""
        with suppress(FileNotFoundError):
            for kind in (self.hidden / "kinds").iterdir():
                with suppress(FileNotFoundError), os.scandir(self.project / kind.name) as entries:
                    yield from (Path(e.path) for e in entries if _FOLDER.fullmatch(e.name))

    def _new_folder(self, kind: str) -> tuple[int, Path]:
        """Take the next number, which nobody else gets, and make the job's folder."""
        ids = make_folder(self.hidden / "ids")
        (make_folder(self.hidden / "kinds") / kind).touch()
        number = (
            max((int(path.name) for path in ids.iterdir() if path.name.isdecimal()), default=0) + 1
        )
        while True:
            folder = self.project / kind / f"job{number:03}"
            with suppress(FileExistsError):
                (ids / f"{number:06}").mkdir()
                folder.mkdir(parents=True)
                return number, folder
            number += 1

    def _begin(self, folder: Path, record: dict[str, Any], card: dict[str, Any]) -> Job:
        """Write a job down, and see that it starts when its turn comes."""
        if any(card.values()):
            write_json(folder / CARD, card)
        write_json(folder / JOB, record)
        job = self.show(record["number"])
        self._start(job)
        return job

    def _start(self, job: Job) -> None:
        """See that a job begins: at once, or when its turn comes."""
        if job.now:
            for gpu, who in start.busy(job):
                log.warning("%s is busy with %s; %s starts beside it", gpu.name, who, job.place)
            start.runner(job.folder)
        else:
            start.dispatcher(self.project)


def put_back(folder: Path) -> None:
    """Make a job that has ended one that waits; what its runner wrote is kept beside."""
    number = 1
    while (kept := folder / f"state.{number}.json").exists():
        number += 1
    with suppress(FileNotFoundError):
        (folder / STATE).rename(kept)
    for name in (CANCEL, BATCH, CLAIM):
        (folder / name).unlink(missing_ok=True)


def _own_folder(parameters: Parameters) -> Path | None:
    """The folder that the user chose for results, if so."""
    chosen = "output_dir" in parameters.model_fields_set
    return getattr(parameters, "output_dir", None) if chosen else None


def _refuse_inside_a_job(results: Path, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if results.is_relative_to(job.folder):
            raise InputError(
                f"output_dir {results}: lies in the folder of {job.place}; choose another, or "
                "leave it out for a folder of the new job's own"
            )


def _two_levels(project: Path) -> Iterable[Path]:
    """Folders in a project, and those in them, that are not hidden."""
    for folder in _folders_in(project):
        yield folder
        yield from _folders_in(folder)


def _folders_in(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [Path(e.path) for e in entries if e.name[0] != "." and e.is_dir()]
    return []
