import pytest

from isonet2.training.schedule import Cosine

RATE = Cosine(highest=1e-3, lowest=1e-4, warm_up=0.1)


def test_rate_warms_up_and_falls_to_its_end():
    rates = [RATE(step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4, rel=0.01)
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[9] > rates[4]
    assert rates[100] == pytest.approx(1e-4)
    assert sorted(rates[10:], reverse=True) == rates[10:]
