"""Jobs for tests: small programs in place of trainings, and waiting for what they do."""

import json
import os
import sys
import time
from dataclasses import asdict

from isonet2.data.processes import Process
from isonet2.data.run_folder import JOB, STATE
from isonet2.jobs import gpus


def soon(condition, seconds=30.0):
    """Wait for something; return what it was."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def ended(jobs, *numbers, seconds=60.0):
    """The jobs of these numbers, when all of them have ended."""
    soon(lambda: all(jobs.show(number).has_ended for number in numbers), seconds)
    return [jobs.show(number) for number in numbers]


def said(jobs, number=1):
    """The lines of a job's log, whole; its first ones are the program's own text."""
    return jobs.log(number)[0].decode().splitlines()


def python(code, *words):
    """Words that run a piece of Python."""
    return [sys.executable, "-c", code, *map(str, words)]


def offer(monkeypatch, folder, names):
    """Pretend that these GPUs are there, with locks of their own."""
    monkeypatch.setenv(gpus.OFFERED, names)
    monkeypatch.setenv(gpus.LOCKS, str(folder))
    gpus.visible.cache_clear()


def many(jobs, count):
    """Jobs of a project that follow one another and have succeeded, written without a runner."""
    process = asdict(Process.of(os.getpid()))
    state = {"status": "succeeded", "process": process, "heartbeat": 1.0, "started": 1, "ended": 2}
    (jobs.hidden / "kinds").mkdir(parents=True, exist_ok=True)
    (jobs.hidden / "kinds/psf").touch()
    for number in range(1, count + 1):
        folder = jobs.project / "psf" / f"job{number:03}"
        folder.mkdir(parents=True)
        record = {
            "number": number, "kind": "psf", "project": str(jobs.project), "argv": ["true"],
            "results": f"psf/job{number:03}", "submitted": 1.0, "after": [number - 1],
        }  # fmt: skip
        (folder / JOB).write_text(json.dumps(record))
        (folder / STATE).write_text(json.dumps(state))
        os.utime(folder, (1.0, 1.0))
