"""The training loop, written out."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from isonet2.errors import InputError
from isonet2.networks import channels_last
from isonet2.training.assembly import Assembler
from isonet2.training.checkpoint import save_tensors
from isonet2.training.muon import Muon
from isonet2.training.objectives import METHODS, Network, Recipe
from isonet2.training.sampling import Sample, Subtomograms, Unreadable
from isonet2.training.schedule import Plan

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.5
OPTIMIZERS: dict[str, Callable[[nn.Module, float], torch.optim.Optimizer]] = {
    "Muon": Muon,
    "AdamW": lambda network, rate: torch.optim.AdamW(network.parameters(), rate),
}


class Stopped(Exception):
    """The run was asked to stop and has saved where it is."""


class NotFinite(InputError):
    """The loss became infinite or NaN."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """Where the run is, for a progress bar."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(slots=True)
class Training:
    """All that a run must remember: what `training_state.pt` holds.

    Parameters
    ----------
    network
        The bare network that learns.
    average
        Moving average of its weights, in evaluation mode: what predicts.
    optimizer
        Changes its weights.
    epoch
        Epochs completed.
    step
        Optimiser steps completed in the present epoch.
    updates
        Optimiser steps completed in the run.
    sums
        Sums of the losses of the present epoch, and their number: (total, n2n, mw, count).
    history
        A row for each completed epoch.
    scaling
        Of the loss in float16, with its growth, as the precision plugin tells it; else empty.
    """

    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    step: int = 0
    updates: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * 4)
    history: list[dict[str, float]] = field(default_factory=list)
    scaling: dict[str, Any] = field(default_factory=dict)

    _plain = ("epoch", "step", "updates", "sums", "history", "scaling")
    _modules = ("network", "average", "optimizer")

    def save(self, path: Path, run: dict[str, Any]) -> None:
        """Write the state, whole or not at all, with the record of the run it belongs to."""
        record: dict[str, Any] = {name: getattr(self, name) for name in self._plain}
        record |= {name: getattr(self, name).state_dict() for name in self._modules}
        save_tensors(path, record | {"run": run})

    def load(self, record: dict[str, Any]) -> None:
        """Take over a saved state; earlier ones told no scaling."""
        record = {"scaling": {}} | record
        for name in self._plain:
            setattr(self, name, record[name])
        for name in self._modules:
            getattr(self, name).load_state_dict(record[name])


def start(network: nn.Module, plan: Plan) -> Training:
    """A run that has not learned anything yet."""
    network = channels_last(network)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return Training(network, average, OPTIMIZERS[plan.optimizer](network, plan.learning_rate))


class Descent:
    """One optimiser step from a group of batches, in pieces that fit into memory.

    Parameters
    ----------
    fabric, training, assemble, recipe, plan
        As in `fit`.
    """

    def __init__(
        self,
        fabric: Fabric,
        training: Training,
        assemble: Assembler,
        recipe: Recipe,
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
        self.objective = METHODS[plan.method].objective
        self.assemble = assemble
        self.recipe = recipe
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
                    losses = self.objective(self.student, self.teacher, batch, self.recipe)
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


def fit(
    fabric: Fabric,
    training: Training,
    subtomograms: Subtomograms,
    assemble: Assembler,
    recipe: Recipe,
    plan: Plan,
    *,
    on_step: Callable[[StepReport], None],
    on_epoch: Callable[[Training], None],
    on_stop: Callable[[Training], None],
    stop: Callable[[], bool] = lambda: False,
    validate: Callable[[Network], dict[str, float]] | None = None,
) -> None:
    """Train from where `training` stands to the end of the plan.

    Parameters
    ----------
    fabric
        Carries device, precision and ranks.
    training
        What learns; changed in place.
    subtomograms, assemble
        Where batches come from.
    recipe, plan
        What is learned, and how fast.
    on_step
        Told of progress, on every rank, about twice a second.
    on_epoch
        Told after each epoch, on every rank, with the row of the epoch in the history.
    on_stop
        Told before `Stopped` is raised; saves the state.
    stop
        Asked after each step whether to stop.
    validate
        Asked after each epoch, with the averaged network, for more columns of the history.

    Raises
    ------
    NotFinite
        When the loss is not a finite number; what was saved before stays.
    Stopped
        When `stop` said so.
    """

    def save() -> None:
        if pending:
            _settle(training, pending, epoch)
        training.scaling = fabric.strategy.precision.state_dict()
        if fabric.is_global_zero:
            on_stop(training)

    descent = Descent(fabric, training, assemble, recipe, plan)
    rate = plan.learning_rate
    cubes = len(subtomograms) // fabric.world_size * fabric.world_size
    steps = math.ceil(math.ceil(cubes / plan.batch_size) / plan.acc_batches)
    while not plan.ended(training.history):
        epoch = training.epoch
        began = told = time.monotonic()
        pending: list[Tensor] = []
        feed = subtomograms.batches(
            epoch,
            plan.batch_size,
            first=training.step * plan.acc_batches,
            rank=fabric.global_rank,
            ranks=fabric.world_size,
            workers=plan.workers,
        )
        for group in _readable(_groups(feed, plan.acc_batches), save):
            rate = plan.rate(epoch * steps + training.step, plan.epochs * steps)
            pending.append(descent.step(group, rate, plan.noise_levels[epoch]))
            _follow(training, plan.ema)
            training.step += 1
            stopping = stop()
            if stopping or training.step == steps or time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                loss = _settle(training, pending, epoch)
                on_step(StepReport(epoch + 1, training.step, steps, loss))
            if stopping:
                training.scaling = fabric.strategy.precision.state_dict()
                on_stop(training)
                raise Stopped
        _finish_epoch(fabric, training, rate, began)
        training.scaling = fabric.strategy.precision.state_dict()
        if validate is not None:
            training.history[-1] |= fabric.broadcast(validate(descent.teacher))
        on_epoch(training)
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
            average.copy_(present)


def _readable(
    groups: Iterator[list[list[Sample]]], save: Callable[[], None]
) -> Iterator[list[list[Sample]]]:
    """Pass batches on; when their files cannot be read any more, save the state before the end."""
    try:
        yield from groups
    except Unreadable:
        save()
        raise


def _settle(training: Training, pending: list[Tensor], epoch: int) -> float:
    """Fetch the losses of the last steps from the device; the mean total loss of the epoch.

    Raises
    ------
    NotFinite
        When one of them is not a finite number.
    """
    for values in torch.stack(pending).tolist():
        if not all(math.isfinite(value) for value in values):
            raise NotFinite(
                f"the loss became {values[0]} in epoch {epoch + 1}; {_remedy(epoch)} a smaller "
                f"learning_rate, or --mixed_precision False"
            )
        for place, value in enumerate([*values, 1.0]):
            training.sums[place] += value
    pending.clear()
    return training.sums[0] / training.sums[3]


def _remedy(epoch: int) -> str:
    if epoch == 0:
        return "begin again with"
    return "the last good checkpoint is kept: use --resume with"


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
