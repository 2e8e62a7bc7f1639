"""The command `check`: versions, devices, and real training steps on each of them."""

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from isonet2.machine.devices import autocast_type, choose_devices
from isonet2.machine.threads import use_threads
from isonet2.networks import build_network, channels_last, edge_multiple
from isonet2.parameters import CheckParameters, package_version
from isonet2.reports.table import show_table
from isonet2.training.muon import Muon

log = logging.getLogger(__name__)

LIBRARIES = ("torch", "lightning-fabric", "numpy", "mrcfile", "starfile", "imodmodel")
OPTIONAL = ("tifffile", "h5py", "zarr", "tensorboard")
FAILED = "failed"
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Trial:
    """How training steps of one network went on one device.

    Attributes
    ----------
    device, arch, cube_size
        What was tried.
    parameters
        Numbers that the network learns.
    cubes
        Cubes per second, forward and backward with the optimiser's step.
    memory
        Bytes at the peak: on a GPU all that was allocated; else what the process grew by.
    problem
        What went wrong; empty when nothing did.
    """

    device: torch.device
    arch: str
    cube_size: int
    parameters: int = 0
    cubes: float = 0.0
    memory: int = 0
    problem: str = ""


def check(parameters: CheckParameters) -> int:
    """Show versions, devices and a table of trials.

    Parameters
    ----------
    parameters
        Networks, cube sizes and devices to try.

    Returns
    -------
    int
        Exit status: 0 when every trial worked, else 1.
    """
    p = parameters
    use_threads(None)
    devices = _devices(p.gpuID)
    show_table("software", ["", ""], _software())
    show_table("devices", ["device", "what"], [[str(d), abilities(d)] for d in devices])
    trials = []
    for device, arch, size in product(devices, p.arch, p.cube_size):
        log.info("trying %s with cubes of %d on %s ...", arch, size, device)
        trials.append(attempt(p, device, arch, size))
    title = f"training steps, {p.batch_size} cube{'s' * (p.batch_size > 1)} each"
    headings = ["device", "network", "cube", "million weights", "cubes/s", "peak memory (GB)", ""]
    show_table(title, headings, [_row(trial) for trial in trials])
    bad = [trial for trial in trials if trial.problem]
    for trial in bad:
        log.error("%s on %s: %s", trial.arch, trial.device, trial.problem)
    return 1 if bad else 0


def _devices(gpu_ids: str | None) -> list[torch.device]:
    """All GPUs and the processor, or those that were asked for."""
    if gpu_ids is not None:
        return choose_devices(gpu_ids)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [*(torch.device("cuda", index) for index in range(count)), torch.device("cpu")]


def _software() -> list[list[str]]:
    rows = [
        ["isonet2", package_version()],
        ["python", platform.python_version()],
        ["system", platform.platform()],
        *([name, _version(name, "missing")] for name in LIBRARIES),
        *([name, _version(name, "not installed (optional)")] for name in OPTIONAL),
        ["torch's CUDA", torch.version.cuda or "none: this torch computes on processors only"],
    ]
    if torch.version.cuda:
        rows.append(["torch's GPU kinds", " ".join(torch.cuda.get_arch_list()) or "none visible"])
    return rows


def _version(name: str, otherwise: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return otherwise


def abilities(device: torch.device) -> str:
    """Name, memory and abilities of a device."""
    if device.type == "cpu":
        return (
            f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, "
            f"trains in {_name(autocast_type(device, True))}"
        )
    free, total = torch.cuda.mem_get_info(device)
    major, minor = torch.cuda.get_device_capability(device)
    return (
        f"{torch.cuda.get_device_name(device)}, compute capability {major}.{minor}, "
        f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free, "
        f"trains in {_name(autocast_type(device, True))}"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def attempt(p: CheckParameters, device: torch.device, arch: str, size: int) -> Trial:
    """Train a fresh network on noise for some steps; what fails is told, not raised."""
    try:
        network = channels_last(build_network(arch)).to(device).train()
        multiple = edge_multiple(network)
        if size % multiple:
            problem = f"takes cubes whose size is a multiple of {multiple}"
            return Trial(device, arch, size, problem=problem)
        weights = sum(weight.numel() for weight in network.parameters())
        with _PeakMemory(device) as peak:
            cubes = p.batch_size * p.steps / _steps(p, network, device, size)
        return Trial(device, arch, size, weights, cubes, peak.bytes)
    except torch.OutOfMemoryError:
        problem = f"does not fit into the memory of {device}; choose a smaller cube or network"
        return Trial(device, arch, size, problem=problem)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        return Trial(device, arch, size, problem=reason)


def _steps(p: CheckParameters, network: torch.nn.Module, device: torch.device, size: int) -> float:
    """Seconds that `p.steps` training steps take, after one that warms up."""
    optimiser = Muon(network, 1e-3)
    shape = (p.batch_size, 1, size, size, size)
    given, wanted = torch.randn(2, *shape, device=device)
    dtype = autocast_type(device, p.mixed_precision)

    def step() -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = (network(given) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if not bool(torch.isfinite(loss)):
            raise RuntimeError("the loss is no finite number")

    step()
    return _seconds(step, p.steps)


def _seconds(step: Callable[[], None], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start


class _PeakMemory:
    """Largest memory in use inside a `with` block, above that at its start on a processor."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._start = _resident()
            self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
            return
        self._done.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.bytes = max(self.bytes, _resident() - self._start)


def _resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def _row(trial: Trial) -> list[str]:
    if trial.problem:
        return [str(trial.device), trial.arch, str(trial.cube_size), "", "", "", FAILED]
    return [
        str(trial.device),
        trial.arch,
        str(trial.cube_size),
        f"{trial.parameters / 1e6:.1f}",
        f"{trial.cubes:.2f}",
        f"{trial.memory / 1e9:.2f}",
        "works",
    ]
