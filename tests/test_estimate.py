import copy
import time

import pytest
import torch
from lightning_fabric import Fabric

from isonet2.networks import build_network
from isonet2.physics.ctf import CtfTreatment
from isonet2.runs import estimate
from isonet2.runs.estimate import in_time, say_how_long
from isonet2.training.assembly import Assembler, Cubes
from isonet2.training.muon import Muon
from isonet2.training.objectives import METHODS, Recipe
from isonet2.training.sampling import Subtomograms
from isonet2.training.schedule import Cosine, Plan
from isonet2.training.state import start

PLAN = Plan(25, 2, 1, Muon, Cosine(1e-3, 1e-4, 0.1), 0.9, (0.0,) * 25)


def test_durations_are_said_as_people_say_them():
    assert [in_time(s) for s in (0.2, 45, 100, 5000, 7 * 3600, 3.4 * 86400)] == [
        "1 second", "45 seconds", "2 minutes", "83 minutes", "7 hours", "3 days",
    ]  # fmt: skip


@pytest.mark.parametrize("long", [False, True])
def test_the_time_is_that_of_a_batch_times_all_that_are_left(source, monkeypatch, caplog, long):
    """A fiftieth of a second for a batch but the first; 25 epochs of 3 batches, 5 done."""
    torch.manual_seed(0)
    network = build_network("unet-small", filters=2, levels=2, convolutions=1)
    took = iter([2.0])
    network.first.register_forward_pre_hook(lambda *_: time.sleep(next(took, 0.02)))
    training = start(network, PLAN)
    training.epoch = 5
    before = copy.deepcopy(training.record())
    cubes = Cubes(
        Subtomograms([source], 16, seed=0),
        Assembler([source], CtfTreatment(), torch.device("cpu")),
    )
    caplog.set_level("INFO", logger="isonet2")
    monkeypatch.setattr(estimate, "LONG", 1.0 if long else 1e9)
    objective = METHODS["n2n"].with_recipe(Recipe())
    seconds = say_how_long(Fabric(accelerator="cpu"), training, cubes, objective, PLAN)
    assert 60 * 0.02 < seconds < 60 * 2
    assert "(60 steps)" in caplog.text
    assert ("a GPU is far quicker" in caplog.text) == long
    after = training.record()
    for name in ("network", "average"):
        assert all(torch.equal(before[name][key], after[name][key]) for key in before[name])
    assert all(p.grad is None for p in training.network.parameters())
    training.epoch = 20
    assert say_how_long(Fabric(accelerator="cpu"), training, cubes, objective, PLAN) is None
