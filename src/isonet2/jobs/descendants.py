"""All processes that came of one job, and their end."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

MARK = "ISONET2_JOB"
"""Environment variable that holds a job's folder in all processes that come of it."""
_PROC = Path("/proc")


def own_job() -> Path | None:
    """Folder of the job that this process came of; None for one that was started otherwise."""
    folder = os.environ.get(MARK)
    return Path(folder) if folder else None


def of_job(folder: Path) -> set[int]:
    """Processes of this user that carry the mark of a job, whoever their parent is by now."""
    mark = f"{MARK}={folder}".encode()
    found = set()
    for pid in _pids():
        with suppress(OSError):
            if mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found - {os.getpid()}


def below(parent: int) -> set[int]:
    """Processes that descend from one, in sessions of their own too."""
    children = defaultdict(list)
    for pid in _pids():
        with suppress(OSError, IndexError, ValueError):
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            if fields[0] not in "ZX":
                children[int(fields[1])].append(pid)
    found: set[int] = set()
    waiting = [parent]
    while waiting:
        new = set(children[waiting.pop()]) - found
        found |= new
        waiting += new
    return found


def memory_of(pids: Iterable[int]) -> int:
    """Bytes of memory that processes hold themselves: without files that are mapped."""
    total = 0
    for pid in pids:
        with suppress(OSError, IndexError, ValueError):
            told = (_PROC / str(pid) / "status").read_text().partition("RssAnon:")[2]
            total += int(told.split(maxsplit=1)[0]) * 1024
    return total


def end(
    alive: Callable[[], set[int]],
    ladder: Sequence[tuple[int, float]],
    each_moment: Callable[[], object] = lambda: None,
) -> None:
    """Ask processes to end, ever less politely.

    Parameters
    ----------
    alive
        Says which of them are there; asked again and again, since they may start others.
    ladder
        Signals, and the seconds that each is given; see `asking` and `pressing`.
    each_moment
        Called while waiting.
    """
    for number, patience in ladder:
        told: set[int] = set()
        until = time.monotonic() + patience
        while pids := alive():
            for pid in pids - told:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            told |= pids
            if time.monotonic() > until:
                break
            each_moment()
            time.sleep(0.05)
        else:
            return


def asking(grace: float) -> list[tuple[int, float]]:
    """As Ctrl-C does, with `grace` seconds to save what can be saved; then with force."""
    return [(signal.SIGINT, grace), *pressing(grace / 4)]


def pressing(patience: float) -> list[tuple[int, float]]:
    """TERM, and KILL after some seconds."""
    return [(signal.SIGTERM, patience), (signal.SIGKILL, 5.0)]


def waiting(patience: float) -> list[tuple[int, float]]:
    """Some seconds for those who were told already, before they are pressed."""
    return [(0, patience), *pressing(2.0)]


def _pids() -> Iterator[int]:
    return (int(path.name) for path in _PROC.iterdir() if path.name.isdecimal())
