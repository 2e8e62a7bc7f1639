"""Where a run computes: GPUs by number or the processor, and in which precision."""

import logging
from collections.abc import Sequence

import torch

from isonet2.errors import InputError, counted
from isonet2.machine.started import Rank, started_rank

log = logging.getLogger(__name__)


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
    rank = started_rank()
    if gpu_ids is None and rank is not None:
        return [_own(rank, range(visible), visible, gpu_ids)]
    if gpu_ids is None:
        free = [torch.cuda.mem_get_info(i)[0] for i in range(visible)]
        return [torch.device("cuda", free.index(max(free)))]
    numbers = [_number_of(part, visible) for part in gpu_ids.split(",")]
    chosen = [number for number in numbers if number is not None]
    if len(set(chosen)) < len(numbers):
        raise InputError(
            f"gpuID {gpu_ids}: {visible} GPU(s) are visible, numbered 0 to {visible - 1}; choose "
            f"among those, each once (CUDA_VISIBLE_DEVICES narrows and renumbers them)"
        )
    if rank is not None:
        return [_own(rank, chosen, visible, gpu_ids)]
    return [torch.device("cuda", number) for number in chosen]


def _own(rank: Rank, chosen: Sequence[int], visible: int, gpu_ids: str | None) -> torch.device:
    """The GPU of one rank; where a process sees one only, the scheduler gave each its own."""
    if visible == 1:
        return torch.device("cuda", 0)
    if rank.beside > len(chosen):
        raise InputError(
            f"gpuID {gpu_ids}: {rank.beside} processes were started on a node, for "
            f"{len(chosen)} GPU(s); start as many as there are GPUs"
        )
    return torch.device("cuda", chosen[rank.local])


def _number_of(gpu_id: str, visible: int) -> int | None:
    """Number of the one GPU that a number or a UUID's beginning means, if there is one."""
    if gpu_id.isdecimal():
        return int(gpu_id) if int(gpu_id) < visible else None
    names = [f"gpu-{torch.cuda.get_device_properties(i).uuid}" for i in range(visible)]
    meant = [i for i, name in enumerate(names) if name.startswith(gpu_id.casefold())]
    return meant[0] if len(meant) == 1 else None


def named(devices: list[torch.device]) -> str:
    """Name devices for the log."""
    return ", ".join(
        counted(torch.get_num_threads(), "processor thread")
        if device.type == "cpu"
        else f"{device} {torch.cuda.get_device_name(device)}"
        for device in devices
    )


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
