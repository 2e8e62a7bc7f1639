"""A process named so that no later one can be taken for it, and whether it still lives."""

import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process of one start of one host.

    Attributes
    ----------
    pid
        Its number, which the system gives to another process one day.
    host
        Name of the machine.
    boot
        Start of the machine, and of the container, in which the number counts.
    ticks
        When the process began, in clock ticks after that start: two processes of the same number
        differ in it.
    """

    pid: int
    host: str
    boot: str
    ticks: int

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this number here and now; `ticks` is -1 where there is none."""
        return cls(pid, socket.gethostname(), _boot(), start_ticks(pid))

    def lives(self) -> bool | None:
        """Whether it is there still; None where that cannot be seen from this host."""
        if self.host != socket.gethostname():
            return None
        if self.boot != _boot():
            same_machine = self.boot.partition("/")[0] == _boot().partition("/")[0]
            return None if same_machine else False
        return self.ticks >= 0 and start_ticks(self.pid) == self.ticks


def start_ticks(pid: int) -> int:
    """When a process of this host began, in clock ticks; -1 for one that is gone or ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return -1
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return -1 if fields[0] in "ZX" else int(fields[19])


@cache
def _boot() -> str:
    """Names this start of the machine, and the container in which process numbers count."""
    try:
        machine = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{machine}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""
