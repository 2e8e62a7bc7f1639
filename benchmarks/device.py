"""Speed of training and prediction on this machine's device, as a share of what it can convolve.

python benchmarks/device.py                      a GPU: unet-medium at 96^3 and 128^3
python benchmarks/device.py unet-small 48        other networks and cubes
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from lightning_fabric import Fabric
from run import noisy_halves, noisy_source
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from isonet2.machine.devices import autocast_type, choose_devices
from isonet2.machine.ranks import make_fabric
from isonet2.networks import build_network, channels_last
from isonet2.physics.ctf import CtfTreatment
from isonet2.prediction.orientations import orientations
from isonet2.prediction.replicas import Replicas
from isonet2.reports.table import show_table
from isonet2.training.assembly import Assembler
from isonet2.training.loop import Descent
from isonet2.training.muon import Muon
from isonet2.training.objectives import METHODS, Recipe
from isonet2.training.sampling import Subtomograms
from isonet2.training.schedule import Cosine, Plan
from isonet2.training.state import start

ROUNDS = 8


def seconds(device: torch.device, function: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median time of a call, the device's queue included; the first two do not count."""
    times = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return median(times[2:])


def operations(function: Callable[[], object]) -> int:
    """Floating point operations of a call, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


def peak(device: torch.device, precision: torch.dtype) -> float:
    """Operations per second of the convolution that this device does fastest."""
    best = 0.0
    for channels, edge in ((32, 96), (64, 64), (128, 48), (256, 32)):
        layer = channels_last(nn.Conv3d(channels, channels, 3, padding=1, bias=False))
        layer = layer.to(device, precision)
        x = torch.randn(2, channels, edge, edge, edge, device=device, dtype=precision)
        x = x.contiguous(memory_format=torch.channels_last_3d)

        def convolve(layer: nn.Module = layer, x: torch.Tensor = x) -> None:
            with torch.inference_mode():
                layer(x)

        best = max(best, operations(convolve) / seconds(device, convolve))
    return best


def memory(device: torch.device) -> str:
    """Peak of the GPU memory since it was last asked."""
    if device.type != "cuda":
        return ""
    used = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return f"{used / 2**30:.1f} GiB"


def training(
    fabric: Fabric, arch: str, cube: int, batch: int, folder: Path, most: float
) -> list[str]:
    """One row: isonet2-n2n steps of one group of cubes, assembled anew each time."""
    noisy_halves(folder, (cube + 64,) * 3)
    source = noisy_source(folder, 2 * batch)
    plan = Plan(1, batch, 1, Muon, Cosine(1e-3, 0.0, 0.1), 0.999, (0.0,))
    assemble = Assembler([source], CtfTreatment(mode="network"), fabric.device)
    objective = METHODS["isonet2-n2n"].with_recipe(Recipe(mw_weight=20.0))
    descent = Descent(fabric, start(build_network(arch), plan), assemble, objective, plan)
    group = [next(Subtomograms([source], cube, seed=0, random_rot_weight=0.2).batches(0, batch))]
    memory(fabric.device)
    count = operations(lambda: descent.step(group, 1e-3, 0.0))
    took = seconds(fabric.device, lambda: descent.step(group, 1e-3, 0.0))
    return [
        f"training {arch} {cube}^3 x {batch}",
        f"{1 / took:.2f} steps/s",
        memory(fabric.device),
        f"{count / took / most:.0%}",
    ]


def prediction(device: torch.device, precision: torch.dtype, arch: str, cube: int,
               most: float) -> list[str]:  # fmt: skip
    """One row: two halves of one tile, one way round."""
    replicas = Replicas([build_network(arch)], [device], precision)
    cubes = torch.randn(1, 2, cube, cube, cube)
    filters, turns = replicas.filters(None, None), orientations(((-60.0, 60.0),), 2, 1)
    memory(device)
    count = operations(lambda: replicas(cubes, filters, turns))
    took = seconds(device, lambda: replicas(cubes, filters, turns))
    return [
        f"prediction {arch} {cube}^3 x 2 halves",
        f"{cubes.numel() / took / 1e6:.1f} Mvoxel/s",
        memory(device),
        f"{count / took / most:.0%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arch", nargs="?", default="unet-medium")
    parser.add_argument("cubes", nargs="*", type=int, default=[96, 128])
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    devices = choose_devices(None)
    precision = autocast_type(devices[0], True)
    fabric = make_fabric(devices, True)
    most = peak(devices[0], precision)
    rows = []
    for cube in options.cubes:
        with tempfile.TemporaryDirectory() as name:
            rows.append(training(fabric, options.arch, cube, options.batch, Path(name), most))
        rows.append(prediction(devices[0], precision, options.arch, cube, most))
    name = torch.cuda.get_device_name() if devices[0].type == "cuda" else "the processor"
    title = f"{name}, {precision}: convolution peak {most / 1e12:.2f} TFLOP/s"
    show_table(title, ["what", "speed", "memory", "of the peak"], rows)


if __name__ == "__main__":
    main()
