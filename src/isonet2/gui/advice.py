"""What to do about a job that did not succeed, by what its last words were."""

import re
from collections.abc import Iterable

KINDS: dict[str, re.Pattern[str]] = {
    "report": re.compile(r"the report is "),
    "gpu_memory": re.compile(
        r"out of memory.*(cuda|gpu)|cuda.*out of memory|OutOfMemoryError", re.I
    ),
    "memory": re.compile(r"SIGKILL|Cannot allocate memory|MemoryError|oom-kill|Killed\b", re.I),
    "disk": re.compile(r"No space left|disk is full|Disk quota|ENOSPC", re.I),
    "no_gpu": re.compile(
        r"no (CUDA|NVIDIA).*(device|GPU|driver)|CUDA.*(not available|unavailable)|no such GPU|"
        r"driver.*too old|gpuID .*there is no",
        re.I,
    ),
    "file": re.compile(
        r"no such (file|folder)|not there|no file for|No such file or directory", re.I
    ),
    "defocus": re.compile(r"no defocus", re.I),
    "table": re.compile(r"STAR table|lists no tomograms|no block lists", re.I),
    "time": re.compile(r"TIMEOUT|time limit", re.I),
    "permission": re.compile(r"permission denied|may not write", re.I),
}
"""What happened, and how the last words tell."""


def kind_of_failure(reason: str, lines: Iterable[str]) -> str:
    """Which of `KINDS` it was; empty where nothing tells."""
    words = "\n".join([reason, *lines])
    return next((kind for kind, pattern in KINDS.items() if pattern.search(words)), "")
