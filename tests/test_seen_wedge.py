import itertools
import logging
import re

import numpy as np
import pytest
import torch

from isonet2.checks.wedge import (
    lean_findings,
    spectrum_of,
    tilt_halves_findings,
    uncertainty,
    wedge_findings,
)
from isonet2.data.volumes import open_volume, write_volume
from isonet2.physics.fourier import apply_filter
from isonet2.physics.seen_wedge import block_power, fan_likeness, seen_lean, seen_wedge
from isonet2.physics.wedge import measured

SHAPE = (40, 64, 72)


def noise(sectors, shape=SHAPE):
    white = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return apply_filter(white, measured(shape, sectors))


def seen(volume):
    return seen_wedge(block_power([volume]), volume.shape)


def remark(volume, sectors):
    found = wedge_findings(spectrum_of(volume), sectors, volume.shape[0])
    return found[0].text if found else None


def shown(text):
    """The range that a sentence says the spectrum shows."""
    return tuple(map(float, re.search(r"spectrum shows (-?\d+) to (-?\d+)", text).groups()))


def on_disk(folder, volume):
    write_volume(folder / "v.mrc", np.asarray(volume), voxel_size=10.0, label="test")
    return open_volume(folder / "v.mrc")


@pytest.mark.parametrize("ends", [(-60, 60), (-50, 40), (-40, 66), (-70, 70), (-30, 30)])
def test_the_range_is_found(ends):
    found = seen(noise([ends]))
    assert (found.beam, found.tilt_axis) == (0, 1)
    assert (found.low, found.high) == pytest.approx(ends, abs=2)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_axes_are_found(order):
    found = seen(noise([(-50, 40)]).permute(order).contiguous())
    assert (order[found.beam], order[found.tilt_axis]) == (0, 1)


def test_no_wedge_is_seen_where_there_is_none(halves):
    assert seen(noise([(-90, 90)])) is None
    truth = open_volume(halves[2]).read()
    assert seen(torch.from_numpy(truth)) is None
    assert block_power([torch.ones(SHAPE)]) is None


def test_a_scale_and_a_blur_change_nothing():
    x = noise([(-50, 40)])
    blur = torch.exp(-20 * sum(f**2 for f in torch.meshgrid(
        torch.fft.fftfreq(40), torch.fft.fftfreq(64), torch.fft.rfftfreq(72), indexing="ij"
    )))  # fmt: skip
    changed, plain = seen(1e-6 * apply_filter(x, blur)), seen(x)
    assert (changed.low, changed.high) == pytest.approx((plain.low, plain.high), abs=1)
    scaled = seen(1e-6 * x)
    assert (scaled.low, scaled.high) == pytest.approx((plain.low, plain.high), abs=1e-3)


def test_what_contradicts_the_declared_tilts_is_said(tmp_path):
    volume = on_disk(tmp_path, noise([(-50, 40)]))
    assert remark(volume, [(-50, 40)]) is None
    assert remark(volume, [(-50, -10), (0, 42)]) is None
    wide = remark(volume, [(-60, 60)])
    assert shown(wide) == pytest.approx((-50, 40), abs=2)
    assert wide.endswith("correct the tilt angles")
    assert "reverse the signs" in remark(volume, [(-40, 50)])
    assert shown(remark(volume, [(-0.87, 0.7)])) == pytest.approx((-50, 40), abs=2)


def test_turned_tomograms_are_named_with_the_remedy(tmp_path):
    volume = on_disk(tmp_path, noise([(-60, 60)]).permute(1, 0, 2))
    assert "trimvol -rx" in remark(volume, [(-60, 60)])
    volume = on_disk(tmp_path, noise([(-60, 60)]).permute(0, 2, 1))
    assert "90 degrees about z" in remark(volume, [(-60, 60)])


def test_faint_last_images_raise_no_false_alarm(tmp_path):
    tilts = [(-60 + 3 * i) for i in range(41)]
    power = torch.zeros(()).expand(48, 96, 49)
    for tilt in sorted(tilts, key=abs):
        weight = float(np.exp(-abs(tilt) / 40))
        mask = measured((48, 96, 96), [(tilt - 1.6, tilt + 1.6)])
        power = torch.maximum(power, weight * mask)
    white = torch.randn((48, 96, 96), generator=torch.Generator().manual_seed(1))
    volume = on_disk(tmp_path, apply_filter(white, power.sqrt()))
    assert remark(volume, [(-60, 60)]) is None
    assert remark(volume, [(-40, 40)]) is not None


def test_a_narrow_range_is_left_alone(tmp_path):
    volume = on_disk(tmp_path, noise([(-15, 15)], (64, 64, 64)))
    assert remark(volume, [(-15, 15)]) is None


def test_thin_volumes_are_left_alone(tmp_path):
    volume = on_disk(tmp_path, noise([(-50, 40)], (16, 64, 64)))
    assert remark(volume, [(-60, 60)]) is None


def test_both_commands_say_it(tmp_path, halves, monkeypatch, caplog):
    from isonet2 import PrepareStarParameters, prepare_star
    from isonet2.checks.findings import Findings
    from isonet2.data.star import TomogramTable
    from isonet2.physics.ctf import CtfTreatment
    from isonet2.runs.sources import training_source

    monkeypatch.chdir(tmp_path)
    folders = {"even": tmp_path / "a", "odd": tmp_path / "b"}
    for folder, name, source in zip(folders.values(), ("EVN", "ODD"), halves, strict=False):
        folder.mkdir()
        (folder / f"TS_01_{name}.mrc").symlink_to(source)
    with caplog.at_level(logging.WARNING):
        table = prepare_star(PrepareStarParameters(**folders, tilt_min=-30, tilt_max=30))
        assert shown(caplog.text) == pytest.approx((-60, 60), abs=2)
        assert "(TS_01)" in caplog.text
        caplog.clear()
        row = TomogramTable.read(table).tomograms[0]
        options = {"treatment": CtfTreatment(), "bfactor": 0.0, "input_column": None}
        options |= {"with_mask": False, "mask_weighted_loss": False}
        findings = Findings()
        training_source(row, findings, reads_halves=True, **options)
        findings.tell()
    assert "tilts from -30 to 30 degrees are declared" in caplog.text


def fan(tilts, seed, shape=(96, 32, 96)):
    white = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    planes = measured(shape, [(tilt - 0.6, tilt + 0.6) for tilt in tilts])
    return block_power([apply_filter(white, planes)])


def test_halves_of_frames_and_of_tilts_are_told_apart():
    tilts = np.arange(-60, 61, 3)
    shape = (96, 32, 96)
    frames = fan_likeness(fan(tilts, 0), fan(tilts, 1), shape)
    halves = fan_likeness(fan(tilts[::2], 0), fan(tilts[1::2], 1), shape)
    whole = fan_likeness(fan([0], 0), fan([0], 0), shape)
    assert frames > 0.7
    assert halves < -0.5
    assert whole == pytest.approx(1)


def test_halves_of_tilts_are_said(tmp_path):
    tilts = np.arange(-60, 61, 3)
    shape = (96, 32, 96)
    files = []
    for seed, mine in enumerate((tilts[::2], tilts[1::2], tilts, tilts)):
        white = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        planes = measured(shape, [(tilt - 0.6, tilt + 0.6) for tilt in mine])
        write_volume(tmp_path / f"{seed}.mrc", apply_filter(white, planes).numpy(), label="test")
        files.append(open_volume(tmp_path / f"{seed}.mrc"))
    spectra = [spectrum_of(file) for file in files]
    (found,) = tilt_halves_findings(spectra[0], spectra[1])
    assert found.severity == "remark"
    assert "every second tilt each" in found.sentence
    assert tilt_halves_findings(spectra[2], spectra[3]) == []


@pytest.mark.parametrize("full", [True, False])
def test_a_tomogram_without_an_empty_wedge_is_said(tmp_path, full):
    volume = on_disk(tmp_path, noise([(-90, 90)] if full else [(-60, 60)], (64, 64, 64)))
    said = remark(volume, [(-60, 60)]) or ""
    assert ("has no empty wedge" in said) == full
    assert remark(volume, [(-89, 89)]) is None or not full


def about_x(degrees):
    """The turn (z, y, x) that takes the tilt axis from y by some degrees towards z."""
    angle = np.radians(-degrees)
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    return torch.tensor(turn, dtype=torch.float64)


@pytest.mark.parametrize("sectors", [((-60.0, 60.0),), ((-50.0, 40.0),), ((-70.0, 70.0),)])
@pytest.mark.parametrize("lean", [0.0, 7.0, -13.0])
def test_a_tilt_axis_out_of_the_plane_is_measured(sectors, lean):
    """Of a part cut out of a larger volume, whose faces do not fit together."""
    shape = (48, 64, 64)
    larger = tuple(n + 24 for n in shape)
    white = torch.randn(larger, generator=torch.Generator().manual_seed(2))
    turned = apply_filter(white, measured(larger, sectors, about_x(lean)))
    power = block_power([turned[12:-12, 12:-12, 12:-12]])
    assert seen_lean(power, shape, seen_wedge(power, shape)) == pytest.approx(lean, abs=2)


def test_only_an_axis_that_clearly_leans_is_said():
    assert [len(lean_findings(lean)) for lean in (None, 0.0, -4.0, 9.0, -9.0)] == [0, 0, 0, 1, 1]
    (finding,) = lean_findings(-9.2, "TS_01")
    assert "stands 9 degrees out of the x-y plane" in finding.sentence
    assert (finding.tomogram, finding.declared, finding.measured) == ("TS_01", 0.0, -9.2)


def test_ends_are_known_worse_in_thin_volumes_and_where_halves_differ(tmp_path):
    thick, thin = (
        spectrum_of(on_disk(tmp_path, noise(((-60.0, 60.0),), shape)))
        for shape in ((64, 64, 64), (28, 64, 64))
    )
    assert 1 <= uncertainty([thick]) < 2 < uncertainty([thin]) < 4
    wider = spectrum_of(on_disk(tmp_path, noise(((-60.0, 70.0),), (64, 64, 64))))
    assert uncertainty([thick, wider]) == pytest.approx(5, abs=1)
