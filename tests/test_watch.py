"""What is looked at between steps: losses and weights that are lost, files that vanish, stops."""

import math
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from looping import PLAN, run, tiny, weights

from isonet2.opening.halves import Unreadable
from isonet2.training import watch
from isonet2.training.loop import Descent
from isonet2.training.sampling import Subtomograms
from isonet2.training.state import start
from isonet2.training.watch import NotFinite, Stopped


def test_a_loss_that_stays_infinite_ends_the_run(source, caplog):
    network = tiny()
    with torch.no_grad():
        network.final.weight.fill_(math.inf)
    with pytest.raises(NotFinite, match=r"epoch 1: the loss became .* 0.125 of the learning rate"):
        run(source, start(network, PLAN))
    assert caplog.text.count("going on from step 0") == 3


@pytest.mark.parametrize("kept", [2, 200])
@pytest.mark.parametrize("what", ["losses", "weights"])
def test_a_run_goes_back_to_where_it_was_sound(source, monkeypatch, caplog, what, kept):
    """One step of the second epoch goes wrong: it is done again with half the rate."""
    monkeypatch.setattr(watch, "KEPT_STEPS", kept)
    training, rates, step = start(tiny(), PLAN), [], Descent.step

    def spoiled(descent, group, rate, noise_level):
        losses = step(descent, group, rate, noise_level)
        rates.append(rate)
        if len(rates) == 6 and what == "weights":
            with torch.no_grad():
                training.network.final.weight.mul_(math.nan)
        return losses * (math.nan if len(rates) == 6 and what == "losses" else 1.0)

    monkeypatch.setattr(Descent, "step", spoiled)
    run(source, training)
    first = 5 if kept == 2 else 3
    assert rates[6:] == [0.5 * PLAN.rate(step, 6) for step in range(first, 6)]
    assert torch.isfinite(weights(training)).all()
    assert [row["epoch"] for row in training.history] == [1, 2]
    assert training.caution == 1
    assert caplog.text.count("going on from step") == 1


def test_lost_weights_are_not_saved_when_the_run_is_stopped(source, monkeypatch):
    training, steps, step, saved = start(tiny(), PLAN), [], Descent.step, []

    def spoiled(descent, *rest):
        losses = step(descent, *rest)
        steps.append(0)
        if len(steps) == 2:
            with torch.no_grad():
                training.network.final.weight.mul_(math.nan)
        return losses

    monkeypatch.setattr(Descent, "step", spoiled)
    with pytest.raises(Stopped):
        run(
            source,
            training,
            stop=lambda: len(steps) >= 2,
            on_stop=lambda t: saved.append(weights(t).isfinite().all().item()),
        )
    assert (len(steps), saved) == (3, [True])


def test_an_epoch_is_kept_when_its_validation_cannot_be_read(source):
    saved = []

    def unreadable(network):
        raise Unreadable("gone")

    with pytest.raises(Unreadable):
        run(
            source,
            start(tiny(), PLAN),
            validate=unreadable,
            on_stop=lambda t: saved.append((t.epoch, t.step)),
        )
    assert saved == [(1, 0)]


@pytest.mark.parametrize("first", [True, False])
def test_the_rank_that_cannot_read_saves_the_state(source, monkeypatch, first):
    load, loaded, saved = Subtomograms.load, [], []

    def vanishing(subtomograms, draw):
        loaded.append(draw)
        if len(loaded) > 4:
            raise Unreadable("gone")
        return load(subtomograms, draw)

    monkeypatch.setattr(Subtomograms, "load", vanishing)
    monkeypatch.setattr(Fabric, "is_global_zero", first)
    plan = replace(PLAN, workers=1)
    with pytest.raises(Unreadable):
        run(source, start(tiny(), plan), plan, on_stop=lambda t: saved.append((t.epoch, t.step)))
    assert saved == [(0, 2)]
