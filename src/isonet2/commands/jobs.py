"""The command `jobs`: list the jobs of the working folder, and look after them."""

import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from isonet2.data.progress import Progress
from isonet2.jobs import Job, Jobs
from isonet2.jobs import lanes as jobs_lanes
from isonet2.jobs.turns import waits_for
from isonet2.parameters import JobsParameters
from isonet2.reports.table import show_table

log = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two looks at a log that is followed."""
COLUMNS = ("number", "command", "name", "state", "done", "time left", "GPU", "what to know")


def jobs(parameters: JobsParameters) -> int:
    """List the jobs of the working folder, or do something with some of them.

    Returns
    -------
    int
        Exit status: 0, or that of the job whose log was followed.
    """
    project = Jobs(Path.cwd())
    if parameters.number is None:
        about_all[parameters.action](project)
        return 0
    status = 0
    for number in parameters.number:
        status = about_one[parameters.action](project, number, parameters) or status
    return status


def _list(project: Jobs) -> None:
    """Print all jobs, and the runs that were started otherwise."""
    project.ask_schedulers()
    project.wake()
    known = project.list()
    waiting = waits_for(known, paused=project.paused)
    rows = [_row(job, waiting.get(job.number, "")) for job in known]
    rows += [_row_of_run(folder, told, project.project) for folder, told in project.runs(known)]
    title = f"{len(rows)} jobs in {project.project}"
    show_table(f"{title}; the queue is paused" if project.paused else title, COLUMNS, rows)


def _row(job: Job, waits: str) -> Sequence[str]:
    told = job.progress() if job.status == "running" else None
    said = job.reason or waits or (told.message if told else "")
    if job.lane != jobs_lanes.LOCAL:
        said = f"{job.lane} {job.batch or ''} {said}".strip()
    return (
        str(job.number),
        job.kind,
        job.name,
        job.status,
        _done(told),
        _left(told),
        ", ".join(job.devices) if job.status == "running" else "",
        said,
    )


def _row_of_run(folder: Path, told: Progress, project: Path) -> Sequence[str]:
    place = str(folder.relative_to(project))
    running = told if told.state == "running" else None
    said = told.message.partition("\n")[0]
    return ("", told.command, place, told.state, _done(running), _left(running), "", said)


def _done(told: Progress | None) -> str:
    if told is None:
        return ""
    if told.epochs:
        return f"epoch {told.epoch} of {told.epochs}"
    if told.tomograms:
        return f"{told.tomogram} of {told.tomograms} tomograms"
    return ""


def _left(told: Progress | None) -> str:
    if told is None or told.seconds_left is None:
        return ""
    return str(timedelta(seconds=round(told.seconds_left)))


def _pause(project: Jobs) -> None:
    project.pause()
    log.info("no queued job begins until isonet.py jobs resume")


def _lanes(project: Jobs) -> None:
    """Print where jobs can run."""
    for name in jobs_lanes.names(project.project):
        sys.stdout.write(f"{name}\n")


def _show(project: Jobs, number: int, parameters: JobsParameters) -> int:
    """Print all that is known of a job."""
    project.ask_schedulers()
    job = project.show(number)
    waiting = waits_for(project.list(), paused=project.paused)
    reason = job.reason or waiting.get(number, "")
    facts = {
        "job": f"{job.number}, {job.place}",
        "name": job.name,
        "notes": job.notes,
        "tags": ", ".join(job.tags),
        "state": f"{job.status}{f': {reason}' if reason else ''}",
        "command": shlex.join(job.argv),
        "results": str(job.results),
        "waits for": ", ".join(map(str, job.after)),
        "lane": f"{job.lane} {job.batch or ''}".strip(),
        "GPU": ", ".join(job.devices),
        "host": job.process.host if job.process else "",
        "submitted": _when(job.submitted),
        "started": _when(job.started),
        "ended": _when(job.ended),
        "attempt": str(job.attempt),
        "priority": str(job.priority),
    }
    for name, value in facts.items():
        if value:
            sys.stdout.write(f"{name:10} {value}\n")
    for line in job.last_lines:
        sys.stdout.write(f"  | {line}\n")
    return 0


def _when(moment: float | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M:%S}"


def _log(project: Jobs, number: int, parameters: JobsParameters) -> int:
    """Print a job's log; with `follow` until the job has ended, and give its exit status."""
    offset = 0
    while True:
        over = project.show(number).has_ended
        while True:
            text, offset = project.log(number, offset)
            if not text:
                break
            os.write(sys.stdout.fileno(), text)
        if over or not parameters.follow:
            break
        time.sleep(PAUSE)
    job = project.show(number)
    return 0 if not parameters.follow or job.status == "succeeded" else 1


def _cancel(project: Jobs, number: int, parameters: JobsParameters) -> int:
    job = project.cancel(number, parameters.grace)
    log.info("%s is %s", job.place, "cancelled" if job.has_ended else "told to end")
    return 0


def _retry(project: Jobs, number: int, parameters: JobsParameters) -> int:
    job = project.retry(number)
    log.info("%s is %s again", job.place, job.status)
    return 0


def _remove(project: Jobs, number: int, parameters: JobsParameters) -> int:
    removed = project.remove(number)
    log.info(
        "job %d is in the trash, %.1f MB; delete %s to have the room back",
        number,
        removed.size / 1e6,
        removed.path,
    )
    return 0


def _edit(project: Jobs, number: int, parameters: JobsParameters) -> int:
    p = parameters
    project.edit(number, name=p.name, notes=p.notes, priority=p.priority)
    return 0


about_all: dict[str, Callable[[Jobs], None]] = {
    "list": _list,
    "pause": _pause,
    "resume": Jobs.resume,
    "lanes": _lanes,
}
about_one: dict[str, Callable[[Jobs, int, JobsParameters], int]] = {
    "show": _show,
    "log": _log,
    "cancel": _cancel,
    "retry": _retry,
    "remove": _remove,
    "edit": _edit,
}
