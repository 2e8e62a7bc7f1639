import pytest
import torch

from isonet2.checks.signal import finest_agreement, signal_figures
from isonet2.physics.seen_ctf import Shells

K = torch.arange(1, 49) / 96


def shells(shared, error=1e-3):
    """Shells of noise 1 and some signal."""
    return Shells(K, shared, torch.full_like(K, error), torch.ones_like(K), 96.0)


def falling(to):
    """Signal whose correlation passes 0.143 at some frequency."""
    return torch.exp(-40 * (K - to)) / 6


@pytest.mark.parametrize("to", [0.15, 0.3])
def test_the_resolution_is_where_the_correlation_ends(to):
    assert finest_agreement(shells(falling(to))) == pytest.approx(to, abs=0.01)
    figures = signal_figures(shells(falling(to)), 10.0)
    assert figures["halves agree to (A)"] == pytest.approx(10 / to, rel=0.05)
    expected = float(torch.exp(torch.tensor(-40 * (0.1 - to))) / 6)
    assert figures["signal over noise"]["100 A"] == pytest.approx(expected, rel=0.1)


def test_zeros_of_the_ctf_are_not_the_end():
    signal = falling(0.3)
    signal[(K > 0.1) & (K < 0.17)] = 0
    assert finest_agreement(shells(signal)) == pytest.approx(0.3, abs=0.01)


def test_single_shells_and_what_is_within_the_error_do_not_count():
    lone = torch.zeros_like(K)
    lone[40] = 0.3
    assert finest_agreement(shells(falling(0.15) + lone)) == pytest.approx(0.15, abs=0.01)
    assert finest_agreement(shells(torch.full_like(K, 0.3), error=0.4)) is None
    assert signal_figures(shells(torch.zeros_like(K)), 10.0)["halves agree to (A)"] is None
    assert finest_agreement(shells(torch.ones_like(K))) == pytest.approx(0.5)
