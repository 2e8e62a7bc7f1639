import pytest
import torch
from torch import nn

from isonet2.networks import build_network
from isonet2.training.muon import ADAM_STEP, MOMENTUM, QUINTIC, Muon, orthogonalized

RATE = 0.01


@pytest.mark.parametrize("shape", [(8, 8), (6, 40), (40, 6), (3, 5, 9)])
def test_singular_values_become_one_and_vectors_stay(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalized(matrices)
    u, s, vh = torch.linalg.svd(found, full_matrices=False)
    assert s.min() > 0.6
    assert s.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    torch.testing.assert_close(
        found, u * (u.mT @ found @ vh.mT).diagonal(0, -2, -1)[..., None, :] @ vh
    )


def test_the_gram_matrix_alone_gives_the_literal_iteration():
    x = torch.randn(12, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    literal = x / x.norm()
    a, b, c = QUINTIC
    for _ in range(5):
        square = literal @ literal.T
        literal = a * literal + (b * square + c * square @ square) @ literal
    torch.testing.assert_close(orthogonalized(x), literal, atol=1e-5, rtol=0)


def test_nothing_to_learn_changes_nothing():
    assert torch.equal(orthogonalized(torch.zeros(4, 6)), torch.zeros(4, 6))


def learner():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 4, 3), nn.Conv3d(4, 6, 3), nn.BatchNorm3d(6), nn.Conv3d(6, 1, 3)
    )


def learn(network, optimizer, steps=3):
    x = torch.randn(2, 1, 9, 9, 9, generator=torch.Generator().manual_seed(2))
    for _ in range(steps):
        optimizer.zero_grad()
        network(x).square().sum().backward()
        optimizer.step()


def test_steps_are_as_long_as_those_of_adam_usually_are():
    network = learner()
    before = network[1].weight.detach().clone()
    learn(network, Muon(network, RATE), steps=1)
    step = (network[1].weight - before * (1 - 0.01 * RATE)).detach()
    assert step.square().mean().sqrt() == pytest.approx(ADAM_STEP * RATE, rel=0.3)


def test_what_is_no_matrix_learns_as_with_adam():
    mine, theirs = learner(), learner()
    for network in (mine, theirs):
        network[1].requires_grad_(False)
    learn(mine, Muon(mine, RATE))
    learn(theirs, torch.optim.AdamW(theirs.parameters(), RATE))
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_momentum_is_nesterovs():
    layer = nn.Linear(5, 4, bias=False)
    optimizer = Muon(layer, RATE)
    gradients = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(3))
    weight, momentum = layer.weight.detach().clone(), torch.zeros(4, 5)
    for gradient in gradients:
        layer.weight.grad = gradient.clone()
        optimizer.step()
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
        ahead = (1 - MOMENTUM) * gradient + MOMENTUM * momentum
        weight = weight * (1 - 0.01 * RATE) - RATE * ADAM_STEP * 5**0.5 * orthogonalized(ahead)
    torch.testing.assert_close(layer.weight.detach(), weight)


def test_a_closure_makes_the_gradients_of_the_step():
    mine, theirs = learner(), learner()
    optimizer = Muon(mine, RATE)
    x = torch.randn(2, 1, 9, 9, 9, generator=torch.Generator().manual_seed(2))

    def closure():
        optimizer.zero_grad()
        loss = mine(x).square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) > 0
    learn(theirs, Muon(theirs, RATE), steps=1)
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("arch", ["unet-small", "scunet-fast", "HSFormer"])
def test_matrices_are_layers_with_several_inputs_and_outputs(arch):
    network = build_network(arch)
    matrices, others = (group["params"] for group in Muon(network, RATE).param_groups)
    assert all(min(p.shape[:2]) > 1 for p in matrices)
    assert sum(p.numel() for p in matrices) > 10 * sum(p.numel() for p in others)
    assert {id(p) for p in [*matrices, *others]} == {id(p) for p in network.parameters()}


def test_what_it_remembers_can_be_saved(tmp_path):
    network, other = learner(), learner()
    optimizer = Muon(network, RATE)
    learn(network, optimizer, 2)
    torch.save([network.state_dict(), optimizer.state_dict()], tmp_path / "state.pt")
    weights, remembered = torch.load(tmp_path / "state.pt", weights_only=True)
    other.load_state_dict(weights)
    again = Muon(other, RATE)
    again.load_state_dict(remembered)
    learn(network, optimizer, 1)
    learn(other, again, 1)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
