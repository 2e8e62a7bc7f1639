"""What halves share: laid past a fresh network, and what of it comes through a trained one."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
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


@dataclass
class Passages:
    """Measures after each epoch what comes through a network, and says when that is too little.

    Parameters
    ----------
    cubes, usage
        What is restored, and how.
    fabric
        For its precision.
    name
        Of the network, for messages.
    """

    cubes: Cubes
    usage: Usage
    fabric: Fabric
    name: str
    _held_back: list[int] = field(init=False, default_factory=list)

    def look(self, training: Training, *, last: bool) -> tuple[float, ...]:
        """Measure the gain that results need.

        What is held back is said after the first epoch and after the last one, and when it no
        longer is.

        Parameters
        ----------
        training
            Whose averaged network is looked at.
        last
            Whether training ends with this epoch.

        Returns
        -------
        tuple of float
            For `Usage.gain`.
        """

        def network(x: Tensor) -> Tensor:
            with torch.no_grad(), self.fabric.autocast():
                y: Tensor = training.average(x)
            return y.float()

        passage = measure(
            self.cubes,
            apply_mw_x1=self.usage.apply_mw_x1,
            network=network,
            most=max(4, min(LOOKED_AT, len(self.cubes.subtomograms) // 8)),
        )
        before, self._held_back = self._held_back, passage.held_back
        if self._held_back and last:
            log.warning(
                "%s: in the end less than half of what the halves share comes through the network "
                "at %s A; look at the preview, and train longer",
                self.name,
                self._resolutions(self._held_back),
            )
        elif self._held_back and training.epoch == 1:
            log.warning(
                "%s: after the first epoch less than half of what the halves share comes through "
                "the network at %s A; it should with more steps, and it is said when it does",
                self.name,
                self._resolutions(self._held_back),
            )
        elif before and not self._held_back:
            log.info(
                "%s: what the halves share comes through the network now, at %s A too",
                self.name,
                self._resolutions(before),
            )
        return tuple(passage.gain.tolist())

    def _resolutions(self, shells: Sequence[int]) -> str:
        pixel = median(source.geometry.pixel_size for source in self.cubes.subtomograms.sources)
        return ", ".join(f"{self.usage.cube_size * pixel / shell:.0f}" for shell in shells)
