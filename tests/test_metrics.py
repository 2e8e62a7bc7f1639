import pytest
import torch

from isonet2.physics.fourier import apply_filter, shells, spectrum
from isonet2.physics.metrics import compare, fourier_shell_correlation, regions
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
