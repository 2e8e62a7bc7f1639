"""What jobs and --cluster cost: submitting, listing, and each tomogram's way to another process.

python benchmarks/jobs.py [--tomograms 12] [--edge 64]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from isonet2.data.progress import ProgressFile
from isonet2.data.star import Tomogram, TomogramTable
from isonet2.data.volumes import write_volume
from isonet2.jobs import Jobs
from isonet2.parameters import DeconvParameters, PsfParameters
from isonet2.runs.each import Work, outcomes

JOBS = 200
TASK = 1.0


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


def between(project: Path, cluster: str | None) -> tuple[float, int]:
    """Seconds between two tomograms of work that waits, and by how many processes."""
    table = TomogramTable.read(project / "tomograms.star")
    folder = project / f"waiting_{cluster}"
    folder.mkdir()
    given = DeconvParameters(star_file=table.path, output_dir=folder, cluster=cluster)
    with ProgressFile(folder, "deconv") as progress:
        done = outcomes(given, table.tomograms, waiting, "waited for", progress)
        moments = [time.perf_counter() for _ in done]
    workers = json.loads((folder / "progress.json").read_text())["workers"] or 1
    return (moments[-1] - moments[workers - 1]) / (len(moments) - workers), workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tomograms", type=int, default=12)
    parser.add_argument("--edge", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        each, listing = submit_and_list(project / "jobs", JOBS)
        table(project, given.tomograms, given.edge)
        here = deconvolve(project, "here")
        spread = deconvolve(project, "spread", "--cluster", "local")
        told = json.loads((project / "spread/progress.json").read_text())
        alone, _ = between(project, None)
        shared, processes = between(project, "local")
    print(f"submit {1000 * each:.1f} ms a job, list of {JOBS} {1000 * listing:.1f} ms")
    print(f"deconv of {given.tomograms} tomograms {given.edge}^3, first to last result:")
    workers = told["workers"]
    print(f"  one process {here:.2f} s, --cluster local {spread:.2f} s ({workers} workers)")
    print(f"work that waits {TASK} s: a tomogram every {alone:.3f} s by one process,")
    print(f"  every {shared:.3f} s by {processes}: {alone / shared:.2f} times as many,")
    print(f"  {1000 * (processes * shared - TASK):.0f} ms for its way there and back")
    print(f"load average {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")


if __name__ == "__main__":
    main()
