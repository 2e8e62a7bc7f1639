import math

import pytest
import torch

from isonet2.physics.specimen import blob, build, draw, library, molecule, rod, shell, virus_coat


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_bead_holds_its_whole_mass_wherever_it_lies():
    dot = molecule("dot", torch.zeros(1, 3), width=7.0)
    mass = (math.sqrt(2 * math.pi) * 0.7) ** 3
    for place in ([10.0, 10.0, 10.0], [10.3, 9.5, 10.9]):
        _, block = draw((20, 20, 20), 10.0, dot, torch.tensor([place]))
        assert float(block.sum()) == pytest.approx(mass, rel=1e-3)


def test_a_molecule_at_the_border_is_cut_and_one_outside_is_empty():
    dot = molecule("dot", torch.zeros(1, 3), width=10.0)
    whole_region, whole = draw((20, 20, 20), 10.0, dot, torch.tensor([[10.0, 10.0, 10.0]]))
    cut_region, cut = draw((20, 20, 20), 10.0, dot, torch.tensor([[0.0, 10.0, 10.0]]))
    assert whole_region[0] == slice(6, 15)
    assert cut_region[0].start == 0
    assert torch.allclose(cut, whole[4:], atol=1e-6)
    _, outside = draw((20, 20, 20), 10.0, dot, torch.tensor([[-30.0, 10.0, 10.0]]))
    assert outside.numel() == 0


def test_molecules_have_the_size_and_density_that_they_claim():
    capsid = shell(radius=100.0)
    assert torch.allclose(capsid.beads.norm(dim=1), torch.tensor(100.0), atol=2.0)
    assert float(rod(length=300.0).beads[:, 0].max()) == pytest.approx(150, abs=10)
    patch = virus_coat(rings=1)
    assert len(patch.beads) == 7 * 2 * 6
    for chosen in (capsid, patch, rod(), blob(generator())):
        volume = draw((80,) * 3, 5.0, chosen, chosen.beads / 5 + 40)[1]
        assert 0.7 < float(volume.max()) < 4


def test_the_filament_is_right_handed():
    strand = rod().beads[: len(rod().beads) // 2]
    z, y, x = strand.unbind(1)
    turn = torch.atan2(y, x).diff()
    turn = torch.remainder(turn + math.pi, 2 * math.pi) - math.pi
    assert bool((turn * z.diff() > 0).all())  # counterclockwise about +z as it advances


def test_a_specimen_is_reproducible_and_lies_in_its_slab():
    shape, chosen = (48, 64, 64), library(generator(5))
    first, count = build(shape, 10.0, chosen, 0.05, 1, generator(7))
    again, _ = build(shape, 10.0, chosen, 0.05, 1, generator(7))
    other, _ = build(shape, 10.0, chosen, 0.05, 1, generator(8))
    assert count > 2
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first[:2].max() < 0.1
    assert first[-2:].max() < 0.1


def test_density_is_reached_where_there_is_room():
    chosen = (blob(generator(1), radius=40.0),)
    volume, count = build((64, 64, 64), 10.0, chosen, 0.03, 0, generator())
    assert 0.03 <= float((volume > 0.1).float().mean()) < 0.04
    assert count > 5
    empty, none = build((64, 64, 64), 10.0, chosen, 0.0, 0, generator())
    assert none == 0
    assert empty.max() == 0


def test_a_body_thicker_than_the_slab_is_left_out():
    volume, count = build((32, 64, 64), 2.0, (shell(radius=200.0),), 0.1, 0, generator())
    assert count == 0
    assert volume.max() == 0


def test_a_vesicle_has_two_leaflets_four_nanometres_apart():
    volume, _ = build((64, 64, 64), 10.0, library(generator()), 0.0, 1, generator(2))
    filled = torch.nonzero(volume > 0.3).float()
    centre = (filled.amin(0) + filled.amax(0)) / 2
    grid = torch.meshgrid(*(torch.arange(64.0) - c for c in centre), indexing="ij")
    radius = torch.stack(grid).norm(dim=0).round().long().flatten()
    total = torch.bincount(radius, volume.flatten())
    profile = total / torch.bincount(radius)
    peaks = [
        r
        for r in range(2, 40)
        if profile[r] > 0.2 and profile[r] >= profile[r - 1] and profile[r] > profile[r + 1]
    ]
    assert len(peaks) == 2
    assert peaks[1] - peaks[0] == pytest.approx(4, abs=1)
