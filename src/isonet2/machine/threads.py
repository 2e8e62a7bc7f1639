"""How many processor threads compute."""

import math
import os
from pathlib import Path

import torch

from isonet2.machine.cgroups import MEMBERSHIP, ROOT, groups, words

MOST_THREADS = 16
GIVEN = ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")
"""Where a user or a scheduler says how many there are."""
CORES = "ISONET2_CORES"
"""Environment variable that gives one of several processes its share of the cores."""


def use_threads(count: int | None) -> int:
    """Set the number of computing threads, at most those that this process may use.

    Parameters
    ----------
    count
        As many; None takes what the environment, the scheduler and the control groups grant, and
        at most `MOST_THREADS`.
    """
    allowed = len(os.sched_getaffinity(0))
    granted = count or _share() or min([MOST_THREADS, *_given(), *_quotas(MEMBERSHIP, ROOT)])
    count = min(granted, allowed)
    torch.set_num_threads(count)
    return count


def _share() -> int | None:
    share = os.environ.get(CORES, "")
    return int(share) if share.isdecimal() else None


def _given() -> list[int]:
    """Numbers in the environment; of a list for nested levels the first."""
    first = (os.environ.get(name, "").partition(",")[0].strip() for name in GIVEN)
    return [int(text) for text in first if text.isdecimal() and int(text) > 0]


def _quotas(membership: Path, root: Path) -> list[int]:
    """Processors that the control groups grant, rounded up."""
    found = []
    for group, version in groups("cpu", membership, root):
        names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        told = [word for name in names for word in words(group / name)]
        if len(told) == 2 and all(word.isdecimal() for word in told) and int(told[1]):
            found.append(max(1, math.ceil(int(told[0]) / int(told[1]))))
    return found
