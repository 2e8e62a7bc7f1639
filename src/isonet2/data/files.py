"""Files that are either whole or absent, and turns taken on one file by several processes."""

import errno
import fcntl
import logging
import os
import secrets
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isonet2.errors import InputError

log = logging.getLogger(__name__)

LOCKING_MISSING = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_threads: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)


def make_folder(path: Path | str) -> Path:
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
            f"{folder}: cannot make this folder ({error.strerror}); choose another"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: you may not write in this folder; choose another")
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


def keep_old(path: Path) -> Path | None:
    """Copy a file that is about to be replaced to the first free name.1, name.2, ..., if any."""
    if not path.exists():
        return None
    number = 1
    while (copy := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    shutil.copy2(path, copy)
    return copy


def _beside(path: Path | str) -> tuple[Path, Path]:
    """Final path, links followed, and a hidden name in the same folder, which is made."""
    final = Path(path).resolve()
    make_folder(final.parent)
    return final, final.with_name(f".{final.stem}.{secrets.token_hex(4)}{final.suffix}")


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
def locked(path: Path | str, timeout: float = 120.0) -> Iterator[None]:
    """Hold the only lock on a file, against other processes (NFS included) and threads.

    Parameters
    ----------
    path
        The file to guard; it need not exist. The lock itself is a hidden file beside it,
        which stays, because removing it would let two processes hold "the" lock.
    timeout
        Seconds to wait before giving up. A killed process leaves no lock behind.

    Raises
    ------
    InputError
        When somebody else holds the lock for longer than `timeout`.

    Notes
    -----
    Not re-entrant: a thread that holds the lock must not ask for it again. On a file
    system without locks this is said once and the block runs unguarded.
    """
    final = Path(path).resolve()
    held = InputError(f"{final} is in use by another run; try again when that has ended")
    make_folder(final.parent)
    inside = _threads[final]
    end = time.monotonic() + timeout
    if not inside.acquire(timeout=timeout):
        raise held
    try:
        with final.with_name(f".{final.name}.lock").open("a") as handle:
            while not _lock(handle.fileno(), final):
                if time.monotonic() > end:
                    raise held
                time.sleep(0.02)
            yield
    finally:
        inside.release()


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
