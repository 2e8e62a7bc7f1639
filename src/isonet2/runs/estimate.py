"""How long a training on a processor will take, found out before it begins."""

import copy
import logging
import time

from lightning_fabric import Fabric

from isonet2.errors import counted
from isonet2.training.assembly import Cubes
from isonet2.training.loop import steps_of
from isonet2.training.objectives import Network, Objective
from isonet2.training.schedule import Plan
from isonet2.training.state import Training

log = logging.getLogger(__name__)

WORTH_IT = 50
"""Steps from which on it is worth a cube to know."""
LONG = 6 * 3600.0
"""Seconds from which on other ways are spoken of."""
TRIES, COLD = 3, 10.0
"""The first batch also pays for what is made once; one of more seconds is not tried again."""


def in_time(seconds: float) -> str:
    """Write a duration as people say it: "3 hours"."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * unit:
            return counted(round(seconds / unit), name)
    return counted(max(1, round(seconds)), "second")


def say_how_long(
    fabric: Fabric, training: Training, cubes: Cubes, objective: Objective, plan: Plan
) -> float | None:
    """Try one batch on a processor, and say what the rest of the run will take.

    Parameters
    ----------
    fabric, training, cubes, objective, plan
        As in `fit`; nothing of them changes.

    Returns
    -------
    float or None
        Seconds; None on a GPU, or where so little is left that it is not worth a try.
    """
    steps = steps_of(cubes, plan, fabric.world_size)
    left = (plan.epochs - training.epoch) * steps - training.step
    if fabric.device.type != "cpu" or left < WORTH_IT:
        return None
    samples = next(cubes.subtomograms.batches(training.epoch, plan.batch_size))
    learner, teacher = copy.deepcopy(training.network).train(), copy.deepcopy(training.average)

    def step() -> float:
        """Seconds that a batch takes."""
        began = time.monotonic()
        batch = cubes.assemble(samples, plan.noise_levels[training.epoch])
        with fabric.autocast():
            losses = objective(_floating(learner), _floating(teacher), batch)
        losses.total.backward()  # type: ignore[no-untyped-call]
        return time.monotonic() - began

    tried = [step()]
    while len(tried) < TRIES and tried[0] < COLD:
        tried.append(step())
    seconds = min(tried) * plan.acc_batches / fabric.world_size * left
    log.log(
        logging.WARNING if seconds > LONG else logging.INFO,
        "on this processor the training will take about %s (%s)%s",
        in_time(seconds),
        counted(left, "step"),
        "; a GPU is far quicker, as are unet-small, a smaller cube_size and fewer epochs"
        if seconds > LONG
        else "",
    )
    return seconds


def _floating(network: Network) -> Network:
    """A network whose results are float32, as in the loop."""
    return lambda x: network(x).float()
