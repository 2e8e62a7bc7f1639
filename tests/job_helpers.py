"""Jobs for tests: small programs in place of trainings, and waiting for what they do."""

import sys
import time

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
