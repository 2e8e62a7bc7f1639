"""Ranks that look after each other, where nobody who started them does.

srun lets ranks wait for hours for one that died. Here each tells the others that it lives, through
the store that they have met in.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from isonet2.machine.started import Rank, started_rank

log = logging.getLogger(__name__)

BEAT = 3.0
"""Seconds between two signs of life."""
SILENCE = 40.0
"""Seconds without one after which a rank counts as dead."""
ENDED = "ended"


@contextmanager
def watched() -> Iterator[None]:
    """End this process when another rank dies while the block runs; say when the block is over."""
    rank = started_rank()
    if rank is None or rank.watched:
        yield
        return
    over = threading.Event()
    store = TCPStore(
        rank.address,
        rank.port,
        is_master=False,
        wait_for_workers=False,
        timeout=timedelta(minutes=1),
    )
    thread = threading.Thread(target=_watch, args=(store, rank, over), name="watch", daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        raise  # others hear nothing more of this rank, and end
    else:
        store.set(_key(rank.number), ENDED)
    finally:
        over.set()
        thread.join()


def _key(number: int) -> str:
    return f"isonet2/alive/{number}"


def _watch(store: TCPStore, rank: Rank, over: threading.Event) -> None:
    others = [number for number in range(rank.ranks) if number != rank.number]
    heard = dict.fromkeys(others, ("", time.monotonic()))
    count = 0
    while not over.wait(BEAT):
        count += 1
        try:
            store.set(_key(rank.number), str(count))
            for number in others:
                known = store.check([_key(number)])
                said = store.get(_key(number)).decode() if known else ""
                if said != heard[number][0]:
                    heard[number] = said, time.monotonic()
        except RuntimeError:  # the first rank held the store, and is gone
            _give_up(0, over)
            return
        for number, (said, moment) in heard.items():
            if said != ENDED and time.monotonic() - moment > SILENCE:
                _give_up(number, over)
                return


def _give_up(number: int, over: threading.Event) -> None:
    """End this process, unless it is about to end well itself."""
    if over.wait(3 * BEAT):
        return
    log.error("process %d of this training is gone; this one ends too", number)
    os._exit(1)
