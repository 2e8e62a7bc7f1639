"""How much memory this process may use."""

import os
import resource
from pathlib import Path

from isonet2.machine.cgroups import MEMBERSHIP, ROOT, groups, words

SHARE = "ISONET2_SHARE"
"""Environment variable that says among how many processes of one run the memory is shared."""


def memory_limit() -> int:
    """Bytes of memory that this process may use, by the machine, its limits and its cgroups."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    limits += _cgroup_limits(MEMBERSHIP, ROOT)
    return min(limits) // int(os.environ.get(SHARE, "1"))


def _cgroup_limits(membership: Path, root: Path) -> list[int]:
    """Limits of the memory cgroups that a process is in, as SLURM and containers set them."""
    found = []
    for group, version in groups("memory", membership, root):
        name = "memory.max" if version == 2 else "memory.limit_in_bytes"
        found += [int(word) for word in words(group / name) if word.isdecimal()]
    return found
