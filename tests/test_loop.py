import copy
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric.plugins.precision import Precision
from looping import PLAN, RATE, run, tiny, weights

from isonet2.machine.interrupts import stop_request
from isonet2.machine.tensors import load_tensors
from isonet2.training import loop
from isonet2.training.loop import _to_its_parameters
from isonet2.training.objectives import Losses, Method, Recipe
from isonet2.training.sampling import Subtomograms
from isonet2.training.schedule import Plan
from isonet2.training.state import OPTIMIZERS, start
from isonet2.training.watch import Stopped


def test_same_seed_same_weights(source):
    first, second = (run(source, start(tiny(), PLAN)) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    assert [row["epoch"] for row in first.history] == [1, 2]
    assert all(row["loss"] > 0 for row in first.history)
    assert [row["learning_rate"] for row in first.history] == [PLAN.rate(2, 6), PLAN.rate(5, 6)]


@pytest.mark.parametrize("after", [1, 4])
def test_a_stopped_run_goes_on_to_the_very_same_weights(source, tmp_path, after):
    whole = run(source, start(tiny(), PLAN))
    steps = []

    def on_stop(training):
        training.save(tmp_path / "state.pt", {"run": 1})

    training = start(tiny(), PLAN)
    with pytest.raises(Stopped):
        run(
            source,
            training,
            on_step=lambda r: steps.append(r.step),
            on_stop=on_stop,
            stop=lambda: training.updates == after,
        )
    resumed = start(tiny(), PLAN)
    state = load_tensors(tmp_path / "state.pt")
    assert state["run"] == {"run": 1}
    resumed.load(state)
    run(source, resumed)
    assert torch.equal(weights(resumed), weights(whole))
    assert [r["loss"] for r in resumed.history] == pytest.approx([r["loss"] for r in whole.history])


def test_training_lowers_the_loss(source):
    plan = replace(PLAN, epochs=10, noise_levels=(0.0,) * 10, rate=replace(RATE, highest=3e-3))
    history = run(source, start(tiny(), plan), plan).history
    assert history[-1]["loss"] < 0.95 * history[0]["loss"]


@pytest.mark.parametrize(("name", "length"), [("Muon", 0.2), ("AdamW", 1.0)])
def test_the_optimizer_is_the_one_that_was_chosen(source, name, length):
    """Over its rate, the first step of AdamW is 1 long in every weight, and Muon's 0.2 overall."""
    plan = replace(PLAN, optimizer=OPTIMIZERS[name])
    training = start(tiny(), plan)
    with pytest.raises(Stopped):
        run(source, training, plan, stop=lambda: True)
    assert type(training.optimizer).__name__ == name
    step = training.network.up[0].mix.weight - tiny().up[0].mix.weight
    found = step.detach().square().mean().sqrt() / plan.rate(0, 6)
    assert found.item() == pytest.approx(length, rel=0.5)


def test_accumulated_batches_equal_one_large_batch(source):
    large = replace(PLAN, epochs=1, batch_size=4)
    parts = replace(PLAN, epochs=1, batch_size=2, acc_batches=2)
    a = run(source, start(tiny("none"), large), large)
    b = run(source, start(tiny("none"), parts), parts)
    torch.testing.assert_close(weights(a), weights(b), atol=2e-4, rtol=1e-2)


def test_memory_that_runs_out_halves_the_pieces_not_the_result(source, monkeypatch):
    plan = replace(PLAN, epochs=1, batch_size=4)
    plain = run(source, start(tiny("none"), plan), plan)
    network = tiny("none")
    forward = network.forward

    def greedy(x):
        if len(x) > 2:
            raise torch.OutOfMemoryError("pretended")
        return forward(x)

    training = start(network, plan)
    monkeypatch.setattr(training.network, "forward", greedy)
    run(source, training, plan)
    torch.testing.assert_close(weights(plain), weights(training), atol=2e-4, rtol=1e-2)


def test_the_average_follows_the_weights(source):
    present = run(source, start(tiny(), PLAN), replace(PLAN, ema=0.0))
    bare = torch.cat([p.detach().flatten() for p in present.network.parameters()])
    torch.testing.assert_close(weights(present), bare)
    slow = run(source, start(tiny(), PLAN))
    assert not torch.allclose(weights(slow), weights(present))


def test_a_signal_is_a_request_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as request:
        assert not request()
        os.kill(os.getpid(), signal.SIGTERM)
        assert request()
        assert request.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_the_optimiser_remembers_goes_where_its_parameters_are():
    parameter = torch.nn.Parameter(torch.zeros(2, device="meta"))
    optimizer = torch.optim.AdamW([parameter])
    loaded = {"step": torch.tensor(3.0), "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}
    optimizer.state[parameter] = loaded
    _to_its_parameters(optimizer)
    state = optimizer.state[parameter]
    assert state["exp_avg"].device == state["exp_avg_sq"].device == parameter.device
    assert state["step"] == 3


def test_start_leaves_two_networks_that_agree():
    training = start(tiny(), PLAN)
    for a, b in zip(training.network.parameters(), training.average.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not b.requires_grad
    assert copy.deepcopy(training.average).training is False


def test_the_average_comes_gradually_to_its_decay(source):
    plan = replace(PLAN, ema=0.2, rate=replace(RATE, highest=0.1, warm_up=0.0))
    training = start(tiny(), plan)
    seen = [weights(training)]

    def watch():
        present = torch.cat([p.detach().flatten() for p in training.network.parameters()])
        decay = (1 / 11, 2 / 12, 0.2, 0.2, 0.2, 0.2)[len(seen) - 1]
        torch.testing.assert_close(weights(training), decay * seen[-1] + (1 - decay) * present)
        seen.append(weights(training))
        return False

    run(source, training, plan, stop=watch)
    assert len(seen) == 7


def test_the_average_normalises_by_averaged_statistics(source, monkeypatch):
    seen = []
    training = start(tiny(), PLAN)
    expected = {name: b.clone() for name, b in training.average.named_buffers()}
    follow = loop._follow

    def noted(training, decay):
        follow(training, decay)
        share = 1 - min(decay, training.updates / (10 + training.updates))
        for name, present in training.network.named_buffers():
            if present.is_floating_point():
                expected[name] += share * (present - expected[name])
            else:
                expected[name] = present.clone()
        seen.append(training.updates)

    monkeypatch.setattr(loop, "_follow", noted)
    run(source, training)
    assert len(seen) > 3
    present = dict(training.network.named_buffers())
    for name, average in training.average.named_buffers():
        torch.testing.assert_close(average, expected[name])
        moved = average.is_floating_point()
        assert torch.equal(average, present[name]) != moved


class Scaled(Precision):
    """A GradScaler as float16 needs it, on the processor in float32."""

    def __init__(self):
        self.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)

    def backward(self, tensor, model, *args, **kwargs):
        super().backward(self.scaler.scale(tensor), model, *args, **kwargs)

    def optimizer_step(self, optimizer, **kwargs):
        taken = self.scaler.step(optimizer, **kwargs)
        self.scaler.update()
        return taken

    def state_dict(self):
        return self.scaler.state_dict()

    def load_state_dict(self, state):
        self.scaler.load_state_dict(state)


@pytest.mark.parametrize("after", [3, 5])
def test_a_resumed_run_scales_its_loss_as_the_stopped_one_did(source, tmp_path, after):
    whole, scaler = start(tiny(), PLAN), Scaled()
    run(source, whole, precision=scaler)
    assert scaler.scaler.get_scale() == 8.0 * 2**3
    training = start(tiny(), PLAN)
    with pytest.raises(Stopped):
        run(
            source,
            training,
            precision=Scaled(),
            on_stop=lambda t: t.save(tmp_path / "state.pt", {}),
            stop=lambda: training.updates == after,
        )
    resumed, again = start(tiny(), PLAN), Scaled()
    resumed.load(load_tensors(tmp_path / "state.pt"))
    assert resumed.scaling["scale"] == 8.0 * 2 ** (after // 2)
    assert resumed.scaling["_growth_tracker"] == after % 2
    run(source, resumed, precision=again)
    assert resumed.scaling == whole.scaling == again.state_dict()
    assert torch.equal(weights(resumed), weights(whole))


def test_a_state_is_taken_over_whatever_scaled_its_loss(source, tmp_path):
    once = replace(PLAN, epochs=1)
    scaled, plain = start(tiny(), once), start(tiny(), once)
    run(source, scaled, once, precision=Scaled())
    run(source, plain, once)
    assert plain.scaling == {}
    for training, precision in ((scaled, None), (plain, Scaled())):
        training.save(tmp_path / "state.pt", {})
        state = load_tensors(tmp_path / "state.pt")
        resumed = start(tiny(), PLAN)
        resumed.load(state)
        assert len(run(source, resumed, precision=precision).history) == 2
    del state["scaling"]
    resumed.load(state)
    assert resumed.scaling == {}


def test_an_own_loss_method_network_optimiser_and_schedule_enter_without_a_registry(source):
    """One weight learns by an objective of its own; only the first of six steps has a rate."""
    seen = []

    class Scale(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.weight * x

    def distance(prediction, target, region, shape, weight):
        seen.append(shape)
        return (prediction - target).abs().square().mean()

    def halve(network, teacher, batch, recipe):
        total = recipe.loss(network(batch.first), batch.first / 2, None, batch.first.shape, None)
        return Losses(total, total.detach(), torch.zeros_like(total))

    def rate(step, steps):
        return 0.5 if step == 0 else 0.0

    plan = Plan(2, 2, 1, lambda n, lr: torch.optim.SGD(n.parameters(), lr), rate, 0.0, (0.0, 0.0))
    mine = Method("mine", halve, fills_wedge=False, reads_halves=True)
    training = start(Scale(), plan)
    run(source, training, plan, method=mine, recipe=Recipe(loss=distance))
    weight = training.network.weight.item()
    power = source_power(source, plan)
    assert seen == [(2, 1, 16, 16, 16)] * 6
    assert weight == pytest.approx(1 - 0.5 * power, rel=1e-4)
    assert training.history[1]["loss"] != training.history[0]["loss"]


def source_power(source, plan):
    """Mean square of the first batch's inputs: the slope of the squared distance at weight 1."""
    drawn = Subtomograms([source], 16, seed=0, random_rot_weight=0.3)
    samples = next(drawn.batches(0, plan.batch_size))
    return np.mean([np.square(sample.halves[0], dtype=float).mean() for sample in samples])
