"""Speed and memory beside the plain reference, measured in turns in one run.

python benchmarks/run.py            all of it, some minutes on two cores
python benchmarks/run.py step       one part: step, predict, memory, start
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import reference
import torch
from lightning_fabric import Fabric

from isonet2.data.volumes import open_volume, statistics, write_volume
from isonet2.networks import build_network
from isonet2.physics.ctf import ContrastTransfer, CtfTreatment
from isonet2.reports.table import show_table
from isonet2.training.assembly import Assembler
from isonet2.training.devices import autocast_type
from isonet2.training.loop import Descent, Plan, _follow, start
from isonet2.training.objectives import Recipe
from isonet2.training.prediction import WAYS, Geometry, Replicas, fitted_tiles, restore
from isonet2.training.sampling import Half, Source, Subtomograms

LOW, HIGH = -60.0, 60.0
HERE = Path(__file__).resolve().parent


def in_turns(rounds: int, *functions: Callable[[], object]) -> list[float]:
    """Median seconds of each function, called alternately; the first round does not count."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(rounds + 1):
        for place, function in enumerate(functions):
            began = time.perf_counter()
            function()
            if turn:
                times[place].append(time.perf_counter() - began)
    return [median(t) for t in times]


def noisy_halves(folder: Path, shape: tuple[int, int, int]) -> None:
    """Write two halves of white noise."""
    rng = np.random.default_rng(0)
    for name in ("EVN", "ODD"):
        noise = rng.standard_normal(shape, dtype=np.float32)
        write_volume(folder / f"TS_01_{name}.mrc", noise, voxel_size=10.0, label="x")


def noisy_source(folder: Path, count: int = 64) -> Source:
    """The halves that are in a folder."""
    volumes = [open_volume(folder / f"TS_01_{name}.mrc") for name in ("EVN", "ODD")]
    first, second = (Half(volume, statistics(volume)) for volume in volumes)
    return Source("TS_01", first, second, ((LOW, HIGH),), ContrastTransfer(30000.0), 10.0, count)


def training_step(arch: str, cube: int, batch: int, pairing: str) -> list[str]:
    """Seconds per step of isonet2-n2n, ours and the reference's."""
    with tempfile.TemporaryDirectory() as name:
        noisy_halves(Path(name), (cube + 48,) * 3)
        source = noisy_source(Path(name))
        treatment = CtfTreatment(mode="network")
        plan = Plan("isonet2-n2n", 1, batch, 1, 1e-3, 0.0, 0.1, 0.999, (0.0,))
        training = start(build_network(arch), plan)
        device = torch.device("cpu")
        precision = "bf16-mixed" if autocast_type(device, True) == torch.bfloat16 else "32-true"
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        assemble = Assembler([source], treatment, device, both_directions=pairing == "both")
        descent = Descent(fabric, training, assemble, Recipe(mw_weight=20.0), plan)
        batches = Subtomograms([source], cube, seed=0, random_rot_weight=0.2).batches(0, batch)
        feed = list(batches)

        def ours() -> None:
            descent.step([feed[0]], 1e-3, 0.0)
            _follow(training, plan.ema)
            feed.append(feed.pop(0))

        plain = build_network(arch)
        optimizer = torch.optim.AdamW(plain.parameters())
        ctf = reference.ctf_volume(cube, 10.0, 30000.0, 300.0, 2.7, 0.1)

        def theirs() -> None:
            pairs = [[torch.from_numpy(h).clone() for h in s.halves] for s in feed[0]]
            matrices = [s.draw.rotation for s in feed[0]]
            first, second = zip(*pairs, strict=True)
            loss = reference.step_loss(
                plain, list(first), list(second), matrices, LOW, HIGH, ctf, 20.0
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        mine, plainly = in_turns(4, ours, theirs)
    return [f"step {arch} {cube}^3 x {batch}, {pairing}", f"{mine:.2f} s", f"{plainly:.2f} s",
            f"{plainly / mine:.1f}"]  # fmt: skip


def prediction(arch: str, cube: int) -> list[str]:
    """Seconds per million voxels of both halves."""
    with tempfile.TemporaryDirectory() as name:
        noisy_halves(Path(name), (96, 160, 160))
        source = noisy_source(Path(name))
        network = build_network(arch).eval()
        halves = [source.first, source.second]
        whole = [half.region((slice(0, 96), slice(0, 160), slice(0, 160))) for half in halves]
        precision = autocast_type(torch.device("cpu"), True)
        replicas = Replicas([network], [torch.device("cpu")], precision)
        geometry = Geometry(source.sectors, None, 10.0)
        plans = fitted_tiles(halves[0].volume.shape, cube, 1.5, replicas.multiple)
        ways = WAYS

        def ours() -> None:
            restore(replicas, halves, geometry, CtfTreatment(), lambda r, b: None, plans, ways=ways)

        plain = build_network(arch).eval()
        mine, plainly = in_turns(2, ours, lambda: reference.predict(plain, whole, cube, LOW, HIGH))
    return [
        f"predict {arch} {cube}^3",
        f"{mine:.1f} s",
        f"{plainly:.1f} s",
        f"{plainly / mine:.1f}",
    ]


def peak_memory(shape: tuple[int, int, int]) -> list[str]:
    """Peak resident megabytes of predicting a tomogram, each program in a process of its own.

    The network is small, so that what grows with the tomogram shows, and the run is short.
    """
    with tempfile.TemporaryDirectory() as name:
        noisy_halves(Path(name), shape)
        ours, plain = (
            int(subprocess.check_output([sys.executable, __file__, "--inner", kind, name]))
            for kind in ("ours", "reference")
        )
    size = " x ".join(str(n) for n in shape)
    return [f"memory of predict {size}", f"{ours} MB", f"{plain} MB", f"{plain / ours:.1f}"]


def inner(kind: str, folder: str) -> None:
    """Predict, and print the peak of this process's resident memory."""
    network = build_network("unet-small", filters=4, levels=2, convolutions=1).eval()
    source = noisy_source(Path(folder))
    halves = [source.first, source.second]
    shape = source.first.volume.shape
    if kind == "ours":
        replicas = Replicas([network], [torch.device("cpu")], torch.float32)
        geometry = Geometry(source.sectors, None, 10.0)
        plans = fitted_tiles(shape, 48, 1.5, replicas.multiple)
        restore(replicas, halves, geometry, CtfTreatment(), lambda r, b: None, plans)
    else:
        region = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
        reference.predict(network, [h.region(region) for h in halves], 48, LOW, HIGH)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(f"{peak // 1024}\n")


def start_up() -> list[str]:
    """Seconds of `isonet.py --help` beside those of `python -c pass`."""

    def call(*words: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *words], capture_output=True, check=True)

    ours, bare = in_turns(5, call("-m", "isonet2", "--help"), call("-c", "pass"))
    return ["isonet.py --help", f"{ours:.2f} s", f"{bare:.2f} s (python alone)", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["step", "predict", "memory", "start"])
    parser.add_argument("--inner", nargs=2)
    options = parser.parse_args()
    if options.inner:
        inner(*options.inner)
        return
    rows = []
    if "step" in options.parts:
        rows.append(training_step("unet-small", 48, 4, "swap"))
        rows.append(training_step("unet-small", 48, 4, "both"))
        rows.append(training_step("unet-medium", 64, 2, "swap"))
    if "predict" in options.parts:
        rows.append(prediction("unet-small", 48))
    if "memory" in options.parts:
        rows += [peak_memory(shape) for shape in ((96, 160, 160), (256, 512, 512))]
    if "start" in options.parts:
        rows.append(start_up())
    show_table("against the plain reference", ["what", "ours", "reference", "ratio"], rows)


if __name__ == "__main__":
    main()
