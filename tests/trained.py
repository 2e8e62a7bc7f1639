"""Networks as training leaves them, without training, and their use."""

import torch
from quick import status

from isonet2.commands.predict import predict
from isonet2.networks import build_network
from isonet2.parameters import PredictParameters
from isonet2.physics.ctf import CtfTreatment
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.usage import Usage

OPTIONS = {"filters": 2, "levels": 2, "convolutions": 1, "add_input": True}


def checkpoint(network, method="isonet2-n2n", apply_mw_x1=True, **fields):
    """A network of 32-voxel cubes as a method leaves it."""
    fills = method != "n2n"
    usage = Usage(32, CtfTreatment(), apply_mw_x1=apply_mw_x1, in_ball=fills)
    return Checkpoint(
        method=method, reads_halves=method != "isonet2", fills_wedge=fills, arch="unet-small",
        usage=usage, weights=network.state_dict(), network_options=OPTIONS, **fields,
    )  # fmt: skip


def save_model(path, method="isonet2-n2n", shift=0.0, **fields):
    """A network that returns its input, plus a number."""
    network = build_network("unet-small", **OPTIONS)
    with torch.no_grad():
        network.final.weight.zero_()
        network.final.bias.fill_(shift)
    checkpoint(network, method, **fields).save(path)
    return path


def go(star, model, **options):
    options = {"mixed_precision": False} | options
    return status(predict, PredictParameters(star_file=star, model=model, **options))
