"""Processes that outlive the one that starts them: the runner of a job, and the dispatcher."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from isonet2.data.files import locked, make_folder
from isonet2.data.run_folder import HIDDEN, LOG, RUNNER_LOG
from isonet2.errors import InputError
from isonet2.jobs import gpus
from isonet2.jobs.gpus import Gpu
from isonet2.jobs.records import Job

DISPATCHER = "dispatcher"
"""Whose lock, in the hidden folder, says that a dispatcher is at work."""
PYTHON = (sys.executable, "-P")
"""This Python, which takes no module from the folder where it is started."""
_started: list[subprocess.Popen[bytes]] = []


def runner(folder: Path) -> subprocess.Popen[bytes]:
    """Start the runner of a job."""
    return _detached(runner_words(folder), folder / RUNNER_LOG)


def dispatcher(project: Path) -> None:
    """See that a project has a dispatcher."""
    hidden = make_folder(project / HIDDEN)
    try:
        with locked(hidden / DISPATCHER, timeout=0):
            pass
    except InputError:
        return  # one is at work, and looks once more before it leaves
    _detached([*PYTHON, "-m", "isonet2.jobs.dispatcher", str(project)], hidden / LOG)


def runner_words(folder: Path) -> list[str]:
    """The command line of a job's runner."""
    return [*PYTHON, "-m", "isonet2.jobs.runner", str(folder)]


def busy(job: Job) -> list[tuple[Gpu, str]]:
    """GPUs that a job which starts at once would share, and with whom."""
    return [(gpu, who) for gpu in choice(job) if (who := gpus.holder(gpu)) is not None]


def choice(job: Job) -> list[Gpu]:
    """GPUs that a job should get now: those that it names, else free ones with most memory."""
    if job.gpu_ids is not None:
        return gpus.asked_for(job.gpu_ids, job.project)
    if not job.gpus:
        return []
    room, free = gpus.free_memory(), gpus.free(job.project)
    best = sorted(gpus.usable(job.project), key=lambda gpu: (gpu not in free, -room.get(gpu.id, 0)))
    return best[: job.gpus]


def _detached(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, away from any terminal."""
    _started[:] = [process for process in _started if process.poll() is None]
    with log.open("ab") as output:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=log.parent,
        )
    _started.append(process)
    return process
