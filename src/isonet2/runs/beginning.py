"""What a training run begins with: a network, fresh or trained before, and values of a caller."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from isonet2.errors import InputError
from isonet2.networks import build_network, edge_multiple
from isonet2.prediction.checkpoint import OWN, Checkpoint
from isonet2.runs.plan import TrainParameters
from isonet2.training.schedule import Optimizer, Plan, Schedule


@dataclass(frozen=True, slots=True)
class Own:
    """What a caller from Python brings of his own, in place of what parameters name.

    Parameters
    ----------
    network
        That learns.
    rate, optimizer
        As in `Plan`.
    on_epoch
        Told the row of each epoch in the history, on the first rank.
    """

    network: nn.Module | None = None
    rate: Schedule | None = None
    optimizer: Optimizer | None = None
    on_epoch: Callable[[dict[str, float]], None] | None = None

    def arch(self, parameters: TrainParameters) -> str:
        """Name of the architecture."""
        if self.network is None:
            return parameters.arch
        return f"{OWN}{type(self.network).__name__}"

    def plan(self, plan: Plan) -> Plan:
        """A plan with the rates and the optimiser that were brought."""
        return replace(
            plan, rate=self.rate or plan.rate, optimizer=self.optimizer or plan.optimizer
        )


def first_network(
    parameters: TrainParameters, options: dict[str, Any], own: nn.Module | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """Make the network, or read the pretrained one.

    Parameters
    ----------
    parameters
        Of a training command.
    options
        What `build_network` takes beside the architecture, by these parameters.
    own
        A network that was made already.

    Returns
    -------
    tuple
        The network, and the options that make one like it.

    Raises
    ------
    InputError
        When the pretrained network is not the one that the parameters describe, or takes no cubes
        of cube_size.
    """
    if own is not None:
        network, options = own, {}
    elif parameters.pretrained_model is None:
        network = build_network(parameters.arch, **options)
    else:
        earlier = Checkpoint.load(parameters.pretrained_model)
        _refuse_another(parameters, options, earlier)
        network, options = earlier.network(), earlier.network_options
    multiple = edge_multiple(network)
    if parameters.cube_size % multiple:
        raise InputError(
            f"cube_size {parameters.cube_size}: {parameters.arch} takes multiples of {multiple}"
        )
    return network, options


def _refuse_another(
    parameters: TrainParameters, options: dict[str, Any], earlier: Checkpoint
) -> None:
    """Raise InputError when a pretrained network is not of the kind that was asked for."""
    given = parameters.pretrained_model
    wanted, defined = options.get("definition"), earlier.network_options.get("definition")
    if wanted is not None and defined is not None and wanted != defined:
        raise InputError(
            f"pretrained_model {given}: was trained with another definition than "
            f"{parameters.arch} holds: {defined}; write that into the file"
        )
    if wanted != defined or (wanted is None and earlier.arch != parameters.arch):
        raise InputError(
            f"pretrained_model {given}: is a {earlier.arch}, but arch is {parameters.arch}; use "
            f"--arch {earlier.arch}"
        )
    usual = type(parameters).model_fields["normalization"].default
    has = earlier.network_options.get("normalization", usual)
    if "normalization" in parameters.model_fields_set and parameters.normalization != has:
        raise InputError(
            f"normalization {parameters.normalization}: the network of pretrained_model {given} "
            f"normalises by {has}; leave normalization out, or begin without pretrained_model"
        )
