import pytest
import torch

from isonet2.physics.fourier import radius, shells, spectrum
from isonet2.physics.noise import (
    NOISE_MODES,
    back_projection_amplitude,
    back_projection_noise,
    spread_over_shells,
    weighted_shell_power,
)
from isonet2.physics.wedge import measured

SHAPE = (32, 32, 32)


@pytest.mark.parametrize("mode", sorted(NOISE_MODES))
def test_noise_has_unit_deviation_and_stays_out_of_the_wedge(mode):
    mask = measured(SHAPE, ((-60.0, 60.0),))
    white = torch.randn(2, 1, *SHAPE, generator=torch.Generator().manual_seed(0))
    noise = back_projection_noise(mask, back_projection_amplitude(SHAPE, mode, "cpu"), white)
    assert noise.std(dim=(2, 3, 4)).flatten().tolist() == pytest.approx([1, 1])
    power = spectrum(noise).abs().square()
    assert (power * (1 - mask)).sum() / power.sum() < 1e-10


def test_filters_order_the_share_of_high_frequencies():
    def share(mode):
        power = back_projection_amplitude(SHAPE, mode, "cpu").square()
        return power[radius(SHAPE) > 0.35].sum() / power.sum()

    assert share("nofilter") < share("ramp")
    assert share("hamming") < share("ramp")


def test_power_of_white_noise_is_flat_and_comes_back():
    shell = shells(SHAPE)
    x = 3 * torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    power = weighted_shell_power(spectrum(x), torch.ones(1), shell, 17)
    assert power[:, 4:].mean() == pytest.approx(9 * 32**3, rel=0.02)
    spread = spread_over_shells(power, shell)
    assert torch.equal(spread[0, 0, 0, 5], power[0, 5])
    assert spread[0, 16, 16, 16] == 0
