"""Jobs of a cluster whose processes work on tomograms, as a YAML file asks for them.

dask-jobqueue writes and submits their scripts. What a scheduler refuses, and jobs that end before
they begin to work, are said in the scheduler's own words, since nobody would ever come to work.
"""

import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from isonet2.errors import InputError
from isonet2.jobs import lanes
from isonet2.parameters.record import content_of

log = logging.getLogger(__name__)

CORES = "ISONET2_CORES"
"""Environment variable that tells a worker its cores."""
KINDS = {
    "slurm": ("SLURMCluster", "sbatch", {"account": "account"}),
    "pbs": ("PBSCluster", "qsub", {"account": "account"}),
    "sge": ("SGECluster", "qsub", {"account": "project"}),
    "lsf": ("LSFCluster", "bsub", {"account": "project"}),
    "htcondor": ("HTCondorCluster", "condor_submit", {}),
}
"""For each kind, dask-jobqueue's name of it, what submits, and its word for an account."""
SETTINGS = {
    "jobs", "cores", "memory", "walltime", "queue", "account", "directives", "prologue",
    "interface", "scratch", "dashboard",
}  # fmt: skip
"""What a file may say beside `kind`; see docs/cluster.md."""
NOT_CONDOR = ("queue", "walltime", "account", "directives")
USUAL_CORES, USUAL_MEMORY = 4, "16GB"
INSIDE = "127.0.0.1:0"
"""Where Dask serves its own pages unless they are asked for: empty ones, to this machine alone."""
NO_PAGES: dict[str, Any] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
ENVIRONMENT: dict[str, int | None] = {
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MALLOC_TRIM_THRESHOLD_": None,
}
"""What a worker begins with: as Dask has it, but for memory that is given back after each step of a
computation, which costs more than the computation itself."""
PAUSE = 20.0
"""Seconds between two questions to a scheduler while nobody works."""
LAST_LINES = 5


@dataclass
class Sent:
    """What became of the jobs that were sent to a scheduler.

    Parameters
    ----------
    kind
        Of the scheduler.
    file
        What asked for them.
    logs
        Folder of what they say.
    """

    kind: str
    file: Path
    logs: Path
    refusals: list[str] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    _asked: float = field(default_factory=time.monotonic)
    _said: str = ""

    def hopeless(self, workers: int) -> str:
        """Why no worker will come any more; empty while one works or may come."""
        if workers:
            self.waiting.clear()
            return ""
        if self.refusals and not self.waiting:
            return f"{self.file}: {self.refusals[-1]}"
        if time.monotonic() - self._asked < PAUSE or not self.waiting:
            return ""
        self._asked = time.monotonic()
        try:
            answer = lanes.load(self.kind, Path.cwd()).ask()
        except InputError:
            return ""  # a scheduler out of reach says nothing
        words = [answer.get(number, ("ended", "", "")) for number in self.waiting]
        if any(status in ("queued", "running") for status, _, _ in words):
            self._tell(sorted({f"{word} ({why})" if why else word for _, word, why in words}))
            return ""
        said = "".join(f"\n{line}" for line in self._last_lines())
        word = next((word for _, word, _ in words if word), "gone")
        return f"{self.file}: its jobs end ({word}) before they begin to work{said}"

    def _tell(self, words: Sequence[str]) -> None:
        """Say what jobs wait for, once each time that it changes."""
        text = ", ".join(words)
        if text != self._said:
            log.info("nobody works yet; its jobs are %s", text)
        self._said = text

    def _last_lines(self) -> list[str]:
        found = [path for path in self.logs.iterdir() if path.is_file() and path.stat().st_size]
        newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
        if newest is None:
            return []
        lines = newest.read_text(encoding="utf-8", errors="replace").splitlines()
        return [f"{newest}: {line}" for line in lines if line.strip()][-LAST_LINES:]


@contextmanager
def from_file(path: Path, tasks: int) -> Iterator[tuple[Any, int, Callable[[int], str]]]:
    """Jobs as a file says: as many as are needed, none without work, all gone at the end.

    Yields
    ------
    cluster
        Of dask-jobqueue.
    most
        Jobs at the same time.
    hopeless
        Says for a number of workers why none will come any more.

    Raises
    ------
    InputError
        For what is wrong in the file, or missing on this machine.
    """
    told = content_of(path)
    kind = told.pop("kind", None)
    if kind not in KINDS:
        raise InputError(f"{path}: kind must be one of {', '.join(KINDS)}")
    strange = told.keys() - (SETTINGS.difference(NOT_CONDOR) if kind == "htcondor" else SETTINGS)
    if strange:
        names = ", ".join(sorted(strange))
        raise InputError(f"{path}: {names} is not known of {kind}; see docs/cluster.md")
    if find_spec("dask_jobqueue") is None:
        raise InputError(
            f"cluster {path}: the package dask-jobqueue is missing; pip install isonet2[cluster]"
        )
    name, program, words = KINDS[kind]
    if shutil.which(program) is None:
        raise InputError(
            f"{path}: there is no {program} on this machine; call it where jobs are submitted"
        )
    most = min(_count(told, "jobs", 1, path), max(1, tasks))
    scratch = Path(told.get("scratch", ".isonet/cluster")).expanduser().absolute()
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    sent = Sent(kind, path, scratch)
    dask, make = import_module("dask"), getattr(_jobqueue(), name)
    with TemporaryDirectory(prefix="tls_", dir=scratch) as keys:
        try:
            options = _options(told, path, scratch, words)
            with dask.config.set({} if "dashboard" in told else NO_PAGES):
                job, security = _telling(make.job_cls, sent), _encryption(Path(keys))
                made = make(job_cls=job, security=security, **options)
        except (ValueError, TypeError, RuntimeError) as error:
            raise InputError(f"{path}: {error}") from error
        with made:
            made.adapt(minimum=0, maximum=most, interval="2s", wait_count=5)
            log.info("working with up to %d jobs of %s (logs in %s)", most, kind, scratch)
            yield made, most, sent.hopeless


def _jobqueue() -> Any:
    """dask-jobqueue, which takes Ctrl-C for a good end when it is imported."""
    usual = signal.getsignal(signal.SIGINT)
    try:
        return import_module("dask_jobqueue")
    finally:
        signal.signal(signal.SIGINT, usual)


def _encryption(folder: Path) -> Any:
    """A key and a certificate of this run alone, in files that only this user may read."""
    security = import_module("distributed").Security
    made = security.temporary()
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    for path, text in ((key, made.tls_client_key), (certificate, made.tls_client_cert)):
        path.touch(mode=0o600)
        path.write_text(text, encoding="ascii")
    roles = ("client", "scheduler", "worker")
    return security(
        require_encryption=True,
        tls_ca_file=str(certificate),
        **{f"tls_{role}_key": str(key) for role in roles},
        **{f"tls_{role}_cert": str(certificate) for role in roles},
    )


def _options(
    told: Mapping[str, Any], path: Path, scratch: Path, words: Mapping[str, str]
) -> dict[str, Any]:
    """What dask-jobqueue is told."""
    cores = _count(told, "cores", USUAL_CORES, path)
    memory, interface = str(told.get("memory", USUAL_MEMORY)), told.get("interface")
    import_module("dask.utils").parse_bytes(memory)
    if interface is not None:
        import_module("distributed.utils").get_ip_interface(interface)
    asked = {
        "queue": told.get("queue"),
        "walltime": lanes.clock(told["walltime"]) if "walltime" in told else None,
        **{theirs: told.get(ours) for ours, theirs in words.items()},
    }
    if told.get("directives"):
        asked["job_extra_directives"] = list(told["directives"])
    if not words:
        asked["disk"] = "1GB"
    return {
        "cores": cores,
        "processes": 1,
        "memory": memory,
        "interface": interface,
        "job_script_prologue": [
            *told.get("prologue", ()),
            f"export {CORES}={cores}",
            "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'",
            f'export DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON="{ENVIRONMENT}"',
        ],
        "worker_extra_args": [
            "--nthreads", "1", "--memory-limit", "0", "--resources", "tomogram=1",
            "--no-dashboard", "--dashboard-address", INSIDE,
        ],
        "local_directory": str(scratch),
        "log_directory": str(scratch),
        "death_timeout": 120,
        "scheduler_options": {
            "dashboard": "dashboard" in told,
            "dashboard_address": told.get("dashboard", INSIDE),
        },
        "silence_logs": "error",
        **{name: value for name, value in asked.items() if value is not None},
    }  # fmt: skip


def _count(told: Mapping[str, Any], name: str, usual: int, path: Path) -> int:
    value = told.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{path}: {name} = {value}: give a number from 1 on")
    return value


def _telling(base: Any, sent: Sent) -> Any:
    """A job of dask-jobqueue that tells what its scheduler says of it, and raises nothing."""

    class Telling(base):  # type: ignore[misc]
        async def start(self) -> None:
            try:
                await super().start()
            except (RuntimeError, OSError, ValueError) as error:
                sent.refusals.append(_words(error))
                self.status = import_module("distributed").Status.running
            else:
                sent.waiting.add(self.job_id)

        async def close(self) -> None:
            sent.waiting.discard(self.job_id)
            try:
                await super().close()
            finally:
                self.status = import_module("distributed").Status.closed

    return Telling


def _words(error: Exception) -> str:
    """What a scheduler's command wrote on its standard error, else what is known."""
    _, found, said = str(error).partition("stderr:")
    return " ".join((said if found and said.strip() else str(error)).split())
