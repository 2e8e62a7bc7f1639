"""Ranks that look after each other, where nobody who started them does.

srun lets ranks wait for hours for one that died. Here each keeps a connection to the first one,
from before the program is loaded: the system closes it when a process dies, and a machine that is
gone is silent. The first one passes on what it hears.
"""

import logging
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from isonet2.errors import InputError
from isonet2.machine.started import Rank, started_rank

log = logging.getLogger(__name__)

BEAT = 2.0
"""Seconds between two signs of life."""
SILENCE = 30.0
"""Seconds without one after which a rank counts as dead."""
COMING = 45.0
"""Seconds that ranks are given to appear after the first, which is as long under way as they."""
LEAVING = 40.0
"""Seconds to end by itself for a rank that hears that another one has failed."""
DYING = 5.0
"""As `LEAVING`, where another one is dead; and how long the news of that may take."""
LOADING, HERE, OVER, FAILED, DEAD, MISSING = range(6)
_ALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 10),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 5),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 4),
)
"""The system itself asks after 10 s of silence, and gives a machine up after 20 more."""
_MESSAGE = struct.Struct("!4sHI")
_SIGN = b"iso2"
_ENDS = {FAILED: "has failed", DEAD: "is gone", MISSING: f"did not begin within {COMING:g} seconds"}


_on_watch: "list[Lookout]" = []
"""The watch of this process, if there is one."""


@contextmanager
def watched(*, loading: bool = False) -> Iterator["Lookout | None"]:
    """End this process when another rank fails or dies while the block runs.

    Inside such a block another one is the same watch, which from then on takes silence for death.

    Parameters
    ----------
    loading
        Whether the program is still to be loaded, in which it may be silent for long.

    Yields
    ------
    Lookout or None
        None where there is nobody to watch.

    Raises
    ------
    InputError
        When the port beside that of the ranks is taken, or the first rank does not come.
    """
    rank = started_rank()
    if rank is None or rank.watched:
        yield None
        return
    if _on_watch:
        _on_watch[0].word = HERE
        yield _on_watch[0]
        return
    watch = Lookout(rank, LOADING if loading else HERE)
    watch.start()
    _on_watch.append(watch)
    word = FAILED
    try:
        yield watch
        word = OVER
    except KeyboardInterrupt:
        word = OVER  # all of them stop together
        raise
    finally:
        _on_watch.remove(watch)
        watch.leave(word)


@contextmanager
def explained(watch: "Lookout | None") -> Iterator[None]:
    """Say in place of what torch says of a broken connection that another rank is gone.

    Raises
    ------
    RuntimeError
        With the number of that rank.
    """
    import torch

    try:
        yield
    except RuntimeError as error:
        broken = type(error) is RuntimeError or isinstance(error, torch.distributed.DistError)
        if watch is None or not broken or not watch.heard_of_an_end(DYING):
            raise
        raise RuntimeError(watch.news) from None


@dataclass(eq=False, slots=True)
class _Peer:
    """Another rank, at the other end of a connection."""

    connection: socket.socket
    number: int = -1
    word: int = LOADING
    heard: float = field(default_factory=time.monotonic)
    rest: bytes = b""


class Lookout(threading.Thread):
    """Talks with the first rank; in that one, with all others.

    Parameters
    ----------
    rank
        This one.
    word
        What it says of itself: LOADING or HERE.

    Attributes
    ----------
    news
        What is to be said of another rank's end.
    """

    def __init__(self, rank: Rank, word: int) -> None:
        super().__init__(name="watch", daemon=True)
        self.news = ""
        self.word = word
        self._rank = rank
        self._door = self._opened() if rank.number == 0 else None
        self._first = self._connected() if rank.number else None
        self._peers: dict[int, _Peer] = {}
        self._waiting = selectors.DefaultSelector()
        self._stack = ExitStack()
        self._over = threading.Event()
        self._known = threading.Event()

    def heard_of_an_end(self, seconds: float) -> bool:
        """Wait for the news that another rank has failed or died."""
        return self._known.wait(seconds)

    def leave(self, word: int) -> None:
        """Say to the others how this rank ends, and watch no longer."""
        self.word = word
        self._over.set()
        self.join()

    def run(self) -> None:
        """Lookout until the block is over, or somebody else is gone."""
        with self._stack:
            self._stack.enter_context(self._waiting)
            if self._door is not None:
                self._waiting.register(self._stack.enter_context(self._door), selectors.EVENT_READ)
            if self._first is not None:
                self._add(self._first, 0)
            end, before = time.monotonic() + COMING, time.monotonic()
            while not self._over.is_set():
                self._listen(BEAT / 4)
                now = time.monotonic()
                if now - before > SILENCE / 3:  # this process was stopped for a while itself
                    end += now - before
                    for peer in self._peers.values():
                        peer.heard = now
                before = now
                self._tell(self.word, self._rank.number)
                lost = self._lost(now, end)
                if lost is not None:
                    self._tell(lost[1], lost[0])
                    self._give_up(*lost)
            self._tell(self.word, self._rank.number)

    def _opened(self) -> socket.socket:
        try:
            door = socket.create_server(("", self._port), backlog=self._rank.ranks)
        except OSError as error:
            raise InputError(
                f"MASTER_PORT: port {self._port} of this machine cannot be listened on "
                f"({error.strerror}); set MASTER_PORT to another number for all processes"
            ) from error
        door.settimeout(1)
        return door

    @property
    def _port(self) -> int:
        return self._rank.port + 1

    def _connected(self) -> socket.socket:
        end = time.monotonic() + COMING
        while True:
            try:
                found = socket.create_connection((self._rank.address, self._port), timeout=5)
            except OSError as error:
                if time.monotonic() > end:
                    raise InputError(
                        f"process 0 does not answer at {self._rank.address}:{self._port} "
                        f"({error.strerror}); is it gone, or are MASTER_ADDR and MASTER_PORT right?"
                    ) from error
                time.sleep(BEAT / 4)
            else:
                found.sendall(_MESSAGE.pack(_SIGN, self.word, self._rank.number))
                return found

    def _add(self, connection: socket.socket, number: int = -1) -> None:
        connection.settimeout(2)
        for option, value in _ALIVE:
            connection.setsockopt(*option, value)
        peer = _Peer(self._stack.enter_context(connection), number)
        self._waiting.register(connection, selectors.EVENT_READ, peer)
        if number >= 0:
            self._peers[number] = peer

    def _listen(self, seconds: float) -> None:
        for key, _ in self._waiting.select(seconds):
            if key.data is None and self._door is not None:
                with suppress(OSError):
                    self._add(self._door.accept()[0])
                continue
            peer: _Peer = key.data
            try:
                told = peer.connection.recv(4096)
            except OSError:
                told = b""
            if told:
                self._read(peer, told)
            else:
                self._waiting.unregister(peer.connection)
                peer.word = DEAD if peer.word in (LOADING, HERE) else peer.word

    def _read(self, peer: _Peer, told: bytes) -> None:
        peer.heard = time.monotonic()
        peer.rest += told
        while len(peer.rest) >= _MESSAGE.size:
            sign, word, number = _MESSAGE.unpack_from(peer.rest)
            peer.rest = peer.rest[_MESSAGE.size :]
            if sign != _SIGN or number >= self._rank.ranks:
                return
            if peer.number < 0:
                peer.number, self._peers[number] = number, peer
            if number == peer.number:
                peer.word = word
            else:  # what the first rank has heard
                self._peers[number] = _Peer(peer.connection, number, word)

    def _tell(self, word: int, number: int) -> None:
        message = _MESSAGE.pack(_SIGN, word, number)
        for connection in {peer.connection for peer in self._peers.values()}:
            with suppress(OSError):
                connection.sendall(message)

    def _lost(self, now: float, end: float) -> tuple[int, int] | None:
        """Another rank that has failed or died, and which of both."""
        for number, peer in self._peers.items():
            if peer.word in (FAILED, DEAD, MISSING):
                return number, peer.word
            direct = self._door is not None or number == 0
            if direct and peer.word == HERE and now - peer.heard > SILENCE:
                return number, DEAD
        if self._door is not None and now > end:
            missing = [n for n in range(1, self._rank.ranks) if n not in self._peers]
            return (missing[0], MISSING) if missing else None
        return None

    def _give_up(self, number: int, word: int) -> None:
        """End this process, unless it is about to end by itself."""
        self.news = f"process {number} of this training {_ENDS[word]}; this one ends too"
        self._known.set()
        if not self._over.wait(LEAVING if word == FAILED else DYING):
            log.error(self.news)
            os._exit(1)
