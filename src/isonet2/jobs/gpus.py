"""GPUs of this machine, and locks that give each to one job at a time.

A lock is a kernel lock on a file on the machine's own disk, the same for all projects and users; it
is gone with the last process that holds it, however that ends.
"""

import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from isonet2.errors import InputError
from isonet2.jobs.settings import settings_of
from isonet2.parameters.base import Parameters

OFFERED = "ISONET2_GPUS"
"""Environment variable that lists the GPUs that jobs may use; else all that are visible are."""
LOCKS = "ISONET2_LOCKS"
"""Environment variable with another folder for the locks than `SHARED`."""
SHARED = "/tmp/isonet2_gpus"
"""One folder for all users of a host, on its own disk, whatever their TMPDIR is."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU.

    Attributes
    ----------
    number
        Its place among those that are visible.
    id
        What `--gpuID` takes: its UUID where that is known, else its number.
    name
        For people.
    """

    number: int
    id: str
    name: str


@cache
def visible() -> tuple[Gpu, ...]:
    """GPUs that jobs started from here may use, in the order of their numbers."""
    offered = os.environ.get(OFFERED)
    if offered is not None:
        ids = [part.strip() for part in offered.split(",") if part.strip()]
        return tuple(Gpu(i, name, f"GPU {name}") for i, name in enumerate(ids))
    all_of_them = _installed()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return all_of_them
    found = []
    for number, part in enumerate(word.strip() for word in chosen.split(",")):
        if part in ("", "-1"):
            break
        meant = [
            gpu
            for gpu in all_of_them
            if part == str(gpu.number) or gpu.id.casefold().startswith(part.casefold())
        ]
        found.append(
            Gpu(number, meant[0].id, meant[0].name) if meant else Gpu(number, str(number), part)
        )
    return tuple(found)


def _installed() -> tuple[Gpu, ...]:
    return tuple(Gpu(i, uuid, name) for i, (uuid, name) in enumerate(_asked("uuid", "name")))


def _asked(first: str, second: str, *form: str) -> list[tuple[str, str]]:
    """Two facts about each GPU; none where the driver's program is not there or does not answer."""
    if shutil.which("nvidia-smi") is None:
        return []
    words = [f"--query-gpu={first},{second}", f"--format={','.join(('csv', 'noheader', *form))}"]
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            ["nvidia-smi", *words], capture_output=True, text=True, timeout=30, check=True
        )
        rows = [line.partition(",") for line in told.stdout.splitlines() if line.strip()]
        return [(left.strip(), right.strip()) for left, _, right in rows]
    return []


def usable(project: Path | None = None) -> tuple[Gpu, ...]:
    """Visible GPUs that a project's settings offer to its jobs.

    Raises
    ------
    InputError
        When there are GPUs, and none of those that it offers.
    """
    offered = settings_of(project).gpus if project is not None else ()
    found = tuple(gpu for gpu in visible() if not offered or any(_is(gpu, one) for one in offered))
    if visible() and not found:
        raise InputError(
            f"GPUs {', '.join(offered)}: the project's settings offer these to its jobs, and none "
            f"is among the {len(visible())} of this machine; choose others in Settings"
        )
    return found


def _is(gpu: Gpu, part: str) -> bool:
    """Whether a number or the beginning of an identifier means a GPU."""
    if part.isdecimal():
        return int(part) == gpu.number
    return gpu.id.casefold().startswith(part.casefold())


def asked_for(gpu_ids: str, project: Path | None = None) -> list[Gpu]:
    """The GPUs that `gpuID` names among those that a project may use.

    Raises
    ------
    InputError
        For one that is not there.
    """
    found = []
    there = usable(project)
    for part in gpu_ids.split(","):
        meant = [gpu for gpu in there if _is(gpu, part)]
        if len(meant) != 1:
            raise InputError(
                f"gpuID {gpu_ids}: there is no GPU {part} among the {len(there)} that jobs "
                f"may use; choose from {', '.join(str(gpu.number) for gpu in there)}"
            )
        found += meant
    return found


def wanted(
    parameters: Parameters, count: int | None, lane: str, project: Path
) -> tuple[str | None, int]:
    """The GPUs that the user chose, if so, and how many a job of a project takes."""
    cluster = getattr(parameters, "cluster", None)
    if "gpuID" not in type(parameters).model_fields or cluster not in (None, "local"):
        return None, count or 0  # workers elsewhere have their own
    ids = getattr(parameters, "gpuID", None)
    if ids == "cpu":
        return None, 0
    if ids is None:
        here = len(usable(project)) if lane == "local" else 1
        wanted = count if count is not None else here if cluster else min(1, here)
        if lane == "local" and wanted > here:
            raise InputError(f"gpus {wanted}: {here} GPU(s) can be used here; give fewer")
        return None, wanted
    if lane == "local" and visible():
        asked_for(ids, project)
    return (ids, len(ids.split(","))) if visible() or lane != "local" else (None, 0)


def free_memory() -> dict[str, int]:
    """MiB that no program uses, by the id of each GPU; empty where that is not known."""
    rows = _asked("uuid", "memory.free", "nounits")
    return {uuid: int(free) for uuid, free in rows if free.isdecimal()}


def holder(gpu: Gpu) -> str | None:
    """Who holds a GPU, in words; None for nobody."""
    path = _place(gpu)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(OSError, ValueError):
            return str(json.loads(os.pread(descriptor, 4096, 0))["who"])
        return "another job"
    finally:
        os.close(descriptor)
    return None


def free(project: Path | None = None) -> list[Gpu]:
    """GPUs that a project may use, and no job holds."""
    return [gpu for gpu in usable(project) if holder(gpu) is None]


def hold(wanted: Sequence[Gpu], who: str) -> list[int]:
    """Take GPUs for this process and those that inherit the descriptors.

    Returns
    -------
    list of int
        Open descriptors, one for each; none where one of the GPUs is taken.
    """
    held: list[int] = []
    for gpu in wanted:
        descriptor = _open(_place(gpu))
        held.append(descriptor)
        if not _locked(descriptor):
            for each in held:
                os.close(each)
            return []
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"who": who}).encode(), 0)
    return held


def _locked(descriptor: int) -> bool:
    """Try to lock; somebody who only looks at the lock holds it for an instant."""
    for _ in range(10):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False


def _place(gpu: Gpu) -> Path:
    """Lock file of a GPU, in a folder that all users may write to."""
    folder = Path(os.environ.get(LOCKS, SHARED))
    if not folder.is_dir():
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            folder.chmod(stat.S_ISVTX | 0o777)
    return folder / re.sub(r"[^\w-]", "_", gpu.id)


def _open(path: Path) -> int:
    """Open a lock file for reading and writing, whoever made it."""
    for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDWR):
        with suppress(FileNotFoundError, FileExistsError):
            descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
            if flags & os.O_CREAT:
                os.fchmod(descriptor, 0o666)
            return descriptor
    raise InputError(f"{path}: cannot be opened; set {LOCKS} to a folder for the locks of GPUs")
