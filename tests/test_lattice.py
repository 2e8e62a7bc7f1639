import torch

from isonet2.physics.fourier import apply_filter, radius
from isonet2.physics.lattice import CELL, HIGH, lattice


def noise(shape=(64, 80, 96), seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_lattice(volume, period, height):
    z, y, x = (torch.arange(n) for n in volume.shape)
    comb = torch.cos(2 * torch.pi * x / period) + 0 * z[:, None, None] + 0 * y[:, None]
    return volume + height * comb


def test_noise_holds_no_more_than_chance_gives():
    found = [lattice(noise(seed=seed)) for seed in range(4)]
    assert sum(one.peaks for one in found) < 12
    assert max(one.highest for one in found) < 25


def test_emptiness_beyond_nyquist_makes_no_peaks():
    """Beside the ends of the axes most of the surroundings lie beyond it."""
    volumes = [noise((64, 64, 64), seed) for seed in range(4)]
    inside = (radius((64, 64, 64)) <= 0.5).float()
    found = [lattice(apply_filter(volume, inside)) for volume in volumes]
    assert sum(one.peaks for one in found) < 12
    assert max(one.highest for one in found) < 25


def test_a_weak_lattice_is_found_where_it_is():
    for period in (2, 4, 8, 16):
        found = lattice(with_lattice(noise(), period, 0.08))
        place = torch.nonzero(found.heights == found.highest)[0].tolist()
        assert found.highest > 50
        assert place == [0, 0, CELL // period]


def test_its_height_grows_with_its_power():
    low, high = (lattice(with_lattice(noise(), 8, a)).highest for a in (0.1, 0.2))
    assert 3.5 < high / low < 4.5


def test_edges_that_are_no_multiples_of_a_cell_change_nothing():
    found = lattice(with_lattice(noise((70, 85, 99)), 4, 0.08))
    assert found.highest > 50


def test_a_slope_from_face_to_face_is_no_lattice():
    volume = noise() + torch.linspace(-3, 3, 96)
    assert lattice(volume).highest < 25


def test_what_stands_out_in_the_input_too_does_not_count():
    before = lattice(with_lattice(noise(), 8, 0.1))
    after = lattice(with_lattice(with_lattice(noise(), 8, 0.1), 4, 0.1))
    assert before.highest > HIGH
    beyond = after.beyond(before)
    assert beyond.heights[0, 0, 2] == 0
    assert beyond.heights[0, 0, 4] > HIGH
