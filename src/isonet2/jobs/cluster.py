"""Many tomograms by many processes: here, on nodes of a cluster, or where a Dask scheduler is.

Dask does it, the extra `cluster`. One task is one tomogram. A worker that dies gives its tomogram
to another one, three times at most.
"""

import itertools
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from isonet2.errors import InputError
from isonet2.jobs import gpus
from isonet2.jobs.gpus import Gpu
from isonet2.parameters.record import content_of

log = logging.getLogger(__name__)

GPU, CORES, SHARE = "ISONET2_GPU", "ISONET2_CORES", "ISONET2_SHARE"
"""Environment variables that tell a worker its GPU, its cores, and how many share the memory."""
DEATHS = 3
"""Workers that a tomogram may outlive."""
PATIENCE = 30
"""Seconds that a scheduler is given to answer."""
CORES_EACH = 4
"""Cores of a worker on this machine, where there are enough of them."""
KINDS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
}
SETTINGS = {
    "jobs", "cores", "memory", "walltime", "queue", "account", "directives", "prologue",
    "interface", "scratch", "dashboard",
}  # fmt: skip
"""What a file may say beside `kind`; see docs/cluster.md."""


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
    """

    client: Any
    per_task: Mapping[str, int]
    most: int

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
        """
        distributed = import_module("distributed")
        waiting = iter(enumerate(calls))
        numbers: dict[str, int] = {}

        def next_ones(count: int) -> list[Any]:
            """Hand in more: no more than can be at work, since a dying worker blames all it has."""
            futures = []
            for number, call in itertools.islice(waiting, count):
                future = self.client.submit(
                    function, *call, resources=dict(self.per_task), pure=False
                )
                numbers[future.key] = number
                futures.append(future)
            return futures

        done = distributed.as_completed(next_ones(self.most))
        try:
            for future in done:
                done.update(next_ones(1))
                error = future.exception()
                yield numbers[future.key], future.result() if error is None else error
                future.release()
        finally:
            self.client.cancel(list(done.futures), force=True)


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
                    "distributed.worker.daemon": False,
                    "distributed.comm.timeouts.connect": "60s",
                }
            )
        )
        if "://" in cluster:
            try:
                client = stack.enter_context(distributed.Client(cluster, timeout=PATIENCE))
            except (OSError, ValueError) as error:
                raise InputError(f"cluster {cluster}: nobody answers there ({error})") from error
            most = max(1, sum(client.nthreads().values()))
            yield Crew(client, {}, most)
            return
        made = _here if cluster == "local" else _jobs
        workers, most = made(cluster, gpu_ids, on_gpus, tasks)
        stack.enter_context(workers)
        client = stack.enter_context(distributed.Client(workers))
        if cluster == "local":
            stack.enter_context(_ended_with_us(workers))
        yield Crew(client, {"tomogram": 1}, most)


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


def _here(cluster: str, gpu_ids: str | None, on_gpus: bool, tasks: int) -> tuple[Any, int]:
    """A process for each GPU of this machine, or for each share of its cores."""
    distributed = import_module("distributed")
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
        },
    }
    where = ", ".join(gpu.name for gpu in chosen[:count]) or f"{environment[CORES]} cores each"
    log.info("working with %d processes on %s", count, where)
    made = distributed.SpecCluster(
        workers=workers, scheduler=scheduler, security=security, silence_logs=logging.ERROR
    )
    return made, count


def _jobs(cluster: str, gpu_ids: str | None, on_gpus: bool, tasks: int) -> tuple[Any, int]:
    """Jobs of a scheduler, as a file says: as many as are needed, and none without work."""
    told = content_of(Path(cluster))
    kind = told.pop("kind", None)
    if kind not in KINDS:
        raise InputError(f"{cluster}: kind must be one of {', '.join(KINDS)}")
    if strange := told.keys() - SETTINGS:
        raise InputError(
            f"{cluster}: {', '.join(sorted(strange))} is not known; see docs/cluster.md"
        )
    if find_spec("dask_jobqueue") is None:
        raise InputError(
            f"cluster {cluster}: the package dask-jobqueue is missing; pip install isonet2[cluster]"
        )
    cores, most = int(told.get("cores", CORES_EACH)), int(told.get("jobs", 1))
    scratch = Path(told.get("scratch", ".isonet/cluster")).expanduser().absolute()
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = {
        "queue": told.get("queue"),
        "account": told.get("account"),
        "walltime": told.get("walltime"),
    }
    made = getattr(import_module("dask_jobqueue"), KINDS[kind])(
        cores=cores,
        processes=1,
        memory=str(told.get("memory", "16GB")),
        interface=told.get("interface"),
        job_extra_directives=list(told.get("directives", ())),
        job_script_prologue=[*told.get("prologue", ()), f"export {CORES}={cores}"],
        worker_extra_args=[
            "--nthreads", "1", "--memory-limit", "0", "--resources", "tomogram=1", "--no-dashboard",
        ],
        security=True,
        shared_temp_directory=str(scratch),
        local_directory=str(scratch),
        log_directory=str(scratch),
        death_timeout=120,
        scheduler_options={
            "dashboard": "dashboard" in told,
            "dashboard_address": told.get("dashboard"),
        },
        silence_logs="error",
        **{name: value for name, value in options.items() if value is not None},
    )  # fmt: skip
    most = max(1, min(most, tasks))
    made.adapt(minimum=0, maximum=most, interval="2s", wait_count=5)
    log.info("working with up to %d jobs of %s (logs in %s)", most, kind, scratch)
    return made, most
