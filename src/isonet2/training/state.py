"""What a training run must remember to go on from where it stands."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from isonet2.machine.tensors import save_tensors
from isonet2.networks import channels_last
from isonet2.training.muon import Muon
from isonet2.training.schedule import Optimizer, Plan

OPTIMIZERS: dict[str, Optimizer] = {
    "Muon": Muon,
    "AdamW": lambda network, rate: torch.optim.AdamW(network.parameters(), rate),
}


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
    caution
        Factor of the learning rate, halved when the run went back to a sound state, and doubled
        again when it reached the next one.
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
    caution: float = 1.0

    _plain = ("epoch", "step", "updates", "sums", "history", "scaling", "caution")
    _modules = ("network", "average", "optimizer")

    def record(self) -> dict[str, Any]:
        """All of it by name; tensors are shared, not copied."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in self._plain}
        return plain | {name: getattr(self, name).state_dict() for name in self._modules}

    def save(self, path: Path, run: dict[str, Any]) -> None:
        """Write the state, whole or not at all, with the record of the run it belongs to."""
        save_tensors(path, self.record() | {"run": run})

    def load(self, record: dict[str, Any]) -> None:
        """Take over a record; earlier ones told neither scaling nor caution."""
        record = {"scaling": {}, "caution": 1.0} | record
        for name in self._plain:
            setattr(self, name, record[name])
        for name in self._modules:
            getattr(self, name).load_state_dict(record[name])


def start(network: nn.Module, plan: Plan) -> Training:
    """A run that has not learned anything yet."""
    network = channels_last(network)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return Training(network, average, plan.optimizer(network, plan.rate(0, 1)))
