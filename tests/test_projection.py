import math

import pytest
import torch

from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.fourier import frequencies, spectrum
from isonet2.physics.metrics import compare
from isonet2.physics.projection import (
    back_project,
    detector_width,
    modulate,
    noisy_halves,
    project,
    specimen_width,
)
from isonet2.physics.specimen import blob, draw, molecule
from isonet2.physics.wedge import measured

SIZE = 64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def body(pixel_size=10.0):
    """One asymmetric blob in the middle of a cube, sharp to about 25 angstrom."""
    chosen = blob(generator(3))
    beads = chosen.beads / pixel_size + (SIZE - 1) / 2
    volume = torch.zeros(SIZE, SIZE, SIZE)
    region, block = draw((SIZE, SIZE, SIZE), pixel_size, chosen, beads)
    volume[region] = block
    return volume


def test_untilted_projection_is_the_sum_along_the_beam():
    volume = torch.randn(16, 12, 20, generator=generator())
    image = project(volume, [0.0], 20)[0]
    assert torch.allclose(image, volume.sum(0), atol=1e-4)


@pytest.mark.parametrize("tilt", [-75.0, -40.0, 10.0, 45.0, 60.0, 90.0])
def test_a_point_falls_where_the_convention_says(tilt):
    dot = molecule("dot", torch.zeros(1, 3), width=15.0)
    place = torch.tensor([[40.0, 20.0, 22.0]])
    volume = torch.zeros(SIZE, 32, SIZE)
    region, block = draw(tuple(volume.shape), 10.0, dot, place)
    volume[region] = block
    image = project(volume, [tilt], SIZE)[0]
    angle, middle = math.radians(tilt), (SIZE - 1) / 2
    u = (22 - middle) * math.cos(angle) + (40 - middle) * math.sin(angle)
    grid = torch.arange(SIZE, dtype=torch.float32)
    assert float(image.sum()) == pytest.approx(float(volume.sum()), rel=1e-4)
    along_u, along_y = image.sum(0) / image.sum(), image.sum(1) / image.sum()
    assert float((along_u * grid).sum()) == pytest.approx(u + middle, abs=1e-3)
    assert float((along_y * torch.arange(32)).sum()) == pytest.approx(20, abs=1e-3)
    # an isotropic Gaussian projects to itself, whatever the tilt (voxels widen it by 1/12)
    variance = float((along_u * (grid - u - middle) ** 2).sum())
    assert variance == pytest.approx(1.5**2 + 1 / 12, rel=2e-2)


def test_projection_is_the_central_slice():
    volume, tilt = body(), 33.0
    image = project(volume, [tilt], SIZE)[0]
    u = torch.fft.rfftfreq(SIZE)[:20]
    middle = (SIZE - 1) / 2
    grid = torch.arange(SIZE) - middle
    angle = math.radians(tilt)
    wave_x = torch.exp(-2j * math.pi * torch.outer(u * math.cos(angle), grid))
    wave_z = torch.exp(-2j * math.pi * torch.outer(u * math.sin(angle), grid))
    direct = torch.einsum("zyx,uz,ux->yu", volume.to(wave_z.dtype), wave_z, wave_x)
    found = torch.fft.rfft(image)[:, :20] * torch.exp(2j * math.pi * u * middle)
    assert (found - direct).abs().max() < 2e-3 * direct.abs().max()


def test_reconstruction_from_all_directions_is_the_volume():
    volume = body()
    tilts = [float(t) for t in range(-90, 90)]
    found = back_project(project(volume, tilts, SIZE), tilts, (SIZE, SIZE, SIZE))
    scores = compare(found, volume, 10.0, ((-90, 90),), limit=30.0)
    assert scores["fsc_all"] > 0.98
    # and in its units, but for the Hamming window
    kz, _, kx = frequencies(volume.shape)
    window = (0.54 + 0.46 * torch.cos(2 * math.pi * torch.hypot(kz, kx))).expand(SIZE, SIZE, -1)
    low = (slice(2, 6),) * 3
    expected = (spectrum(volume) * window)[low].abs().mean()
    assert float(spectrum(found)[low].abs().mean() / expected) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("low", "high"), [(-40.0, 60.0), (-60.0, 40.0)])
def test_power_lies_in_the_measured_region_not_in_its_mirror(low, high):
    volume = body()
    tilts = [low + 2 * step for step in range(51)]
    found = back_project(project(volume, tilts, SIZE), tilts, (SIZE, SIZE, SIZE))
    power = spectrum(found).abs() ** 2
    kz, _, kx = frequencies(volume.shape)
    away = torch.hypot(kz, kx).expand_as(power) > 0.05
    right = measured(volume.shape, ((low, high),)).bool() & away
    mirror = measured(volume.shape, ((-high, -low),)).bool() & away
    assert power[right].sum() > 0.97 * power[away].sum()
    assert power[mirror & ~right].sum() < 0.05 * power[right & ~mirror].sum()
    assert compare(found, volume, 10.0, ((low, high),), limit=30.0)["fsc_measured"] > 0.97


def test_slab_and_detector_hold_every_ray_through_the_view():
    thickness, width = 24, 40
    tilts = [-60.0, 0.0, 45.0]
    slab, detector = specimen_width(thickness, width, tilts), detector_width(thickness, width)
    assert (slab - width) % 2 == 0
    assert (detector - width) % 2 == 0
    assert detector >= math.hypot(thickness, width)
    corner = math.tan(math.radians(60)) * thickness + width / 2
    assert slab / 2 >= corner


def test_matter_beside_the_view_is_seen_only_by_tilted_rays():
    volume = torch.zeros(16, 8, 60)
    volume[13, :, 50] = 1.0
    upright, tilted = project(volume, [0.0, -50.0], 24)
    assert upright.abs().max() < 1e-3
    assert tilted.max() > 0.3


def test_modulation_multiplies_by_the_transfer_function():
    transfer = ContrastTransfer(defocus=20_000.0, amplitude_contrast=0.07)
    y, x = torch.arange(48)[:, None], torch.arange(64)[None, :]
    wave = torch.cos(2 * math.pi * (6 * y / 48 + 8 * x / 64))
    k = math.hypot(6 / 48, 8 / 64) / 10.0
    expected = wave * transfer.curve(torch.tensor([k]))
    assert torch.allclose(modulate(wave, transfer, 10.0), expected, atol=1e-5)


def test_noise_is_independent_and_as_strong_as_asked():
    images = torch.randn(10, 64, 64, generator=generator()) * 3
    first, second = noisy_halves(images, 0.25, generator(1))
    noises = torch.stack([(first - images).flatten(), (second - images).flatten()])
    assert torch.corrcoef(noises)[0, 1].abs() < 0.02
    mean = (noises[0] + noises[1]) / 2
    assert float(images.var() / mean.var()) == pytest.approx(0.25, rel=0.03)
    same, _ = noisy_halves(images, math.inf, generator(1))
    assert torch.equal(same, images)


def test_a_constant_image_reconstructs_to_nothing():
    found = back_project(torch.full((3, 8, 20), 5.0), [-10.0, 0.0, 10.0], (8, 8, 16))
    assert found.abs().max() < 1e-5
