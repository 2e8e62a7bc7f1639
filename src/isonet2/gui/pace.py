"""Looking at files again and again, at the cost of at most a hundredth of a processor core."""

import time
from collections.abc import Awaitable, Callable

from nicegui import ui

SHARE = 0.01
"""Part of one core that one look may take on average."""
LONGEST = 30.0
"""Seconds after which it is looked again, however dear a look is."""


def pause_after(cost: float, seconds: float) -> float:
    """Seconds from one look to the next.

    Parameters
    ----------
    cost
        Processor seconds that a look takes.
    seconds
        What is wanted where looks are cheap.
    """
    return max(seconds, min(cost / SHARE, LONGEST))


def regularly(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    """Call `look` now and every so many seconds; less often where two in a row were dear.

    Processor time of the whole program is counted, not the time that passes, so that a busy
    machine or a slow disk makes no page sluggish. Of two looks the cheaper counts, since something
    else may compute during one.
    """
    last = 0.0

    async def measured() -> None:
        nonlocal last
        before = time.process_time()
        await look()
        cost = time.process_time() - before
        timer.interval = pause_after(min(cost, last), seconds)
        last = cost

    timer = ui.timer(seconds, measured)
