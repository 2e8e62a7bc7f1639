from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isonet2.commands.resize import resize
from isonet2.data.coordinates import Grid, read_coordinates
from isonet2.data.star import TomogramTable
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import ResizeParameters
from isonet2.physics.resampling import coarse_length, coarsen, grid_ratio

HEAD = "\ndata_\n\nloop_\n"


def waves(shape: tuple[int, int, int], edge: float = 1.0) -> np.ndarray:
    """A sum of slow waves, sampled every `edge` from 0, periodic in (24, 40, 48)."""
    z, y, x = (np.arange(n) * edge for n in shape)
    k = 2 * np.pi / np.array([24, 40, 48])
    parts = np.cos(k[0] * z)[:, None, None] + np.sin(2 * k[1] * y)[:, None]
    return (5 + parts + np.cos(3 * k[2] * x + 1) * np.sin(k[0] * z)[:, None, None]).astype("f4")


def run(**values: object) -> Path:
    return resize(ResizeParameters.model_validate(values))


@pytest.mark.parametrize("ratio", [Fraction(1, 2), Fraction(3, 4), Fraction(1)])
def test_slow_waves_are_sampled_exactly(ratio):
    """What lies below the new Nyquist frequency is the same function on the new grid."""
    data = torch.from_numpy(waves((24, 40, 48)))
    small = coarsen(data, ratio, (0, 1, 2)).numpy()
    shape = (int(24 * ratio), int(40 * ratio), int(48 * ratio))
    np.testing.assert_allclose(small, waves(shape, float(1 / ratio)), atol=1e-5)


def test_fast_waves_are_cut():
    z = torch.arange(32)
    data = torch.cos(torch.pi * 0.75 * z)[:, None, None].expand(32, 16, 16).contiguous()
    assert float(coarsen(data, Fraction(1, 2), (0, 1, 2)).abs().max()) < 1e-5


def test_axes_one_after_the_other_are_all_axes_at_once():
    data = torch.randn(15, 22, 9, generator=torch.Generator().manual_seed(0))
    ratio = Fraction(2, 3)
    one = coarsen(coarsen(data, ratio, (1, 2)), ratio, (0,))
    torch.testing.assert_close(one, coarsen(data, ratio, (0, 1, 2)), atol=1e-5, rtol=1e-5)
    assert one.shape == (10, 14, 6)


@given(st.floats(0.5, 20), st.floats(1, 6))
def test_ratios_are_close_and_never_finer(old, factor):
    ratio = grid_ratio(old, old * factor)
    assert ratio <= 1
    assert float(ratio) * factor == pytest.approx(1, abs=5e-3)


def test_a_volume_keeps_its_place(tmp_path):
    """Size times voxel, origin and start name the same box; the mean grey value stays."""
    data = waves((24, 40, 48))
    write_volume(tmp_path / "a.mrc", data, voxel_size=5.0, label="a")
    raw = bytearray((tmp_path / "a.mrc").read_bytes())
    raw[196:208] = np.array([10, 20, -30], "<f4").tobytes()
    raw[16:28] = np.array([-24, -20, -12], "<i4").tobytes()
    (tmp_path / "a.mrc").write_bytes(bytes(raw))
    path = run(volumes=tmp_path / "a.mrc", output_dir=tmp_path / "out", pixel_size=10)
    small = open_volume(path)
    assert small.voxel_size == pytest.approx((10, 10, 10))
    assert small.header.origin == (-30, 20, 10)
    assert small.header.start == (-6, -10, -12)
    np.testing.assert_allclose(small.read(), waves((12, 20, 24), 2), atol=1e-4)
    assert "1 voxels for 2" in small.header.labels[-1]


def test_odd_sizes_and_crooked_ratios_stay_exact(tmp_path):
    """5.36 A to 10 A is 8 for 15 voxels: 10.05 A along every axis, whatever its length."""
    data = np.random.default_rng(0).normal(size=(13, 31, 17)).astype(np.float32)
    write_volume(tmp_path / "a.mrc", data, voxel_size=5.36, label="a")
    small = open_volume(run(volumes=tmp_path / "a.mrc", output_dir=tmp_path / "o", pixel_size=10))
    ratio = grid_ratio(5.36, 10)
    assert float(5.36 / ratio) == pytest.approx(10, rel=1e-3)
    assert small.voxel_size == pytest.approx((float(5.36 / ratio),) * 3, rel=1e-6)
    assert small.shape == tuple(coarse_length(n, ratio) for n in data.shape)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"pixel_size": 4.9}, "cannot be made"), ({"output_dir": "."}, "holds a.mrc itself")],
)
def test_what_cannot_be_done_is_refused(tmp_path, monkeypatch, values, sentence):
    monkeypatch.chdir(tmp_path)
    write_volume("a.mrc", waves((8, 8, 8)), voxel_size=5.0, label="a")
    with pytest.raises(InputError, match=sentence):
        run(volumes="a.mrc", **values)
    write_volume("b.npy", waves((8, 8, 8)), label="a")
    with pytest.raises(InputError, match="old_pixel_size"):
        run(volumes="b.npy")
    assert not Path("resized").exists()
    assert run(volumes="b.npy", old_pixel_size=5).name == "b.npy"


def test_a_table_is_binned_with_all_that_depends_on_the_voxel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((16, 16, 16), np.float32)
    mask[4:12] = 1
    for name, data in (("1_EVN", 0), ("1_ODD", 1), ("2_EVN", 2), ("2_ODD", 3)):
        values = np.random.default_rng(data).normal(size=mask.shape).astype(np.float32)
        write_volume(f"{name}.mrc", values, voxel_size=1.0, label="x")
    write_volume("mask.mrc", mask, voxel_size=5.0, label="mask")
    Path("points.txt").write_text("1 2 3\n10 11 12\n")
    Path("t.star").write_text(
        "# kept\ndata_optics\n\n_mine 1.50\n"
        + HEAD
        + "_rlnIndex\n_rlnTomoReconstructedTomogramHalf1\n_rlnTomoReconstructedTomogramHalf2\n"
        "_rlnPixelSize\n_rlnMaskName\n_rlnBoxFile\n_rlnTiltMin\n_rlnTiltMax\n"
        "1 1_EVN.mrc 1_ODD.mrc 5.0 mask.mrc points.txt -50 50\n"
        "2 2_EVN.mrc 2_ODD.mrc 10.0 None None -60 60\n"
    )
    path = run(volumes="t.star", pixel_size=10)
    assert path == Path("resized/t.star")
    assert "# kept\ndata_optics\n\n_mine 1.50\n" in path.read_text()
    first, second = TomogramTable.read(path).tomograms
    assert (first.pixel_size, second.pixel_size) == (10, 10)
    assert (first.tilt_min, second.number_subtomos) == (-50, 1500)
    assert open_volume(first.half2).shape == (8, 8, 8)
    assert open_volume(first.half1).voxel_size == pytest.approx((10, 10, 10))
    np.testing.assert_array_equal(open_volume(second.half1).read(), open_volume("2_EVN.mrc").read())
    small = open_volume(first.mask).read()
    assert set(np.unique(small)) == {0, 1}
    assert small[3:5].all()
    assert not small[0].any()
    points = read_coordinates(first.box_file, Grid("", (8, 8, 8), None))
    assert points.tolist() == [[1.5, 1, 0.5], [6, 5.5, 5]]
    assert not list(Path("resized").rglob(".resize_*"))
    only = run(volumes="t.star", pixel_size=10, tomo_idx="2", output_dir="two")
    assert [tomogram.index for tomogram in TomogramTable.read(only).tomograms] == [2]


def test_all_volumes_of_a_row_follow_and_other_files_are_found_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    for name in ("a", "c1"):
        values = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
        write_volume(f"p/{name}.mrc", values, voxel_size=5.0, label="x")
    Path("p/a.tlt").write_text("-50\n-25\n0\n25\n50\n")
    Path("p/t.star").write_text(
        HEAD + "_rlnTomoName\n_rlnTomoReconstructedTomogram\n_rlnCorrectedTomoHalf1\n"
        "_rlnPixelSize\n_rlnTiltFile\n_rlnMaskName\n_rlnTomoTomogramBinning\n"
        "TS_01 a.mrc c1.mrc 5.0 a.tlt nan None\n"
    )
    path = run(volumes="p/t.star", pixel_size=10, output_dir="out")
    (row,) = TomogramTable.read(path).tomograms
    assert row.name == "TS_01"
    assert open_volume(row.full).shape == (8, 8, 8)
    assert open_volume(row.column("rlnCorrectedTomoHalf1")).shape == (8, 8, 8)
    assert row.tilts == (-50, -25, 0, 25, 50)


def test_a_foreign_file_is_not_replaced(tmp_path):
    write_volume(tmp_path / "a.mrc", np.eye(16)[None].repeat(16, 0), voxel_size=5.0, label="x")
    foreign = tmp_path / "out" / "a.mrc"
    foreign.parent.mkdir()
    foreign.write_bytes(b"somebody's")
    with pytest.raises(InputError, match="is there already, and no result of this program"):
        run(volumes=tmp_path / "a.mrc", pixel_size=10, output_dir=foreign.parent)
    assert foreign.read_bytes() == b"somebody's"
