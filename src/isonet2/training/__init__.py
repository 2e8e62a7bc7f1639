"""How a network learns: samples, objectives, losses, the loop, checkpoints."""
