import pytest
import torch

from isonet2.physics.fourier import (
    apply_filter,
    crop_spectrum,
    distinct_radii,
    frequencies,
    multiplicity,
    radial_weight,
    radius,
    shell_sums,
    shells,
    spectrum,
    volume,
)

SHAPES = [(8, 10, 12), (7, 9, 11)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_filter_of_ones_changes_nothing(shape):
    x = torch.randn(2, 1, *shape)
    ones = torch.ones(shape[0], shape[1], shape[2] // 2 + 1)
    torch.testing.assert_close(apply_filter(x, ones), x)
    assert apply_filter(x, None) is x


@pytest.mark.parametrize("shape", [(16, 16, 16), (15, 15, 15), *SHAPES])
def test_distinct_radii_are_those_of_all_frequencies(shape):
    lengths, place = distinct_radii(shape)
    torch.testing.assert_close(lengths[place], radius(shape, dtype=torch.float64))


@pytest.mark.parametrize("shape", SHAPES)
def test_parseval_with_the_half_spectrum(shape):
    x = torch.randn(shape, dtype=torch.float64)
    power = (spectrum(x).abs().square() * multiplicity(shape)).sum() / x.numel()
    torch.testing.assert_close(power, x.square().sum())


def test_a_plane_wave_sits_at_its_frequency():
    z, y, x = torch.meshgrid(torch.arange(8), torch.arange(10), torch.arange(12), indexing="ij")
    wave = torch.cos(2 * torch.pi * (2 * z / 8 + 3 * y / 10 + 1 * x / 12))
    peak = torch.nonzero(spectrum(wave).abs() > 1.0)
    assert peak.tolist() == [[2, 3, 1]]
    kz, ky, kx = frequencies((8, 10, 12))
    assert (kz[2, 0, 0], ky[3, 0], kx[1]) == pytest.approx((2 / 8, 3 / 10, 1 / 12))


def test_shells_count_every_frequency_once():
    shape = (8, 8, 8)
    ones = torch.ones(1, 8, 8, 5)
    counts = shell_sums(ones, shells(shape), 8)[0]
    assert counts.sum() == ones.numel()
    assert counts[0] == 1
    assert torch.equal(shells(shape), torch.round(radius(shape) * 8).long())


@pytest.mark.parametrize("new", [(8, 8, 8), (6, 8, 10), (5, 7, 9)])
def test_cropped_spectrum_samples_a_smooth_volume_on_fewer_voxels(new):
    old = (16, 16, 16)
    z, y, x = torch.meshgrid(*(torch.arange(n) / n for n in old), indexing="ij")
    wave = 3 + torch.cos(2 * torch.pi * (z + 2 * x)) + torch.sin(2 * torch.pi * y)
    z, y, x = torch.meshgrid(*(torch.arange(n) / n for n in new), indexing="ij")
    expected = 3 + torch.cos(2 * torch.pi * (z + 2 * x)) + torch.sin(2 * torch.pi * y)
    small = volume(crop_spectrum(spectrum(wave), old, new), new)
    torch.testing.assert_close(small, expected, atol=1e-5, rtol=1e-5)


def test_a_radial_weight_is_drawn_linearly_through_its_values():
    values = torch.tensor([0.0, 1.0, 4.0, 2.0, 2.0])
    weight = radial_weight(values, (24, 16, 32))
    assert weight.shape == (24, 16, 17)
    torch.testing.assert_close(weight[6, 0, 0], torch.tensor(4.0))  # 1/4 cycle per voxel
    torch.testing.assert_close(weight[0, 1, 0], torch.tensor(0.5))  # 1/16
    assert weight[12, 8, 16] == 2.0
