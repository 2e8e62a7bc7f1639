"""Several processes that train one network together: how they are started, and which one speaks."""

import logging
import os
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from isonet2.machine.devices import autocast_type
from isonet2.machine.started import started_ranks

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


def make_fabric(devices: list[torch.device], mixed_precision: bool) -> Fabric:
    """Fabric for training on these devices; several of them, or several nodes, by DDP.

    Ranks that torchrun or srun started are used as they are. Else one process is started for
    each of several devices, in a SLURM allocation too.
    """
    torch.backends.cudnn.benchmark = True
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    kind = devices[0].type
    precision = _PRECISIONS[autocast_type(devices[0], mixed_precision)]
    started = started_ranks()
    if started is not None:
        ranks, nodes = started
        slurm = "LOCAL_WORLD_SIZE" not in os.environ
        return Fabric(
            accelerator=kind,
            devices=ranks // nodes,
            num_nodes=nodes,
            strategy=DDPStrategy(timeout=PATIENCE),
            precision=precision,  # type: ignore[arg-type]
            plugins=[SLURMEnvironment(auto_requeue=False)] if slurm else None,
        )
    several = len(devices) > 1
    return Fabric(
        accelerator=kind,
        devices=[d.index for d in devices] if kind == "cuda" else len(devices),
        strategy=DDPStrategy(timeout=PATIENCE) if several else "auto",
        precision=precision,  # type: ignore[arg-type]
        plugins=[LightningEnvironment()],
    )
