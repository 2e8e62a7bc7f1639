import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from isonet2.commands.prepare_star import prepare_star
from isonet2.data.formats.base import angstroms
from isonet2.data.names import tomogram_name
from isonet2.data.pairing import find_sources
from isonet2.data.star import TomogramTable
from isonet2.data.volumes import VolumeWriter, open_volume, slabs, write_volume
from isonet2.data.voxels import statistics
from isonet2.errors import InputError
from isonet2.parameters import PrepareStarParameters

tifffile = pytest.importorskip("tifffile")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

SUFFIXES = (".mrc", ".tif", ".h5", ".npy", ".zarr")
SHAPE = (5, 70, 9)
PART = (slice(1, 4), slice(60, 70), slice(2, 8))


def numbers(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, 2, shape).astype(np.float32)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_in_blocks_is_read_in_regions(tmp_path, suffix):
    data, path = numbers(), tmp_path / f"a{suffix}"
    regions = [(slice(z, z + 1), slice(y, y + 35), slice(None)) for z in range(5) for y in (0, 35)]
    with (
        VolumeWriter(path, shape=SHAPE, voxel_size=(12.0, 11.0, 10.5), label="one") as writer,
        ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(lambda region: writer.write(region, data[region]), regions))
        assert not path.exists()
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    volume = open_volume(path)
    assert volume.shape == SHAPE
    assert volume.voxel_size == (None if suffix == ".npy" else pytest.approx((12.0, 11.0, 10.5)))
    assert volume.header.labels == (() if suffix == ".npy" else ("one",))
    np.testing.assert_array_equal(volume.read(), data)
    np.testing.assert_array_equal(volume.read(PART), data[PART])
    assert volume.read(PART).flags.c_contiguous
    assert volume.read((slice(2, 2), slice(0, 3), slice(0, 3))).shape == (0, 3, 3)
    assert statistics(volume).std == pytest.approx(data.std(dtype=np.float64), rel=1e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_header_goes_from_format_to_format_and_back(tmp_path, suffix):
    write_volume(tmp_path / "0.zarr", numbers(), voxel_size=10.5, label="first")
    start = open_volume(tmp_path / "0.zarr")
    with VolumeWriter(tmp_path / "1.mrc", like=start, start=(1, 2, 3), label="second") as writer:
        writer.write(next(slabs(start)), start.read())
    middle = tmp_path / f"2{suffix}"
    write_volume(middle, numbers(), like=open_volume(tmp_path / "1.mrc"), label="third")
    write_volume(tmp_path / "3.mrc", numbers(), like=open_volume(middle), label="fourth")
    header = open_volume(tmp_path / "3.mrc").header
    if suffix == ".npy":
        assert header.labels == ("fourth",)
        return
    assert header.labels == ("first", "second", "third", "fourth")
    assert header.start == (1, 2, 3)
    assert header.voxel_size == pytest.approx((10.5,) * 3)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_run_keeps_the_old_volume(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_volume(path, numbers(), label="old")
    with pytest.raises(KeyboardInterrupt), VolumeWriter(path, shape=SHAPE, label="new"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(open_volume(path).read(), numbers())
    write_volume(path, numbers(1), label="new")
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(open_volume(path).read(), numbers(1))


@pytest.mark.parametrize(
    ("module", "suffix"), [("tifffile", ".tif"), ("h5py", ".h5"), ("zarr", ".zarr")]
)
def test_a_missing_library_is_one_sentence(tmp_path, monkeypatch, module, suffix):
    path = tmp_path / f"a{suffix}"
    write_volume(path, numbers(), label="x")
    monkeypatch.setitem(sys.modules, module, None)
    for action in (lambda: open_volume(path), lambda: write_volume(path, numbers(), label="x")):
        with pytest.raises(InputError, match=f"pip install {module}") as caught:
            action()
        assert module in str(caught.value)


def test_formats_and_types_that_are_not_written_are_named(tmp_path):
    with pytest.raises(InputError, match="ending names no format"):
        write_volume(tmp_path / "a.xyz", numbers(), label="x")
    with pytest.raises(InputError, match="float16 is not written to TIFF"):
        write_volume(tmp_path / "a.tif", numbers(), dtype="float16", label="x")
    for suffix in (".h5", ".npy", ".zarr"):
        write_volume(tmp_path / f"a{suffix}", numbers(), dtype="float16", label="x")
        assert open_volume(tmp_path / f"a{suffix}").dtype == np.float16


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_broken_and_missing_files_are_refused_by_name(tmp_path, suffix):
    with pytest.raises(InputError, match=r"gone.*no such"):
        open_volume(tmp_path / f"gone{suffix}")
    bad = tmp_path / f"bad{suffix}"
    bad.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="bad"):
        open_volume(bad)


@pytest.mark.parametrize("suffix", [".tif", ".h5", ".npy"])
def test_an_unknown_ending_is_told_by_the_first_bytes(tmp_path, suffix):
    write_volume(tmp_path / f"a{suffix}", numbers(), label="x")
    other = (tmp_path / f"a{suffix}").rename(tmp_path / "a.dat")
    np.testing.assert_array_equal(open_volume(other).read(), numbers())


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("nm", 10), ("micron", 1e4), ("\\u00B5m", 1e4), ("Angstrom", 1), ("pixel", None)],
)
def test_imagej_says_its_voxel_size_in_its_unit(tmp_path, unit, factor):
    tifffile.imwrite(
        tmp_path / "a.tif",
        numbers(),
        imagej=True,
        resolution=(1 / 0.5, 1 / 0.25),
        metadata={"spacing": 2.0, "unit": unit},
    )
    volume = open_volume(tmp_path / "a.tif")
    wanted = factor and pytest.approx((2.0 * factor, 0.25 * factor, 0.5 * factor))
    assert volume.voxel_size == wanted
    np.testing.assert_array_equal(volume.read(PART), numbers()[PART])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_ome_tiff_of_other_programs(tmp_path, compression):
    """Sizes without a unit are in micrometres; compressed pages are read one by one."""
    data = (numbers() * 10).astype(">u2")
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.001, "PhysicalSizeY": 0.001}
    metadata |= {"PhysicalSizeZ": 20.0, "PhysicalSizeZUnit": "Å"}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, compression=compression, metadata=metadata)
    volume = open_volume(tmp_path / "a.ome.tif")
    assert volume.voxel_size == pytest.approx((20, 10, 10))
    np.testing.assert_array_equal(volume.read(PART), data[PART].astype(np.float32))
    assert volume.read((slice(2, 2), slice(0, 3), slice(0, 3))).shape == (0, 3, 3)


def test_colour_images_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 8, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match="axes are"):
        open_volume(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"element_size_um": [0.002, 0.001, 0.001]}, (20, 10, 10)),
        ({"voxel_size": 9.5}, (9.5, 9.5, 9.5)),
        ({"voxel_size": [1.0, 2.0, 3.0], "unit": "nm"}, (10, 20, 30)),
        ({"EMAN.apix_x": 3.0, "EMAN.apix_y": 4.0, "EMAN.apix_z": 5.0}, (5, 4, 3)),
        ({}, None),
    ],
)
def test_hdf5_attributes_of_several_programs(tmp_path, attributes, wanted):
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        file["MDF/images/0/image"] = numbers()
        file["MDF/images/0"].attrs.update(attributes)
    volume = open_volume(tmp_path / "a.hdf")
    assert volume.voxel_size == (wanted and pytest.approx(wanted))
    np.testing.assert_array_equal(volume.read(PART), numbers()[PART])


def test_hdf5_with_several_volumes_is_not_guessed(tmp_path):
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["one"], file["two"] = numbers(), numbers(1)
    with pytest.raises(InputError, match="several volumes"):
        open_volume(tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5", "a") as file:
        file["data"] = numbers(2)
    np.testing.assert_array_equal(open_volume(tmp_path / "b.h5").read(), numbers(2))


def put_zarr(path: Path, layout: str, axes: list[str], data: np.ndarray, unit: str | None) -> None:
    """An image as its specification describes it, made without our writer."""
    multiscales = [
        {
            "axes": [
                {"name": name, "type": "space" if name in "zyx" else "channel"}
                | ({"unit": unit} if unit and name in "zyx" else {})
                for name in axes
            ],
            "datasets": [
                {
                    "path": "fine",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [{"z": 3.0}.get(n, 1.5) for n in axes]},
                        {"type": "translation", "translation": [7.0 for _ in axes]},
                    ],
                },
                {"path": "coarse", "coordinateTransformations": []},
            ],
        }
    ]
    version = 2 if layout == "0.4" else 3
    image = {"multiscales": multiscales, "version": layout}
    attributes = image if version == 2 else {"ome": image}
    group = zarr.create_group(path, zarr_format=version, attributes=attributes)
    group.create_array("fine", data=data, chunks=(2,) * data.ndim)
    text = (path / (".zattrs" if version == 2 else "zarr.json")).read_text()
    assert "multiscales" in json.dumps(json.loads(text))


@pytest.mark.parametrize("layout", ["0.4", "0.5"])
@pytest.mark.parametrize(("unit", "factor"), [("angstrom", 1), ("nanometer", 10), (None, 1)])
def test_ome_zarr_of_both_layouts(tmp_path, layout, unit, factor):
    data = numbers(shape=(4, 6, 5))
    put_zarr(tmp_path / "a.zarr", layout, ["z", "y", "x"], data, unit)
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.voxel_size == pytest.approx((3 * factor, 1.5 * factor, 1.5 * factor))
    assert volume.header.origin == pytest.approx((7.0 * factor,) * 3)
    part = (slice(1, 3), slice(2, 6), slice(0, 4))
    np.testing.assert_array_equal(volume.read(part), data[part])


def test_ome_zarr_axes_are_taken_by_name(tmp_path):
    data = numbers(shape=(4, 6, 5))
    put_zarr(tmp_path / "a.zarr", "0.5", ["c", "x", "z", "y"], data.transpose(2, 0, 1)[None], "nm")
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.shape == (4, 6, 5)
    assert volume.voxel_size == pytest.approx((30, 15, 15))
    part = (slice(1, 3), slice(2, 6), slice(0, 4))
    np.testing.assert_array_equal(volume.read(part), data[part])
    put_zarr(tmp_path / "b.zarr", "0.5", ["c", "z", "y", "x"], np.stack([data] * 2), "nm")
    with pytest.raises(InputError, match="several volumes"):
        open_volume(tmp_path / "b.zarr")


def test_fortran_order_and_complex_numbers_in_npy(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(numbers()))
    np.testing.assert_array_equal(open_volume(tmp_path / "a.npy").read(PART), numbers()[PART])
    np.save(tmp_path / "b.npy", numbers().astype(complex))
    with pytest.raises(InputError, match="real numbers"):
        open_volume(tmp_path / "b.npy")


def test_units_that_say_nothing_give_no_size():
    assert angstroms((1.0, 1.0, 1.0), "inch") is None
    assert angstroms((1.0, 0.0, 1.0), "nm") is None
    assert angstroms((1.0, 1.0, 1.0), None) is None


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".h5", ".ome.zarr"])
def test_tables_list_halves_of_any_format(tmp_path, suffix, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for half, seed in (("EVN", 1), ("ODD", 2)):
        path = tmp_path / half / f"TS_1_{half}{suffix}"
        write_volume(path, numbers(seed, (8, 9, 10)), voxel_size=10.5, label="half")
    assert tomogram_name(path) == "TS_1"
    parameters = PrepareStarParameters(even="EVN", odd="ODD", create_average=True)
    tomogram = TomogramTable.read(prepare_star(parameters)).tomograms[0]
    assert tomogram.pixel_size == 10.5
    assert tomogram.half2 == Path(f"ODD/TS_1_ODD{suffix}")
    assert open_volume(tomogram.full).voxel_size == pytest.approx((10.5,) * 3)


def test_one_format_of_a_folder_counts(tmp_path, caplog):
    for name in ("a.mrc", "b.mrc", "a_preview.tif"):
        write_volume(tmp_path / name, numbers(), label="x")
    sources, problems = find_sources(tmp_path, None, None)
    assert [source.name for source in sources] == ["a", "b"]
    assert problems == []
    assert "leaves out a_preview.tif" in caplog.text
