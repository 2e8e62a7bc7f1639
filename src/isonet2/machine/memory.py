"""How much memory this process may use."""

import os
import resource
from pathlib import Path


def memory_limit() -> int:
    """Bytes of memory that this process may use, by the machine, its limits and its cgroups."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    return min([*limits, *_cgroup_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def _cgroup_limits(membership: Path, root: Path) -> list[int]:
    """Limits of the memory cgroups that a process is in, as SLURM and containers set them."""
    found = []
    lines = membership.read_text().splitlines() if membership.is_file() else []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        folder = top / place.lstrip("/")
        for group in (folder, *folder.parents):
            file = group / name
            if group.is_relative_to(top) and file.is_file():
                text = file.read_text().strip()
                found += [int(text)] if text.isdecimal() else []
    return found
