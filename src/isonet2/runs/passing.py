"""What halves share: laid past a fresh network, and what of it comes through a trained one."""

import logging
from statistics import median

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from isonet2.networks.passing import Passing
from isonet2.prediction.usage import Usage
from isonet2.training.assembly import Cubes
from isonet2.training.passage import measure
from isonet2.training.state import Training

log = logging.getLogger(__name__)

LOOKED_AT = 16
"""Most cubes that are restored after an epoch to see what comes through."""


def pass_on(network: nn.Module, cubes: Cubes, usage: Usage) -> None:
    """Give a fresh network's path the gains of a Wiener filter: what the halves share."""
    if isinstance(network, Passing):
        network.gains.copy_(measure(cubes, apply_mw_x1=usage.apply_mw_x1).shared)


def look_through(
    training: Training, fabric: Fabric, cubes: Cubes, usage: Usage, name: str
) -> tuple[float, ...]:
    """Measure the gain that results need; after the first epoch, say what is held back.

    Parameters
    ----------
    training
        Whose averaged network is looked at.
    fabric
        For its precision.
    cubes, usage
        What is restored, and how.
    name
        Of the network, for the message.

    Returns
    -------
    tuple of float
        For `Usage.gain`.
    """

    def network(x: Tensor) -> Tensor:
        with torch.no_grad(), fabric.autocast():
            y: Tensor = training.average(x)
        return y.float()

    passage = measure(
        cubes,
        apply_mw_x1=usage.apply_mw_x1,
        network=network,
        most=max(4, min(LOOKED_AT, len(cubes.subtomograms) // 8)),
    )
    lost = passage.held_back if training.epoch == 1 else []
    if lost:
        pixel = median(source.geometry.pixel_size for source in cubes.subtomograms.sources)
        log.warning(
            "%s: after the first epoch less than half of what the halves share comes through the "
            "network at %s A; look at the preview, and train longer",
            name,
            ", ".join(f"{usage.cube_size * pixel / shell:.0f}" for shell in lost),
        )
    return tuple(passage.gain.tolist())
