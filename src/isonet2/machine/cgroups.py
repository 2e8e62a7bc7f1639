"""The control groups that a process is in, as SLURM, systemd and containers make them."""

from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def groups(
    controller: str, membership: Path = MEMBERSHIP, root: Path = ROOT
) -> Iterator[tuple[Path, int]]:
    """Folders of a controller's groups, from the process's own upwards, with their version, 1 or 2.

    Parameters
    ----------
    controller
        `memory` or `cpu`.
    membership
        File that lists the groups of the process.
    root
        Where the groups are mounted.
    """
    lines = membership.read_text().splitlines() if membership.is_file() else []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        folder = top / place.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(top):
                yield group, 1 if controllers else 2


def words(file: Path) -> list[str]:
    """What a group's file says; nothing where it is not there."""
    return file.read_text().split() if file.is_file() else []
