"""One process of several that `launching` starts: `python -m isonet2.machine.rank FOLDER`."""

import ctypes
import logging
import os
import pickle
import signal
import sys
import traceback
from pathlib import Path

from isonet2.errors import InputError
from isonet2.logs import log_to_stderr
from isonet2.machine.launching import CALL, ERROR, RESULT

_PR_SET_PDEATHSIG = 1


def main(folder: Path) -> int:
    """Make the call that waits in a folder; leave the result, or what was raised, there."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    number = int(os.environ["RANK"])
    log_to_stderr(logging.INFO if number == 0 else logging.ERROR)
    function, args, kwargs = pickle.loads((folder / CALL).read_bytes())
    try:
        result = function(*args, **kwargs)
    except BaseException as error:
        if not isinstance(error, InputError | KeyboardInterrupt):
            traceback.print_exc()
        _leave(folder / f"{ERROR}{number}", error)
        return 1
    if number == 0:
        (folder / RESULT).write_bytes(pickle.dumps(result))
    return 0


def _leave(path: Path, error: BaseException) -> None:
    """Write an exception down; one that cannot be sent as what it says."""
    try:
        told = pickle.dumps(error)
    except Exception:
        told = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(told)
    beside.rename(path)


if __name__ == "__main__":
    status = main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(status)  # torch's communication may wait for processes that are gone
