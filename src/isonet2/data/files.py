"""Files that are either whole or absent, and turns taken on one file by several processes."""

import errno
import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from isonet2.data.processes import Process, start_ticks
from isonet2.errors import InputError

log = logging.getLogger(__name__)

UNFINISHED = re.compile(r"([0-9a-f]{8})-([0-9a-f]+)-([0-9a-f]+)-[0-9a-f]{8}(.*)")
"""Hidden name of a file that is being written: machine, process, its start, and the ending."""
ABANDONED = 86400.0  # seconds after which nobody writes an unfinished file of another host
STAYS = 1.0  # seconds after which a lock is no longer that of a table being written
LOCKING_MISSING = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_threads: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)


def make_folder(path: Path | str, remedy: str = "choose another") -> Path:
    """Make a folder unless it is there, and see that files can be written to it.

    Raises
    ------
    InputError
        When that is not so.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"{folder}: is a file; choose a folder") from error
    except OSError as error:
        raise InputError(
            f"{folder}: cannot make this folder ({error.strerror}); {remedy}"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: you may not write in this folder; {remedy}")
    return folder


def refuse_dangling(path: Path) -> None:
    """Raise InputError for a link whose file is not there."""
    if path.is_symlink() and not path.exists():
        raise InputError(
            f"{path}: is a link to {path.readlink()}, which is not there; mend the link, or "
            "remove it"
        )


def refuse_to_replace(output: Path, source: Path, parameter: str) -> None:
    """Raise InputError when a file would be written over what it is made from."""
    if output.resolve() == source.resolve():
        raise InputError(
            f"{output}: would replace the file that it is made from; choose another {parameter}"
        )


def keep_old(path: Path, what: str) -> None:
    """Copy a file that is about to be replaced to the first free name.1, name.2, ..., and say so.

    Parameters
    ----------
    path
        The file; it need not exist.
    what
        What it is, for the message: "table".
    """
    if not path.exists():
        return
    number = 1
    while (copy := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    shutil.copy2(path, copy)
    log.warning("%s existed; the old %s is now %s", path, what, copy)


def _beside(path: Path | str) -> tuple[Path, Path]:
    """Final path, links followed, and a hidden name in the same folder, which is made.

    What a killed process left there of the same file is removed.
    """
    final = Path(path).resolve()
    make_folder(final.parent)
    me = Process.of(os.getpid())
    for found in final.parent.glob(f".{escape(final.stem)}.*"):
        token = UNFINISHED.fullmatch(found.name.removeprefix(f".{final.stem}."))
        if token is not None and token[4] in (final.suffix, f"{final.suffix}.old"):
            _remove_if_abandoned(found, token[1], int(token[2], 16), int(token[3], 16), me)
    token_of_mine = f"{_machine(me)}-{me.pid:x}-{max(me.ticks, 0):x}-{secrets.token_hex(4)}"
    return final, final.with_name(f".{final.stem}.{token_of_mine}{final.suffix}")


def _machine(process: Process) -> str:
    """Eight letters for the start of a host."""
    return hashlib.sha256(f"{process.host} {process.boot}".encode()).hexdigest()[:8]


def _remove_if_abandoned(path: Path, machine: str, pid: int, ticks: int, me: Process) -> None:
    """Remove a hidden file or folder whose process is gone; of other hosts, an old one."""
    with suppress(OSError):
        if machine == _machine(me):
            abandoned = max(start_ticks(pid), 0) != ticks
        else:
            abandoned = time.time() - path.lstat().st_mtime > ABANDONED
        if abandoned and path.is_dir():
            shutil.rmtree(path)
        elif abandoned:
            path.unlink()


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` when the block ends well.

    Parameters
    ----------
    path
        The final name. Its folder is made when it is missing; when it is a symbolic link,
        the file that the link points to is replaced.

    Yields
    ------
    Path
        A hidden name in the same folder with the same suffix. Nothing exists there yet.

    Raises
    ------
    InputError
        When the folder cannot be made or written to.

    Notes
    -----
    The content reaches the disk before the name does. On any exception the temporary
    file is removed and whatever stood at `path` stays.
    """
    final, temporary = _beside(path)
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(final)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Give a temporary path for a folder, which becomes `path` when the block ends well.

    As `atomic_path`; a folder that stood at `path` goes when the new one is complete.

    Raises
    ------
    InputError
        When the folder around it cannot be made or written to, or a file stands at `path`.
    """
    final, temporary = _beside(path)
    if final.is_file():
        raise InputError(f"{final}: is a file, a folder is to be written there; remove it")
    old = temporary.with_name(f"{temporary.name}.old")
    try:
        yield temporary
        if final.exists():
            final.rename(old)
        temporary.rename(final)
    except BaseException:
        if old.exists() and not final.exists():
            old.rename(final)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def scratch_beside(path: Path | str) -> Iterator[Path]:
    """Give a hidden folder beside a file that is being made; it goes when the block ends.

    What a killed process left goes when the same file is made again.

    Raises
    ------
    InputError
        When the folder around it cannot be made or written to.
    """
    _, temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(
    path: Path | str, timeout: float = 120.0, name: Path | str | None = None
) -> Iterator[None]:
    """Hold the only lock on a file, against other processes (NFS included) and threads.

    Parameters
    ----------
    path
        The file to guard; it need not exist. The lock itself is a hidden file beside it, with the
        file's permissions, which goes when it is no longer held.
    timeout
        Seconds to wait before giving up. A killed process leaves no lock behind.
    name
        What is in use, for messages; the file's where not given.

    Raises
    ------
    InputError
        When somebody else holds the lock for longer than `timeout`, or it may not be written.

    Notes
    -----
    Not re-entrant: a thread that holds the lock must not ask for it again. On a file
    system without locks this is said once and the block runs unguarded.
    """
    final = Path(path).resolve()
    held = InputError(f"{name or final} is in use by another run; try again when that has ended")
    make_folder(final.parent)
    inside = _threads[final]
    end = time.monotonic() + timeout
    if not inside.acquire(timeout=timeout):
        raise held
    lock = final.with_name(f".{final.name}.lock")
    try:
        descriptor = _opened(lock, final)
        while not _lock(descriptor, final) or not _is(descriptor, lock):
            os.close(descriptor)
            if time.monotonic() > end:
                raise held
            time.sleep(0.02)
            descriptor = _opened(lock, final)
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()
            os.close(descriptor)
    finally:
        inside.release()


def _opened(lock: Path, final: Path) -> int:
    """Open a lock, made with the permissions of the file that it guards.

    Raises
    ------
    InputError
        When it is there, stays, and may not be written.
    """
    fresh = not lock.exists()
    end = time.monotonic() + STAYS
    while (descriptor := _writable(lock)) is None:
        if time.monotonic() > end:
            raise InputError(
                f"{lock}: you may not write this file, which guards {final.name}; ask its owner "
                "to remove it"
            )
        time.sleep(0.05)
    if fresh and final.exists():
        with suppress(OSError):
            os.fchmod(descriptor, final.stat().st_mode & 0o666 | 0o600)
    return descriptor


def _writable(lock: Path) -> int | None:
    """Open a lock to write, or None where that is not allowed: somebody else may hold it."""
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return None


def _is(descriptor: int, lock: Path) -> bool:
    """Whether an open file is still the one of that name: who held it may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, path: Path) -> bool:
    """Try to lock an open file; True also where the file system knows no locks."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in LOCKING_MISSING:
            log.warning("%s lies on a file system without locks: run one command at a time", path)
            return True
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True
