"""Functions that tests run by several ranks, which import them by these names."""

import os
import signal
import time
from pathlib import Path

import torch
from lightning_fabric import Fabric

from isonet2.errors import InputError
from isonet2.machine import watch as watching
from isonet2.machine.devices import choose_devices
from isonet2.machine.ranks import make_fabric


def joined() -> Fabric:
    fabric = make_fabric(choose_devices("cpu"), mixed_precision=False)
    fabric.launch()
    return fabric


def total(folder, *, times):
    """Sum the ranks' numbers times something."""
    fabric = joined()
    (Path(folder) / f"{fabric.global_rank}.pid").write_text(str(os.getpid()))
    value = torch.tensor(float(fabric.global_rank + 1)) * times
    return float(fabric.all_reduce(value, reduce_op="sum")), fabric.world_size


def one_fails(folder, number, how, waiting="barrier"):
    """One rank fails while the others wait for it in a barrier, or do not even listen."""
    if how == "silence":
        watching.SILENCE = 8.0
    with watching.watched() as watch, watching.explained(watch):
        if how == "early" and int(os.environ["SLURM_PROCID"]) == number:
            while not watch._peers:
                time.sleep(0.05)
            fail("kill")
        fabric = joined()
        (Path(folder) / f"{fabric.global_rank}.pid").write_text(str(os.getpid()))
        fabric.barrier()
        if fabric.global_rank == number:
            fail(how)
        if waiting == "barrier":
            fabric.barrier()
        else:
            time.sleep(600)


def fail(how):
    if how == "input":
        raise InputError("tomograms.star: is gone; bring it back")
    if how == "fault":
        raise ZeroDivisionError("a fault of ours")
    os.kill(os.getpid(), signal.SIGSTOP if how == "silence" else signal.SIGKILL)


def waits(folder):
    """Wait to be told to end, and say so."""
    fabric = joined()
    try:
        (Path(folder) / f"{fabric.global_rank}.pid").write_text(str(os.getpid()))
        time.sleep(100)
    except KeyboardInterrupt:
        (Path(folder) / f"{fabric.global_rank}.saved").touch()
        raise
