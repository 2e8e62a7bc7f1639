"""What jobs and --cluster cost: submitting, listing, and each tomogram's way to another process.

python benchmarks/jobs.py [--tomograms 12] [--edge 64] [--large 128]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from isonet2.commands import predict
from isonet2.data.progress import ProgressFile
from isonet2.data.star import Tomogram, TomogramTable
from isonet2.data.volumes import write_volume
from isonet2.jobs import Jobs
from isonet2.networks import build_network
from isonet2.parameters import DeconvParameters, PredictParameters, PsfParameters
from isonet2.physics.ctf import CtfTreatment
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.usage import Usage
from isonet2.runs.each import P, Work, outcomes

JOBS = 200
LARGE = 6
TASK = 1.0
NETWORK = {"filters": 8, "levels": 2, "convolutions": 2, "add_input": True}


def submit_and_list(project: Path, count: int) -> tuple[float, float]:
    """Seconds of this processor to submit one job while there are many, and to list them."""
    jobs = Jobs(project)
    jobs.pause()
    began = time.process_time()
    for _ in range(count):
        jobs.submit(PsfParameters())
    submitted = time.process_time()
    assert len(jobs.list()) == count
    return (submitted - began) / count, time.process_time() - submitted


def table(project: Path, count: int, edge: int) -> None:
    """Tomograms of noise, and their table."""
    for number in range(count):
        data = np.random.default_rng(number).normal(0, 1, (edge,) * 3).astype(np.float32)
        write_volume(project / f"full/T_{number:03}.mrc", data, voxel_size=10.0, label="noise")
    call(project, "prepare_star", "full", "--defocus", "30000")


def call(project: Path, *words: str) -> str:
    """Run a command line; what it says."""
    line = [sys.executable, "-m", "isonet2", *words]
    return subprocess.run(line, cwd=project, capture_output=True, text=True, check=True).stderr


def deconvolve(project: Path, folder: str, *words: str) -> float:
    """Seconds from the first to the last result of `deconv`, without the start of Python."""
    call(project, "deconv", "tomograms.star", "-o", folder, "--ncpus", "1", *words)
    moments = sorted(path.stat().st_mtime for path in (project / folder).glob("*.mrc"))
    return moments[-1] - moments[0]


def waiting(parameters: DeconvParameters) -> Work[Tomogram]:
    """Work that takes `TASK` seconds and no processor, so that others' load does not show."""

    def work(tomogram: Tomogram, label: str) -> dict[str, object]:
        time.sleep(TASK)
        return {}

    return work


def restoring(parameters: PredictParameters) -> Work[Tomogram]:
    """What restores a tomogram, and gives the seconds of processor that it took."""
    restore = predict.prepare(parameters)

    def work(tomogram: Tomogram, label: str) -> dict[str, object]:
        began = time.process_time()
        restore(tomogram, label)
        return {"seconds": time.process_time() - began}

    return work


def between(
    parameters: P, prepare: Callable[[P], Work[Tomogram]], folder: Path
) -> tuple[float, int, float]:
    """Seconds between two tomograms, by how many processes, and of processor for each."""
    table = TomogramTable.read(parameters.star_file)
    folder.mkdir()
    moments, spent = [], []
    with ProgressFile(folder, parameters.command) as progress:
        for _, outcome in outcomes(parameters, table.tomograms, prepare, "done", progress):
            moments.append(time.perf_counter())
            spent.append((outcome.columns or {}).get("seconds", 0.0))
    workers = json.loads((folder / "progress.json").read_text())["workers"] or 1
    apart = (moments[-1] - moments[workers - 1]) / (len(moments) - workers)
    return apart, workers, statistics.median(spent)


def waited_for(project: Path, cluster: str | None) -> tuple[float, int, float]:
    """`between` for work that waits."""
    star, folder = project / "tomograms.star", project / f"waiting_{cluster}"
    return between(DeconvParameters(star_file=star, cluster=cluster), waiting, folder)


def restored(project: Path, cluster: str | None) -> tuple[float, int, float]:
    """`between` for `predict` with a small network, one core to a process."""
    network = build_network("unet-small", **NETWORK)
    usage = Usage(32, CtfTreatment(), apply_mw_x1=True, in_ball=True)
    model = project / "network.pt"
    Checkpoint("isonet2", False, True, "unet-small", usage, network.state_dict(), NETWORK).save(
        model
    )
    given = PredictParameters(
        star_file=project / "tomograms.star", model=model, output_dir=project / f"out_{cluster}",
        gpuID="cpu", ncpus=1, cluster=cluster, mixed_precision=False,
    )  # fmt: skip
    return between(given, restoring, project / f"restored_{cluster}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tomograms", type=int, default=12)
    parser.add_argument("--edge", type=int, default=64)
    parser.add_argument("--large", type=int, default=128)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        each, listing = submit_and_list(project / "jobs", JOBS)
        table(project, given.tomograms, given.edge)
        here = deconvolve(project, "here")
        spread = deconvolve(project, "spread", "--cluster", "local")
        told = json.loads((project / "spread/progress.json").read_text())
        alone, *_ = waited_for(project, None)
        shared, processes, _ = waited_for(project, "local")
        large = project / "large"
        table(large, LARGE, given.large)
        one, _, spent = restored(large, None)
        many, several, spent_each = restored(large, "local")
    print(f"submit {1000 * each:.1f} ms a job, list of {JOBS} {1000 * listing:.1f} ms")
    print(f"deconv of {given.tomograms} tomograms {given.edge}^3, first to last result:")
    workers = told["workers"]
    print(f"  one process {here:.2f} s, --cluster local {spread:.2f} s ({workers} workers)")
    print(f"work that waits {TASK} s: a tomogram every {alone:.3f} s by one process,")
    print(f"  every {shared:.3f} s by {processes}: {alone / shared:.2f} times as many,")
    print(f"  {1000 * (processes * shared - TASK):.0f} ms for its way there and back")
    print(f"predict of {given.large}^3, a small network: a tomogram every {one:.2f} s by one")
    print(
        f"  process on one core, every {many:.2f} s by {several}: {one / many:.2f} times as many;"
    )
    print(f"  {spent:.2f} and {spent_each:.2f} s of processor each")
    print(f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")


if __name__ == "__main__":
    main()
