import pytest
import torch

from isonet2.checks.advice import Advice
from isonet2.networks import build_network
from isonet2.runs import cost
from isonet2.runs.cost import cost_of, seconds_of_cube


@pytest.fixture
def processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("processor")
def test_what_a_training_costs_is_said(monkeypatch):
    """A cube of 32 takes half a second; one of 64 takes eight times as long."""
    tried = []

    def half_a_second(device, edge):
        tried.append((device.type, edge))
        return 0.5

    monkeypatch.setattr(cost, "seconds_of_cube", half_a_second)
    advice = Advice(cube_size=64, CTF_mode="None", epochs=50, cubes=3000)
    found = cost_of(advice, [(64, 128, 128)] * 2, halves=True)
    assert tried == [("cpu", 32)]
    assert found.training == pytest.approx(150_000 * 4)
    tiles = 2 * 64 * 128 * 128 * 1.5**3 / 64**3
    assert found.restoring == pytest.approx(tiles * 2 * 2 / 3 * 4)
    assert "50 epochs of 3000 cubes by unet-medium will take about 7 days" in found.words
    assert "restoring 2 tomograms about 2 minutes" in found.words
    whole = cost_of(advice, [(64, 128, 128)] * 2, halves=False)
    assert whole.restoring == pytest.approx(found.restoring / 2)


@pytest.mark.usefixtures("processor")
def test_memory_that_does_not_suffice_is_told_in_place_of_a_time(monkeypatch):
    def full(device, edge):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(cost, "seconds_of_cube", full)
    found = cost_of(Advice(32, "None", 10, 100), [(32, 32, 32)], halves=False)
    assert (found.training, found.restoring) == (None, None)
    assert "cubes of 32 do not fit into the memory of the processor" in found.words


def test_a_cube_goes_through_the_network_and_back(monkeypatch):
    made = []

    def small(arch):
        made.append(build_network("unet-small", filters=2))
        return made[0]

    monkeypatch.setattr(cost, "build_network", small)
    assert 0 < seconds_of_cube(torch.device("cpu"), 32) < 60
    assert all(weight.grad is not None for weight in made[0].parameters())
