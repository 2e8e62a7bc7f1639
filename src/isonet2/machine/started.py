"""What torchrun or a scheduler started."""

import os


def started_ranks() -> tuple[int, int] | None:
    """Ranks and nodes that torchrun or SLURM's srun started; None when nobody did."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        ranks = int(os.environ.get("WORLD_SIZE", "1"))
        nodes = max(1, ranks // int(os.environ["LOCAL_WORLD_SIZE"]))
    else:
        ranks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
        nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
    return (ranks, nodes) if ranks > 1 else None
