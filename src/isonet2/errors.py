"""The one exception for everything that a user can cause and mend."""

import errno
from collections.abc import Sequence

_REMEDIES = {
    errno.ENOSPC: "make room there, or choose another folder",
    errno.EDQUOT: "make room there, or choose another folder",
    errno.EROFS: "choose another folder",
    errno.EACCES: "ask for permission, or choose another folder",
    errno.EPERM: "ask for permission, or choose another folder",
    errno.EEXIST: "a folder is wanted there; choose another name",
    errno.ENOTDIR: "a folder is wanted there; choose another name",
    errno.EISDIR: "a file is wanted there; choose another name",
}


class InputError(Exception):
    """A bad value, file or combination, said in one sentence.

    The sentence names the file or parameter, the value, and the remedy. The command
    line prints it without a traceback and ends with exit status 2.
    """


def few(names: Sequence[object], most: int = 5) -> str:
    """Join names as a list does, the first `most` of them: "a, b and 39 more"."""
    more = len(names) - most
    shown = ", ".join(map(str, names[:most] if more > 1 else names))
    return f"{shown} and {more} more" if more > 1 else shown


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: "1 epoch", "2 epochs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def sentence(error: OSError) -> str | None:
    """What the system refused, with the remedy; None for what no user can mend."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{(error.strerror or '').lower()}; {remedy}"
