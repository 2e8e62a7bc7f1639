"""What a run tells of itself while it works: `progress.json` beside its results.

Of several runs in one folder the one that began last has that file. One that still works goes on in
a file of its own name; of a command that has ended there the last word is kept in another.
"""

import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from isonet2.data.files import atomic_path
from isonet2.data.processes import Process
from isonet2.data.run_folder import PROGRESS, PROGRESSES, last_word_of, progress_of
from isonet2.errors import InputError

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two writings."""
BEAT = 15.0
"""Seconds after which a run that has nothing new to tell says that it is still there."""
SILENCE = 120.0
"""Seconds without a word after which a run on another host counts as lost."""

State = Literal["running", "succeeded", "failed", "cancelled", "lost"]
LAST_WORDS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands. What a command does not know of stays None.

    Attributes
    ----------
    command
        Name of the command.
    state
        `running`, `succeeded`, `failed`, `cancelled`; or `lost` for a run that was killed without
        a last word, which the reader finds out.
    process
        Who runs.
    started, updated
        Seconds since 1970.
    parameters
        Record of the parameters, a path relative to the folder of this file.
    epoch, epochs, step, steps
        Of training: the epoch at work, of how many, and the step in it, of how many.
    tomogram, tomograms
        Of commands that take one tomogram after the other: how many are done, of how many.
    workers
        Processes that work on tomograms, where there are several.
    loss
        Of training: the last one.
    seconds_left
        Estimate from the pace so far.
    device_memory
        Bytes that the run has taken at most on its first GPU.
    message
        Last thing to say to a person; for a run that did not succeed, why.
    """

    command: str
    state: State = "running"
    process: Process
    started: float
    updated: float
    parameters: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    tomogram: int | None = None
    tomograms: int | None = None
    workers: int | None = None
    loss: float | None = None
    seconds_left: float | None = None
    device_memory: int | None = None
    message: str = ""

    def is_of(self, other: "Progress") -> bool:
        """Whether both are of one run."""
        return (self.process, self.started) == (other.process, other.started)

    @property
    def part(self) -> float | None:
        """Part of the work that is done, 0 to 1; None where it is not known."""
        if self.epoch is not None and self.epochs:
            inside = (self.step or 0) / self.steps if self.steps else 0.0
            return min(1.0, (self.epoch - 1 + inside) / self.epochs)
        if self.tomogram is not None and self.tomograms:
            return min(1.0, self.tomogram / self.tomograms)
        return None


@dataclass
class ProgressFile:
    """Writes what a run tells while a block runs, and how the block ended when it ends.

    A thread writes, at most once a second, so that a slow disk never holds up the work; a disk
    that refuses is spoken of once. A block that raises KeyboardInterrupt was `cancelled`, one that
    raises anything else `failed`, with the exception as the message.

    Parameters
    ----------
    folder
        Of the results.
    command
        Name of the command.
    parameters
        Record of the parameters, relative to `folder`.
    """

    folder: Path
    command: str
    parameters: str | None = None
    _now: Progress = field(init=False, repr=False)
    _first: tuple[float, float] | None = field(init=False, default=None, repr=False)
    _refused: bool = field(init=False, default=False, repr=False)
    _ended: threading.Event = field(init=False, default_factory=threading.Event, repr=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock, repr=False)

    def __enter__(self) -> Self:
        now = time.time()
        _make_room(self.folder, self.command)
        self._now = Progress(
            command=self.command,
            process=Process.of(os.getpid()),
            started=now,
            updated=now,
            parameters=self.parameters,
        )
        self._write(self.folder / PROGRESS)
        self._thread = threading.Thread(target=self._keep_writing, name="progress", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if error is None:
            state: State = "succeeded"
            said = self._now.message
        elif isinstance(error, KeyboardInterrupt):
            state, said = "cancelled", "stopped by a signal"
        else:
            state, said = "failed", str(error) or type(error).__name__
        left = 0.0 if state == "succeeded" else None
        self._now = replace(self._now, state=state, message=said[:LAST_WORDS], seconds_left=left)
        self._write()
        if self._place().name != PROGRESS:
            _put_by(self._place(), self._now, read_progress(self.folder))

    def report(self, **news: Any) -> None:
        """Note what has changed: fields of `Progress` by name; it is written within a second."""
        with self._lock:
            now = replace(self._now, **news)
            self._now = replace(now, updated=time.time(), seconds_left=self._left(now.part))

    def _left(self, part: float | None) -> float | None:
        """Seconds left at the pace since the first report: a resumed run does not begin at 0."""
        if part is None:
            return None
        here = time.monotonic()
        if self._first is None:
            self._first = here, part
        began, before = self._first
        return None if part <= before else (here - began) * (1 - part) / (part - before)

    def _keep_writing(self) -> None:
        told, last = self._now, time.monotonic()
        while not self._ended.wait(PAUSE):
            now = self._now
            if now is not told or time.monotonic() - last > BEAT:
                self._write()
                told, last = now, time.monotonic()

    def _place(self) -> Path:
        """The file of this run: `progress.json`, unless a later run has taken that."""
        path = self.folder / PROGRESS
        there = read_progress(path)
        if there is None or there.is_of(self._now):
            return path
        return self.folder / _own_name(self._now)

    def _write(self, path: Path | None = None) -> None:
        record = asdict(replace(self._now, updated=time.time()))
        for name, value in record.items():
            if isinstance(value, float) and not math.isfinite(value):
                record[name] = None
        try:
            with atomic_path(path or self._place()) as temporary:
                temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        except (OSError, InputError) as error:
            if not self._refused:
                log.warning("progress cannot be shown to other programs: %s", error)
            self._refused = True


def read_progress(path: Path) -> Progress | None:
    """Read what a run tells of itself.

    Parameters
    ----------
    path
        `progress.json`, or the folder that it lies in.

    Returns
    -------
    Progress or None
        None where there is no such file, or one that is of something else. A run that was killed
        without a last word is `lost`: its process is gone, or, on another host, it has been silent
        for two minutes.
    """
    file = path / PROGRESS if path.is_dir() else path
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Progress)}
        values = {name: value for name, value in record.items() if name in known}
        progress = Progress(**values | {"process": Process(**record["process"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return replace(progress, state="lost") if _is_lost(progress) else progress


def _is_lost(progress: Progress) -> bool:
    if progress.state != "running":
        return False
    lives = progress.process.lives()
    return time.time() - progress.updated > SILENCE if lives is None else not lives


def _own_name(told: Progress) -> str:
    return progress_of(told.command, told.process.pid, told.process.ticks)


def _make_room(folder: Path, command: str) -> None:
    """Leave `progress.json` to a run that begins, and keep what other runs tell."""
    for path in sorted(folder.glob(PROGRESSES)):
        told = read_progress(path)
        if told is None:
            continue
        if told.state == "running" and path.name == PROGRESS:
            with suppress(OSError):
                path.rename(folder / _own_name(told))
        elif told.command == command and told.state != "running" and path.name != PROGRESS:
            path.unlink(missing_ok=True)
        elif told.command != command and told.state != "running":
            with suppress(OSError):
                path.rename(folder / last_word_of(told.command))


def _put_by(path: Path, told: Progress, later: Progress | None) -> None:
    """Keep the end of a run that another one has followed, unless that says as much."""
    if told.state == "succeeded" and later is not None and later.command == told.command:
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):
        path.rename(path.with_name(last_word_of(told.command)))


def progresses(folder: Path) -> list[Progress]:
    """What all runs in a folder tell of themselves, the one that began last before the others."""
    told = [read_progress(path) for path in folder.glob(PROGRESSES)]
    return sorted((one for one in told if one is not None), key=lambda one: -one.started)


def find_progress(project: Path, but: Iterable[Path] = ()) -> list[tuple[Path, Progress]]:
    """What runs tell of themselves in the folders of a project and in those below, with folders.

    Parameters
    ----------
    project
        The folder.
    but
        Folders that are left out.
    """
    left_out = {str(place) for place in but}
    first = _folders_in(str(project))
    places = [place for folder in first for place in (folder, *_folders_in(folder))]
    found = [Path(place) for place in places if place not in left_out]
    return [(place, told) for place in found for told in progresses(place)]


def _folders_in(folder: str) -> list[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [e.path for e in entries if e.name[0] != "." and e.is_dir()]
    return []
