import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from imod_models import model
from matplotlib import image
from quick import status

from isonet2.commands.make_mask import make_mask, refuse_empty
from isonet2.data.boundary import read_boundary
from isonet2.data.star import TomogramTable, write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import MakeMaskParameters
from isonet2.physics.masking import BOTH, DENSITY, DEVIATION, SpecimenMask

SHAPE = (31, 48, 57)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A tomogram with one dark, rough box in noise."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    data = rng.normal(10, 1, SHAPE).astype(np.float32)
    data[12:20, 20:32, 24:40] -= rng.uniform(0, 8, (8, 12, 16)).astype(np.float32)
    for name in ("a", "d"):
        write_volume(f"{name}.mrc", data, voxel_size=10.0, label="test")
    write_volume("EVN.mrc", data + 1, label="test")
    write_volume("ODD.mrc", data - 1, label="test")
    return tmp_path


def table(**columns):
    row = {"rlnIndex": 1, "rlnPixelSize": 10, "rlnTiltMin": -60, "rlnTiltMax": 60, **columns}
    optics = {"rlnVoltage": 300, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1}
    write_table("t.star", pd.DataFrame([row | optics]))


def run(**values):
    return status(make_mask, MakeMaskParameters(star_file="t.star", **values))


STRICT = {"patch_size": 2, "density_percentage": 15, "std_percentage": 15}


def test_the_mask_is_at_full_size_and_noted(project, caplog):
    table(rlnTomoName="a.mrc", rlnDeconvTomoName="d.mrc")
    with caplog.at_level(logging.INFO):
        assert run(**STRICT) == 0
    assert "reading rlnDeconvTomoName (d.mrc)" in caplog.text
    (row,) = TomogramTable.read("t.star").tomograms
    mask = open_volume(row.mask)
    assert mask.shape == SHAPE
    assert mask.voxel_size == pytest.approx((10, 10, 10))
    values = mask.read()
    assert set(np.unique(values)) == {0, 1}
    inside = values[12:20, 20:32, 24:40].mean()
    assert inside > 0.9
    assert inside > 5 * values.mean()
    assert image.imread(row.mask.with_suffix(".png")).shape[1] > 400
    assert (project / "mask/params.yaml").is_file()


def test_gold_is_left_out_unless_it_is_wanted(project, caplog):
    caplog.set_level(logging.INFO)
    data = open_volume("a.mrc").read()
    data[14:18, 24:28, 30:34] -= 400
    write_volume("a.mrc", data, voxel_size=10.0, label="test")
    table(rlnTomoName="a.mrc")
    kept = []
    for wanted in (True, False):
        assert run(exclude_gold=wanted, **STRICT) == 0
        (row,) = TomogramTable.read("t.star").tomograms
        kept.append(open_volume(row.mask).read()[14:18, 24:28, 30:34].mean())
    assert kept == [0, 1]
    assert caplog.text.count("gold beads, or bodies as dense, were found and are left out: 1") == 1


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"rlnTomoName": "a.mrc"}, "no rlnDeconvTomoName in the table, reading rlnTomoName"),
        (
            {
                "rlnDeconvTomoName": "None",
                "rlnTomoReconstructedTomogramHalf1": "EVN.mrc",
                "rlnTomoReconstructedTomogramHalf2": "ODD.mrc",
            },
            "no rlnDeconvTomoName in the table, reading the mean of the two halves",
        ),
    ],
)
def test_what_is_read_instead_is_said(project, caplog, columns, said):
    table(**columns)
    assert run(output_dir="m", **STRICT) == 0
    assert said in caplog.text
    (row,) = TomogramTable.read("t.star").tomograms
    table(rlnDeconvTomoName="d.mrc", rlnTomoName="a.mrc")
    assert run(output_dir="direct", **STRICT) == 0
    (other,) = TomogramTable.read("t.star").tomograms
    assert np.mean(open_volume(row.mask).read() == open_volume(other.mask).read()) > 0.999


def test_another_column_that_is_not_there_is_not_replaced(project, caplog):
    table(rlnTomoName="a.mrc")
    assert run(input_column="rlnCorrectedTomoName") == 2
    assert "rlnCorrectedTomoName" in caplog.text
    assert not (project / "mask" / "a_mask.mrc").exists()


def test_nothing_to_read_is_an_error(project, caplog):
    table(rlnTomoName="None", rlnDeconvTomoName="None")
    assert run() == 2
    assert "names neither rlnDeconvTomoName nor rlnTomoName nor the two halves" in caplog.text


def test_a_slab_takes_the_place_of_the_z_crop(tmp_path, monkeypatch, caplog):
    """A rough layer of 20 slices in smooth ice, which rises by 10 slices along x."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    rng = np.random.default_rng(0)
    z, _, x = np.indices((64, 48, 80))
    layer = np.abs(z - 32 - (x - 40) / 8) < 10
    data = rng.normal(0, 1, layer.shape) + layer * rng.normal(0, 8, layer.shape)
    write_volume("a.mrc", data.astype(np.float32), voxel_size=10.0, label="test")
    table(rlnTomoName="a.mrc")
    everything = {"patch_size": 1, "density_percentage": 100, "std_percentage": 100, "z_crop": 0}
    assert run(slab=True, **everything) == 0
    told = re.search(r"slab is (\d+) nm thick and lies at (\d+) degrees to the x axis", caplog.text)
    assert told is not None
    assert int(told[1]) == pytest.approx(20, abs=4)
    assert int(told[2]) == pytest.approx(7, abs=1)
    (row,) = TomogramTable.read("t.star").tomograms
    mask = open_volume(row.mask).read()
    assert 2 * (mask * layer).sum() / (mask.sum() + layer.sum()) > 0.9
    write_volume("a.mrc", rng.normal(0, 1, layer.shape).astype(np.float32), label="test")
    assert run(slab=True, **everything | {"z_crop": 0.5}) == 0
    assert "no empty region stands out above or below the specimen; z_crop is used" in caplog.text
    assert open_volume(row.mask).read().mean() == 0.5


def test_a_strange_share_is_warned_of(project, caplog):
    table(rlnTomoName="a.mrc")
    assert run(density_percentage=100, std_percentage=100, z_crop=0) == 0
    assert "keeps 100.0 % of the voxels" in caplog.text
    assert "density_percentage, std_percentage or z_crop" in caplog.text
    caplog.clear()
    assert run(density_percentage=3, std_percentage=3, input_column="rlnTomoName") == 0
    assert "of the voxels" in caplog.text
    assert "the old mask is now" in caplog.text
    caplog.clear()
    Path("mask/a_mask.mrc").unlink()
    assert run(input_column="rlnTomoName") == 0
    assert "WARNING" not in caplog.text


def test_an_empty_mask_is_explained(project, caplog):
    table(rlnTomoName="a.mrc")
    assert run(z_crop=0.99) == 2
    assert "the mask is empty after z crop" in caplog.text
    assert "lower z_crop (0.99)" in caplog.text
    assert not (project / "mask/a_mask.mrc").exists()
    nothing = SpecimenMask(torch.zeros(2, 2, 2), {DENSITY: 0.1, DEVIATION: 0.1, BOTH: 0.0})
    with pytest.raises(InputError, match=r"together 0.0 %\); raise density_percentage \(7\)"):
        refuse_empty(nothing, MakeMaskParameters(star_file="t.star", density_percentage=7))


def test_the_boundary_limits_the_mask(project):
    square = [(10, 4, 15), (40, 4, 15), (40, 30, 15), (10, 30, 15)]
    model("b.mod", [square, [(0, 0, 8), (0, 0, 21)]])
    everything = {"density_percentage": 100, "std_percentage": 100, "z_crop": 0}
    table(rlnTomoName="a.mrc", rlnMaskBoundary="b.mod")
    assert run(**everything) == 0
    truth = np.zeros(SHAPE, np.float32)
    truth[8:22, 4:30, 10:40] = 1
    np.testing.assert_array_equal(open_volume("mask/a_mask.mrc").read(), truth)


def test_a_boundary_beside_the_tomogram_leaves_nothing(project, caplog):
    model("b.mod", [[(100, 100, 5), (120, 100, 5), (120, 120, 5)]])
    table(rlnTomoName="a.mrc", rlnMaskBoundary="b.mod")
    assert run() == 2
    assert "empty after boundary" in caplog.text
    assert "draw rlnMaskBoundary around the specimen" in caplog.text


def test_the_last_two_points_give_the_z_range(tmp_path):
    corners = [(0, 0, 5), (9, 0, 5), (9, 9, 5), (0, 9, 5)]
    path = tmp_path / "b.mod"
    for contours, count, z_range in (
        ([[*corners, (4, 4, 12), (4, 4, 3)]], 4, (3, 12)),
        ([corners, [(4, 4, 3), (4, 4, 12)]], 4, (3, 12)),
        ([[*corners, (1, 5, 5)]], 5, None),
        ([[(0, 0, 5), (9, 0, 6), (9, 9, 7), (0, 9, 8)]], 4, None),
    ):
        polygons, found = read_boundary(model(path, contours))
        assert [len(p) for p in polygons] == [count]
        assert found == z_range
        assert polygons[0][1].tolist() == [9, 0]


def test_a_bad_boundary_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no.mod: there is no such file"):
        read_boundary(tmp_path / "no.mod")
    whole = model(tmp_path / "whole.mod", [[(0, 0, 1), (9, 0, 1), (9, 9, 1)]]).read_bytes()
    for content in (b"not a model", whole[:-4], b"IMODV1.2", b""):
        (tmp_path / "bad.mod").write_bytes(content)
        with pytest.raises(InputError, match=r"bad.mod: is no IMOD model"):
            read_boundary(tmp_path / "bad.mod")
    with pytest.raises(InputError, match="draw a polygon"):
        read_boundary(model(tmp_path / "two.mod", [[(0, 0, 1), (0, 0, 9)]]))


def test_an_earlier_mask_is_kept(project, caplog):
    table(rlnTomoName="a.mrc")
    assert run(**STRICT) == 0
    (row,) = TomogramTable.read("t.star").tomograms
    edited = row.mask.read_bytes()
    assert run(**(STRICT | {"density_percentage": 30})) == 0
    assert row.mask.with_name(f"{row.mask.name}.1").read_bytes() == edited
    assert "the old mask is now" in caplog.text


def test_an_output_folder_that_is_a_file_is_refused(project):
    table(rlnTomoName="a.mrc")
    with pytest.raises(InputError, match=r"a\.mrc: is a file; choose a folder"):
        run(output_dir="a.mrc")


def test_threads_are_those_asked_for(project):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        table(rlnTomoName="a.mrc")
        assert run(ncpus=1, **STRICT) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
