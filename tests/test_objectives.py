from dataclasses import replace

import pytest
import torch

from isonet2.physics.ctf import CTF_MODES, ContrastTransfer, CtfTreatment, WienerSettings
from isonet2.physics.fourier import apply_filter, spectrum
from isonet2.physics.rotation import rotate_exact
from isonet2.training.assembly import Assembler
from isonet2.training.losses import LOSSES
from isonet2.training.objectives import (
    INPUT_FILL,
    METHODS,
    TARGET_FILL,
    Recipe,
    _fill,
    _prepare,
    match,
)
from isonet2.training.sampling import Subtomograms

CPU = torch.device("cpu")


def identity(x):
    return x


def make_batch(source, mode="None", free=0.0, **options):
    subtomograms = Subtomograms([source], 24, seed=2, random_rot_weight=free)
    samples = next(subtomograms.batches(0, 6))
    return Assembler([source], CtfTreatment(mode=mode, **options), CPU)(samples)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("mode", sorted(CTF_MODES))
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_combination_gives_finite_losses_and_gradients(source, method, mode, loss):
    scale = torch.ones((), requires_grad=True)
    batch = make_batch(source, mode, free=0.5)
    recipe = Recipe(loss=LOSSES[loss], mw_weight=20.0)
    losses = METHODS[method].objective(lambda x: x + scale * x.roll(1, -1), identity, batch, recipe)
    losses.total.backward()
    assert all(torch.isfinite(v) for v in (losses.total, losses.n2n, losses.mw, scale.grad))
    assert scale.grad != 0


def test_a_ctf_of_one_makes_every_mode_none(source):
    one = ContrastTransfer(0.0, spherical_aberration=0.0, amplitude_contrast=1 - 1e-12)
    flat = replace(source, geometry=replace(source.geometry, ctf=one))
    endless = WienerSettings(0.0, 12.0, 0.0)
    totals = [
        METHODS["isonet2-n2n"]
        .objective(
            identity, identity, make_batch(flat, mode, wiener=endless), Recipe(mw_weight=5.0)
        )
        .total
        for mode in CTF_MODES
    ]
    for total in totals[1:]:
        torch.testing.assert_close(total, totals[0], rtol=1e-4, atol=1e-6)


def test_perfect_halves_and_a_perfect_network_have_no_loss(source):
    """Noise-free equal halves whose wedge is filled by the truth: the turned truth fits."""
    truth = torch.randn(6, 1, 24, 24, 24, generator=torch.Generator().manual_seed(0))
    batch = make_batch(source)
    data = apply_filter(truth, batch.measured)
    batch = replace(batch, first=data, second=data)
    turned = torch.stack([rotate_exact(v, r) for v, r in zip(truth, batch.rotation, strict=True)])
    losses = METHODS["isonet2-n2n"].objective(
        lambda x: turned, lambda x: truth, batch, Recipe(mw_weight=1.0)
    )
    assert losses.total < 1e-9
    worse = METHODS["isonet2-n2n"].objective(
        lambda x: apply_filter(turned, batch.measured), lambda x: truth, batch, Recipe(mw_weight=1)
    )
    assert worse.n2n < 1e-9
    assert worse.mw > 0.05


def test_weight_of_the_wedge_enters_the_total(source):
    batch = make_batch(source)
    for weight in (1.0, 20.0):
        losses = METHODS["isonet2-n2n"].objective(
            identity, identity, batch, Recipe(mw_weight=weight)
        )
        torch.testing.assert_close(losses.total, losses.n2n + weight * losses.mw)
    whole = METHODS["isonet2-n2n"].objective(identity, identity, batch, Recipe(mw_weight=-1))
    assert whole.total > whole.n2n


def test_the_teacher_is_asked_only_for_cubes_that_are_filled(source):
    batch = make_batch(source)
    seen = []

    def teacher(x):
        seen.append(len(x))
        return x

    objective = METHODS["isonet2-n2n"].objective
    objective(identity, teacher, batch, Recipe(mw_weight=5.0, fill_probability=0.0))
    assert seen == []
    objective(identity, teacher, batch, Recipe(mw_weight=5.0, fill_probability=1.0))
    assert seen == [6]
    seen.clear()
    objective(identity, teacher, batch, Recipe(mw_weight=-1.0))
    assert seen == [6, 6]


def test_noise_in_the_fill_is_as_strong_as_in_the_data(source):
    batch = make_batch(source)
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(batch.first.shape, generator=generator) for _ in range(2)]
    batch = replace(batch, first=noise[0], second=noise[1])
    recipe = Recipe()
    first, second = (_prepare(batch, recipe, name) for name in ("first", "second"))
    fill = _fill(torch.zeros_like, first, second, batch, recipe, INPUT_FILL)
    full = spectrum(first.real + fill).abs().square()
    inside = (full * batch.measured).sum() / batch.measured.sum()
    sphere = make_ball(full.shape)
    outside_mask = (1 - batch.measured) * sphere
    outside = (full * outside_mask).sum() / outside_mask.sum()
    assert outside / inside == pytest.approx(1, abs=0.1)


def test_input_and_target_are_filled_with_different_noise(source):
    batch = make_batch(source)
    recipe = Recipe()
    first, second = (_prepare(batch, recipe, name) for name in ("first", "second"))
    one = _fill(torch.zeros_like, first, second, batch, recipe, INPUT_FILL)
    two = _fill(torch.zeros_like, second, first, batch, recipe, TARGET_FILL)
    likeness = torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1]
    assert abs(likeness) < 0.05


@pytest.mark.parametrize("apply_mw_x1", [True, False])
def test_a_filled_cube_holds_data_inside_and_the_prediction_in_the_wedge(source, apply_mw_x1):
    batch = make_batch(source)
    batch = replace(batch, second=batch.first)
    recipe = Recipe(apply_mw_x1=apply_mw_x1)
    half = _prepare(batch, recipe, "first")
    fill = _fill(
        lambda x: 2 * torch.ones_like(x) + x.flip(-1), half, half, batch, recipe, INPUT_FILL
    )
    predicted = spectrum(2 * torch.ones_like(half.real) + half.real.flip(-1))
    expected = batch.measured * spectrum(batch.first) + (1 - batch.measured) * predicted
    torch.testing.assert_close(spectrum(half.real + fill), expected, atol=1e-2, rtol=1e-3)


def test_a_single_volume_is_prepared_and_predicted_once(source):
    single = replace(source, second=source.first)
    batch = make_batch(single, free=0.5)
    assert batch.second is batch.first
    seen = []

    def teacher(x):
        seen.append(len(x))
        return x

    METHODS["isonet2"].objective(identity, teacher, batch, Recipe())
    assert seen == [6]


def make_ball(shape):
    from isonet2.physics.fourier import radius

    return (radius((shape[-3],) * 3) < 0.45).float().expand(shape)


def test_match_gives_mean_and_deviation():
    a, b = torch.randn(2, 1, 8, 8, 8), 3 * torch.randn(2, 1, 8, 8, 8) + 2
    matched = match(a, b)
    axes = (1, 2, 3, 4)
    torch.testing.assert_close(matched.mean(axes), b.mean(axes))
    torch.testing.assert_close(matched.std(axes), b.std(axes))


def test_added_noise_reaches_the_network(source):
    batch = make_batch(source)
    given = []

    def network(x):
        given.append(x)
        return x

    objective = METHODS["isonet2"].objective
    for level in (0.0, 0.5):
        objective(network, identity, replace(batch, noise_level=level), Recipe(mw_weight=1.0))
    assert (given[1] - given[0]).std().item() == pytest.approx(0.5, rel=0.05)


def test_apply_mw_x1_decides_what_the_teacher_sees(source):
    batch = make_batch(source)
    seen = []

    def teacher(x):
        seen.append(x)
        return x

    for flag in (True, False):
        recipe = Recipe(mw_weight=1.0, apply_mw_x1=flag)
        METHODS["isonet2-n2n"].objective(identity, teacher, batch, recipe)
    torch.testing.assert_close(seen[1], batch.first, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[0], apply_filter(batch.first, batch.measured))


def blobs(size, places):
    """Gaussians (b, 1, n, n, n) at places (b, p, 3) from the middle, each lower than the last."""
    steps = torch.arange(size) - (size - 1) / 2
    grid = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1)
    distances = (grid - places[:, :, None, None, None]).square().sum(-1)
    heights = torch.arange(places.shape[1], 0, -1)[:, None, None, None]
    return (heights * torch.exp(-distances / (2 * 2.0**2))).sum(1, keepdim=True)


def test_cubes_that_are_turned_freely_are_filled_before(source):
    """Noise-free blobs whose wedge is filled by the truth are the blobs at their turned places."""
    batch = make_batch(source, free=1.0)
    assert batch.wide.rows == list(range(6))
    places = 6 * torch.rand(6, 3, 3, generator=torch.Generator().manual_seed(0)) - 3
    truth, turned = blobs(24, places), blobs(24, places @ batch.rotation.mT)
    wide = blobs(batch.wide.first.shape[-1], places)
    wide = apply_filter(wide, batch.wide.measured)
    low = (wide.shape[-1] - 24) // 2
    data = wide[..., low:-low, low:-low, low:-low]
    batch = replace(
        batch, first=data, second=data, wide=replace(batch.wide, first=wide, second=wide)
    )
    given = []

    def network(x):
        given.append(x)
        return turned

    def likeness(x):
        wanted = apply_filter(turned, batch.measured)
        return torch.corrcoef(torch.stack([x.flatten(), wanted.flatten()]))[0, 1]

    objective = METHODS["isonet2-n2n"].objective
    filled, raw = (
        objective(network, lambda x: truth, batch, Recipe(fill_probability=share)).total
        for share in (1.0, 0.0)
    )
    assert filled < 0.2 * raw
    assert likeness(given[0]) > 0.97
    assert likeness(given[1]) < 0.9


@pytest.mark.parametrize("mode", sorted(CTF_MODES))
def test_a_denoiser_sees_and_is_judged_through_the_slots_of_the_mode(source, mode):
    batch = make_batch(source, mode)
    truth = torch.randn(batch.first.shape, generator=torch.Generator().manual_seed(0))
    data = apply_filter(apply_filter(truth, batch.ctf.input), batch.ctf.prediction)
    batch = replace(batch, first=data, second=data)
    given = []

    def network(answer):
        return lambda x: given.append(x) or answer

    objective = METHODS["n2n"].objective
    right = objective(network(apply_filter(truth, batch.ctf.target)), identity, batch, Recipe())
    assert right.total < 1e-9
    torch.testing.assert_close(given[0], apply_filter(data, batch.ctf.input))
    wrong = objective(network(data), identity, batch, Recipe())
    assert (wrong.total > 0.1) == (mode != "None")
