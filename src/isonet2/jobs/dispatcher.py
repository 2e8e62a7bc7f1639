"""Starts queued jobs of the local lane when their turn comes.

`python -m isonet2.jobs.dispatcher PROJECT`. It remembers nothing: all it knows it reads from the
files of the jobs, so that it may be killed at any time. One is at work in a project; it leaves when
there is nothing to do.
"""

import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from isonet2.data.files import locked
from isonet2.data.processes import Process
from isonet2.data.run_folder import STATE
from isonet2.errors import InputError
from isonet2.jobs import descendants, start
from isonet2.jobs.lanes import LOCAL
from isonet2.jobs.records import Job, give_up
from isonet2.jobs.store import Jobs
from isonet2.jobs.turns import has_its_gpus, is_at_work, turns

PAUSE = 1.0
"""Seconds between two looks."""
LAST_SAVE = 20.0
"""Seconds that a command is given to save its state when its runner was killed."""
_cleared: set[Process] = set()


def tick(project: Jobs) -> bool:
    """Start what can be started; False where there is nothing left to start or to watch."""
    begun = True
    while begun:
        project.ask_schedulers()
        jobs = project.list()
        _clear_away(jobs)
        local = [] if project.paused else turns(jobs)
        started = [has_its_gpus(job) and _begin(job) for job in local]
        handed_in = [_hand_in(project, job) for job in jobs if _is_for_a_scheduler(job)]
        begun = any(started + handed_in)
    open_here = [job for job in jobs if not job.has_ended and job.batch is None]
    return any(not project.paused or is_at_work(job) or job.lane != LOCAL for job in open_here)


def _is_for_a_scheduler(job: Job) -> bool:
    """Whether a job's lane can take it now."""
    return job.lane != LOCAL and job.batch is None and job.status == "queued" and not job.reason


def _hand_in(project: Jobs, job: Job) -> bool:
    """Give a job to its scheduler, and write down what that says against it."""
    try:
        project.start(job)
    except InputError as error:
        give_up(job, str(error))
    return True


def _begin(job: Job) -> bool:
    """Start a job's runner and wait until it has begun; False where that came to nothing.

    It may have lost its GPU to a job of another project in that moment.
    """
    runner = start.runner(job.folder)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if (job.folder / STATE).exists():
            return True
        if runner.poll() is not None:
            return False
        time.sleep(0.02)
    return False


def _clear_away(jobs: Sequence[Job]) -> None:
    """End what is left of jobs whose runners were killed here, once it had time to save."""
    for job in jobs:
        if job.status == "lost" and job.process is not None and job.process not in _cleared:
            _cleared.add(job.process)
            alive = partial(descendants.of_job, job.folder)
            descendants.end(alive, descendants.waiting(LAST_SAVE))


def main(words: Sequence[str]) -> int:
    """Dispatch until there is nothing to do."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    project = Jobs(Path(words[0]))
    while True:
        try:
            with locked(project.hidden / start.DISPATCHER, timeout=1):
                while tick(project):
                    time.sleep(PAUSE)
        except InputError:
            return 0
        if not tick(project):  # what came while the lock said that somebody is here
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
