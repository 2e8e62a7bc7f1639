"""Where a run computes: GPUs by number or the processor, and in which precision."""

import logging
import os
import resource
from datetime import timedelta
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from isonet2.errors import InputError

log = logging.getLogger(__name__)

MOST_THREADS = 16
PATIENCE = timedelta(hours=12)
"""How long ranks wait for the first one, which makes previews and masks alone."""


def choose_devices(gpu_ids: str | None) -> list[torch.device]:
    """Devices for a `gpuID`.

    Numbers count the GPUs that this process can see (`CUDA_VISIBLE_DEVICES` is respected and
    never written); a UUID, or its beginning, names one of them as `nvidia-smi -L` does. Without
    either the GPU with most free memory is taken; without a GPU, the processor, and this is said.

    Raises
    ------
    InputError
        For a number or a name that no visible GPU has.
    """
    visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpu_ids == "cpu":
        return [torch.device("cpu")]
    if visible == 0:
        log.warning(
            "gpuID %s: no GPU is visible to this program; computing on the processor, which is "
            "far slower (--gpuID cpu says that this is meant)",
            gpu_ids,
        )
        return [torch.device("cpu")]
    if gpu_ids is None and started_ranks() is not None:
        return [torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % visible)]
    if gpu_ids is None:
        free = [torch.cuda.mem_get_info(i)[0] for i in range(visible)]
        return [torch.device("cuda", free.index(max(free)))]
    numbers = [_number_of(part, visible) for part in gpu_ids.split(",")]
    if None in numbers or len(set(numbers)) < len(numbers):
        raise InputError(
            f"gpuID {gpu_ids}: {visible} GPU(s) are visible, numbered 0 to {visible - 1}; choose "
            f"among those, each once (CUDA_VISIBLE_DEVICES narrows and renumbers them)"
        )
    return [torch.device("cuda", number) for number in numbers if number is not None]


def _number_of(gpu_id: str, visible: int) -> int | None:
    """Number of the one GPU that a number or a UUID's beginning means, if there is one."""
    if gpu_id.isdecimal():
        return int(gpu_id) if int(gpu_id) < visible else None
    names = [f"gpu-{torch.cuda.get_device_properties(i).uuid}" for i in range(visible)]
    meant = [i for i, name in enumerate(names) if name.startswith(gpu_id.casefold())]
    return meant[0] if len(meant) == 1 else None


def describe(devices: list[torch.device]) -> str:
    """Name devices for the log."""
    return ", ".join(
        f"{torch.get_num_threads()} processor threads"
        if device.type == "cpu"
        else f"{device} {torch.cuda.get_device_name(device)}"
        for device in devices
    )


def use_threads(count: int | None) -> int:
    """Set the number of computing threads, at most those that this process may use."""
    allowed = len(os.sched_getaffinity(0))
    count = min(count or MOST_THREADS, allowed)
    torch.set_num_threads(count)
    return count


def memory_limit() -> int:
    """Bytes of memory that this process may use, by the machine, its limits and its cgroups."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    return min([*limits, *_cgroup_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def _cgroup_limits(membership: Path, root: Path) -> list[int]:
    """Limits of the memory cgroups that a process is in, as SLURM and containers set them."""
    found = []
    lines = membership.read_text().splitlines() if membership.is_file() else []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        folder = top / place.lstrip("/")
        for group in (folder, *folder.parents):
            file = group / name
            if group.is_relative_to(top) and file.is_file():
                text = file.read_text().strip()
                found += [int(text)] if text.isdecimal() else []
    return found


def autocast_type(device: torch.device, mixed_precision: bool) -> torch.dtype:
    """Type that convolutions run in on a device."""
    if not mixed_precision:
        return torch.float32
    if device.type == "cpu":
        fast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        return torch.bfloat16 if fast else torch.float32
    if torch.cuda.get_device_capability(device)[0] >= 8:
        return torch.bfloat16
    return torch.float16


_PRECISIONS = {
    torch.float32: "32-true",
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
}


def started_ranks() -> tuple[int, int] | None:
    """Ranks and nodes that torchrun or SLURM's srun started; None when nobody did."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        ranks = int(os.environ.get("WORLD_SIZE", "1"))
        nodes = max(1, ranks // int(os.environ["LOCAL_WORLD_SIZE"]))
    else:
        ranks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
        nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
    return (ranks, nodes) if ranks > 1 else None


def make_fabric(devices: list[torch.device], mixed_precision: bool) -> Fabric:
    """Fabric for training on these devices; several of them, or several nodes, by DDP.

    Ranks that torchrun or srun started are used as they are. Else one process is started for
    each of several devices, in a SLURM allocation too.
    """
    torch.backends.cudnn.benchmark = True
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    kind = devices[0].type
    precision = _PRECISIONS[autocast_type(devices[0], mixed_precision)]
    started = started_ranks()
    if started is not None:
        ranks, nodes = started
        slurm = "LOCAL_WORLD_SIZE" not in os.environ
        return Fabric(
            accelerator=kind,
            devices=ranks // nodes,
            num_nodes=nodes,
            strategy=DDPStrategy(timeout=PATIENCE),
            precision=precision,  # type: ignore[arg-type]
            plugins=[SLURMEnvironment(auto_requeue=False)] if slurm else None,
        )
    several = len(devices) > 1
    return Fabric(
        accelerator=kind,
        devices=[d.index for d in devices] if kind == "cuda" else len(devices),
        strategy=DDPStrategy(timeout=PATIENCE) if several else "auto",
        precision=precision,  # type: ignore[arg-type]
        plugins=[LightningEnvironment()],
    )
