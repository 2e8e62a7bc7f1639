"""Jobs and runs of the project as lists show them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from isonet2.data.progress import Progress
from isonet2.gui.old_app import OldJob, old_jobs
from isonet2.gui.run_files import recorded
from isonet2.gui.through_tables import read_through
from isonet2.gui.words import dictionary, language, t
from isonet2.jobs import Job, Jobs
from isonet2.jobs.descendants import below, memory_of
from isonet2.jobs.turns import waits_for

TRAININGS = frozenset({"denoise", "refine"})
RUN = "run:"
"""Beginning of the key of a run that was started in a terminal; its folder and start follow."""
MOST_TABLES = 300
"""Jobs whose tables are read to see what they follow: the latest."""
OLD = "app:"
"""Beginning of the key of a job of IsoApp; its number follows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list of jobs.

    Attributes
    ----------
    key
        Number of a job, or `run:` and folder and start of a run.
    title
        Its name, or the kind where nobody gave it one.
    place
        Folder as people name it.
    kind, status
        The command, and where it stands.
    line
        What is to be said of it in a few words.
    part
        Part of the work that is done, 0 to 1; below 0 where it is not known or of no interest.
    notes, starred, tags
        What people wrote on it.
    """

    key: str
    title: str
    place: str
    kind: str
    status: str
    line: str
    part: float
    notes: str = ""
    starred: bool = False
    tags: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """For a table on the page."""
        return asdict(self) | {"word": t(f"status.{self.status}")}

    def holds(self, word: str) -> bool:
        """Whether a word that is searched for stands in it, in small letters or large ones."""
        texts = (self.title, self.place, self.kind, self.line, self.notes, *self.tags)
        return word.casefold() in " ".join(texts).casefold()


def entries(jobs: Jobs) -> list[Entry]:
    """All jobs and runs, those of IsoApp too, the newest first."""
    known = jobs.list()
    waiting = waits_for(known, paused=jobs.paused)
    today = f"{language()} {time.strftime('%Y-%m-%d')}"
    listed = [(job.submitted, _kept_entry(job, waiting, today)) for job in known]
    listed += [(at.started, entry_of_run(jobs, place, at)) for place, at in jobs.runs(known)]
    listed += [(job.changed, entry_of_old(job)) for job in old_jobs(jobs.project)]
    return [entry for _, entry in sorted(listed, key=lambda pair: pair[0], reverse=True)]


_made: dict[Path, tuple[Job, str, Entry]] = {}


def _kept_entry(job: Job, waiting: Mapping[int, str], today: str) -> Entry:
    """The line of a job; of one that has ended the one that was made before.

    What it says depends on `today`: the language, and the day.
    """
    if not job.has_ended:
        return entry_of_job(job, waiting)
    made = _made.get(job.folder)
    if made is None or made[0] is not job or made[1] != today:
        made = _made[job.folder] = job, today, entry_of_job(job, waiting)
    return made[2]


def entry_of_job(job: Job, waiting: Mapping[int, str] = MappingProxyType({})) -> Entry:
    """The line of a job; what those that are queued wait for is looked up by number."""
    told = job.progress() if job.status == "running" else None
    line = progress_words(told) if told else (job.reason or waiting.get(job.number) or when(job))
    part = (told.part or 0.0) if told else -1.0
    title = job.name or dictionary(language()).get(f"page.{job.kind}", job.kind)
    written = (job.notes, job.starred, job.tags)
    return Entry(str(job.number), title, job.place, job.kind, job.status, line, part, *written)


def entry_of_run(jobs: Jobs, folder: Path, told: Progress) -> Entry:
    """The line of a run that was started otherwise."""
    place = str(folder.relative_to(jobs.project))
    title = t("jobs.terminal", command=told.command)
    line = progress_words(told) if told.state == "running" else told.message
    part = (told.part or 0.0) if told.state == "running" else -1.0
    key = f"{RUN}{place}@{told.started:.0f}"
    return Entry(key, title, place, told.command, told.state, line, part)


def entry_of_old(job: OldJob) -> Entry:
    """The line of a job of IsoApp."""
    title = f"{job.name or job.kind} (IsoApp)"
    line = job.reason or (clock(job.changed) if job.changed else "")
    return Entry(f"{OLD}{job.number}", title, job.place, job.kind, job.status, line, -1.0)


Links = Mapping[int, set[int]]
"""For each job by number, those that it follows."""


def follows(jobs: Sequence[Job]) -> Links:
    """Which jobs each one follows: it waits for them, or reads what they made.

    What it reads are files that its command line names, and those in the columns of its table that
    it works on. The tables of the latest jobs are read, which takes a while at first.
    """
    tables = {job.number for job in sorted(jobs, key=lambda job: job.number)[-MOST_TABLES:]}
    makers: dict[Path, list[int]] = {}
    for job in jobs:
        makers.setdefault(job.results, []).append(job.number)
    known = {job.number for job in jobs}
    found = {}
    for job in jobs:
        files = {Path(told) for told in job.inputs}
        if job.number in tables:
            files |= read_through(job)
        read = {place for path in files for place in (path, *path.parents)}
        earlier = {number for place in read & makers.keys() for number in makers[place]}
        earlier |= known.intersection(job.after)
        found[job.number] = {number for number in earlier if number < job.number}
    return found


def chain(job: Job, jobs: Sequence[Job], earlier: Links) -> tuple[list[Job], list[Job]]:
    """Jobs that one follows, and those that follow it."""
    return (
        [other for other in jobs if other.number in earlier[job.number]],
        [other for other in jobs if job.number in earlier[other.number]],
    )


def folder_of_run(key: str) -> str:
    """Folder of a run, from the project, by its key."""
    return key.removeprefix(RUN).rpartition("@")[0]


def progress_words(told: Progress) -> str:
    """Where a run stands, in a few words."""
    words = []
    if told.epoch is not None and told.epochs is not None:
        words.append(t("jobs.epoch", epoch=told.epoch, epochs=told.epochs))
    elif told.tomogram is not None and told.tomograms is not None:
        words.append(t("jobs.tomogram", done=told.tomogram, all=told.tomograms))
    if told.part is not None:
        words.append(f"{told.part:.0%}")
    if told.seconds_left:
        words.append(t("jobs.left", time=duration(told.seconds_left)))
    if told.loss is not None:
        words.append(t("jobs.loss", loss=f"{told.loss:.4g}"))
    return " · ".join(words) or told.message


def memory_words(job: Job) -> list[str]:
    """Memory that a job takes while it runs here, and the most that it took on its first GPU."""
    words = []
    if job.status == "running" and job.process is not None and job.process.lives():
        held = memory_of(below(job.process.pid))
        words += [t("jobs.memory", size=bytes_in_words(held))] if held else []
    told = job.progress()
    if told is not None and told.device_memory:
        words.append(t("jobs.gpu_memory", size=bytes_in_words(told.device_memory)))
    return words


def duration(seconds: float) -> str:
    """A time span in words: `3 h 20 min`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    return (
        f"{minutes} min" if minutes >= 5 else f"{minutes} min {left} s" if minutes else f"{left} s"
    )


def when(job: Job) -> str:
    """When a job ended and how long it took."""
    if job.ended is None or job.started is None:
        return clock(job.submitted)
    return t("jobs.took", at=clock(job.ended), time=duration(job.ended - job.started))


def clock(seconds: float) -> str:
    """A moment in local time; the day only where it is not today."""
    then = time.localtime(seconds)
    today = time.localtime()[:3] == then[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


def parameters_of(job: Job) -> dict[str, object]:
    """All parameters of a job: its record, or what was set where there is none yet."""
    return recorded(job.results) or dict(job.parameters)


def bytes_in_words(count: float) -> str:
    """A size as people say it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
