"""The one exception for everything that a user can cause and mend."""

import errno

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


def sentence(error: OSError) -> str | None:
    """What the system refused, with the remedy; None for what no user can mend."""
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{(error.strerror or '').lower()}; {remedy}"
