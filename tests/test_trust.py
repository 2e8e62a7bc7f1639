"""The measures on volumes whose truth is known, in place of networks."""

import itertools
import math

import pytest
import torch

from isonet2.physics.fourier import apply_filter, spectrum
from isonet2.physics.wedge import measured
from isonet2.trust import controls
from isonet2.trust.anisotropy import cone_power
from isonet2.trust.beads import beads_in
from isonet2.trust.held_out import held_out, pairs_of
from isonet2.trust.imprint import imprint, narrower, noise_of, turned, without_phases
from isonet2.trust.kept import kept_signal
from isonet2.trust.regions import (
    held_out_part,
    kept_sectors,
    measured_part,
    tilt_parts,
    wedge_part,
    without_tilts,
)
from isonet2.trust.residual import residual
from isonet2.trust.spread import flips, rank_with_error
from isonet2.trust.sums import (
    SHELLS,
    band,
    correlation,
    frequencies_in,
    jackknife,
    products,
    slabs_of,
)
from isonet2.trust.verdict import FILL, LOST

SHAPE = (48, 96, 64)
SECTORS = ((-60.0, 60.0),)
KEPT = ((-48.0, 48.0),)
PIXEL = 10.0
HALF_PAIRS = [("e", "e"), ("o", "o"), ("e", "o")]
ALL_PAIRS = [
    *HALF_PAIRS, ("fe", "fe"), ("fo", "fo"), ("fe", "fo"),
    ("fe", "o"), ("fo", "e"), ("fe", "e"), ("fo", "o"),
]  # fmt: skip


@pytest.fixture(scope="module")
def scene():
    """A specimen of coloured noise, and two halves of it seen through the wedge, as noisy as it."""
    generator = torch.Generator().manual_seed(0)
    truth = controls.blur(torch.randn(SHAPE, generator=generator), 1.0)
    truth = truth / truth.std()
    noise = [torch.randn(SHAPE, generator=generator) for _ in range(2)]
    weight = measured(SHAPE, SECTORS)
    return truth, *(apply_filter(truth + one, weight) for one in noise)


def parts():
    return {"measured": measured_part(SHAPE, SECTORS), **tilt_parts(SHAPE, SECTORS)}


def judged(scene, network):
    _, e, o = scene
    volumes = {"e": e, "o": o, "fe": network(e), "fo": network(o)}
    sums = products(volumes, ALL_PAIRS, parts())
    return kept_signal(sums), residual(sums, list(tilt_parts(SHAPE, SECTORS)))


def wiener_of(scene):
    _, e, o = scene
    sums = products({"e": e, "o": o}, HALF_PAIRS, {"measured": measured_part(SHAPE, SECTORS)})
    shared = jackknife(
        correlation, *(sums[a, b, "measured"] for a, b in (("e", "o"), ("e", "e"), ("o", "o")))
    ).value
    return shared


def test_a_network_that_returns_the_specimen_keeps_all_and_leaves_noise_only(scene):
    seen = apply_filter(scene[0], measured(SHAPE, SECTORS))
    kept, left = judged(scene, lambda half: seen)
    shells = slice(2, kept.last + 1)
    assert kept.last > 10
    assert kept.kept.value[shells].mean() == pytest.approx(1, abs=0.05)
    assert (kept.gain.value[shells] > 1).all()
    assert left.chi.value[3:].mean() == pytest.approx(1, abs=0.03)
    assert float(left.signal_lost.value) == pytest.approx(0, abs=0.03)
    assert float(left.noise_through.value) == pytest.approx(0, abs=0.03)


def test_a_network_that_copies_is_told_by_the_noise_that_comes_through(scene):
    kept, left = judged(scene, lambda half: half)
    shells = slice(2, kept.last + 1)
    torch.testing.assert_close(
        kept.gain.value[shells], torch.ones(kept.last - 1).double(), atol=0.05, rtol=0
    )
    torch.testing.assert_close(kept.kept.value[shells], kept.raw[shells], atol=0.05, rtol=0)
    assert left.chi.value[5:].mean() == pytest.approx(2, abs=0.05)
    assert float(left.noise_through.value) == pytest.approx(1, abs=0.02)
    assert float(left.signal_lost.value) == pytest.approx(0, abs=0.05)


def test_a_network_that_returns_half_of_it_loses_a_quarter_of_the_power(scene):
    seen = apply_filter(scene[0], measured(SHAPE, SECTORS)) / 2
    _, left = judged(scene, lambda half: seen)
    assert float(left.signal_lost.value) == pytest.approx(0.25, abs=0.04)


def test_signal_that_is_lost_at_some_tilts_is_found_there(scene):
    narrow = apply_filter(scene[0], measured(SHAPE, ((-36.0, 60.0),)))
    _, left = judged(scene, lambda half: narrow)
    by_tilt = {name: float(one.value) for name, one in left.by_tilt.items()}
    assert by_tilt["-60 to -36"] > 0.8
    assert max(value for name, value in by_tilt.items() if name != "-60 to -36") < 0.15


def test_a_wiener_filter_does_what_is_said_of_it(scene):
    shared = wiener_of(scene)
    halves = shared / (2 - shared)
    _, left = judged(scene, lambda half: controls.wiener_filtered(half, halves))
    shells = slice(4, 14)
    torch.testing.assert_close(
        left.through.value[shells].float(), shared[shells].float(), atol=0.06, rtol=0
    )
    torch.testing.assert_close(left.chi.value[shells], left.wiener[shells], atol=0.1, rtol=0)


def restored_share(scene, made):
    """What is told of a result in the held-out region."""
    _, e, o = scene
    part = held_out_part(SHAPE, SECTORS, KEPT, 40)
    volumes = {"e": e, "o": o, "h": made, "h of e": made, "h of o": made}
    pairs = [*HALF_PAIRS, *pairs_of("h")]
    parts = {"held out": part, "measured": measured_part(SHAPE, SECTORS)}
    counts = {name: frequencies_in(SHAPE, one) for name, one in parts.items()}
    return held_out(products(volumes, pairs, parts), counts, PIXEL)


def test_held_out_tilts_tell_what_is_true_of_them(scene):
    generator = torch.Generator().manual_seed(7)
    invented = controls.blur(torch.randn(SHAPE, generator=generator), 1.0)
    invented = invented / invented.std()
    for part in (1.0, 0.6, 0.0):
        made = part * scene[0] + math.sqrt(1 - part**2) * invented
        told = restored_share(scene, made)
        assert 40.0 in told.resolutions
        value, error = told.at(40.0)
        assert value == pytest.approx(part, abs=max(0.06, 3 * error))
        assert float(told.mean.value) == pytest.approx(part, abs=0.06)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noisy_halves_are_told_by_the_power_in_all_directions(scene, seed):
    """Their held-out directions alone say next to nothing."""
    generator = torch.Generator().manual_seed(seed)
    weight = measured(SHAPE, SECTORS)
    noisy = [
        apply_filter(scene[0] + 5 * torch.randn(SHAPE, generator=generator), weight)
        for _ in range(2)
    ]
    for part in (0.7, 0.0):
        invented = controls.blur(torch.randn(SHAPE, generator=generator), 1.0)
        made = part * scene[0] + math.sqrt(1 - part**2) * invented / invented.std()
        told = restored_share((scene[0], *noisy), made)
        value, error = told.at(40.0)
        assert float(told.own[told.resolutions.index(40.0)]) < 0.5
        assert 0.01 < error < 0.2
        assert value == pytest.approx(part, abs=2.5 * error)


def test_nothing_is_told_where_the_held_out_halves_do_not_agree(scene):
    generator = torch.Generator().manual_seed(5)
    empty = [torch.randn(SHAPE, generator=generator) for _ in range(2)]
    told = restored_share((scene[0], *empty), scene[0])
    assert told.resolutions == ()
    assert "do not agree" in told.why
    assert told.at(40.0) is None


def test_jackknife_is_the_error_of_a_mean():
    values = torch.randn(12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    told = jackknife(lambda total: total / 12, values[:, None])
    without = jackknife(lambda above, below: above / below, values[:, None], torch.ones(12, 1))
    assert told.value.item() == pytest.approx(values.mean().item())
    assert without.error.item() == pytest.approx((values.std() / math.sqrt(12)).item())


def test_slabs_share_no_voxel_and_leave_next_to_none_out():
    for length in (40, 96, 100, 256):
        slabs = slabs_of((48, length, 64))
        assert all(a.stop <= b.start for a, b in itertools.pairwise(slabs))
        assert sum(s.stop - s.start for s in slabs) > length - len(slabs)
        assert len({s.stop - s.start for s in slabs}) == 1


def test_bands_are_where_they_are_said_to_be():
    shells = band(40.0, PIXEL)
    assert 2 * SHELLS * PIXEL / shells.start == pytest.approx(50, rel=0.05)
    assert 2 * SHELLS * PIXEL / (shells.stop - 1) == pytest.approx(32, rel=0.05)
    assert band(15.0, PIXEL) == slice(0, 0)


@pytest.mark.parametrize(
    ("sectors", "share", "kept"),
    [
        (((-60.0, 60.0),), 0.2, ((-48.0, 48.0),)),
        (((-40.0, 60.0),), 0.2, ((-30.0, 50.0),)),
        (((-60.0, -20.0), (-5.0, 60.0)), 0.2, ((-48.0, -20.0), (-5.0, 48.0))),
    ],
)
def test_the_outermost_tilts_are_held_out(sectors, share, kept):
    assert kept_sectors(sectors, share) == kept


def test_what_is_held_out_is_not_in_what_is_left(scene):
    left = without_tilts(scene[1], KEPT)
    power = spectrum(left).abs().square()
    part = held_out_part(SHAPE, SECTORS, KEPT, 40)[:, None, :].expand(power.shape)
    before = spectrum(scene[1]).abs().square()[part].sum()
    assert power[part].sum() < 1e-8 * before
    inside = measured(SHAPE, KEPT).bool()
    torch.testing.assert_close(
        spectrum(left)[inside], spectrum(scene[1])[inside], atol=1e-2, rtol=0
    )


def test_planes_are_filtered_alone(scene):
    whole = without_tilts(scene[1], KEPT)
    some = without_tilts(scene[1][:, 10:20], KEPT)
    torch.testing.assert_close(whole[:, 10:20], some)


def test_flips_that_keep_the_wedge():
    assert len(flips(SECTORS)) == 8
    one_sided = flips(((-40.0, 60.0),))
    assert len(one_sided) == 4
    assert all(way[0, 0] == way[2, 2] for way in one_sided)
    assert torch.equal(flips(SECTORS)[0], torch.eye(3))


def test_spread_that_follows_the_errors_ranks_them(scene):
    """Where results are uncertain in one half of the volume, the rank correlation is high."""
    generator = torch.Generator().manual_seed(11)
    level = torch.ones(SHAPE)
    level[:, :, SHAPE[2] // 2 :] = 4.0
    wedge = wedge_part(SHAPE, SECTORS, 40)
    results = [scene[0] + level * torch.randn(SHAPE, generator=generator) for _ in range(4)]
    assert rank_with_error(results, scene[0], wedge) > 0.5
    even = [scene[0] + torch.randn(SHAPE, generator=generator) for _ in range(4)]
    assert rank_with_error(even, scene[0], wedge) < 0.4


def test_the_blur_is_as_strong_as_the_network():
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
    for power in (0.5, 0.05):
        blurred, width = controls.matched_blur(x, power)
        assert float(blurred.var() / x.var()) == pytest.approx(power, rel=0.2)
        assert width > 0
    assert controls.matched_blur(x, 1.2)[1] == 0.0


def test_positivity_leaves_the_data_and_fills_the_wedge_rightly():
    """Of a few positive blobs it finds part of the wedge; of nothing it makes nothing."""
    truth = torch.zeros(SHAPE)
    generator = torch.Generator().manual_seed(2)
    places = (torch.rand(60, 3, generator=generator) * torch.tensor(SHAPE)).long()
    for z, y, x in places.tolist():
        truth[z, y, x] = 1
    truth = controls.blur(truth, 1.5)
    kept = measured(SHAPE, SECTORS)
    filled = controls.positive(apply_filter(truth, kept), SECTORS, 30)
    wedge = wedge_part(SHAPE, SECTORS, 40)
    sums = products(
        {"t": truth, "f": filled}, [("t", "t"), ("f", "f"), ("f", "t")], {"wedge": wedge}
    )
    cross, own, true = (sums[a, b, "wedge"].sum() for a, b in (("f", "t"), ("f", "f"), ("t", "t")))
    assert float(correlation(cross, own, true)) > 0.5
    inside = measured(SHAPE, SECTORS).bool()
    inside[0, 0, 0] = False
    torch.testing.assert_close(
        spectrum(filled)[inside], spectrum(truth)[inside], atol=1e-3, rtol=1e-3
    )


def test_noise_has_the_power_of_the_halves_noise_and_nothing_else(scene):
    _, e, o = scene
    first, second = noise_of(e, o)
    powers = [spectrum(x).abs().flatten()[1:] for x in (first, e - o)]
    torch.testing.assert_close(*powers, atol=0.1, rtol=0.01)
    pair = torch.stack([first.flatten(), second.flatten(), e.flatten()])
    correlations = torch.corrcoef(pair)
    assert correlations.triu(1).abs().max() < 0.02


def test_without_phases_the_power_stays(scene):
    scrambled = without_phases(scene[1], 1)
    torch.testing.assert_close(scrambled.var(), scene[1].var(), rtol=0.02, atol=0)
    assert torch.equal(scrambled, without_phases(scene[1], 1))
    assert not torch.equal(scrambled, without_phases(scene[1], 2))


def test_imprint_tells_a_fill_that_comes_from_nowhere(scene):
    truth, e, o = scene
    wedge = {"wedge": wedge_part(SHAPE, SECTORS, 40)}
    noise = noise_of(e, o)
    pattern = torch.randn(SHAPE, generator=torch.Generator().manual_seed(9))
    grid = torch.zeros(SHAPE)
    grid[::8, ::8, ::8] = 20.0

    def told(made_of_data, made_of_noise):
        volumes = {
            "f": made_of_data, "noise": made_of_noise, "phases": made_of_noise,
            "narrow": made_of_data, "turned": made_of_data,
        }  # fmt: skip
        pairs = [*((name, name) for name in volumes), ("f", "turned")]
        sums = products(volumes, pairs, wedge)
        return imprint(sums, (noise[0] + noise[1]) / 2, made_of_noise)

    sound = told(truth, 0.1 * pattern)
    assert sound.noise < 0.05
    assert sound.narrow == pytest.approx(1)
    assert sound.turned == pytest.approx(1)
    assert not sound.holds_shapes
    assert told(truth + pattern, pattern).noise > 0.3
    printing = told(truth, pattern + grid)
    assert printing.lattice > 5
    blobs = torch.zeros(SHAPE)
    blobs[20:26, 40:46, 30:36] = 10.0
    assert told(truth, 0.1 * pattern + blobs).holds_shapes


def test_a_range_too_narrow_is_inside_the_true_one():
    assert narrower(SECTORS) == ((-50.0, 50.0),)
    assert narrower(((-10.0, 10.0),)) == ((-5.0, 5.0),)


def test_turning_back_undoes_turning(scene):
    assert torch.equal(turned(turned(scene[0]), -1), scene[0])
    power = spectrum(turned(scene[1])).abs().square()
    assert power[:, :, 0].sum() < 2 * power[:, :, 1].sum()


def test_power_is_the_same_on_all_sides_of_noise_and_not_of_a_slab():
    x = torch.randn((64, 64, 64), generator=torch.Generator().manual_seed(4))
    same = cone_power(x, PIXEL)
    assert same == pytest.approx({"x": 1, "y": 1, "z": 1}, abs=0.1)
    seen = apply_filter(x, measured((64, 64, 64), SECTORS))
    assert cone_power(seen, PIXEL)["z"] < 0.05


def test_gold_is_found_where_it_is_and_its_streaks_are_measured():
    generator = torch.Generator().manual_seed(4)
    shape = (48, 64, 72)
    noise = torch.randn(shape, generator=generator)
    places = [(10, 20, 15), (30, 40, 50)]
    gold, streaks = torch.zeros(shape), torch.zeros(shape)
    for z, y, x in places:
        gold[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = 100
        streaks[z - 9 : z + 10, y, x - 9 : x + 10] = 5 * torch.randn(19, 19, generator=generator)
    volumes = {"with": noise + gold + streaks, "without": noise + gold}
    found = beads_in(noise + gold, volumes, (100, 0, 200))
    expected = torch.tensor(places).double() + torch.tensor((100.0, 0, 200))
    torch.testing.assert_close(torch.from_numpy(found.middles), expected.double(), atol=0.2, rtol=0)
    assert found.roughness["without"] == pytest.approx(1, abs=0.05)
    beside = 25**3 - 9**3
    inside = 19**2 - 9**2
    variance = 1 + 25 * inside / beside
    assert found.roughness["with"] == pytest.approx(math.sqrt(variance), rel=0.1)
    assert beads_in(noise, volumes, (0, 0, 0)) is None


def test_lights_change_at_their_limits():
    assert LOST.colour(LOST.warning) is None
    assert LOST.colour(LOST.warning + 0.01) == "warning"
    assert LOST.colour(LOST.refusal + 0.01) == "refusal"
    assert FILL.colour(FILL.warning) is None
    assert FILL.colour(FILL.warning - 0.01) == "warning"
    assert FILL.colour(FILL.refusal - 0.01) == "refusal"
    assert FILL.colour(math.nan) == "remark"
    assert "red above" in LOST.limits
    assert "red below" in FILL.limits
