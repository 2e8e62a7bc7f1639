"""Several processes that train one network together: how they are started, and which one speaks."""

import logging
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from isonet2.machine.devices import autocast_type
from isonet2.machine.started import Rank, started_rank

PATIENCE = timedelta(hours=12)
"""How long ranks wait for the first one, which makes previews and masks alone."""

_PRECISIONS = {
    torch.float32: "32-true",
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
}


def is_first_rank() -> bool:
    """Whether this process is the only one, or the first of several."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


class _OneDeviceEach(ClusterEnvironment):
    """Ranks that somebody else started, each with one device, wherever it is.

    Every rank is a node of its own to Lightning, which then asks nothing of how many there are on a
    machine and which devices they see.
    """

    def __init__(self, rank: Rank) -> None:
        super().__init__()
        self._rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._rank.address

    @property
    def main_port(self) -> int:
        return self._rank.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._rank.ranks

    def set_world_size(self, size: int) -> None:
        """Whoever started the ranks has said it."""

    def global_rank(self) -> int:
        return self._rank.number

    def set_global_rank(self, rank: int) -> None:
        """Whoever started the ranks has said it."""

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._rank.number


def make_fabric(devices: list[torch.device], mixed_precision: bool) -> Fabric:
    """Fabric for training on these devices; as one of several ranks, on the first of them by DDP.

    Parameters
    ----------
    devices
        As `choose_devices` chooses them.
    mixed_precision
        Whether to compute in 16 bits where that is safe.
    """
    torch.backends.cudnn.benchmark = True
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    kind, rank = devices[0].type, started_rank()
    return Fabric(
        accelerator=kind,
        devices=[devices[0].index] if kind == "cuda" else 1,
        num_nodes=1 if rank is None else rank.ranks,
        strategy="auto" if rank is None else DDPStrategy(timeout=PATIENCE),
        precision=_PRECISIONS[autocast_type(devices[0], mixed_precision)],  # type: ignore[arg-type]
        plugins=[LightningEnvironment() if rank is None else _OneDeviceEach(rank)],
    )
