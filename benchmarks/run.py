"""Speed and memory beside the plain reference, measured in turns in one run.

python benchmarks/run.py            all of it, some minutes on two cores
python benchmarks/run.py step       one part: step, loading, predict, memory, start, growth
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

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
from isonet2.training.loop import Descent, _follow
from isonet2.training.objectives import Recipe
from isonet2.training.prediction import WAYS, Geometry, Replicas, fitted_tiles, restore
from isonet2.training.sampling import Half, Source, Subtomograms
from isonet2.training.schedule import Plan
from isonet2.training.state import start

LOW, HIGH = -60.0, 60.0
PARTS = ["step", "loading", "predict", "memory", "start", "growth"]


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


@dataclass
class OurTraining:
    """Training of isonet2-n2n on noise, ready to go step by step."""

    arch: str
    cube: int
    batch: int
    pairing: str = "swap"

    def __enter__(self) -> Self:
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        noisy_halves(folder, (self.cube + 48,) * 3)
        source = noisy_source(folder)
        self.plan = Plan("isonet2-n2n", 1, self.batch, 1, "Muon", 1e-3, 0.0, 0.1, 0.999, (0.0,))
        self.training = start(build_network(self.arch), self.plan)
        device = torch.device("cpu")
        precision = "bf16-mixed" if autocast_type(device, True) == torch.bfloat16 else "32-true"
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        treatment = CtfTreatment(mode="network")
        self.assemble = Assembler(
            [source], treatment, device, both_directions=self.pairing == "both"
        )
        recipe = Recipe(mw_weight=20.0)
        self.descent = Descent(fabric, self.training, self.assemble, recipe, self.plan)
        self.cubes = Subtomograms([source], self.cube, seed=0, random_rot_weight=0.2)
        self.feed = list(self.cubes.batches(0, self.batch))
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()

    def step(self) -> None:
        """One step of the optimiser, on the next batch."""
        self.descent.step([self.feed[0]], 1e-3, 0.0)
        _follow(self.training, self.plan.ema)
        self.feed.append(self.feed.pop(0))

    def load(self) -> None:
        """Read, turn and assemble one epoch of batches."""
        for samples in self.cubes.batches(0, self.batch):
            self.assemble(samples)


def training_step(arch: str, cube: int, batch: int, pairing: str) -> list[str]:
    """Seconds per step of isonet2-n2n, ours and the reference's."""
    with OurTraining(arch, cube, batch, pairing) as ours:
        plain = build_network(arch)
        optimizer = torch.optim.AdamW(plain.parameters())
        ctf = reference.ctf_volume(cube, 10.0, 30000.0, 300.0, 2.7, 0.1)

        def theirs() -> None:
            pairs = [[torch.from_numpy(h).clone() for h in s.halves] for s in ours.feed[0]]
            matrices = [s.draw.rotation for s in ours.feed[0]]
            first, second = zip(*pairs, strict=True)
            loss = reference.step_loss(
                plain, list(first), list(second), matrices, LOW, HIGH, ctf, 20.0
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        mine, plainly = in_turns(4, ours.step, theirs)
    return [f"step {arch} {cube}^3 x {batch}, {pairing}", f"{mine:.2f} s", f"{plainly:.2f} s",
            f"{plainly / mine:.1f}"]  # fmt: skip


def loading(arch: str, cube: int, batch: int) -> list[str]:
    """Seconds to put a batch together, beside those of the step that uses it."""
    with OurTraining(arch, cube, batch) as ours:
        load, step = in_turns(3, ours.load, ours.step)
        load /= len(ours.feed)
    return [f"reading a batch of {cube}^3 x {batch}", f"{load:.4f} s", f"{step:.2f} s (a step)",
            f"{step / load:.0f}"]  # fmt: skip


def growth() -> list[list[str]]:
    """Cost per voxel of a training step and of prediction, as cubes and tomograms grow."""
    rows = []
    for cube, batch in ((32, 4), (48, 4), (64, 4), (96, 1), (48, 1), (48, 2), (48, 8)):
        with OurTraining("unet-small", cube, batch) as ours:
            (step,) = in_turns(3, ours.step)
        cost = step / (batch * cube**3) * 1e6
        rows.append([f"step unet-small {cube}^3 x {batch}", f"{step:.2f} s", f"{cost:.2f}"])
    for shape in ((64, 64, 64), (96, 160, 160), (128, 256, 256), (192, 384, 384)):
        seconds = predict_seconds("unet-small", 48, shape)
        cost = seconds / math.prod(shape) * 1e6
        size = " x ".join(map(str, shape))
        rows.append([f"predict unet-small {size}", f"{seconds:.1f} s", f"{cost:.2f}"])
    return rows


def our_prediction(folder: Path, arch: str, cube: int) -> Callable[[], object]:
    """Restore the halves that are in a folder, without writing the result."""
    source = noisy_source(folder)
    precision = autocast_type(torch.device("cpu"), True)
    replicas = Replicas([build_network(arch).eval()], [torch.device("cpu")], precision)
    geometry = Geometry(source.sectors, None, 10.0)
    plans = fitted_tiles(source.first.volume.shape, cube, 1.5, replicas.multiple)
    halves = [source.first, source.second]

    def restored() -> None:
        restore(replicas, halves, geometry, CtfTreatment(), lambda r, b: None, plans, ways=WAYS)

    return restored


def prediction(arch: str, cube: int, shape: tuple[int, int, int] = (96, 160, 160)) -> list[str]:
    """Seconds to restore both halves, ours and the reference's."""
    with tempfile.TemporaryDirectory() as name:
        noisy_halves(Path(name), shape)
        source = noisy_source(Path(name))
        region = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
        whole = [half.region(region) for half in (source.first, source.second)]
        plain = build_network(arch).eval()
        mine, plainly = in_turns(
            2,
            our_prediction(Path(name), arch, cube),
            lambda: reference.predict(plain, whole, cube, LOW, HIGH),
        )
    return [
        f"predict {arch} {cube}^3",
        f"{mine:.1f} s",
        f"{plainly:.1f} s",
        f"{plainly / mine:.1f}",
    ]


def predict_seconds(arch: str, cube: int, shape: tuple[int, int, int]) -> float:
    """Seconds to restore two halves of a shape."""
    with tempfile.TemporaryDirectory() as name:
        noisy_halves(Path(name), shape)
        began = time.perf_counter()
        our_prediction(Path(name), arch, cube)()
        return time.perf_counter() - began


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
    parser.add_argument("parts", nargs="*", default=PARTS)
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
    if "loading" in options.parts:
        rows.append(loading("unet-small", 48, 4))
    if "predict" in options.parts:
        rows.append(prediction("unet-small", 48))
    if "memory" in options.parts:
        rows += [peak_memory(shape) for shape in ((96, 160, 160), (256, 512, 512))]
    if "start" in options.parts:
        rows.append(start_up())
    if rows:
        show_table("against the plain reference", ["what", "ours", "reference", "ratio"], rows)
    if "growth" in options.parts:
        show_table("cost per voxel", ["what", "time", "microseconds per voxel"], growth())


if __name__ == "__main__":
    main()
