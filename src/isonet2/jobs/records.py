"""What the files of a job say: `Job`, read from its folder."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from isonet2.data.files import atomic_path
from isonet2.data.processes import Process
from isonet2.data.progress import Progress, progresses
from isonet2.data.run_folder import BATCH, CANCEL, CARD, CLAIM, JOB, LOG, STATE, kept_state
from isonet2.errors import InputError

BEAT = 5.0
"""Seconds between two signs of life of a runner."""
SILENCE = 60.0
"""Seconds without one after which a job on another host counts as lost."""
BEGINNING = 30.0
"""Seconds that a runner may take from its claim to its first sign of life."""
STARTING = "is starting"
"""Reason of a queued job that a runner has taken."""

Status = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost", "skipped"]
ENDED = ("succeeded", "failed", "cancelled", "lost", "skipped")


class InFolder:
    """What lies in a folder of its own below that of its kind."""

    __slots__ = ()
    folder: Path

    @property
    def place(self) -> str:
        """Its folder as people name it: `refine/job007`."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def log(self) -> Path:
        """File of all that the command says."""
        return self.folder / LOG


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(InFolder):
    """One job as its files have it now.

    Attributes
    ----------
    number, kind
        Its number among all jobs of the project, and the command's name.
    project, folder
        Where the command works, and the job's own folder.
    argv
        What is run: words, never a line for a shell.
    parameters
        What was set of the command's parameters, for a form; empty for other programs.
    results
        Folder of the command's results.
    inputs, outputs
        Files and folders that it reads, and that it makes or notes results in.
    after
        Numbers of the jobs that must succeed first.
    lane
        Where it runs: `local`, or the name of a lane.
    gpus
        How many GPUs it takes.
    gpu_ids
        Those that the user chose; None for any.
    resumes
        Whether the command goes on from a saved state with `--resume True`.
    passes
        Exit statuses beside 0 with which the command succeeds, and what they mean.
    request
        What a lane is asked for beside `gpus`: cpus, memory, time, partition, extra.
    now
        Whether it was started at once, past the queue.
    submitted, started, ended
        Seconds since 1970.
    name, notes, priority, starred, tags
        What people write on it; higher priority goes first.
    status, reason
        Where it stands, and why: of a queued job what it waits for, of one that did not succeed
        what went wrong.
    process
        Its runner.
    attempt
        1, and one more for each time that it was run again.
    devices
        GPUs that it has or had.
    exit_code
        Of the command; below 0 the signal that ended it.
    last_lines
        End of the log of a job that did not succeed.
    batch
        Its number at the scheduler of its lane.
    """

    number: int
    kind: str
    project: Path
    folder: Path
    argv: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    results: Path
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    after: tuple[int, ...] = ()
    lane: str = "local"
    gpus: int = 0
    gpu_ids: str | None = None
    resumes: bool = False
    passes: Mapping[str, str] = field(default_factory=dict)
    request: Mapping[str, str] = field(default_factory=dict)
    now: bool = False
    submitted: float
    started: float | None = None
    ended: float | None = None
    name: str = ""
    notes: str = ""
    priority: int = 0
    starred: bool = False
    tags: tuple[str, ...] = ()
    status: Status = "queued"
    reason: str = ""
    process: Process | None = None
    attempt: int = 1
    devices: tuple[str, ...] = ()
    exit_code: int | None = None
    last_lines: tuple[str, ...] = ()
    batch: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.status in ENDED

    def progress(self) -> Progress | None:
        """What the command tells of itself; None before it does, or where it never does."""
        if self.started is None:
            return None
        for told in progresses(self.results):
            ours = self.argv[0] != "isonet.py" or told.command == self.argv[1]
            if ours and told.started >= self.started:
                return told
        return None


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a record; empty where there is none, or none that can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return {}
    try:
        record = json.loads(os.read(descriptor, os.fstat(descriptor).st_size))
    except (OSError, ValueError):
        return {}
    finally:
        os.close(descriptor)
    return record if isinstance(record, dict) else {}


def read_job(folder: Path | str) -> Job | None:
    """Read a job by its folder; None where no job is, or one that is being made.

    Whether it is skipped, and what the scheduler of a lane says of it, others add. One that has
    ended is read again only when its files have changed; they are not even looked at while the
    folder, in which each change puts a new file, stays as it was.

    Raises
    ------
    InputError
        For a record that no program of ours wrote.
    """
    place = str(folder)
    changed = _changed(place)
    known = _ended.get(place)
    if known is not None and changed == known.changed != 0:
        return known.job
    files = _stamps(place)
    if known is None or known.files != files:
        job = _read_anew(Path(folder), place, files)
        if job is None or STATE not in files or job.status not in WRITTEN:
            _ended.pop(place, None)
            return job
    else:
        job = known.job
    _ended[place] = _Ended(changed, files, job)
    return job


def _changed(place: str) -> int:
    """When a folder was changed, in nanoseconds; 0 where that was too short ago to be sure.

    A second change in the same tick of the clock leaves the same time.
    """
    try:
        changed = os.stat(place).st_mtime_ns  # noqa: PTH116 - a thousand times, and quickly
    except OSError:
        return 0
    return changed if time.time_ns() - changed > RESTED else 0


WRITTEN = ("succeeded", "failed", "cancelled")
"""Ends that stand in a job's own file, and need no look at what still lives."""
_Stamps = dict[str, tuple[int, int, int]]
RESTED = 2_000_000_000
"""Nanoseconds after which a folder's time tells of all changes before it."""


class _Ended(NamedTuple):
    """A job that has ended, with the times of its folder and of its files when it was read."""

    changed: int
    files: _Stamps
    job: Job


_ended: dict[str, _Ended] = {}


def _stamps(place: str) -> _Stamps:
    """What tells a changed record from the earlier one, of those that are there."""
    found = {}
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name in (JOB, CARD, BATCH, STATE):
                told = entry.stat()
                found[entry.name] = told.st_ino, told.st_mtime_ns, told.st_size
    return found


def _read_anew(folder: Path, place: str, there: Mapping[str, object]) -> Job | None:
    told = read_json(f"{place}/{JOB}") if JOB in there else {}
    if not told:
        return None
    card = read_json(f"{place}/{CARD}") if CARD in there else {}
    batch = read_json(f"{place}/{BATCH}") if BATCH in there else {}
    state = read_json(f"{place}/{STATE}") if STATE in there else {}
    try:
        process = {"process": Process(**state["process"])} if state else {}
        job = job_of({**told, **state, **card, "batch": batch.get("id"), **process}, folder)
        return _as_it_is(job, state["heartbeat"]) if state else _not_begun(job)
    except (TypeError, KeyError) as error:
        raise InputError(f"{folder / JOB}: is damaged; move {folder} away") from error


def job_of(record: Mapping[str, Any], folder: Path) -> Job:
    """A job by what its files say."""
    values = {name: _frozen(value) for name, value in record.items() if name in _FIELDS}
    project = Path(record["project"])
    values |= {"folder": folder, "project": project, "results": project / record["results"]}
    return Job(**values)


_FIELDS = frozenset(f.name for f in fields(Job))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_it_is(job: Job, heartbeat: float) -> Job:
    """Doubt what a runner wrote that may be gone."""
    process = job.process
    if job.status != "running" or process is None:
        return job
    lives = process.lives()
    if lives is None:
        lives = time.time() - heartbeat < SILENCE
    if lives:
        return job
    return replace(
        job,
        status="lost",
        ended=heartbeat,
        reason=f"what ran it on {process.host} is gone without a last word: it was killed, or the "
        "machine went down",
    )


def _not_begun(job: Job) -> Job:
    """Tell a job that waits from one that is starting, was cancelled, or never came to run."""
    claim = job.folder / CLAIM
    try:
        age = time.time() - claim.stat().st_mtime
    except OSError:
        if (job.folder / CANCEL).exists():
            return replace(job, status="cancelled", reason="cancelled before it began")
        return job
    told = read_json(claim)
    lives = Process(**told).lives() if told else None
    if lives or (lives is None and age < BEGINNING):
        return replace(job, reason=STARTING)
    return replace(job, status="lost", reason="what was to run it is gone before it began")


def put_back(folder: Path, *, batch: bool = True) -> None:
    """Make a job that has ended one that waits; what its runner wrote is kept beside.

    Its number at a scheduler that starts it again by itself stays, without `batch`.
    """
    number = 1
    while (kept := kept_state(folder, number)).exists():
        number += 1
    with suppress(FileNotFoundError):
        (folder / STATE).rename(kept)
    for name in (CANCEL, *([BATCH] if batch else ()), CLAIM):
        (folder / name).unlink(missing_ok=True)


def give_up(job: Job, reason: str) -> None:
    """Write down that a job could not even be given to what runs it."""
    state = {
        "status": "failed",
        "reason": reason,
        "process": asdict(Process.of(os.getpid())),
        "heartbeat": time.time(),
        "ended": time.time(),
    }
    write_json(job.folder / STATE, state)
