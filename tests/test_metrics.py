import pytest
import torch

from isonet2.physics import metrics
from isonet2.physics.fourier import apply_filter, spectrum
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


def whole(half, shape):
    """Spread a half spectrum or a mask of one over the whole spectrum (z, y, x)."""
    mates = [(-torch.arange(n)) % n for n in shape]
    mirrored = half[mates[0]][:, mates[1]][..., 1 : (shape[2] + 1) // 2].flip(-1)
    return torch.cat([half, mirrored.conj()], -1)


SHAPES = [(20, 24, 28), (24, 21, 17), (9, 16, 16)]


@pytest.mark.parametrize("shape", SHAPES)
def test_shell_correlations_are_those_of_a_full_transform(shape):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    b = b + 0.3 * a + 0.5 * torch.roll(a, 1, 2)
    f, g = (torch.fft.fftn(v) for v in (a, b))
    assert torch.allclose(whole(spectrum(a), shape), f)
    k = torch.stack(torch.meshgrid(*(torch.fft.fftfreq(n) for n in shape), indexing="ij")).norm(
        dim=0
    )
    shell = torch.round(k * min(shape)).long()
    parts = {"everything": None, **regions(shape, SECTORS, 12.0)}
    for part in parts.values():
        fsc, size = fourier_shell_correlation(spectrum(a), spectrum(b), shape, part)
        kept = torch.ones(shape, dtype=torch.bool) if part is None else whole(part, shape)
        assert len(fsc) == min(shape) // 2 + 1
        for s in range(len(fsc)):
            at = kept & (shell == s)
            assert size[s] == at.sum()
            if at.any():
                expected = (f * g.conj()).real[at].sum() / (f[at].norm() * g[at].norm())
                assert fsc[s].item() == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_those_of_a_full_transform(shape, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator) for _ in range(2))
    a = a + b
    scores = compare(a, b, 10.0, SECTORS, limit=18.0)
    halves = region_correlations(a, b, SECTORS, 12.0)
    monkeypatch.setattr(metrics, "SLAB_FREQUENCIES", 1)
    assert compare(a, b, 10.0, SECTORS, limit=18.0) == pytest.approx(scores, rel=1e-9)
    assert region_correlations(a, b, SECTORS, 12.0) == pytest.approx(halves, rel=1e-9)

    f, g = (torch.fft.fftn(v.double() - v.double().mean()) for v in (a, b))
    for name, part in regions(shape, SECTORS, 12.0).items():
        at = whole(part, shape)
        expected = (f * g.conj()).real[at].sum() / (f[at].norm() * g[at].norm())
        assert halves[name] == pytest.approx(float(expected), rel=1e-4)

    window = soft_edge(shape)
    f, g = (torch.fft.fftn((v - v.mean()) * window) for v in (a, b))
    k = torch.stack(torch.meshgrid(*(torch.fft.fftfreq(n) for n in shape), indexing="ij"))
    k = k.norm(dim=0) / 10.0
    shell, band = (k / (2 / (min(shape) * 10.0))).long(), (k > 1 / 200) & (k <= 1 / 18)
    for name, part in regions(shape, SECTORS, 0.83 * shape[0]).items():
        at = whole(part, shape) & band
        cross, powers = (f * g.conj()).real, (f.abs().square(), g.abs().square())
        top, one, two = (
            torch.bincount(shell[at], values[at].double()) for values in (cross, *powers)
        )
        full = torch.bincount(shell[at]) > 8
        fsc = (top / (one * two).sqrt())[full].mean()
        assert scores[f"fsc_{name}"] == pytest.approx(float(fsc), rel=1e-4)
        cc = top.sum() / (one.sum() * two.sum()).sqrt()
        assert scores[f"cc_{name}"] == pytest.approx(float(cc), rel=1e-4)


def test_some_rows_of_regions_are_rows_of_them_all():
    shape, rows = (12, 10, 14), slice(3, 9)
    whole, part = regions(shape, SECTORS, 9.0), regions(shape, SECTORS, 9.0, rows)
    assert torch.equal(whole["measured"], measured(shape, SECTORS).bool())
    assert all(torch.equal(part[name], whole[name][rows]) for name in whole)


def test_volumes_of_two_shapes_are_not_compared():
    with pytest.raises(ValueError, match="differ"):
        compare(torch.zeros(8, 8, 8), torch.zeros(8, 8, 9), 10.0, SECTORS)
