"""What torchrun or a scheduler started: one rank of several, and its place among them."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rank:
    """One of several processes that train one network.

    Attributes
    ----------
    number, ranks
        Its number among all, from 0, and how many there are.
    local, beside
        Its number among those of its node, and how many a node has at most.
    address, port
        Where the first of them listens; at the next port too, where they watch each other.
    watched
        Whether whoever started them ends all when one dies.
    """

    number: int
    ranks: int
    local: int
    beside: int
    address: str
    port: int
    watched: bool


def started_rank() -> Rank | None:
    """The rank that this process is; None for a process that trains alone.

    torchrun, and this program for several GPUs, say it by LOCAL_WORLD_SIZE and its sisters; srun by
    variables of its step, however its tasks were asked for.
    """
    said = os.environ
    if "LOCAL_WORLD_SIZE" in said:
        rank = Rank(
            number=int(said.get("RANK", "0")),
            ranks=int(said.get("WORLD_SIZE", "1")),
            local=int(said.get("LOCAL_RANK", "0")),
            beside=int(said["LOCAL_WORLD_SIZE"]),
            address=said.get("MASTER_ADDR", "127.0.0.1"),
            port=int(said.get("MASTER_PORT", "29500")),
            watched=True,
        )
    else:
        job, step = said.get("SLURM_JOB_ID", "0"), said.get("SLURM_STEP_ID", "0")
        rank = Rank(
            number=int(said.get("SLURM_PROCID", "0")),
            ranks=int(said.get("SLURM_STEP_NUM_TASKS", "1")),
            local=int(said.get("SLURM_LOCALID", "0")),
            beside=most_on_a_node(said.get("SLURM_STEP_TASKS_PER_NODE", "1")),
            address=said.get("MASTER_ADDR", first_host(said.get("SLURM_STEP_NODELIST", ""))),
            port=int(said.get("MASTER_PORT", 15000 + 2 * ((int(job) * 10 + int(step)) % 7500))),
            watched=False,
        )
    return rank if rank.ranks > 1 else None


def first_host(nodes: str) -> str:
    """The first host of a list as SLURM writes it: `n[03-05,8],m1` begins with `n03`."""
    found = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\])?([^\[,]*)", nodes)
    return "".join(part or "" for part in found.groups()) if found else ""


def most_on_a_node(tasks: str) -> int:
    """The most tasks that a node has by a list as SLURM writes it: `2(x3),1` has 2."""
    return max(int(number) for number in re.findall(r"(?:^|,)(\d+)", tasks))


def is_first() -> bool:
    """Whether this process is alone, or the first of those that were started."""
    rank = started_rank()
    return rank is None or rank.number == 0


def checks() -> bool:
    """Whether this process looks for what is wrong with files: the first of several does for all.

    Of ranks that srun started each does, since those that wait for a failed one are not ended.
    """
    rank = started_rank()
    return rank is None or rank.number == 0 or not rank.watched


@contextmanager
def silence() -> Iterator[None]:
    """Let this process say nothing but errors while a block runs: the first one speaks for all."""
    log = logging.getLogger("isonet2")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
