"""How long and how fast a network learns, and when a run is over."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from isonet2.training.validation import HELD_OUT

Optimizer = Callable[[nn.Module, float], torch.optim.Optimizer]
"""Makes the optimiser of a network that begins with some learning rate."""
Schedule = Callable[[int, int], float]
"""From a step and the steps in all to the learning rate."""


@dataclass(frozen=True, slots=True)
class Cosine:
    """A learning rate that rises from zero, and falls along a cosine over the whole run.

    Parameters
    ----------
    highest, lowest
        Where the cosine begins and ends.
    warm_up
        Share of the run over which the rate rises.
    """

    highest: float
    lowest: float
    warm_up: float

    def __call__(self, step: int, steps: int) -> float:
        """Learning rate of a step of so many."""
        warm = max(1, round(self.warm_up * steps))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))
        rate = self.lowest + (self.highest - self.lowest) * cosine
        return rate * min(1.0, (step + 1) / warm)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to learn; the names are those of the parameter models.

    Parameters
    ----------
    epochs
        In all.
    batch_size
        Cubes per batch over all devices together.
    acc_batches
        Batches whose gradients are averaged for one step.
    optimizer
        How gradients become steps.
    rate
        Learning rate of each step.
    ema
        Decay of the moving average of the weights, reached gradually.
    noise_levels
        One for each epoch.
    workers
        Threads that read cubes.
    patience
        Epochs without a lower loss on the parts held out after which the run ends; None for the
        whole of it.
    """

    epochs: int
    batch_size: int
    acc_batches: int
    optimizer: Optimizer
    rate: Schedule
    ema: float
    noise_levels: tuple[float, ...]
    workers: int = 2
    patience: int | None = None

    def ended(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Whether the run is over after these epochs."""
        if len(history) >= self.epochs:
            return True
        return self.patience is not None and len(history) - best_epoch(history) >= self.patience


def best_epoch(history: Sequence[Mapping[str, float]]) -> int:
    """Number of the epoch with the lowest loss on the parts held out; the last one without any."""
    rows = [row for row in history if HELD_OUT in row]
    if not rows:
        return len(history)
    return int(min(rows, key=lambda row: row[HELD_OUT])["epoch"])
