"""What a training, and restoring, will take on this machine, from a cube that is tried."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from isonet2.checks.advice import Advice
from isonet2.errors import counted
from isonet2.machine.devices import autocast_type
from isonet2.networks import build_network, channels_last
from isonet2.prediction.orientations import WAYS
from isonet2.runs.estimate import in_time
from isonet2.types import Shape

ARCH = "unet-medium"
QUICK_CUBE = 32
"""Edge that is tried on a processor, whose time goes with the voxels."""
OVERLAP = 1.5**3
"""Voxels of all tiles over those of a tomogram."""
FORWARD = 1 / 3
"""Of a training step."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What networks will take.

    Attributes
    ----------
    device
        Where.
    training, restoring
        Seconds, for all epochs and for all tomograms; None where it was not found out.
    words
        The same for people.
    """

    device: str
    training: float | None
    restoring: float | None
    words: str


def cost_of(advice: Advice, shapes: Sequence[Shape], *, halves: bool) -> Cost:
    """Try a cube, and say what the rest will take.

    Parameters
    ----------
    advice
        How the training is to be.
    shapes
        Of the tomograms, (z, y, x).
    halves
        Whether two halves are restored of each.
    """
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", 0) if on_gpu else torch.device("cpu")
    name = torch.cuda.get_device_name(device) if on_gpu else "the processor"
    edge = advice.cube_size if on_gpu else min(QUICK_CUBE, advice.cube_size)
    try:
        rate = (edge / advice.cube_size) ** 3 / seconds_of_cube(device, edge)
    except torch.OutOfMemoryError:
        said = f"cubes of {edge} do not fit into the memory of {name} with {ARCH}"
        return Cost(name, None, None, said)
    training = advice.epochs * advice.cubes / rate
    tiles = sum(map(math.prod, shapes)) * OVERLAP / advice.cube_size**3
    restoring = tiles * (2 if halves else 1) * WAYS * FORWARD / rate
    words = (
        f"{counted(advice.epochs, 'epoch')} of {counted(advice.cubes, 'cube')} by {ARCH} will take "
        f"about {in_time(training)} on {name} of this machine, and restoring "
        f"{counted(len(shapes), 'tomogram')} about {in_time(restoring)}"
    )
    return Cost(name, training, restoring, words)


def seconds_of_cube(device: torch.device, edge: int) -> float:
    """Seconds that a cube takes forward and backward through a fresh network on a device.

    The quicker of two counts: the first one also finds the quickest kernels.
    """
    network = channels_last(build_network(ARCH)).to(device).train()
    given = torch.randn(1, 1, edge, edge, edge, device=device)
    dtype = autocast_type(device, True)
    seconds = math.inf
    for _ in range(2):
        begun = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = network(given).square().mean()
        loss.backward()
        float(loss.detach())  # waits for the device
        seconds = min(seconds, time.perf_counter() - begun)
    return seconds
