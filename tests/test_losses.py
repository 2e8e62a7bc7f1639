import pytest
import torch

from isonet2.physics.fourier import apply_filter, spectrum
from isonet2.physics.wedge import measured
from isonet2.training.losses import LOSSES

SHAPE = (2, 1, 16, 16, 16)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(SHAPE, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("weighted", [False, True])
def test_zero_at_equality_positive_elsewhere_and_symmetric(pair, name, weighted):
    a, b = map(spectrum, pair)
    weight = torch.rand(SHAPE) if weighted else None
    region = measured(SHAPE[-3:], ((-60.0, 60.0),))[None, None].expand_as(a.real)
    loss = LOSSES[name]
    assert loss(a, a, region, SHAPE, weight).item() == pytest.approx(0, abs=1e-5)
    assert loss(a, b, region, SHAPE, weight).item() > 0.1
    torch.testing.assert_close(loss(a, b, region, SHAPE, weight), loss(b, a, region, SHAPE, weight))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradient_is_finite_at_equality(pair, name):
    x = pair[0].clone().requires_grad_()
    LOSSES[name](spectrum(x), spectrum(pair[0]), None, SHAPE, None).backward()
    assert torch.isfinite(x.grad).all()


def test_l2_in_fourier_space_is_the_mean_square_of_the_filtered_difference(pair):
    region = measured(SHAPE[-3:], ((-50.0, 40.0),))
    a, b = map(spectrum, pair)
    expected = apply_filter(pair[0] - pair[1], region).square().mean()
    region = region[None, None].expand_as(a.real)
    torch.testing.assert_close(LOSSES["L2"](a, b, region, SHAPE, None), expected)
    ones = torch.ones(SHAPE)
    torch.testing.assert_close(LOSSES["L2"](a, b, region, SHAPE, ones), expected)


def test_l1_and_huber_by_hand(pair):
    difference = (pair[0] - pair[1]).abs()
    a, b = map(spectrum, pair)
    torch.testing.assert_close(LOSSES["L1"](a, b, None, SHAPE, None), difference.mean())
    huber = torch.where(difference < 1, difference.square() / 2, difference - 0.5).mean()
    torch.testing.assert_close(LOSSES["Huber"](a, b, None, SHAPE, None), huber)


def test_voxels_of_weight_zero_do_not_count(pair):
    weight = torch.zeros(SHAPE)
    weight[..., :8] = 1
    other = pair[0].clone()
    other[..., 8:] += 5
    for name in ("L2", "L1", "Huber", "FSC"):
        value = LOSSES[name](spectrum(pair[0]), spectrum(other), None, SHAPE, weight)
        assert value.item() == pytest.approx(0, abs=1e-5)


def test_shell_correlation_does_not_care_for_scale(pair):
    a = spectrum(pair[0])
    assert LOSSES["FSC"](a, 3 * a, None, SHAPE, None).item() == pytest.approx(0, abs=1e-5)
    assert LOSSES["FSC"](a, -a, None, SHAPE, None).item() == pytest.approx(2, abs=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_how_a_batch_is_split_changes_nothing(pair, name):
    """Cubes of unlike weights, one of them all zero, together and one at a time."""
    a, b = (torch.cat([x, x.flip(-1)[:1]]) for x in pair)
    shape = a.shape
    weight = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    weight[0, ..., :10] = 0
    weight[1] = 0
    region = measured(SHAPE[-3:], ((-60.0, 60.0),)).expand(shape[0], 1, -1, -1, -1)
    loss = LOSSES[name]
    together = loss(spectrum(a), spectrum(b), region, shape, weight)
    one = torch.Size([1, *shape[1:]])
    alone = [
        loss(spectrum(a[i : i + 1]), spectrum(b[i : i + 1]), region[:1], one, weight[i : i + 1])
        for i in range(len(a))
    ]
    assert alone[0] != pytest.approx(alone[2].item(), rel=1e-3)
    assert alone[1] == 0
    torch.testing.assert_close(together, torch.stack(alone).mean())
