"""The package gives the numbers of the plain reading of the method."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isonet2.networks import build_network
from isonet2.physics.ctf import ContrastTransfer, CtfTreatment
from isonet2.physics.geometry import Geometry
from isonet2.physics.rotation import cube_rotations
from isonet2.physics.wedge import measured
from isonet2.training.assembly import Assembler
from isonet2.training.objectives import METHODS, Recipe
from isonet2.training.sampling import Subtomograms

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import reference


def half_of(whole):
    """The half spectrum's part of a whole, shifted spectrum."""
    n = whole.shape[-1]
    return torch.fft.ifftshift(whole)[..., : n // 2 + 1]


@pytest.mark.parametrize("index", [0, 3, 7, 12, 20])
def test_masks_agree(index):
    matrix = cube_rotations()[index]
    whole = reference.measured_mask(16, -40.0, 62.0, matrix)
    assert torch.equal(half_of(whole), measured((16,) * 3, ((-40.0, 62.0),), matrix))


def test_ctf_agrees():
    whole = reference.ctf_volume(16, 10.0, 30000.0, 300.0, 2.7, 0.1)
    geometry = Geometry(((-60.0, 60.0),), ContrastTransfer(30000.0), 10.0)
    slots = geometry.slots(CtfTreatment(mode="network"), (16,) * 3)
    torch.testing.assert_close(half_of(whole).abs().float(), slots.prediction, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_losses_agree(source, method):
    """Of one volume twice, which gives no noise to draw, both have the same loss and gradient."""
    single = replace(source, second=source.first)
    turn = METHODS[method].fills_wedge
    samples = next(Subtomograms([single], 16, seed=0, turn=turn).batches(0, 3))
    assemble = Assembler([single], CtfTreatment(mode="network"), torch.device("cpu"))
    torch.manual_seed(0)
    network = build_network("unet-small", filters=2, levels=2, convolutions=1, normalization="none")
    losses = METHODS[method].objective(network, network, assemble(samples), Recipe(mw_weight=20.0))
    losses.total.backward()
    ours = torch.cat([p.grad.flatten() for p in network.parameters()])
    network.zero_grad()
    cubes = [torch.from_numpy(s.halves[0]) for s in samples]
    ctf = reference.ctf_volume(16, 10.0, 30000.0, 300.0, 2.7, 0.1)
    if turn:
        halves = [[cube] * (1 + METHODS[method].reads_halves) for cube in cubes]
        turns = [s.draw.rotation for s in samples]
        plain = reference.step_loss(network, halves, turns, -60.0, 60.0, ctf, 20.0)
    else:
        plain = reference.denoise_loss(network, cubes, cubes, ctf)
    plain.backward()
    theirs = torch.cat([p.grad.flatten() for p in network.parameters()])
    torch.testing.assert_close(losses.total, plain.float(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
