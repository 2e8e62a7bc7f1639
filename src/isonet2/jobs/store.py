"""The jobs of one project: made, listed, changed and ended."""

import logging
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isonet2.data.files import atomic_path, locked, make_folder
from isonet2.data.progress import Progress, find_progress
from isonet2.data.run_folder import CANCEL, CARD, HIDDEN, JOB
from isonet2.errors import InputError
from isonet2.jobs import descendants, lanes, making, start
from isonet2.jobs.lanes import LOCAL
from isonet2.jobs.records import (
    Job,
    job_of,
    put_back,
    read_job,
    read_json,
    write_json,
)
from isonet2.jobs.waiting import among, ended_how, needing_still, waited_for, with_waiting
from isonet2.parameters.base import Parameters

log = logging.getLogger(__name__)

GRACE = 60.0
"""Seconds that a cancelled command is given to save its state before it is pressed."""
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
        record = making.checked(
            parameters,
            self.project,
            self.list(),
            after=after,
            now=now,
            lane=lane,
            number_of_gpus=number_of_gpus,
            request=request,
        )
        number, folder = self._new_folder(parameters.command)
        record = making.numbered(record, parameters, number, folder)
        return self._begin(folder, record, {"name": name, "notes": notes, "priority": priority})

    def script(
        self,
        parameters: Parameters,
        *,
        lane: str,
        after: Collection[int] = (),
        number_of_gpus: int | None = None,
        request: Mapping[str, str] | None = None,
    ) -> str:
        """The batch script that `submit` would hand in, for the job that would be the next one."""
        record = making.checked(
            parameters,
            self.project,
            self.list(),
            after=after,
            lane=lane,
            number_of_gpus=number_of_gpus,
            request=request,
        )
        number = self._next_number()
        folder = self.project / parameters.command / f"job{number:03}"
        record = making.numbered(record, parameters, number, folder)
        return lanes.load(lane, self.project).text(job_of(record, folder))

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
        lane: str = LOCAL,
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
            "lane": lane,
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
        found.sort(key=lambda job: job.number)
        return with_waiting(lanes.with_answers(self.project, found))

    def show(self, number: int) -> Job:
        """One job.

        Raises
        ------
        InputError
            Where there is none of this number.
        """
        found: dict[int, Job] = {}
        wanted = [number]
        while wanted:
            job = self._read(wanted.pop())
            if job is not None:
                found[job.number] = job
                wanted += [other for other in job.after if other not in found]
        jobs = lanes.with_answers(self.project, [found[each] for each in sorted(found)])
        return among(number, with_waiting(jobs))

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
        if job.lane != LOCAL:
            lanes.load(job.lane, self.project).end(job)
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
        self.start(self.show(number))
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
        if needing := needing_still(job, jobs):
            raise InputError(f"{job.place}: {', '.join(needing)} needs it still")
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
        starred: bool | None = None,
        tags: Sequence[str] | None = None,
    ) -> Job:
        """Change what people write on a job; None leaves it as it is."""
        job = self.show(number)
        news: dict[str, Any] = {"name": name, "notes": notes, "priority": priority}
        news |= {"starred": starred, "tags": None if tags is None else making.as_tags(tags)}
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

    def runs(self, known: Sequence[Job] | None = None) -> Sequence[tuple[Path, Progress]]:
        """Runs that were started otherwise, in a terminal or a batch script: folder and progress.

        They are looked for in the folders of the project and in those below them.

        Parameters
        ----------
        known
            What `list` gave just now, so that it need not be read again.
        """
        own = {job.results for job in (self.list() if known is None else known)}
        return sorted(find_progress(self.project, own), key=lambda run: run[1].started)

    def ask_schedulers(self) -> None:
        """Ask the schedulers of lanes how their jobs stand, at most every few seconds.

        `list` and `show` tell what they said last. This may take as long as a scheduler does.
        """
        lanes.ask(self.project, self.list())

    def wake(self) -> None:
        """See that somebody starts what is queued, after a restart of the machine for instance."""
        if any(not job.has_ended and job.batch is None for job in self.list()):
            start.dispatcher(self.project)

    def _read(self, number: int) -> Job | None:
        """One job as its own files have it."""
        with suppress(FileNotFoundError):
            for kind in (self.hidden / "kinds").iterdir():
                folder = self.project / kind.name / f"job{number:03}"
                if (folder / JOB).exists():
                    return read_job(folder)
        return None

    def _folders(self) -> Iterable[str]:
        """Folders of jobs, in those of all kinds that there are."""
        with suppress(FileNotFoundError):
            for kind in (self.hidden / "kinds").iterdir():
                with suppress(FileNotFoundError), os.scandir(self.project / kind.name) as entries:
                    yield from (e.path for e in entries if _FOLDER.fullmatch(e.name))

    def _new_folder(self, kind: str) -> tuple[int, Path]:
        """Take the next number, which nobody else gets, and make the job's folder."""
        ids = make_folder(self.hidden / "ids")
        (make_folder(self.hidden / "kinds") / kind).touch()
        number = self._next_number()
        while True:
            folder = self.project / kind / f"job{number:03}"
            with suppress(FileExistsError):
                (ids / f"{number:06}").mkdir()
                folder.mkdir(parents=True)
                return number, folder
            number += 1

    def _next_number(self) -> int:
        with suppress(FileNotFoundError):
            taken = [int(p.name) for p in (self.hidden / "ids").iterdir() if p.name.isdecimal()]
            return max(taken, default=0) + 1
        return 1

    def _begin(self, folder: Path, record: dict[str, Any], card: dict[str, Any]) -> Job:
        """Write a job down, and see that it starts when its turn comes."""
        try:
            if any(card.values()):
                write_json(folder / CARD, card)
            write_json(folder / JOB, record)
            self.start(self.show(record["number"]))
        except (InputError, OSError):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return self.show(record["number"])

    def start(self, job: Job) -> None:
        """See that a queued job begins: at once, or when its turn comes, or in its lane.

        Raises
        ------
        InputError
            When the scheduler of its lane refuses it.
        """
        if job.now:
            for gpu, who in start.busy(job):
                log.warning("%s is busy with %s; %s starts beside it", gpu.name, who, job.place)
            start.runner(job.folder)
            return
        waits = [self._read(number) for number in job.after]
        unready = [other for other in waits if other is not None and other.status != "succeeded"]
        together = all(other.lane == job.lane and other.batch is not None for other in unready)
        if job.lane == LOCAL or not together:
            if job.lane != LOCAL or not self.paused:
                start.dispatcher(self.project)
            return
        after = [other.batch for other in unready if other.batch is not None]
        lanes.load(job.lane, self.project).begin(job, after)
