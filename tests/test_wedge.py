import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isonet2.physics.fourier import apply_filter, frequencies, multiplicity, radius, spectrum
from isonet2.physics.rotation import (
    cube_rotations,
    random_rotations,
    rotate_exact,
    rotate_free,
    source_size,
)
from isonet2.physics.wedge import ball, between, clear_wedge, measured, planes, sectors_of_tilts

RANGES = [((-60.0, 60.0),), ((-40.0, 62.0),), ((-50.0, -5.0), (5.0, 45.0))]


@pytest.mark.parametrize("shape", [(12, 10, 16), (9, 11, 13)])
@pytest.mark.parametrize("sectors", RANGES)
def test_measured_is_the_angle_between_the_tilts(shape, sectors):
    kz, ky, kx = frequencies(shape, dtype=torch.float64)
    angle = torch.rad2deg(torch.atan2(kz, kx)).expand(shape[0], shape[1], -1)
    expected = torch.zeros_like(angle, dtype=torch.bool)
    for low, high in sectors:
        inside = (angle >= low) & (angle <= high)
        mate = (kx == 0) & (kz < 0) & (angle + 180 >= low) & (angle + 180 <= high)
        expected |= inside | mate
    expected |= ((kz == 0) & (kx == 0)).expand_as(expected)
    expected &= kz * kz + ky * ky + kx * kx <= 0.25 + 1e-12
    assert torch.equal(measured(shape, sectors).bool(), expected)


@pytest.mark.parametrize("sectors", RANGES)
def test_the_rotated_mask_is_the_support_of_the_rotated_spectrum(sectors):
    n = 20
    x = apply_filter(
        torch.randn(n, n, n, dtype=torch.float64), measured((n,) * 3, sectors).double()
    )
    for matrix in cube_rotations():
        power = spectrum(rotate_exact(x, matrix)).abs().square()
        outside = (power * (1 - measured((n,) * 3, sectors, matrix))).sum() / power.sum()
        assert outside < 1e-20
        held = power[measured((n,) * 3, sectors, matrix).bool()]
        assert (held > 1e-9 * power.mean()).float().mean() > 0.99


def test_a_freely_turned_volume_keeps_its_power_in_the_turned_mask():
    n, sectors = 48, ((-40.0, 62.0),)
    s = source_size(n)
    low = (radius((s,) * 3) < 0.3) & (radius((s,) * 3) > 0.15)
    generator = torch.Generator().manual_seed(1)
    white = torch.randn(1, 1, s, s, s, generator=generator)
    x = apply_filter(white, measured((s,) * 3, sectors) * low)
    window = torch.hann_window(n, periodic=False)
    window = window[:, None, None] * window[:, None] * window
    for matrix in random_rotations(3, generator):
        turned = rotate_free(x, matrix[None], n)[0, 0] * window
        power = spectrum(turned).abs().square()
        right = (power * measured((n,) * 3, sectors, matrix)).sum() / power.sum()
        wrong = (power * measured((n,) * 3, sectors, matrix.T)).sum() / power.sum()
        assert right > 0.94
        assert right > wrong


@given(st.floats(-85, -5), st.floats(5, 85), st.floats(0, 5))
def test_a_wider_range_contains_the_narrower(low, high, extra):
    narrow = measured((8, 8, 8), ((low, high),))
    wide = measured((8, 8, 8), ((low - extra, high + extra),))
    assert torch.all(wide >= narrow)


def test_the_share_of_directions_is_that_of_the_tilt_range():
    shape = (64, 64, 64)
    count = multiplicity(shape)
    ball = (measured(shape, ((-90.0, 90.0),)) * count).sum()
    held = (measured(shape, ((-60.0, 60.0),)) * count).sum()
    assert held / ball == pytest.approx(2 / 3, abs=0.01)


def test_tilt_lists_keep_their_gaps():
    tilts = [a for a in range(-60, 61, 3) if not -12 < a < 12]
    assert sectors_of_tilts(tilts) == ((-60, -12), (12, 60))
    assert sectors_of_tilts([-3.0, 0.0, 3.0, 7.0]) == ((-3.0, 7.0),)
    with pytest.raises(ValueError, match="at least one"):
        sectors_of_tilts([])


def test_the_clear_wedge_stays_away_from_measured_frequencies():
    shape, thickness = (32, 32, 32), 25.0
    clear = clear_wedge(shape, ((-60.0, 60.0),), thickness)
    assert not (clear & measured(shape, ((-60.0, 60.0),)).bool()).any()
    assert clear.float().mean() > 0.15
    kz, _, kx = frequencies(shape)
    angle = torch.rad2deg(torch.atan2(kz.abs(), kx)).expand(-1, 32, -1)
    reach = max(2.0, math.degrees(math.atan(1 / (thickness * 0.5))))
    assert angle[clear].min() > 60 + reach - 0.5


def test_a_sector_twice_is_the_sector_and_a_full_turn_is_the_ball():
    matrix = random_rotations(1, torch.Generator().manual_seed(0))[0]
    once, twice = (planes(((-50.0, 30.0),) * n, matrix) for n in (1, 2))
    assert torch.equal(between((12, 10, 14), once), between((12, 10, 14), twice))
    everything = measured((12, 10, 14), ((-95.0, 95.0),), matrix)
    assert torch.equal(everything, ball((12, 10, 14)))


def test_masks_of_a_batch_of_rotations_are_those_of_each():
    matrices = random_rotations(3, torch.Generator().manual_seed(1))
    together = measured((10, 10, 10), ((-60.0, -5.0), (10.0, 50.0)), matrices)
    for mask, matrix in zip(together, matrices, strict=True):
        assert torch.equal(mask, measured((10, 10, 10), ((-60.0, -5.0), (10.0, 50.0)), matrix))


def test_without_sectors_there_is_no_mask():
    with pytest.raises(ValueError, match="sectors"):
        measured((8, 8, 8), ())
