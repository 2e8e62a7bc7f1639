import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from isonet2.commands.fsc import fsc, resolution
from isonet2.commands.power_law import power_law
from isonet2.commands.psf import psf
from isonet2.data.progress import read_progress
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import FscParameters, PowerLawParameters, PsfParameters
from isonet2.physics.fourier import apply_filter, radius, spectrum
from isonet2.physics.power import shell_power
from isonet2.physics.wedge import measured

SHAPE = (24, 32, 28)


def noise(seed: int, shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def put(path: Path, data: torch.Tensor, voxel: float | None = 10.0) -> Path:
    write_volume(path, data.numpy(), voxel_size=voxel, label="made")
    return path


def test_the_point_spread_does_what_the_wedge_mask_says(tmp_path):
    folder = psf(PsfParameters(output_dir=tmp_path, size=SHAPE, tilt_min=-50, tilt_max=40))
    mask = measured(SHAPE, ((-50.0, 40.0),))
    spread = np.fft.ifftshift(open_volume(folder / "psf.mrc").read())
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    data = noise(0).numpy()
    convolved = np.fft.ifftn(np.fft.fftn(data) * np.fft.fftn(spread)).real
    wanted = apply_filter(torch.from_numpy(data), mask)
    np.testing.assert_allclose(convolved, wanted.numpy(), atol=1e-4)
    wedge = open_volume(folder / "wedge.mrc")
    assert wedge.voxel_size == pytest.approx((10, 10, 10))
    half = np.fft.ifftshift(wedge.read())[1:12, 1:16, 1:14]
    np.testing.assert_allclose(half, mask[1:12, 1:16, 1:14], atol=1e-4)


def test_the_mask_lies_along_the_tilts(tmp_path):
    """Tilts to 60 degrees leave the beam's direction (kz) empty, and fill kx and ky."""
    psf(PsfParameters(output_dir=tmp_path, size="32"))
    wedge = open_volume(tmp_path / "wedge.mrc").read()
    middle = wedge[16, 16, 16]
    assert middle == pytest.approx(1)
    assert wedge[17:28, 16, 16].max() < 1e-3
    assert wedge[16, 17:28, 16].min() > 0.999
    assert wedge[16, 16, 17:28].min() > 0.999
    (tmp_path / "t.tlt").write_text("".join(f"{t}\n" for t in range(-60, 61, 3) if abs(t) > 20))
    psf(PsfParameters(output_dir=tmp_path / "gap", size=32, tilt_file=tmp_path / "t.tlt"))
    assert open_volume(tmp_path / "gap" / "wedge.mrc").read()[16, 16, 17:28].max() < 1e-3


@pytest.mark.parametrize("exponent", [0.0, 2.0, -1.0])
def test_power_falls_with_the_given_exponent(tmp_path, exponent):
    shape = (32, 32, 32)
    data = apply_filter(noise(1, shape), (0.02 + radius(shape)) ** -1.3) + 7
    path = put(tmp_path / "a.mrc", data)
    out = power_law(PowerLawParameters(volume=path, output=tmp_path / "b.mrc", exponent=exponent))
    found = torch.from_numpy(open_volume(out).read())
    k = radius(shape, dtype=torch.float64)
    k[0, 0, 0] = 1
    wanted = shell_power(k ** (-exponent / 2), shape)
    ratio = (shell_power(spectrum(found), shape) / wanted)[1:]
    assert float(ratio.std() / ratio.mean()) < 0.01
    assert float(found.mean()) == pytest.approx(float(data.mean()), rel=1e-5)
    assert float(found.std()) == pytest.approx(float(data.std()), rel=1e-3)


def test_power_is_measured_where_the_tilts_are(tmp_path):
    """An empty wedge does not make what was measured louder."""
    shape = (32, 32, 32)
    region = measured(shape, ((-40.0, 40.0),))
    path = put(tmp_path / "a.mrc", apply_filter(noise(2, shape), region))
    kept = PowerLawParameters(
        volume=path, output=tmp_path / "b.mrc", exponent=0, tilt_min=-40, tilt_max=40
    )
    found = spectrum(torch.from_numpy(open_volume(power_law(kept)).read()))
    level = shell_power(found, shape, region.bool())[2:16]
    assert float(level.std() / level.mean()) < 0.05


def test_power_beyond_finest_is_cut(tmp_path):
    path = put(tmp_path / "a.mrc", noise(3))
    p = PowerLawParameters(volume=path, output=tmp_path / "b.h5", exponent=0, finest=40)
    pytest.importorskip("h5py")
    waves = spectrum(torch.from_numpy(open_volume(power_law(p)).read()))
    beyond = radius(SHAPE) > 0.28
    assert float(waves.abs()[beyond].max()) < 1e-3 * float(waves.abs().max())
    bare = put(tmp_path / "bare.mrc", noise(3), None)
    with pytest.raises(InputError, match="finest"):
        power_law(p.model_copy(update={"volume": bare}))


def test_fsc_of_signal_and_noise_is_snr_over_one_plus_snr(tmp_path, capsys):
    """Volumes that share signal of a known ratio to white noise below half of Nyquist."""
    shape = (40, 40, 40)
    k = radius(shape)
    shared = apply_filter(noise(4, shape), (k < 0.25).float() * 2)
    first, second = (put(tmp_path / f"{i}.mrc", shared + noise(i, shape)) for i in (5, 6))
    path = fsc(FscParameters(first=first, second=second, output_dir=tmp_path / "out"))
    with path.open() as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["frequency", "resolution", "all"]
    found = {float(row["frequency"]): float(row["all"]) for row in rows}
    low = [value for f, value in found.items() if 0.005 < f < 0.023]
    high = [value for f, value in found.items() if 0.028 < f < 0.05]
    assert np.mean(low) == pytest.approx(0.8, abs=0.04)
    assert np.mean(high) == pytest.approx(0.0, abs=0.06)
    assert float(rows[10]["resolution"]) == pytest.approx(40 * 10 / 10, rel=1e-4)
    assert (tmp_path / "out" / "fsc.png").stat().st_size > 5000
    assert read_progress(tmp_path / "out").state == "succeeded"
    cells = capsys.readouterr().out.split("all")[1].replace("│", " ").split()
    assert float(cells[0]) == pytest.approx(40, rel=0.06)


def test_fsc_by_region_sees_what_is_shared_where(tmp_path, caplog):
    shape = (48, 48, 48)
    region = measured(shape, ((-60.0, 60.0),))
    shared = apply_filter(noise(7, shape) * 3, region)
    first, second = (put(tmp_path / f"{i}.mrc", shared + noise(i, shape)) for i in (8, 9))
    mask = put(tmp_path / "mask.mrc", torch.ones(shape))
    path = fsc(
        FscParameters(
            first=first, second=second, mask=mask,
            tilt_min=-60, tilt_max=60, output_dir=tmp_path / "out",
        )
    )  # fmt: skip
    with path.open() as handle:
        rows = list(csv.DictReader(handle))[8:]
    inside = np.mean([float(row["measured"]) for row in rows])
    outside = np.mean([float(row["wedge"]) for row in rows if row["wedge"]])
    assert inside == pytest.approx(0.9, abs=0.03)
    assert outside == pytest.approx(0.0, abs=0.05)
    assert "proves nothing if one network made both" in caplog.text


def test_fsc_looks_inside_the_mask(tmp_path):
    """Volumes that are the same in one half and strangers in the other."""
    shape = (32, 32, 32)
    ramp = torch.linspace(-12, 12, 32).sigmoid()[:, None, None].expand(shape).contiguous()
    shared = noise(1, shape)
    first, second = (
        put(tmp_path / f"{i}.mrc", ramp * shared + (1 - ramp) * noise(i, shape)) for i in (2, 3)
    )
    found = []
    for name, window in (("same", ramp), ("strange", 1 - ramp)):
        mask = put(tmp_path / f"{name}.mrc", window)
        p = FscParameters(first=first, second=second, mask=mask, output_dir=tmp_path / name)
        rows = fsc(p).read_text().splitlines()[5:]
        found.append(np.mean([float(row.split(",")[2]) for row in rows]))
    assert found[0] > 0.9
    assert found[1] < 0.3


def test_fsc_refuses_and_warns(tmp_path, caplog):
    first = put(tmp_path / "a.mrc", noise(0))
    other = put(tmp_path / "b.mrc", noise(0, (8, 9, 10)))
    with pytest.raises(InputError, match="one grid"):
        fsc(FscParameters(first=first, second=other, output_dir=tmp_path))
    bare = put(tmp_path / "c.mrc", noise(0), None)
    with pytest.raises(InputError, match="add --pixel_size"):
        fsc(FscParameters(first=bare, second=first, output_dir=tmp_path))
    hard = torch.zeros(SHAPE)
    hard[8:16] = 1
    mask = put(tmp_path / "m.mrc", hard)
    fsc(FscParameters(first=first, second=first, mask=mask, output_dir=tmp_path, pixel_size=8))
    assert "same file" in caplog.text
    assert "hard edge" in caplog.text


def test_fsc_of_restored_tomograms_says_what_it_is_worth_in_the_wedge(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    first, second = put(tmp_path / "a.mrc", noise(0)), tmp_path / "b.mrc"
    label = "IsoNet2 0123456789abcdef isonet2-n2n: restored, do not average; 2.1.0"
    write_volume(second, noise(1).numpy(), voxel_size=10.0, label=label)
    fsc(FscParameters(first=first, second=second, output_dir=tmp_path))
    assert "says something where the other is a truth" in caplog.text
    assert "proves nothing" not in caplog.text
    assert f"{second}: is a restored volume: by IsoNet2, whose label" in caplog.text
    assert f"{first}: is a restored" not in caplog.text
    write_volume(first, noise(0).numpy(), voxel_size=10.0, label=label)
    fsc(FscParameters(first=first, second=second, output_dir=tmp_path))
    assert "the FSC of two outputs of one network proves nothing" in caplog.text


def test_fsc_of_two_networks_is_not_warned_of(tmp_path, caplog):
    for number, name in ((1, "a"), (2, "b")):
        label = f"IsoNet2 0123456789abcdef n2n, network {number} of 2: restored, do not average; 2"
        path = tmp_path / f"{name}.mrc"
        write_volume(path, noise(number).numpy(), voxel_size=10.0, label=label)
    fsc(FscParameters(first=tmp_path / "a.mrc", second=tmp_path / "b.mrc", output_dir=tmp_path))
    assert "proves nothing" not in caplog.text


def test_fsc_refuses_a_mask_with_values_below_zero(tmp_path):
    first = put(tmp_path / "a.mrc", noise(0))
    with pytest.raises(InputError, match="is no mask, it has values below zero"):
        fsc(FscParameters(first=first, second=first, mask=first, output_dir=tmp_path))


def test_a_voxel_of_one_angstrom_is_no_size(tmp_path):
    bare = put(tmp_path / "c.mrc", noise(0), 1.0)
    with pytest.raises(InputError, match="add --pixel_size"):
        fsc(FscParameters(first=bare, second=bare, output_dir=tmp_path))


def test_resolution_is_interpolated():
    frequency = np.array([0, 0.1, 0.2, 0.3])
    assert resolution(frequency, np.array([1, 1, 0.6, 0.4]), 0.5) == pytest.approx(1 / 0.25)
    assert resolution(frequency, np.array([1, 1, 0.9, 0.8]), 0.5) == 0
    assert resolution(frequency, np.array([1, 0.1, 0.9, 0.8]), 0.5) is None
    assert resolution(frequency, np.array([1, np.nan, 0.6, 0.2]), 0.4) == pytest.approx(4)


def test_a_volume_is_not_filtered_onto_itself(tmp_path):
    path = put(tmp_path / "a.mrc", noise(0))
    before = path.read_bytes()
    with pytest.raises(InputError, match="would replace the file that it is made from"):
        power_law(PowerLawParameters(volume=path, output=path))
    assert path.read_bytes() == before
