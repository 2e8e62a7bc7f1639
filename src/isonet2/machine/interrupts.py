"""Ctrl-C and the scheduler's signals, turned into a polite request to stop."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType

TOGETHER = 3.0
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass(slots=True)
class StopRequest:
    """Whether somebody asked this process to stop, and by which signal."""

    signal: int | None = None
    moment: float = 0.0

    def __call__(self) -> bool:
        """Tell whether to stop."""
        return self.signal is not None


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Catch the first signal as a request; a second one ends the program as usual.

    What comes within `TOGETHER` seconds is one request: a terminal, a scheduler and whoever started
    this process may all pass on the same one.
    """
    request = StopRequest()
    if current_thread() is not main_thread():
        yield request
        return
    usual = {number: signal.getsignal(number) for number in ASKING}

    def ask(number: int, frame: FrameType | None) -> None:
        if request.signal is None:
            request.signal, request.moment = number, time.monotonic()
        elif time.monotonic() - request.moment > TOGETHER:
            for each, handler in usual.items():
                signal.signal(each, handler)
            os.kill(os.getpid(), number)

    for number in ASKING:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
