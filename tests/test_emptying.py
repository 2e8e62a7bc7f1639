import numpy as np
import pytest
import torch

from isonet2.physics import emptying
from isonet2.physics.emptying import empty_wedge
from isonet2.physics.wedge import ball, measured

SHAPE = (20, 15, 24)


@pytest.mark.parametrize("sectors", [((-60.0, 60.0),), ((-70.0, -10.0), (15.0, 42.0))])
def test_slabs_give_what_the_whole_spectrum_would(monkeypatch, sectors):
    monkeypatch.setattr(emptying, "SLAB_VOXELS", 4 * SHAPE[0] * SHAPE[2])
    volume = torch.randn(SHAPE, generator=torch.manual_seed(0)).numpy()
    result = np.full(SHAPE, np.nan, np.float32)
    empty_wedge(volume.__getitem__, result.__setitem__, SHAPE, sectors)
    before, after = (torch.fft.rfftn(torch.from_numpy(v)) for v in (volume, result))
    kept = measured(SHAPE, sectors).bool()
    torch.testing.assert_close(after[kept], before[kept], atol=2e-3, rtol=0)
    left = after[~kept & ball(SHAPE).bool()]
    assert len(left) > 100
    assert left.abs().max() < 2e-3


def test_what_was_measured_stays_whole():
    y = np.arange(SHAPE[1], dtype=np.float32)
    wave = np.zeros(SHAPE, np.float32) + np.cos(2 * np.pi * y / 5)[None, :, None] + 3
    found = np.empty(SHAPE, np.float32)
    empty_wedge(wave.__getitem__, found.__setitem__, SHAPE, ((-40.0, 40.0),))
    np.testing.assert_allclose(found, wave, atol=1e-5)
