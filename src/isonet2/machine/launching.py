"""A function run by several processes, one for each GPU; one that dies ends them all."""

import logging
import os
import pickle
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import current_thread, main_thread
from typing import Any, ParamSpec, TypeVar

from isonet2.errors import InputError
from isonet2.machine.devices import choose_devices
from isonet2.machine.started import started_rank

P = ParamSpec("P")
R = TypeVar("R")

CALL, RESULT, ERROR = "call", "result", "error"
"""Files in which processes tell each other what to do, and what became of it."""
ASKED = "TORCHELASTIC_SIGNALS_TO_HANDLE"


def ranks_for(gpu_ids: str | None) -> int:
    """Processes that are to be started for a `gpuID`; 1 also where others have started them."""
    if gpu_ids is None or "," not in gpu_ids or started_rank() is not None:
        return 1
    return len(choose_devices(gpu_ids))


def on_ranks(count: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in several processes that make one group, and return what the first does.

    Torch's elastic agent starts this package's own program in each of them, never the program that
    calls; when one of them dies, the agent ends the others within half a minute.

    Parameters
    ----------
    count
        How many.
    function, args, kwargs
        What to call; all of it is sent to the processes.

    Raises
    ------
    InputError
        What one of them raised, or where something cannot be sent.
    KeyboardInterrupt
        When they were told to stop, after they saved what they could.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    with TemporaryDirectory(prefix="isonet2_ranks_") as name, _signals_kept():
        folder = Path(name)
        try:
            (folder / CALL).write_bytes(pickle.dumps((function, args, kwargs)))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"several GPUs: what was given cannot be sent to other processes ({error}); "
                "use one GPU, or functions that stand in a module"
            ) from error
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=secrets.token_hex(8),
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            monitor_interval=0.5,
        )
        try:
            elastic_launch(config, sys.executable)("-P", "-m", "isonet2.machine.rank", name)
        except SignalException:
            raise KeyboardInterrupt from None
        except ChildFailedError as failed:
            raise _cause(folder, failed) from None
        result: R = pickle.loads((folder / RESULT).read_bytes())
        return result


def _cause(folder: Path, failed: Any) -> BaseException:
    """What the first process that went wrong raised; else how it ended."""
    told = sorted(folder.glob(f"{ERROR}*"), key=lambda path: path.stat().st_mtime_ns)
    errors = [pickle.loads(path.read_bytes()) for path in told]
    for error in errors:
        if isinstance(error, InputError | KeyboardInterrupt):
            return error
    for rank, failure in failed.failures.items():
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:  # which the agent sends
            name = signal.Signals(-failure.exitcode).name
            return RuntimeError(f"process {rank} of this training was ended by {name}")
    if errors:
        return RuntimeError(f"a process of this training failed: {errors[0]} (see above)")
    rank, failure = failed.get_first_failure()
    return RuntimeError(
        f"process {rank} of this training ended with exit status {failure.exitcode}"
    )


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Give signals their handlers back, which the agent takes for good."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    usual = {number: signal.getsignal(number) for number in numbers}
    before = os.environ.get(ASKED)
    try:
        yield
    finally:
        if current_thread() is main_thread():
            for number, handler in usual.items():
                signal.signal(number, handler)
        os.environ.pop(ASKED, None)
        if before is not None:
            os.environ[ASKED] = before
