import errno
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mrc_files import SHAPE, mrc_bytes, numbers, put

from isonet2.data.volumes import Indexed, VolumeWriter, open_volume, write_volume
from isonet2.data.voxels import statistics
from isonet2.errors import InputError


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("mode", "dtype"), [(0, "i1"), (1, "i2"), (2, "f4"), (6, "u2"), (12, "f2")]
)
@pytest.mark.parametrize("extended", [0, 1, 1024, 98304])
def test_every_mode_and_byte_order_gives_the_same_numbers(tmp_path, mode, dtype, order, extended):
    data = numbers()
    volume = put(tmp_path / "a.mrc", mrc_bytes(data.astype(dtype), mode, order, extended))
    assert volume.shape == SHAPE
    assert volume.header.mode == mode
    assert volume.voxel_size == (4.0, 3.0, 2.0)
    assert volume.header.start == (3, 2, 1)
    assert volume.header.origin == (300.0, 20.0, -1.5)
    read = volume.read()
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    assert read.flags.owndata
    np.testing.assert_array_equal(read, data)
    found = statistics(volume)
    assert found.mean == pytest.approx(data.mean(dtype=np.float64), rel=1e-12)
    assert found.std == pytest.approx(data.std(dtype=np.float64), rel=1e-12)


def test_unsigned_16_bit_above_32767(tmp_path):
    data = np.full((2, 2, 2), 65535, np.uint16)
    assert put(tmp_path / "a.mrc", mrc_bytes(data, 6)).read().max() == 65535


@pytest.mark.parametrize("maps", [(1, 2, 3), (2, 1, 3), (1, 3, 2), (3, 2, 1), (2, 3, 1), (3, 1, 2)])
def test_permuted_axes_come_back_as_z_y_x(tmp_path, maps):
    """A voxel's value tells its place: value = 100 z + 10 y + x."""
    z, y, x = np.indices(SHAPE)
    data = (100 * z + 10 * y + x).astype(np.float32)
    stored = data.transpose([3 - axis for axis in maps[::-1]])
    raw = mrc_bytes(stored, 2)
    struct.pack_into("<3i", raw, 64, *maps)
    sizes = {1: 7, 2: 6, 3: 5}
    struct.pack_into("<3i", raw, 28, sizes[1], sizes[2], sizes[3])
    struct.pack_into("<3f", raw, 40, 7 * 2.0, 6 * 3.0, 5 * 4.0)
    struct.pack_into("<3i", raw, 16, *(10 * axis for axis in maps))
    volume = put(tmp_path / "a.map", raw)
    assert volume.shape == SHAPE
    assert volume.voxel_size == (4.0, 3.0, 2.0)
    assert volume.header.start == (30, 20, 10)
    np.testing.assert_array_equal(volume.read(), data)
    part = (slice(1, 4), slice(2, 5), slice(0, 3))
    np.testing.assert_array_equal(volume.read(part), data[part])


def test_headers_of_old_programs_are_read(tmp_path):
    data = numbers()
    raw = mrc_bytes(data, 2)
    raw[208:216] = bytes(8)
    struct.pack_into("<3i", raw, 64, 0, 0, 0)
    np.testing.assert_array_equal(put(tmp_path / "a.rec", raw).read(), data)
    wrong_stamp = mrc_bytes(data, 2, ">")
    wrong_stamp[212:214] = b"\x44\x44"
    np.testing.assert_array_equal(put(tmp_path / "b.rec", wrong_stamp).read(), data)


@pytest.mark.parametrize(("flags", "largest"), [(0, 200), (1, -56), (4, 200), (5, -56)])
def test_imod_flags_decide_the_sign_of_bytes(tmp_path, flags, largest):
    raw = mrc_bytes(np.full((2, 2, 2), 200, np.uint8), 0)
    struct.pack_into("<2i", raw, 152, 1146047817, flags)
    assert put(tmp_path / "a.rec", raw).read()[0, 0, 0] == largest


def test_without_imod_stamp_bytes_are_signed_unless_the_header_range_is_not(tmp_path):
    raw = mrc_bytes(np.full((2, 2, 2), 200, np.uint8), 0)
    assert put(tmp_path / "a.mrc", raw).read()[0, 0, 0] == -56
    struct.pack_into("<2f", raw, 76, 141, 220)
    assert put(tmp_path / "b.mrc", raw).read()[0, 0, 0] == 200


@pytest.mark.parametrize("missing", ["cell", "grid", "nan"])
def test_voxel_size_is_none_when_the_header_does_not_say(tmp_path, missing):
    raw = mrc_bytes(numbers(), 2)
    if missing == "grid":
        struct.pack_into("<3i", raw, 28, 0, 0, 0)
    else:
        struct.pack_into("<3f", raw, 40, *([0.0] * 3 if missing == "cell" else [np.nan] * 3))
    assert put(tmp_path / "a.mrc", raw).voxel_size is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda raw: raw[:900], "fewer than 1024 bytes"),
        (lambda raw: raw[:-4], r"promises 1864 bytes, the file has 1860"),
        (lambda raw: b"\x1f\x8b" + raw[2:], "uncompress"),
        (lambda raw: bytes(len(raw)), "not an MRC file"),
        (lambda raw: b"II*\0" + bytes(range(256)) * 8, "not an MRC file"),
        (lambda raw: raw[:12] + struct.pack("<i", 4) + raw[16:], "Fourier"),
        (lambda raw: raw[:12] + struct.pack("<i", 3) + raw[16:], "complex"),
        (lambda raw: raw[:64] + struct.pack("<3i", 1, 1, 3) + raw[76:], "mapc, mapr, maps"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, change, sentence):
    path = tmp_path / "bad one.mrc"
    path.write_bytes(change(bytes(mrc_bytes(numbers(), 2))))
    with pytest.raises(InputError, match=sentence) as caught:
        open_volume(path)
    assert "bad one.mrc" in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mrc: no such file"):
        open_volume(tmp_path / "gone.mrc")
    with pytest.raises(InputError, match="directory"):
        open_volume(tmp_path)


@given(st.tuples(*[st.tuples(st.integers(0, 9), st.integers(0, 9)) for _ in range(3)]))
def test_regions_are_numpy_slices(tmp_path_factory, bounds):
    path = tmp_path_factory.getbasetemp() / "regions.mrc"
    data = numbers((9, 9, 9))
    if not path.exists():
        write_volume(path, data, voxel_size=10.0, label="regions")
    region = tuple(slice(*sorted(pair)) for pair in bounds)
    np.testing.assert_array_equal(open_volume(path).read(region), data[region])


def test_writer_keeps_the_header_and_fills_statistics(tmp_path):
    source = mrc_bytes(numbers(), 1)
    labels = [f"step {index}" for index in range(9)]
    struct.pack_into("<i", source, 220, len(labels))
    for index, text in enumerate(labels):
        source[224 + 80 * index : 304 + 80 * index] = text.ljust(80).encode()
    struct.pack_into("<2i", source, 152, 1146047817, 4)
    like = put(tmp_path / "in.rec", source)
    data = np.random.default_rng(3).normal(1000, 2, SHAPE).astype(np.float32)
    path = tmp_path / "new" / "out.mrc"
    with VolumeWriter(path, like=like, label="restored") as writer:
        for z in range(5):
            for y in (slice(0, 4), slice(4, 6)):
                region = (slice(z, z + 1), y, slice(None))
                writer.write(region, data[region])
        assert not path.exists()
    with mrcfile.open(path) as file:
        header = file.header
        np.testing.assert_array_equal(file.data, data)
        assert (header.nxstart, header.nystart, header.nzstart) == (1, 2, 3)
        assert header.origin.tolist() == (-1.5, 20, 300)
        assert file.voxel_size.tolist() == (2, 3, 4)
        assert header.dmin == data.min()
        assert header.dmax == data.max()
        assert header.dmean == pytest.approx(data.mean(dtype=np.float64), rel=1e-7)
        assert header.rms == pytest.approx(data.std(dtype=np.float64), rel=1e-6)
        texts = [bytes(label).decode().strip() for label in header.label]
        assert texts == [*labels, "restored"]
    again = open_volume(path)
    assert again.header.imod == (1146047817, 5)
    assert again.header.labels == (*labels, "restored")


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_an_extended_header_goes_on_to_volumes_of_its_shape(tmp_path, dtype):
    kept = np.arange(300, dtype=np.uint8).tobytes()
    with mrcfile.new(tmp_path / "a.mrc", numbers()) as file:
        file.set_extended_header(np.frombuffer(kept, "V300"))
        file.header.exttyp = b"SERI"
    like = open_volume(tmp_path / "a.mrc")
    write_volume(tmp_path / "b.mrc", numbers() / 3, like=like, dtype=dtype, label="x")
    write_volume(tmp_path / "c.mrc", numbers()[1:], like=like, dtype=dtype, label="x")
    with mrcfile.open(tmp_path / "b.mrc") as file:
        assert bytes(file.header.exttyp) == b"SERI"
        assert file.extended_header.tobytes() == kept
    back = open_volume(tmp_path / "b.mrc").read()
    assert np.corrcoef(back.ravel(), numbers().ravel())[0, 1] > 0.9999
    assert (tmp_path / "b.mrc").stat().st_size == 1324 + numbers().size * np.dtype(dtype).itemsize
    with mrcfile.open(tmp_path / "c.mrc") as file:
        assert int(file.header.nsymbt) == 0


def test_files_are_valid_mrc2014(tmp_path, capsys):
    for dtype in ("float32", "int8"):
        path = tmp_path / f"{dtype}.mrc"
        write_volume(path, numbers(), voxel_size=(4.0, 3.0, 2.0), dtype=dtype, label="made")
        assert mrcfile.validate(path), capsys.readouterr().out


def test_the_oldest_label_gives_way(tmp_path):
    write_volume(tmp_path / "0.mrc", numbers(), label="0")
    for index in range(1, 12):
        like = open_volume(tmp_path / f"{index - 1}.mrc")
        write_volume(tmp_path / f"{index}.mrc", numbers(), like=like, label=str(index))
    assert open_volume(tmp_path / "11.mrc").header.labels == tuple(map(str, range(2, 12)))


def test_int8_comes_back_through_its_label(tmp_path):
    data = np.random.default_rng(4).normal(-3, 50, (20, 30, 40)).astype(np.float32)
    write_volume(tmp_path / "a.mrc", data, voxel_size=10, dtype="int8", label="small")
    volume = open_volume(tmp_path / "a.mrc")
    assert volume.dtype == np.int8
    assert (tmp_path / "a.mrc").stat().st_size == 1024 + data.size
    stored = volume.read()
    assert (stored.min(), stored.max()) == (-127, 127)
    scale, offset = map(float, volume.header.labels[-1].split("stored*")[1].split("+", 1))
    np.testing.assert_allclose(stored * scale + offset, data, atol=0.51 * scale)


def test_whole_numbers_stay_what_they_are_in_int8(tmp_path):
    mask = np.random.default_rng(4).integers(0, 2, (20, 30, 40)).astype(np.float32)
    write_volume(tmp_path / "a.mrc", mask, voxel_size=10, dtype="int8", label="mask")
    volume = open_volume(tmp_path / "a.mrc")
    assert volume.dtype == np.int8
    assert volume.header.labels == ("mask",)
    np.testing.assert_array_equal(volume.read(), mask)
    with mrcfile.open(tmp_path / "a.mrc") as file:
        assert (file.header.dmin, file.header.dmax) == (0, 1)
        assert file.header.dmean == pytest.approx(mask.mean())


def test_float16_refuses_what_it_cannot_hold(tmp_path):
    path = tmp_path / "a.mrc"
    for factor, sentence in ((1e5, "too large for float16"), (1e-8, "too small for float16")):
        with pytest.raises(InputError, match=sentence):
            write_volume(path, numbers() * np.float32(factor), dtype="float16", label="x")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_not_written(tmp_path, value):
    data = numbers()
    data[0, 0, 0] = value
    with pytest.raises(InputError, match="NaN or infinity"):
        write_volume(tmp_path / "a.mrc", data, label="x")
    assert list(tmp_path.iterdir()) == []


def write_part_of(path: Path) -> None:
    with VolumeWriter(path, shape=SHAPE, label="new") as writer:
        writer.write((slice(0, 2), slice(0, 2), slice(0, 2)), numbers())


def test_nothing_stays_after_an_exception_and_the_old_file_survives(tmp_path):
    path = tmp_path / "a.mrc"
    write_volume(path, numbers(), label="old")
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), VolumeWriter(path, shape=SHAPE, label="new"):
        raise KeyboardInterrupt
    with pytest.raises(RuntimeError, match="0 voxels were written"):
        VolumeWriter(path, shape=SHAPE, label="new").__enter__().__exit__(None, None, None)
    with pytest.raises(ValueError, match="does not fill"):
        write_part_of(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_full_disk_is_said_before_any_work(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        pytest.raises(InputError, match="no room for its"),
        VolumeWriter(tmp_path / "a.mrc", shape=SHAPE, label="x"),
    ):
        pytest.fail("the work began")
    assert list(tmp_path.iterdir()) == []


def test_file_systems_without_reservation_still_work(tmp_path, monkeypatch):
    def missing(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", missing)
    write_volume(tmp_path / "a.mrc", numbers(), label="x")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.mrc").read(), numbers())


def test_threads_may_write_together(tmp_path):
    data = np.random.default_rng(5).normal(size=(32, 16, 16)).astype(np.float32)
    regions = [(slice(z, z + 1), slice(None), slice(None)) for z in range(32)]
    with (
        VolumeWriter(tmp_path / "a.mrc", shape=data.shape, label="x") as writer,
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(lambda region: writer.write(region, data[region]), regions))
    with mrcfile.open(tmp_path / "a.mrc") as file:
        np.testing.assert_array_equal(file.data, data)
        assert file.header.rms == pytest.approx(data.std(dtype=np.float64), rel=1e-6)


def test_reading_parts_keeps_memory_small(tmp_path):
    """Two thousand cubes from a 64 MB file leave resident memory where it was."""
    path = tmp_path / "big.mrc"
    with VolumeWriter(path, shape=(64, 512, 512), label="big") as writer:
        for z in range(0, 64, 8):
            block = np.random.default_rng(z).normal(size=(8, 512, 512)).astype(np.float32)
            writer.write((slice(z, z + 8), slice(None), slice(None)), block)
    volume = open_volume(path)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    for index in range(200):
        corner = index % 8
        cube = volume.read(tuple(slice(8 * corner, 8 * corner + 8 * 1) for _ in range(3)))
    volume.read((slice(0, 64), slice(0, 512), slice(0, 16)))
    assert cube.shape == (8, 8, 8)
    assert resident() - before < 16e6


def test_a_volume_is_read_where_it_is_indexed(tmp_path):
    first, second = (np.random.default_rng(n).normal(size=(5, 6, 7)).astype("f4") for n in (0, 1))
    for name, data in (("a", first), ("b", second)):
        write_volume(tmp_path / f"{name}.mrc", data, voxel_size=10.0, label="test")
    read = Indexed([open_volume(tmp_path / f"{name}.mrc") for name in "ab"])
    mean = -(first + second) / 2
    assert read.shape == mean.shape
    for index in (2, np.s_[:, 3], np.s_[1:3, :, 2:6], np.s_[4, 5, 6]):
        np.testing.assert_allclose(read[index], mean[index], rtol=1e-6)
