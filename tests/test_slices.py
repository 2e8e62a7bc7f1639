"""Slices, grey scales, spectra and 8-bit copies of volumes in every format."""

import threading
import time

import numpy as np
import pytest

from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.gui import slices
from isonet2.gui.slices import Scale, bin_plane, cut, sample, scale_of, xz_power
from isonet2.gui.volume_store import VolumeStore

SHAPE = (12, 20, 31)


@pytest.fixture
def counted(tmp_path):
    """A volume whose voxel (z, y, x) holds 10000 z + 100 y + x."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    values = (10000 * z + 100 * y + x).astype(np.float32)
    path = tmp_path / "counted.mrc"
    write_volume(path, values, voxel_size=10.0, label="test")
    return path, values


def test_a_slice_shows_x_or_z_to_the_right_and_y_or_z_upward(counted):
    volume, values = open_volume(counted[0]), counted[1]
    assert (cut(volume, "z", 3) == values[3]).all()
    assert (cut(volume, "y", 4) == values[:, 4]).all()
    assert (cut(volume, "x", 5) == values[:, :, 5].T).all()


@pytest.mark.parametrize(("axis", "index"), [("z", 12), ("y", 20), ("x", 31), ("z", -1)])
def test_a_slice_beyond_the_volume_is_refused(counted, axis, index):
    with pytest.raises(IndexError, match=f"no slice {index} along {axis}"):
        cut(open_volume(counted[0]), axis, index)


@pytest.mark.parametrize("suffix", [".mrc", ".tif", ".h5", ".npy", ".zarr"])
@pytest.mark.parametrize("small", [0, 2**30])
def test_every_format_gives_the_same_bytes_with_a_copy_and_without(
    counted, tmp_path, suffix, small
):
    path = tmp_path / f"volume{suffix}"
    write_volume(path, counted[1], voxel_size=10.0, label="test")
    store = VolumeStore(small=small)
    look = store.look(path)
    for axis in slices.AXES:
        expected = look.scale.to_bytes(cut(open_volume(path), axis, 7))
        for _ in range(2):
            made = store.plane(look, axis, 7)
            assert made.factor == 1
            assert (made.pixels == expected).all()
    store.close()


def test_bytes_are_linear_and_clipped_and_nan_is_black():
    values = np.array([[-1, 0, 0.5, 1, 2, np.nan, np.inf, -np.inf]], np.float32)
    assert Scale(0.0, 1.0).to_bytes(values).tolist() == [[0, 0, 128, 255, 255, 0, 255, 0]]


def test_the_scale_leaves_out_what_hardly_any_voxel_holds():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(2**18).astype(np.float32)
    values[:20] = 1e6
    scale = scale_of(values)
    assert -6 < scale.low < -3.2
    assert 3.2 < scale.high < 6


@pytest.mark.parametrize("value", [0.0, 5.0, -1e7])
def test_a_constant_volume_has_a_scale(value):
    scale = scale_of(np.full(100, value, np.float32))
    assert scale.low == value < scale.high


def test_a_volume_of_nothing_but_nan_has_a_scale(tmp_path):
    path = tmp_path / "nan.npy"
    np.save(path, np.full((4, 5, 6), np.nan, np.float32))
    look = VolumeStore().look(path)
    assert look.scale == Scale(0.0, 1.0)
    assert sum(look.counts) == 0


def test_a_sample_of_a_large_volume_is_small_and_from_everywhere(tmp_path):
    path = tmp_path / "ramp.npy"
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32)[:, None, None], (64, 700, 700))
    np.save(path, ramp)
    found = sample(open_volume(path))
    assert found.size < 2**21
    assert found.min() < 8
    assert found.max() > 55


def test_binning_gives_means_and_keeps_incomplete_edges():
    plane = np.arange(15, dtype=np.float32).reshape(3, 5)
    assert bin_plane(plane, 2).tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]
    assert bin_plane(plane, 1) is plane


def test_a_wave_along_x_and_z_stands_in_the_spectrum_where_its_frequency_is(tmp_path):
    path = tmp_path / "wave.npy"
    z, _, x = np.meshgrid(np.arange(32), np.arange(9), np.arange(64), indexing="ij")
    np.save(path, np.cos(2 * np.pi * (8 * z / 32 + 4 * x / 64)).astype(np.float32))
    power = xz_power(open_volume(path))
    assert power.shape == (32, 64)
    assert {tuple(place) for place in np.argwhere(power == 255)} >= {(16 + 8, 32 + 4), (8, 28)}
    assert power[16 - 8, 32 + 4] < 128


def test_the_missing_wedge_is_dark_in_the_spectrum(halves):
    power = xz_power(open_volume(halves[0])).astype(float)
    kz, kx = np.meshgrid(*(np.fft.fftshift(np.fft.fftfreq(n)) for n in power.shape), indexing="ij")
    far = (np.hypot(kz, kx) > 0.2) & (np.hypot(kz, kx) < 0.45)
    angle = np.degrees(np.arctan2(np.abs(kz), np.abs(kx)))
    assert power[far & (angle < 50)].mean() > power[far & (angle > 75)].mean() + 80


def test_a_copy_larger_than_allowed_is_binned(tmp_path):
    values = np.random.default_rng(0).standard_normal((20, 30, 41)).astype(np.float32)
    path = tmp_path / "large.mrc"
    write_volume(path, values, label="test")
    store = VolumeStore(copy=5000, small=0)
    look = store.look(path)
    made = store.plane(look, "x", 10)
    assert made.factor == 2
    means = values.reshape(10, 2, 15, 2, 41)[..., 10:12].mean((1, 3, 4)).T
    assert np.abs(made.pixels.astype(int) - look.scale.to_bytes(means)).max() <= 1
    assert store.plane(look, "x", 40).pixels.shape == (15, 10)
    assert store.plane(look, "x", 10, factor=4).factor == 4
    with pytest.raises(IndexError, match="no slice 41"):
        store.plane(look, "x", 41)
    store.close()


def test_copies_of_many_volumes_stay_within_the_memory_given(tmp_path):
    store = VolumeStore(memory=30_000, copy=8000, small=0)
    for number in range(8):
        path = tmp_path / f"{number}.npy"
        np.save(path, np.full((20, 20, 20), number, np.float32))
        store.plane(store.look(path), "x", 0)
        assert store.copied() <= 30_000
    assert store.copied() >= 16_000
    store.close()


def test_a_replaced_file_is_read_anew(tmp_path):
    path, store = tmp_path / "one.npy", VolumeStore()
    np.save(path, np.zeros((4, 5, 6), np.float32))
    first = store.look(path)
    assert store.look(path) is first
    np.save(path, np.ones((7, 5, 6), np.float32))
    assert store.look(path).volume.shape == (7, 5, 6)
    assert store.look(path).version != first.version


def test_a_missing_file_is_said_and_seen_once_it_is_there(tmp_path):
    path, store = tmp_path / "late.npy", VolumeStore()
    with pytest.raises(InputError, match=r"late\.npy"):
        store.look(path)
    np.save(path, np.zeros((4, 5, 6), np.float32))
    assert store.look(path).volume.shape == (4, 5, 6)


def test_a_mask_is_0_and_1_even_where_a_sample_sees_one_value(tmp_path):
    path = tmp_path / "mask.mrc"
    write_volume(path, np.ones((4, 5, 6)), dtype="int8", label="test")
    store = VolumeStore()
    assert (store.plane(store.look(path, mask=True), "z", 0).pixels == 255).all()


def test_threads_that_ask_together_open_a_file_once(tmp_path, monkeypatch):
    path = tmp_path / "one.npy"
    np.save(path, np.zeros((4, 5, 6), np.float32))
    opened = []

    def slowly(path):
        opened.append(path)
        time.sleep(0.05)
        return open_volume(path)

    monkeypatch.setattr("isonet2.gui.volume_store.open_volume", slowly)
    store = VolumeStore()
    threads = [threading.Thread(target=store.look, args=(path,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
