import pytest
import torch

from isonet2.physics import metrics
from isonet2.physics.fourier import apply_filter, radius, shells, spectrum
from isonet2.physics.metrics import (
    compare,
    fourier_shell_correlation,
    region_correlations,
    regions,
    soft_edge,
)
from isonet2.physics.wedge import measured

SECTORS = ((-60.0, 60.0),)


def test_a_volume_agrees_with_itself_whatever_its_scale():
    truth = torch.randn(32, 40, 40, generator=torch.Generator().manual_seed(0))
    found = compare(7 * truth + 3, truth, 10.0, SECTORS)
    assert all(value == pytest.approx(1, abs=1e-4) for value in found.values())


def test_noise_of_equal_strength_halves_the_shell_correlation():
    generator = torch.Generator().manual_seed(0)
    truth, noise = (torch.randn(48, 48, 48, generator=generator) for _ in range(2))
    found = compare(truth + noise, truth, 10.0, SECTORS)
    assert found["fsc_all"] == pytest.approx(2**-0.5, abs=0.03)


def test_an_empty_wedge_scores_nothing_inside_it():
    truth = torch.randn(48, 64, 64, generator=torch.Generator().manual_seed(0))
    given = apply_filter(truth, measured(truth.shape, SECTORS))
    found = compare(given, truth, 10.0, SECTORS)
    assert found["fsc_measured"] > 0.98
    assert abs(found["fsc_wedge"]) < 0.2


def test_regions_do_not_overlap():
    parts = regions((32, 32, 32), SECTORS, 25.0)
    assert not (parts["measured"] & parts["wedge"]).any()
    assert parts["all"].all()


def test_shell_correlation_against_a_plain_loop():
    generator = torch.Generator().manual_seed(0)
    a, b = (spectrum(torch.randn(8, 8, 8, generator=generator)) for _ in range(2))
    shell = shells((8, 8, 8))
    fsc, size = fourier_shell_correlation(a, b, shell, 4)
    for s in range(4):
        f, g = a[shell == s], b[shell == s]
        expected = (f * g.conj()).real.sum() / (f.abs().norm() * g.abs().norm())
        assert fsc[s].item() == pytest.approx(expected.item(), abs=1e-5)
        assert size[s] == (shell == s).sum()


@pytest.mark.parametrize("shape", [(20, 24, 28), (24, 21, 17)])
def test_sums_over_slabs_are_sums_over_the_whole(shape, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator) for _ in range(2))
    once = compare(a + b, b, 10.0, SECTORS, limit=18.0)
    halves = region_correlations(a + b, b, SECTORS, 12.0)
    monkeypatch.setattr(metrics, "SLAB_FREQUENCIES", 1)
    assert compare(a + b, b, 10.0, SECTORS, limit=18.0) == pytest.approx(once, rel=1e-9)
    assert region_correlations(a + b, b, SECTORS, 12.0) == pytest.approx(halves, rel=1e-9)
    window = soft_edge(shape)
    waves = [spectrum((v - v.mean()) * window) for v in (a + b, b)]
    k = radius(shape) / 10.0
    shell, band = (k / (2 / (min(shape) * 10.0))).long(), (k > 1 / 200) & (k <= 1 / 18)
    for name, region in regions(shape, SECTORS, 0.83 * shape[0]).items():
        fsc, size = fourier_shell_correlation(*waves, shell, min(shape), region & band)
        assert once[f"fsc_{name}"] == pytest.approx(float(fsc[size > 8].mean()), rel=1e-4)
        f, g = (w[region & band] for w in waves)
        expected = (f * g.conj()).real.sum() / (f.abs().norm() * g.abs().norm())
        assert once[f"cc_{name}"] == pytest.approx(float(expected), rel=1e-4)


def test_correlations_of_halves_count_every_frequency_of_a_region():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(16, 18, 20, generator=generator) for _ in range(2))
    found = region_correlations(a + 2 * b, b + 1, SECTORS, 12.0)
    f, g = (spectrum(v - v.mean()) for v in (a + 2 * b, b + 1))
    for name, region in regions((16, 18, 20), SECTORS, 12.0).items():
        expected = (f * g.conj()).real[region].sum() / (f[region].norm() * g[region].norm())
        assert found[name] == pytest.approx(float(expected), rel=1e-4)


def test_some_rows_of_regions_are_rows_of_them_all():
    shape, rows = (12, 10, 14), slice(3, 9)
    whole, part = regions(shape, SECTORS, 9.0), regions(shape, SECTORS, 9.0, rows)
    assert torch.equal(whole["measured"], measured(shape, SECTORS).bool())
    assert all(torch.equal(part[name], whole[name][rows]) for name in whole)


def test_volumes_of_two_shapes_are_not_compared():
    with pytest.raises(ValueError, match="differ"):
        compare(torch.zeros(8, 8, 8), torch.zeros(8, 8, 9), 10.0, SECTORS)
