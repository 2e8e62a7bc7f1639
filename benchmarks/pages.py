"""What the pages in the browser cost, against their budgets.

python benchmarks/pages.py        a minute on two quiet cores; needs the extra `gui`
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import numpy as np

from isonet2.gui.components.log_view import coloured, read_on
from isonet2.gui.overview import entries
from isonet2.jobs import Jobs
from isonet2.reports.table import show_table

SHAPE = (512, 720, 720)
JOBS, LINES = 1000, 20_000


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, OpenerDirector, float]]:
    """The pages of a folder: their address, who may ask, and the seconds until they answered."""
    words = [sys.executable, "-m", "isonet2.gui.server", str(folder), "--no-browser"]
    began = time.perf_counter()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env=os.environ | {"XDG_CONFIG_HOME": str(folder)}
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        found = re.search(r"(http://\S+)/\?token=\S+", said)
        assert found is not None, said
        opener = build_opener(HTTPCookieProcessor())
        opener.open(found[0]).read()
        try:
            yield found[1], opener, time.perf_counter() - began
        finally:
            process.terminate()


def starting() -> float:
    """Seconds from the command to the first page; the best of three."""
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as name, server(Path(name)) as (_, _, took):
            found.append(took)
    return min(found)


def slices() -> dict[str, float]:
    """Milliseconds for a slice of a volume of 1 GB, by axis."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "large.npy"
        np.lib.format.open_memmap(path, "w+", np.float32, SHAPE)[100] = 1
        with server(path.parent) as (address, opener, _):
            ask = f"{address}/api/volumes"
            about = opener.open(f"{ask}/about?{urlencode({'path': path.name})}").read().decode()
            version = re.search(r'"version":"([^"]+)"', about)
            assert version is not None, about
            found = {}
            for axis in "zyx":
                taken = []
                for index in range(100, 130):
                    given = {"path": path.name, "version": version[1], "axis": axis}
                    began = time.perf_counter()
                    opener.open(f"{ask}/slice?{urlencode({**given, 'index': index})}").read()
                    taken.append(1000 * (time.perf_counter() - began))
                found[axis] = median(taken)
    return found


def listing() -> float:
    """Milliseconds to list 1000 jobs again, as an open page does every two seconds."""
    with tempfile.TemporaryDirectory() as name:
        jobs = Jobs(name)
        jobs.pause()
        first = jobs.submit_program(["true"])
        told = (first.folder / "job.json").read_text()
        process = {"host": "h", "boot": "b", "pid": 1, "ticks": 1}
        end = {"status": "failed", "process": process, "started": 1, "ended": 2, "heartbeat": 2}
        for number in range(2, JOBS + 1):
            folder = first.folder.with_name(f"job{number:03}")
            folder.mkdir()
            mine = told.replace('"number": 1,', f'"number": {number},')
            (folder / "job.json").write_text(mine.replace("job001", folder.name))
            (folder / "state.json").write_text(json.dumps(end))
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            assert len(entries(jobs)) == JOBS
            taken.append(1000 * (time.perf_counter() - began))
    return median(taken)


def log() -> float:
    """Milliseconds to read and colour a log of 20,000 lines, as the page is sent it."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "log.txt"
        path.write_text("".join(f"epoch {n} of 20000: loss {n / 7:.6f}\n" for n in range(LINES)))
        began = time.perf_counter()
        offset, part = 0, b"x"
        while part:
            part, offset = read_on(path, offset)
            coloured(part)
        return 1000 * (time.perf_counter() - began)


def main() -> None:
    """Measure all, and show it beside the budgets."""
    rows = [["from the command to the first page", f"{starting():.2f} s", "3 s"]]
    rows += [
        [f"slice across {axis} of 1 GB, median", f"{took:.0f} ms", "50 ms"]
        for axis, took in slices().items()
    ]
    rows.append([f"list of {JOBS} jobs", f"{listing():.0f} ms", "150 ms"])
    rows.append([f"log of {LINES} lines, read and coloured", f"{log():.0f} ms", "500 ms"])
    show_table("the pages in the browser", ["what", "measured", "budget"], rows)


if __name__ == "__main__":
    main()
