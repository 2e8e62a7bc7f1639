"""Ctrl-C and the scheduler's signals, turned into a polite request to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass(slots=True)
class StopRequest:
    """Whether somebody asked this process to stop, and by which signal."""

    signal: int | None = None

    def __call__(self) -> bool:
        """Tell whether to stop."""
        return self.signal is not None


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Catch the first signal as a request; a second one ends the program as usual."""
    request = StopRequest()
    if current_thread() is not main_thread():
        yield request
        return
    usual = {number: signal.getsignal(number) for number in ASKING}

    def ask(number: int, frame: FrameType | None) -> None:
        request.signal = number
        for each, handler in usual.items():
            signal.signal(each, handler)

    for number in ASKING:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
