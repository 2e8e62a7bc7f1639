"""A tiny network in the training loop."""

import torch
from lightning_fabric import Fabric

from isonet2.networks import build_network
from isonet2.physics.ctf import CtfTreatment
from isonet2.training.assembly import Assembler, Cubes
from isonet2.training.loop import fit
from isonet2.training.muon import Muon
from isonet2.training.objectives import METHODS, Recipe
from isonet2.training.sampling import Subtomograms
from isonet2.training.schedule import Cosine, Plan
from isonet2.training.watch import Hooks

RATE = Cosine(highest=1e-3, lowest=1e-4, warm_up=0.1)


RECIPE = Recipe(mw_weight=5.0)


PLAN = Plan(2, 2, 1, Muon, RATE, 0.9, (0.0, 0.0))


def tiny(normalization="batch"):
    torch.manual_seed(0)
    return build_network(
        "unet-small", filters=4, levels=2, convolutions=1, normalization=normalization
    )


def run(
    source,
    training,
    plan=PLAN,
    precision=None,
    method=METHODS["isonet2-n2n"],
    recipe=RECIPE,
    **hooks,
):
    cubes = Cubes(
        Subtomograms([source], 16, seed=0, random_rot_weight=0.3),
        Assembler([source], CtfTreatment(), torch.device("cpu")),
    )
    objective = method.with_recipe(recipe)
    plugins = [] if precision is None else [precision]
    fabric = Fabric(accelerator="cpu", devices=1, plugins=plugins)
    fit(fabric, training, cubes, objective, plan, Hooks(**hooks))
    return training


def weights(training):
    return torch.cat([p.detach().flatten() for p in training.average.parameters()])
