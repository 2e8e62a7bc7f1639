"""What is looked at between the steps of a training run: losses, weights, and requests to stop."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from isonet2.errors import InputError
from isonet2.opening.halves import Unreadable
from isonet2.training.objectives import Network
from isonet2.training.sampling import Sample
from isonet2.training.state import Training

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.5
KEPT_STEPS = 200
"""Between copies of a state that is known to be sound."""
AGREED_STEPS = 8
"""Between agreements of several ranks on whether to go on."""
RETURNS = 3
"""To one sound state, each with half the learning rate, before a run is given up."""


class Stopped(Exception):
    """The run was asked to stop and has saved where it is."""


class NotFinite(InputError):
    """Losses or weights became infinite or NaN."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """Where the run is, for a progress bar."""

    epoch: int
    step: int
    steps: int
    loss: float


def _nothing(_: object) -> None:
    """Tell nobody."""


def _never() -> bool:
    """Do not stop."""
    return False


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a run tells, and asks, while it goes on.

    Parameters
    ----------
    on_step
        Told of progress, on every rank, about twice a second or every few steps.
    on_epoch
        Told after each epoch, on every rank, with the row of the epoch in the history.
    on_stop
        Told before `Stopped` or `NotFinite` is raised; saves the state.
    stop
        Asked after each step whether to stop; what one rank says holds for all.
    validate
        Asked after each epoch, with the averaged network, for more columns of the history.
    """

    on_step: Callable[[StepReport], None] = _nothing
    on_epoch: Callable[[Training], None] = _nothing
    on_stop: Callable[[Training], None] = _nothing
    stop: Callable[[], bool] = _never
    validate: Callable[[Network], dict[str, float]] | None = None


class Watch:
    """What is looked at between steps: losses, weights, and whether somebody asks to stop.

    Looking waits for the device, so it is done now and then; with several ranks by the number of
    steps, so that all look after the same one.

    Parameters
    ----------
    fabric, training, hooks
        As in `fit`.
    """

    def __init__(self, fabric: Fabric, training: Training, hooks: Hooks) -> None:
        self.fabric, self.training, self.hooks = fabric, training, hooks
        self.alone = fabric.world_size == 1
        self.returns = 0
        self.pending: list[Tensor] = []
        self.steps, self.told = 0, 0.0
        self.sound: dict[str, Any] = {}

    def begin(self, steps: int) -> None:
        """Turn to an epoch of so many steps."""
        self.steps, self.told = steps, time.monotonic()
        self.sound = copy.deepcopy(self.training.record())

    def readable(self, groups: Iterator[list[list[Sample]]]) -> Iterator[list[list[Sample]]]:
        """Pass batches on; when files cannot be read any more, save the state before the end.

        Of several ranks the one that cannot read saves it, since the others do not know.
        """
        try:
            yield from groups
        except Unreadable:
            with suppress(NotFinite):
                self._look()
                self._save()
            raise

    def after_step(self, losses: Tensor) -> None:
        """Look, when it is time for it.

        Raises
        ------
        NotFinite
            When losses or weights are not finite numbers, on any rank.
        Stopped
            When somebody asked for it, on any rank.
        """
        self.pending.append(losses)
        step = self.training.step
        keep = step % KEPT_STEPS == 0 or step == self.steps
        stopping = self.hooks.stop()
        if self.alone:
            due = stopping or time.monotonic() - self.told > REPORT_SECONDS
        else:
            due = step % AGREED_STEPS == 0
        if not (keep or due):
            return
        self.told = time.monotonic()
        problem: NotFinite | None = None
        try:
            self._look()
        except NotFinite as error:
            problem = error
        lost, stopping = agreed(self.fabric, problem is not None, stopping)
        if lost:
            raise problem or NotFinite("another rank's loss became infinite or NaN")
        if keep:
            self.returns, self.training.caution = 0, min(1.0, 2 * self.training.caution)
            self.sound = copy.deepcopy(self.training.record())
        sums = self.training.sums
        report = StepReport(self.training.epoch + 1, step, self.steps, sums[0] / sums[3])
        self.hooks.on_step(report)
        if stopping:
            if self.fabric.is_global_zero:
                self._save()
            self.fabric.barrier()
            raise Stopped

    def go_back(self, error: NotFinite) -> None:
        """Go on from where the run was sound, with half the learning rate until it is so again.

        Raises
        ------
        NotFinite
            The error, with what to do, when that was done `RETURNS` times already.
        """
        self.pending.clear()
        caution, epoch = self.training.caution, self.training.epoch + 1
        if self.returns == RETURNS:
            self.training.load(self.sound)
            again = "begin again with"
            if self.training.updates:
                again = "what was sound is kept: use --resume with"
                if self.fabric.is_global_zero:
                    self._save()
            raise NotFinite(
                f"epoch {epoch}: {error}, also with {caution:g} of the learning rate; {again} a "
                f"smaller learning_rate, or --mixed_precision False"
            )
        self.returns += 1
        self.training.load(self.sound)
        self.training.caution = caution / 2
        if self.fabric.is_global_zero:
            log.warning(
                "epoch %d: %s; going on from step %d with %g of the learning rate",
                epoch,
                error,
                self.training.step,
                self.training.caution,
            )

    def _look(self) -> None:
        """Fetch the losses of the last steps from the device, and see that weights are finite."""
        values = torch.stack(self.pending).tolist() if self.pending else []
        self.pending.clear()
        for total, n2n, mw in values:
            if not all(map(math.isfinite, (total, n2n, mw))):
                raise NotFinite(f"the loss became {total}")
            for place, value in enumerate((total, n2n, mw, 1.0)):
                self.training.sums[place] += value
        weights = [p.detach().sum() for p in self.training.average.parameters()]
        if not math.isfinite(torch.stack(weights).sum().item()):
            raise NotFinite("the weights became infinite or NaN")

    def _save(self) -> None:
        self.training.scaling = self.fabric.strategy.precision.state_dict()
        self.hooks.on_stop(self.training)


def agreed(fabric: Fabric, *flags: bool) -> list[bool]:
    """Flags that were raised on any rank; all of them must ask."""
    if fabric.world_size == 1:
        return list(flags)
    raised = torch.tensor(flags, dtype=torch.float32, device=fabric.device)
    summed = torch.as_tensor(fabric.all_reduce(raised, reduce_op="sum"))
    return [number > 0 for number in summed.tolist()]
