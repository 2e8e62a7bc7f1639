"""Many tomograms by many processes: here, on nodes of a cluster, or where a Dask scheduler is.

Dask does it, the extra `cluster`. One task is one tomogram. A worker that dies gives its tomogram
to another one; what two workers died over is tried twice more, alone, since a task that only waited
for such a worker is blamed as well.
"""

import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from isonet2.errors import InputError, counted
from isonet2.jobs import gpus
from isonet2.jobs.gpus import Gpu
from isonet2.jobs.worker_jobs import CORES, ENVIRONMENT, INSIDE, NO_PAGES, from_file

log = logging.getLogger(__name__)

GPU, SHARE = "ISONET2_GPU", "ISONET2_SHARE"
"""Environment variables that tell a worker its GPU, and how many share the memory."""
DEATHS = 1
"""Workers that a tomogram may outlive beside others, and again when it is tried alone."""
PATIENCE = 30
"""Seconds that a scheduler is given to answer."""
CORES_EACH = 4
"""Cores of a worker on this machine, where there are enough of them."""
LONG = "1h"
"""How long a tomogram is supposed to take, so that a job is started for each at once."""
LOOK = 0.05
"""Seconds between two looks for results."""
SILENT = {"DASK_LOGGING__DISTRIBUTED": "error"}
"""Environment in which the processes of Dask say nothing of their own."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers that a function can be given to.

    Attributes
    ----------
    client
        Of Dask.
    per_task
        Dask resources that a task takes.
    most
        Tasks that may be at work at the same time when all workers are there.
    hopeless
        Says why no worker will come any more; empty while there is hope.
    """

    client: Any
    per_task: Mapping[str, int]
    most: int
    hopeless: Callable[[int], str]

    @property
    def size(self) -> int:
        """Workers that there are now."""
        return len(self.client.scheduler_info(n_workers=-1)["workers"])

    def each(
        self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        """Call a function many times, and give the results as they come.

        Yields
        ------
        int, object
            Number of the call, and what it returned; or an exception where its workers died.

        Raises
        ------
        InputError
            When no worker will come any more.
        """
        blamed = []
        for number, result in self._some(function, enumerate(calls), self.most):
            if deaths_of(result):
                blamed.append(number)
            else:
                yield number, result
        for number in blamed:
            yield from self._some(function, [(number, calls[number])], 1)

    def _some(
        self,
        function: Callable[..., Any],
        calls: Iterable[tuple[int, tuple[Any, ...]]],
        together: int,
    ) -> Iterator[tuple[int, Any]]:
        """Call a function, so many times together: a dying worker blames all that it was given."""
        distributed = import_module("distributed")
        waiting = iter(calls)
        numbers: dict[str, int] = {}

        def next_ones(count: int) -> list[Any]:
            futures = []
            for number, call in itertools.islice(waiting, count):
                future = self.client.submit(
                    function, *call, resources=dict(self.per_task), pure=False
                )
                numbers[future.key] = number
                futures.append(future)
            return futures

        done = distributed.as_completed(next_ones(together))
        try:
            while not done.is_empty():
                if not done.has_ready():
                    self._see_hope()
                    continue
                future = next(done)
                done.update(next_ones(1))
                error = future.exception()
                yield numbers[future.key], future.result() if error is None else error
                future.release()
        finally:
            self.client.cancel(list(done.futures), force=True)

    def _see_hope(self) -> None:
        if said := self.hopeless(self.size):
            raise InputError(said)
        time.sleep(LOOK)


def deaths_of(result: object) -> int:
    """How many workers died over a call, by what `Crew.each` gives of it; 0 where it was done."""
    if type(result).__name__ != "KilledWorker":
        return 0
    return 2 * (getattr(result, "allowed_failures", DEATHS) + 1)


@contextmanager
def crew(cluster: str, gpu_ids: str | None, *, on_gpus: bool, tasks: int) -> Iterator[Crew]:
    """Start workers, or find those that are there; they are gone at the end if they were started.

    Parameters
    ----------
    cluster
        `local`, the address of a scheduler, or a YAML file.
    gpu_ids
        GPUs that the user chose, for `local`.
    on_gpus
        Whether the work is done on GPUs where there are some.
    tasks
        How many there are at most.

    Raises
    ------
    InputError
        When the extra is missing, the file says something wrong, or nobody answers.
    """
    if find_spec("distributed") is None:
        raise InputError(
            f"cluster {cluster}: the package distributed is missing; pip install isonet2[cluster]"
        )
    dask, distributed = import_module("dask"), import_module("distributed")
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with ExitStack() as stack:
        stack.enter_context(
            dask.config.set(
                {
                    "distributed.scheduler.allowed-failures": DEATHS,
                    "distributed.scheduler.unknown-task-duration": LONG,
                    "distributed.worker.daemon": False,
                    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
                    "distributed.comm.timeouts.connect": "60s",
                }
            )
        )
        stack.enter_context(_environment_kept())
        if "://" in cluster:
            try:
                client = stack.enter_context(distributed.Client(cluster, timeout=PATIENCE))
            except (OSError, ValueError) as error:
                raise InputError(f"cluster {cluster}: nobody answers there ({error})") from error
            most = max(1, sum(client.nthreads().values()))
            if not client.nthreads():
                log.warning("cluster %s: has no workers yet; waiting for them", cluster)
            yield Crew(client, {}, most, _always_hope)
            return
        hopeless: Callable[[int], str] = _always_hope
        if cluster == "local":
            workers, most = _here(gpu_ids, on_gpus, tasks)
            stack.enter_context(workers)
        else:
            workers, most, hopeless = stack.enter_context(from_file(Path(cluster), tasks))
        client = stack.enter_context(distributed.Client(workers))
        if cluster == "local":
            stack.enter_context(_ended_with_us(workers))
        yield Crew(client, {"tomogram": 1}, most, hopeless)


def _always_hope(workers: int) -> str:
    return ""


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo what Dask leaves in the environment for its processes, such as one thread each."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _ended_with_us(cluster: Any) -> Iterator[None]:
    """End the processes of a cluster at once when something ends the work: they may be busy."""
    try:
        yield
    except BaseException:
        for nanny in cluster.workers.values():
            nanny.close_gracefully("ended by us")
            if nanny.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(nanny.pid, signal.SIGKILL)
        raise


def _here(gpu_ids: str | None, on_gpus: bool, tasks: int) -> tuple[Any, int]:
    """A process for each GPU of this machine, or for each share of its cores."""
    dask, distributed = import_module("dask"), import_module("distributed")
    cores = len(os.sched_getaffinity(0))
    chosen: Sequence[Gpu] = []
    if on_gpus and gpu_ids != "cpu":
        chosen = gpus.visible() if gpu_ids is None else gpus.asked_for(gpu_ids)
    count = len(chosen) or max(cores // CORES_EACH, min(2, cores))
    count = max(1, min(count, tasks))
    environment = {CORES: str(max(1, cores // count)), SHARE: str(count)}
    options = {
        "nthreads": 1,
        "memory_limit": 0,
        "resources": {"tomogram": 1},
        "security": (security := distributed.Security.temporary()),
        "protocol": "tls://",
        "host": "127.0.0.1",
        "dashboard": False,
        "dashboard_address": INSIDE,
    }
    names = [gpu.id for gpu in chosen[:count]] or [""] * count
    workers = {
        number: {
            "cls": distributed.Nanny,
            "options": {**options, "env": {**environment, GPU: name}},
        }
        for number, name in enumerate(names)
    }
    scheduler = {
        "cls": distributed.Scheduler,
        "options": {
            "security": security,
            "protocol": "tls://",
            "host": "127.0.0.1",
            "dashboard": False,
            "dashboard_address": INSIDE,
        },
    }
    where = (
        ", ".join(gpu.name for gpu in chosen[:count])
        or f"{counted(int(environment[CORES]), 'core')} each"
    )
    log.info("working with %d processes on %s", count, where)
    before = dask.config.get("distributed.nanny.pre-spawn-environ")
    silent = {"distributed.nanny.pre-spawn-environ": {**before, **SILENT}}
    with dask.config.set(NO_PAGES | silent):
        made = distributed.SpecCluster(
            workers=workers, scheduler=scheduler, security=security, silence_logs=logging.ERROR
        )
    return made, count
