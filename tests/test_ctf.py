import math

import numpy as np
import pytest
import torch
from torch_ctf import calculate_ctf_1d

from isonet2.physics.ctf import (
    CTF_MODES,
    ContrastTransfer,
    CtfTreatment,
    WienerSettings,
    wavelength,
    wiener,
)
from isonet2.physics.fourier import radius
from isonet2.physics.geometry import Geometry


def slots_of(ctf, treatment, shape, pixel):
    return Geometry(((-60.0, 60.0),), ctf, pixel).slots(treatment, shape)


TABLE = [
    (300.0, 30000.0, 2.7, 0.1, 0.0, 0.0),
    (300.0, 15000.0, 2.7, 0.07, 0.0, 100.0),
    (200.0, 50000.0, 1.4, 0.1, 0.0, 0.0),
    (300.0, 5000.0, 0.01, 0.1, 90.0, 0.0),
    (120.0, 25000.0, 6.3, 0.2, 30.0, 50.0),
]


@pytest.mark.parametrize(("voltage", "defocus", "cs", "ac", "shift", "b"), TABLE)
def test_agrees_with_torch_ctf(voltage, defocus, cs, ac, shift, b):
    n, pixel = 200, 2.0
    other = calculate_ctf_1d(
        defocus=defocus / 1e4,
        voltage=voltage,
        spherical_aberration=cs,
        amplitude_contrast=ac,
        phase_shift=shift,
        pixel_size=pixel,
        n_samples=n,
        oversampling_factor=1,
    )
    k = torch.linspace(0, 0.5, n) / pixel
    ours = ContrastTransfer(defocus, voltage, cs, ac, shift, b).curve(k.double())
    envelope = torch.exp(-b / 4 * k.double() ** 2)
    theirs = other.double() * envelope
    sign = torch.sign((theirs * ours).sum())
    torch.testing.assert_close(ours, sign * theirs, atol=2e-3, rtol=0)


def test_positive_for_bright_protein_at_low_frequency():
    ctf = ContrastTransfer(30000.0)
    assert ctf.curve(torch.zeros(1)).item() == pytest.approx(0.1)
    assert (ctf.curve(torch.linspace(0, 0.02, 50)) > 0).all()


def test_first_zero_is_where_theory_has_it():
    ctf = ContrastTransfer(30000.0, 300.0, 0.0, 0.0)
    zero = math.sqrt(1 / (wavelength(300.0) * 30000.0))
    assert ctf.curve(torch.tensor([zero], dtype=torch.float64)).abs().item() < 1e-6
    assert ctf.first_peak(0.1) == pytest.approx(math.sqrt(0.5) * zero, rel=1e-3)


def test_wavelength_of_300_kv():
    assert wavelength(300.0) == pytest.approx(0.019687, abs=1e-5)


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_clipping_touches_only_what_lies_below_the_first_peak(mode):
    ctf = ContrastTransfer(30000.0, bfactor=100.0)
    k = torch.linspace(0, 0.05, 500, dtype=torch.float64)
    peak = ctf.first_peak(0.05)
    plain, clipped = ctf.curve(k), ctf.clipped(k, mode, 0.05)
    assert torch.equal(clipped[k >= peak], plain[k >= peak])
    top = ctf.curve(torch.tensor(peak, dtype=torch.float64)).item()
    below = k < peak
    floor = {
        0: plain[below],
        1: torch.full_like(plain[below], top),
        2: torch.maximum(plain[below], top * (1 - torch.sin(math.pi / 2 * k[below] / peak))),
        3: torch.maximum(plain[below], top * torch.cos(math.pi / 2 * k[below] / peak)),
    }[mode]
    torch.testing.assert_close(clipped[below], floor)


def test_wiener_weight_inverts_where_the_data_are_good_and_vanishes_where_not():
    c = torch.tensor([0.5, -0.5, 0.5])
    weight = wiener(c, torch.tensor([1e8, 1e8, 0.0]))
    torch.testing.assert_close(weight, torch.tensor([2.0, -2.0, 0.0]), atol=1e-5, rtol=0)


def test_assumed_snr_follows_its_formula():
    k, pixel = torch.tensor([0.01, 0.03], dtype=torch.float64), 10.0
    snr = WienerSettings(0.7, 1.5, 0.5).signal_to_noise(k, pixel)
    for value, f in zip(snr.tolist(), (0.01, 0.03), strict=True):
        q = f * 2 * pixel
        expected = math.exp(-100 * 0.7 * q / pixel) * 10**1.5
        expected *= 1 - math.cos(math.pi * min(1, q / 0.5))
        assert value == pytest.approx(expected)


@pytest.mark.parametrize("mode", sorted(CTF_MODES))
def test_a_ctf_of_one_makes_every_mode_none(mode):
    one = ContrastTransfer(0.0, spherical_aberration=0.0, amplitude_contrast=1 - 1e-12)
    endless = WienerSettings(0.0, 12.0, 0.0)
    slots = slots_of(one, CtfTreatment(mode=mode, wiener=endless), (8, 8, 8), 10.0)
    for filters in slots.filters:
        if filters is not None:
            torch.testing.assert_close(filters, torch.ones_like(filters), atol=1e-5, rtol=0)


def test_slots_follow_the_table_of_modes():
    ctf, shape, pixel = ContrastTransfer(30000.0, bfactor=100.0), (16, 16, 16), 8.0
    k = radius(shape, dtype=torch.float64) / pixel
    plain = ContrastTransfer(30000.0).curve(k)
    sign = torch.where(plain < 0, -1.0, 1.0).float()
    network = slots_of(ctf, CtfTreatment(mode="network", clip_first_peak_mode=0), shape, pixel)
    assert torch.equal(network.input, sign)
    torch.testing.assert_close(network.prediction, ctf.curve(k).abs().float())
    assert torch.equal(network.fill, network.prediction)
    assert network.target is None
    wien = slots_of(ctf, CtfTreatment(mode="wiener"), shape, pixel)
    assert torch.equal(wien.input, sign)
    torch.testing.assert_close(wien.fill, plain.abs().float())
    assert wien.prediction is None
    assert (wien.target >= 0).all()
    phase = slots_of(ctf, CtfTreatment(mode="phase_only"), shape, pixel)
    assert phase.fill is None
    assert torch.equal(phase.input, sign)


def test_flipped_data_need_no_flipping():
    ctf, shape = ContrastTransfer(30000.0), (16, 16, 16)
    flipped = slots_of(ctf, CtfTreatment(mode="network", phaseflipped=True), shape, 8.0)
    assert flipped.input is None
    assert (flipped.prediction >= 0).all()
    kept = slots_of(ctf, CtfTreatment(mode="network", do_phaseflip_input=False), shape, 8.0)
    assert kept.input is None
    assert (kept.prediction < 0).any()
    assert np.allclose(kept.prediction.abs(), flipped.prediction)
