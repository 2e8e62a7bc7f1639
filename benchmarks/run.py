"""Speed and memory beside the plain reference, measured in turns in one run.

python benchmarks/run.py            all of it, some minutes on two cores
python benchmarks/run.py step       one part: step, loading, predict, memory, start, growth, scale
"""

import argparse
import itertools
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Self

import reference
import torch
from lightning_fabric import Fabric
from noisy import HIGH, LOW, noisy_halves, noisy_source
from torch import nn

from isonet2.machine.devices import autocast_type
from isonet2.networks import build_network
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.geometry import Geometry
from isonet2.prediction.orientations import WAYS
from isonet2.prediction.replicas import Replicas
from isonet2.prediction.restoring import restore
from isonet2.prediction.tiles import fitted_tiles
from isonet2.prediction.usage import Usage
from isonet2.reports.table import show_table
from isonet2.training.assembly import Assembler
from isonet2.training.loop import Descent, _follow
from isonet2.training.muon import Muon
from isonet2.training.objectives import METHODS, Recipe
from isonet2.training.sampling import Sample, Subtomograms
from isonet2.training.schedule import Cosine, Plan
from isonet2.training.state import start

PARTS = ["step", "loading", "predict", "memory", "start", "growth", "scale"]
CUBES, FEED = 64, 8
"""Cubes of an epoch, and batches of it that are used in turn."""
NOISE = 0.2
"""Noise level where there is one volume only."""
TINY = {"filters": 4, "levels": 2, "convolutions": 1}


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


@dataclass
class OurTraining:
    """Training on noise, ready to go step by step."""

    arch: str
    cube: int
    batch: int
    pairing: str = "swap"
    method: str = "isonet2-n2n"
    count: int = 1
    edge: int | None = None
    folder: Path | None = None

    def __enter__(self) -> Self:
        self.scratch = tempfile.TemporaryDirectory()
        if self.folder is None:
            self.folder = Path(self.scratch.name)
            noisy_halves(self.folder, (self.edge or self.cube + 48,) * 3)
        method = METHODS[self.method]
        sources = [noisy_source(self.folder, CUBES // self.count + 1) for _ in range(self.count)]
        if not method.reads_halves:
            sources = [replace(source, second=source.first) for source in sources]
        self.plan = Plan(1, self.batch, 1, Muon, Cosine(1e-3, 0.0, 0.1), 0.999, (0.0,))
        self.training = start(build_network(self.arch), self.plan)
        device = torch.device("cpu")
        precision = "bf16-mixed" if autocast_type(device, True) == torch.bfloat16 else "32-true"
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        treatment = CtfTreatment(mode="network")
        both = self.pairing == "both"
        self.assemble = Assembler(sources, treatment, device, both_directions=both)
        objective = method.with_recipe(Recipe(mw_weight=20.0))
        self.descent = Descent(fabric, self.training, self.assemble, objective, self.plan)
        free = 0.2 * method.fills_wedge
        self.cubes = Subtomograms(
            sources, self.cube, seed=0, turn=method.fills_wedge, random_rot_weight=free
        )
        self.feed = list(islice(self.cubes.batches(0, self.batch), FEED))
        return self

    def __exit__(self, *_: object) -> None:
        self.scratch.cleanup()

    def step(self) -> None:
        """One step of the optimiser on a batch that was read before."""
        self.learn(self.feed[0])
        self.feed.append(self.feed.pop(0))

    def learn(self, samples: list[Sample]) -> None:
        """One step of the optimiser."""
        noise_level = 0.0 if METHODS[self.method].reads_halves else NOISE
        self.descent.step([samples], 1e-3, noise_level)
        _follow(self.training, self.plan.ema)

    def load(self) -> int:
        """Read, turn and assemble an epoch's batches; their number."""
        batches = 0
        for samples in self.cubes.batches(0, self.batch):
            self.assemble(samples)
            batches += 1
        return batches

    def stream(self) -> Iterator[list[Sample]]:
        """Batches of one epoch after the other, read ahead."""
        for epoch in itertools.count():
            yield from self.cubes.batches(epoch, self.batch)


def plain_step(ours: OurTraining) -> Callable[[], None]:
    """The reference's step on the cubes that come next for ours."""
    network = build_network(ours.arch)
    optimizer = torch.optim.AdamW(network.parameters())
    ctf = reference.ctf_volume(ours.cube, 10.0, 30000.0, 300.0, 2.7, 0.1)
    method = METHODS[ours.method]

    def step() -> None:
        samples = ours.feed[0]
        used = 1 + method.reads_halves
        cubes = [[torch.from_numpy(h).clone() for h in s.halves[:used]] for s in samples]
        if method.fills_wedge:
            turns = [s.draw.rotation for s in samples]
            noise = 0.0 if method.reads_halves else NOISE
            loss = reference.step_loss(network, cubes, turns, LOW, HIGH, ctf, 20.0, noise)
        else:
            first, second = zip(*cubes, strict=True)
            loss = reference.denoise_loss(network, list(first), list(second), ctf)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def training_step(ours: OurTraining) -> list[str]:
    """Seconds per step, ours and the reference's."""
    with ours:
        mine, plainly = in_turns(4, ours.step, plain_step(ours))
    what = f"step {ours.method}, {ours.arch} {ours.cube}^3 x {ours.batch}, {ours.pairing}"
    return [what, f"{mine:.2f} s", f"{plainly:.2f} s", f"{plainly / mine:.1f}"]


def loading(arch: str, cube: int, batch: int) -> list[str]:
    """Seconds to put a batch together, beside those of the step that uses it."""
    with OurTraining(arch, cube, batch) as ours:
        batches = ours.load()
        load, step = in_turns(3, ours.load, ours.step)
        load /= batches
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


def scale() -> list[list[str]]:
    """Seconds of a step with its reading, and peak memory, over the tomograms' size and number.

    Then the cost of predicting a voxel, with a network so small that all around it shows.
    """
    rows = []
    for edge, count in ((64, 1), (256, 1), (1024, 1), (256, 10), (256, 100)):
        with OurTraining("unet-small", 48, 4, edge=edge, count=count) as ours:
            stream = ours.stream()
            (step,) = in_turns(5, partial(_read_and_learn, ours, stream))
            stream.close()
            memory, _ = measured_apart("ours-training", str(ours.folder), str(count))
        what = f"step on {count} tomogram{'s' * (count > 1)} of {edge}^3"
        rows.append([what, f"{step:.2f} s", f"{memory} MB"])
    for edge in (64, 128, 256, 512, 1024):
        with tempfile.TemporaryDirectory() as name:
            noisy_halves(Path(name), (edge,) * 3)
            memory, seconds = measured_apart("ours", name)
        cost = f"{seconds / edge**3 * 1e6:.2f} us for each voxel"
        rows.append([f"predict two halves of {edge}^3, tiny network", cost, f"{memory} MB"])
    return rows


def _read_and_learn(ours: OurTraining, stream: Iterator[list[Sample]]) -> None:
    ours.learn(next(stream))


def our_prediction(
    folder: Path, network: nn.Module, cube: int, ways: int = WAYS
) -> Callable[[], object]:
    """Restore the halves that are in a folder, without writing the result."""
    source = noisy_source(folder)
    precision = autocast_type(torch.device("cpu"), True)
    replicas = Replicas([network.eval()], [torch.device("cpu")], precision)
    usage = Usage(cube, CtfTreatment())
    geometry = Geometry(source.geometry.sectors, None, 10.0)
    plans = fitted_tiles(source.first.volume.shape, cube, 1.5, replicas.multiple)
    halves = [source.first, source.second]

    def restored() -> None:
        restore(replicas, halves, geometry, usage, lambda r, b: None, plans, ways=ways)

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
            our_prediction(Path(name), build_network(arch), cube),
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
        our_prediction(Path(name), build_network(arch), cube)()
        return time.perf_counter() - began


def measured_apart(kind: str, folder: str, *more: str) -> tuple[int, float]:
    """Peak resident megabytes and seconds of one of `TASKS` in a process of its own."""
    words = [sys.executable, __file__, "--inner", kind, folder, *more]
    memory, seconds = subprocess.check_output(words, text=True).split()
    return int(memory), float(seconds)


def prediction_memory(shape: tuple[int, int, int]) -> list[str]:
    """Peak memory of predicting with a small network, so that the tomogram's share shows."""
    with tempfile.TemporaryDirectory() as name:
        noisy_halves(Path(name), shape)
        ours, _ = measured_apart("ours", name)
        plain, _ = measured_apart("reference", name)
    size = " x ".join(str(n) for n in shape)
    return [f"memory of predict {size}", f"{ours} MB", f"{plain} MB", f"{plain / ours:.1f}"]


def training_memory() -> list[str]:
    """Peak memory of training steps."""
    with tempfile.TemporaryDirectory() as name:
        noisy_halves(Path(name), (96, 96, 96))
        ours, _ = measured_apart("ours-training", name, "1", "both")
        plain, _ = measured_apart("reference-training", name, "1")
    return ["memory of training, unet-small 48^3 x 4, both", f"{ours} MB", f"{plain} MB",
            f"{plain / ours:.1f}"]  # fmt: skip


def ours_predicts(folder: Path) -> None:
    our_prediction(folder, build_network("unet-small", **TINY), 48, ways=1)()


def reference_predicts(folder: Path) -> None:
    source = noisy_source(folder)
    network = build_network("unet-small", **TINY).eval()
    z, y, x = source.first.volume.shape
    whole = (slice(0, z), slice(0, y), slice(0, x))
    halves = [half.region(whole) for half in (source.first, source.second)]
    reference.predict(network, halves, 48, LOW, HIGH)


def ours_trains(folder: Path, count: str, pairing: str = "swap") -> None:
    with OurTraining("unet-small", 48, 4, pairing, count=int(count), folder=folder) as ours:
        for samples in islice(ours.stream(), FEED):
            ours.learn(samples)


def reference_trains(folder: Path, count: str) -> None:
    with OurTraining("unet-small", 48, 4, count=int(count), folder=folder) as ours:
        step = plain_step(ours)
        for _ in range(2):
            step()


TASKS: dict[str, Callable[..., None]] = {
    "ours": ours_predicts,
    "reference": reference_predicts,
    "ours-training": ours_trains,
    "reference-training": reference_trains,
}
"""What memory is measured of."""


def start_up() -> list[str]:
    """Seconds of `isonet.py --help` beside those of `python -c pass`."""

    def call(*words: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *words], capture_output=True, check=True)

    ours, bare = in_turns(5, call("-m", "isonet2", "--help"), call("-c", "pass"))
    return ["isonet.py --help", f"{ours:.2f} s", f"{bare:.2f} s (python alone)", ""]


def part(word: str) -> str:
    """One of `PARTS`."""
    if word not in PARTS:
        raise argparse.ArgumentTypeError(f"no part {word}; there are {', '.join(PARTS)}")
    return word


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", type=part, default=PARTS)
    parser.add_argument("--inner", nargs="+")
    options = parser.parse_args()
    if options.inner:
        task, folder, *more = options.inner
        began = time.perf_counter()
        TASKS[task](Path(folder), *more)
        seconds = time.perf_counter() - began
        lines = Path("/proc/self/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        sys.stdout.write(f"{int(status['VmHWM'].split()[0]) // 1024} {seconds}\n")
        return
    rows = []
    if "step" in options.parts:
        rows.append(training_step(OurTraining("unet-small", 48, 4)))
        rows.append(training_step(OurTraining("unet-small", 48, 4, "both")))
        rows.append(training_step(OurTraining("unet-medium", 64, 2)))
        rows += [
            training_step(OurTraining("unet-small", 48, 4, pairing, method))
            for method, pairing in (("isonet2", "swap"), ("n2n", "both"))
        ]
    if "loading" in options.parts:
        rows.append(loading("unet-small", 48, 4))
    if "predict" in options.parts:
        rows.append(prediction("unet-small", 48))
    if "memory" in options.parts:
        rows.append(training_memory())
        rows += [prediction_memory(shape) for shape in ((96, 160, 160), (256, 512, 512))]
    if "start" in options.parts:
        rows.append(start_up())
    if rows:
        show_table("against the plain reference", ["what", "ours", "reference", "ratio"], rows)
    if "growth" in options.parts:
        show_table("cost per voxel", ["what", "time", "microseconds per voxel"], growth())
    if "scale" in options.parts:
        show_table("as tomograms grow", ["what", "time", "peak memory"], scale())


if __name__ == "__main__":
    main()
