"""How many processor threads compute."""

import os

import torch

MOST_THREADS = 16


def use_threads(count: int | None) -> int:
    """Set the number of computing threads, at most those that this process may use."""
    allowed = len(os.sched_getaffinity(0))
    count = min(count or MOST_THREADS, allowed)
    torch.set_num_threads(count)
    return count
