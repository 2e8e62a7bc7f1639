"""The training loop, written out."""

import logging
import math
import time
from collections.abc import Iterator
from itertools import islice

import torch
from lightning_fabric import Fabric
from torch import Tensor

from isonet2.errors import InputError
from isonet2.opening.halves import Unreadable
from isonet2.training.assembly import Assembler, Cubes
from isonet2.training.objectives import Objective
from isonet2.training.sampling import Sample
from isonet2.training.schedule import Plan
from isonet2.training.state import Training
from isonet2.training.watch import Hooks, NotFinite, Watch

log = logging.getLogger(__name__)


class Descent:
    """One optimiser step from a group of batches, in pieces that fit into memory.

    Parameters
    ----------
    fabric, training, objective, plan
        As in `fit`.
    assemble
        Puts samples together to a batch.
    """

    def __init__(
        self,
        fabric: Fabric,
        training: Training,
        assemble: Assembler,
        objective: Objective,
        plan: Plan,
    ) -> None:
        training.network.train()
        training.average.to(fabric.device)
        self.fabric = fabric
        self.average = training.average
        self.network, self.optimizer = fabric.setup(training.network, training.optimizer)
        _to_its_parameters(training.optimizer)
        if training.scaling:
            fabric.strategy.precision.load_state_dict(training.scaling)
        self.objective = objective
        self.assemble = assemble
        self.chunk = max(1, plan.batch_size // fabric.world_size)

    def teacher(self, x: Tensor) -> Tensor:
        """Predict with the averaged weights, without gradient."""
        with torch.no_grad(), self.fabric.autocast():
            y: Tensor = self.average(x.contiguous(memory_format=torch.channels_last_3d))
        return y.float()

    def student(self, x: Tensor) -> Tensor:
        """Predict with the weights that learn."""
        y: Tensor = self.network(x.contiguous(memory_format=torch.channels_last_3d))
        return y.float()

    def step(self, group: list[list[Sample]], rate: float, noise_level: float) -> Tensor:
        """Change the weights once; (total, n2n, mw) losses, on the device."""
        for settings in self.optimizer.param_groups:
            settings["lr"] = rate
        losses = self._gradient(group, noise_level)
        while losses is None:
            losses = self._gradient(group, noise_level)
        self.optimizer.step()
        return losses

    def _gradient(self, group: list[list[Sample]], noise_level: float) -> Tensor | None:
        """Accumulate a gradient; None when memory ran out, and smaller pieces are tried next."""
        self.optimizer.zero_grad(set_to_none=True)
        size = self.chunk
        parts = [batch[i : i + size] for batch in group for i in range(0, len(batch), size)]
        samples = sum(len(part) for part in parts)
        sums: list[Tensor] = []
        try:
            for number, part in enumerate(parts):
                more = number < len(parts) - 1
                with self.fabric.no_backward_sync(self.network, enabled=more):
                    batch = self.assemble(part, noise_level)
                    losses = self.objective(self.student, self.teacher, batch)
                    share = len(part) / samples
                    self.fabric.backward(losses.total * share)
                values = (losses.total.detach(), losses.n2n, losses.mw)
                sums.append(torch.stack(values) * share)
        except torch.OutOfMemoryError:
            if self.fabric.world_size > 1:
                raise InputError(
                    f"batch_size: {self.chunk} cubes do not fit into one GPU's memory; choose a "
                    f"smaller batch_size, with acc_batches to make up for it"
                ) from None
            if self.chunk == 1:
                raise InputError(
                    "batch_size: not even one cube fits into the GPU's memory; choose a smaller "
                    "cube_size or a smaller arch"
                ) from None
            self.chunk = (self.chunk + 1) // 2
            log.warning("out of GPU memory: going on with %d cubes at a time", self.chunk)
            torch.cuda.empty_cache()
            return None
        return torch.stack(sums).sum(0)


def _to_its_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Move what an optimiser remembers to where its parameters are, as after a resume."""
    optimizer.load_state_dict(optimizer.state_dict())


def steps_of(cubes: Cubes, plan: Plan, ranks: int) -> int:
    """Optimiser steps of an epoch; ranks share its cubes evenly."""
    count = len(cubes.subtomograms) // ranks * ranks
    return math.ceil(math.ceil(count / plan.batch_size) / plan.acc_batches)


def fit(
    fabric: Fabric,
    training: Training,
    cubes: Cubes,
    objective: Objective,
    plan: Plan,
    hooks: Hooks,
) -> None:
    """Train from where `training` stands to the end of the plan.

    Parameters
    ----------
    fabric
        Carries device, precision and ranks.
    training
        What learns; changed in place.
    cubes
        Where batches come from.
    objective, plan
        What is learned, and how fast.
    hooks
        Told and asked on the way.

    Raises
    ------
    NotFinite
        When losses or weights are not finite numbers, although the run went back to where they
        were, with smaller learning rates; what was saved before stays.
    Stopped
        When `stop` said so, on any rank.
    """
    descent = Descent(fabric, training, cubes.assemble, objective, plan)
    watch = Watch(fabric, training, hooks)
    steps = steps_of(cubes, plan, fabric.world_size)
    while not plan.ended(training.history):
        epoch = training.epoch
        began, done = time.monotonic(), epoch * steps + training.step
        rate = training.caution * plan.rate(max(done - 1, 0), plan.epochs * steps)
        feed = cubes.subtomograms.batches(
            epoch,
            plan.batch_size,
            first=training.step * plan.acc_batches,
            rank=fabric.global_rank,
            ranks=fabric.world_size,
            workers=plan.workers,
        )
        watch.begin(steps)
        try:
            for group in watch.readable(_groups(feed, plan.acc_batches)):
                step = epoch * steps + training.step
                rate = training.caution * plan.rate(step, plan.epochs * steps)
                losses = descent.step(group, rate, plan.noise_levels[epoch])
                _follow(training, plan.ema)
                training.step += 1
                watch.after_step(losses)
        except NotFinite as error:
            watch.go_back(error)
            continue
        _finish_epoch(fabric, training, rate, began)
        training.scaling = fabric.strategy.precision.state_dict()
        if hooks.validate is not None:
            try:
                held_out = hooks.validate(descent.teacher)
            except Unreadable:
                hooks.on_stop(training)
                raise
            training.history[-1] |= fabric.broadcast(held_out)
        hooks.on_epoch(training)
        fabric.barrier()


def _groups(feed: Iterator[list[Sample]], size: int) -> Iterator[list[list[Sample]]]:
    while group := list(islice(feed, size)):
        yield group


def _follow(training: Training, decay: float) -> None:
    """Move the averaged weights a little towards the present ones; early on, faster."""
    training.updates += 1
    decay = min(decay, training.updates / (10 + training.updates))
    with torch.no_grad():
        mine = [parameter.data for parameter in training.average.parameters()]
        theirs = [parameter.data for parameter in training.network.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        buffers = zip(training.average.buffers(), training.network.buffers(), strict=True)
        for average, present in buffers:
            if average.is_floating_point():
                average.lerp_(present, 1 - decay)
            else:
                average.copy_(present)


def _finish_epoch(fabric: Fabric, training: Training, rate: float, began: float) -> None:
    """Add the epoch's row to the history and turn to the next one."""
    sums = fabric.all_reduce(torch.tensor(training.sums, dtype=torch.float64), reduce_op="sum")
    total, n2n, mw, count = torch.as_tensor(sums).tolist()
    training.epoch, training.step = training.epoch + 1, 0
    training.sums = [0.0] * 4
    training.history.append(
        {
            "epoch": training.epoch,
            "loss": total / count,
            "n2n": n2n / count,
            "mw": mw / count,
            "learning_rate": rate,
            "seconds": time.monotonic() - began,
        }
    )
