import logging

import numpy as np
import pytest
import torch

from isonet2.checks import ctf as checks
from isonet2.data.volumes import open_volume, write_volume
from isonet2.physics.ctf import ContrastTransfer, CtfTreatment, WienerSettings
from isonet2.physics.deconvolution import Deconvolution
from isonet2.physics.fourier import apply_filter, radius
from isonet2.physics.seen_ctf import (
    contradiction,
    depth_of_zero,
    finest_detail,
    first_zero,
    shared_shells,
)
from isonet2.physics.wedge import measured

SHAPE = (64, 112, 128)
K = radius(SHAPE)
PIXEL = 8.0


def specimen(fall=9.0, seed=0):
    """Power falls by exp(-2 fall k): 80-fold from the zero frequency to the half cycle."""
    white = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
    return apply_filter(white, torch.exp(-fall / 2 * K))


def halves_of(signal, noise=0.2, seed=1):
    """Two halves through the wedge, with noise of a deviation."""
    generator = torch.Generator().manual_seed(seed)
    seen = measured(SHAPE, [(-60, 60)])
    return tuple(
        apply_filter(signal + noise * torch.randn(SHAPE, generator=generator), seen)
        for _ in range(2)
    )


def through(ctf, x, pixel=PIXEL):
    return apply_filter(x, ctf.curve(K / pixel))


def shells_of(signal, noise=0.2):
    return shared_shells([halves_of(signal, noise)])


def on_disk(folder, halves):
    volumes = []
    for name, half in zip(("EVN", "ODD"), halves, strict=True):
        folder.joinpath(name).mkdir(exist_ok=True)
        path = folder / name / f"TS_01_{name}.mrc"
        write_volume(path, half.numpy(), voxel_size=PIXEL, label="test")
        volumes.append(open_volume(path))
    return volumes


def remarks(folder, halves, ctf):
    shells = checks.shells_of(*on_disk(folder, halves))
    return [finding.text for finding in checks.ctf_findings(shells, PIXEL, ctf)]


def test_the_first_zero_is_where_the_curve_changes_its_sign():
    for ctf in (ContrastTransfer(25000.0), ContrastTransfer(12000.0, 200.0, phase_shift=90.0)):
        zero = 1 / first_zero(ctf)
        near = ctf.curve(torch.tensor([0.99 * zero, 1.01 * zero], dtype=torch.float64))
        assert near[0] > 0 > near[1]
    assert first_zero(ContrastTransfer(0.0, phase_shift=90.0)) is None


def test_a_zero_is_deep_where_the_ctf_acted_and_shallow_elsewhere():
    ctf = ContrastTransfer(30000.0)
    with_ctf = depth_of_zero(shells_of(through(ctf, specimen())), ctf, PIXEL)
    without = depth_of_zero(shells_of(specimen()), ctf, PIXEL)
    assert with_ctf.between
    assert with_ctf.most < 0.1
    assert without.value == pytest.approx(1, abs=0.3)
    assert without.least > 0.5


@pytest.mark.parametrize(
    ("pixel", "phase_shift", "defocus", "wrong"),
    [
        (8.0, 0.0, 40000.0, (28000.0, 60000.0)),
        (8.0, 0.0, 60000.0, (42000.0, 90000.0)),
        (5.0, 0.0, 22000.0, (15500.0, 33000.0)),
        (8.0, 90.0, 45000.0, (20000.0, 25000.0)),
    ],
)
def test_the_defocus_is_found_whatever_is_declared(pixel, phase_shift, defocus, wrong):
    ctf = ContrastTransfer(defocus, phase_shift=phase_shift)
    shells = shells_of(through(ctf, specimen(), pixel))
    for declared in wrong:
        found = contradiction(shells, ContrastTransfer(declared, phase_shift=phase_shift), pixel)
        assert found.seen.defocus == pytest.approx(defocus, rel=0.05)
        assert found.seen.zeros >= 2
    assert contradiction(shells, ctf, pixel) is None


def test_dips_of_the_specimen_raise_no_alarm_against_the_right_defocus():
    ctf = ContrastTransfer(30000.0)
    leaflets = torch.cos(np.pi * 40 * K / PIXEL)
    shell = torch.sinc(2 * 50 * K / PIXEL)
    for form in (leaflets, shell):
        x = through(ctf, apply_filter(specimen(3.0), form))
        assert contradiction(shells_of(x, 0.02), ctf, PIXEL) is None


def test_without_signal_at_the_zero_nothing_is_said():
    ctf = ContrastTransfer(30000.0)
    for x in (through(ctf, specimen(60.0)), torch.zeros(SHAPE)):
        shells = shells_of(x, 1.0)
        for declared in (20000.0, 30000.0, 45000.0, 60000.0):
            assert contradiction(shells, ContrastTransfer(declared), PIXEL) is None


def test_noise_that_halves_share_is_no_signal():
    ctf = ContrastTransfer(40000.0)
    common = 0.1 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))
    shells = shells_of(through(ctf, specimen(25.0)) + common)
    assert contradiction(shells, ctf, PIXEL) is None


def test_what_is_wrong_with_the_defocus_is_said(tmp_path):
    halves = halves_of(through(ContrastTransfer(45000.0), specimen()))
    assert remarks(tmp_path, halves, ContrastTransfer(45000.0)) == []
    assert remarks(tmp_path, halves, None) == []
    (text,) = remarks(tmp_path, halves, ContrastTransfer(25000.0))
    assert text.startswith(
        "rlnDefocus 25000 A is declared, but its halves show the CTF zeros of about 4"
    )
    assert "(the first at 30 A, not 23 A); correct rlnDefocus" in text


def test_a_single_dip_is_told_as_a_hint(tmp_path):
    halves = halves_of(through(ContrastTransfer(25000.0), specimen()))
    (text,) = remarks(tmp_path, halves, ContrastTransfer(38000.0))
    assert "share signal at 28 A, where that CTF has its first zero (a dip at 2" in text


def test_a_tomogram_without_a_ctf_is_told(tmp_path):
    (text,) = remarks(tmp_path, halves_of(specimen()), ContrastTransfer(30000.0))
    assert "share signal at 25 A" in text
    assert "correct rlnDefocus, or use --CTF_mode None if the CTF was corrected" in text


def test_deconvolved_and_smoothed_halves_are_told(tmp_path):
    ctf = ContrastTransfer(30000.0)
    halves = halves_of(through(ctf, specimen()), 1.0)
    assert remarks(tmp_path, halves, ctf) == []
    weight = Deconvolution(ctf, WienerSettings(), PIXEL)
    filtered = shared_shells([tuple(map(weight.whole, halves))])
    assert finest_detail(filtered.frequency, filtered.noise) < 0.27
    smooth = torch.exp(-2 * (np.pi * 1.5 * K) ** 2)
    (text,) = remarks(tmp_path, [apply_filter(half, smooth) for half in halves], None)
    assert "almost nothing finer than 35 A, not even noise: they were filtered" in text


def test_filters_of_reconstructions_raise_no_alarm():
    halves = halves_of(through(ContrastTransfer(30000.0), specimen()), 1.0)
    weights = [torch.exp(-(((K - r).clamp_min(0) / 0.05) ** 2) / 2) for r in (0.35, 0.25, 0.2)]
    weights.append(1 / K.clamp_min(0.01))
    weights.append(weights[-1] * weights[0])
    for weight in weights:
        shells = shared_shells([tuple(apply_filter(half, weight) for half in halves)])
        assert finest_detail(shells.frequency, shells.noise) is None


def test_what_cannot_be_told_is_left_alone(tmp_path):
    ctf = ContrastTransfer(30000.0)
    x = specimen()
    assert remarks(tmp_path, (x, x), ctf) == []
    assert remarks(tmp_path, (torch.ones(SHAPE), torch.ones(SHAPE)), ctf) == []
    thin = [half[:24, :30] for half in halves_of(specimen())]
    assert remarks(tmp_path, thin, ctf) == []
    assert remarks(tmp_path, halves_of(specimen())[0][:32].split(16), ctf) == []
    assert shared_shells([(x, x * torch.nan)]) is None


def test_both_commands_say_it(tmp_path, monkeypatch, caplog):
    from isonet2 import PrepareStarParameters, prepare_star
    from isonet2.checks.findings import Findings
    from isonet2.data.star import TomogramTable
    from isonet2.runs.sources import training_source

    monkeypatch.chdir(tmp_path)
    on_disk(tmp_path, halves_of(through(ContrastTransfer(45000.0), specimen())))
    folders = {"even": tmp_path / "EVN", "odd": tmp_path / "ODD"}
    with caplog.at_level(logging.WARNING):
        table = prepare_star(PrepareStarParameters(**folders, defocus=25000.0))
        assert "show the CTF zeros of about 4" in caplog.text
        row = TomogramTable.read(table).tomograms[0]
        options = {"reads_halves": True, "bfactor": 0.0, "with_mask": False}
        options |= {"mask_weighted_loss": False, "input_column": None}
        for mode, said in (("None", False), ("network", True)):
            caplog.clear()
            findings = Findings()
            training_source(row, findings, treatment=CtfTreatment(mode), **options)
            findings.tell()
            assert ("rlnDefocus 25000 A is declared" in caplog.text) == said


@pytest.mark.parametrize("phase_shift", [175.0, 180.0, 360.0])
def test_a_ctf_that_begins_beyond_its_first_zero_has_none(phase_shift):
    assert first_zero(ContrastTransfer(30000.0, phase_shift=phase_shift)) is None
