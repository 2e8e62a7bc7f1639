import logging
from pathlib import Path

import pandas as pd
import pytest
from star_files import OURS, put

from isonet2.data.star import TomogramTable, update, write_table
from isonet2.errors import InputError


def test_our_table(ours):
    table = TomogramTable.read(ours)
    assert table.path == ours
    first, second = table.tomograms
    assert (first.index, first.name) == (1, "TS_01")
    assert first.full == Path("avg/TS_01_EVN_full.mrc")
    assert first.half1 == Path("EVN/TS_01_EVN.mrc")
    assert first.mask is None
    assert first.denoised is None
    assert (first.pixel_size, first.defocus, first.voltage) == (5.4, 39057, 300)
    assert (first.spherical_aberration, first.amplitude_contrast) == (2.7, 0.1)
    assert (first.tilt_min, first.tilt_max, first.tilts) == (-60, 60, None)
    assert (first.phase_shift, first.number_subtomos) == (0, 600)
    assert (second.name, second.full, second.defocus) == ("TS 03", None, None)
    assert second.half2 == Path("my ODD/TS 03_ODD.mrc")
    assert second.cells["lab0Note"] == "0x1A"


def test_relion_table_with_its_tilt_series(relion, caplog):
    first, second = TomogramTable.read(relion).tomograms
    assert (first.index, first.name, first.full) == (1, "TS_01", None)
    assert first.half2 == Path("rec/TS_01_half2.mrc")
    assert first.pixel_size == 10.0
    assert first.voltage == 200
    assert first.tilts == (-2.9, 0.1, 45.2)
    assert (first.tilt_min, first.tilt_max) == (-2.9, 45.2)
    assert first.defocus == 30500
    assert first.number_subtomos == 1500
    assert (second.name, second.tilts, second.defocus) == ("TS_1e5", None, None)
    assert (second.tilt_min, second.tilt_max) == (-60, 60)
    assert "assuming -60 to 60 degrees" in caplog.text


def test_a_range_in_the_table_counts_more_than_relions_tilt_series(relion):
    update(relion, 1, {"rlnTiltMin": -50.0, "rlnTiltMax": 40.0})
    first = TomogramTable.read(relion).tomograms[0]
    assert (first.tilts, first.tilt_min, first.tilt_max) == (None, -50, 40)


def test_the_name_of_a_relion_tomogram_is_no_file(relion):
    first = TomogramTable.read(relion).tomograms[0]
    with pytest.raises(InputError, match="tomogram 1 has no full tomogram"):
        first.column("rlnTomoName")


def test_isonet_1_table(tmp_path, caplog):
    path = put(
        tmp_path / "a.star",
        "data_\n\nloop_\n_rlnIndex #1\n_rlnMicrographName #2\n_rlnPixelSize #3\n_rlnDefocus #4\n"
        "_rlnNumberSubtomo #5\n1\ttomoset/TS01-wbp.rec\t10.8\t38838.257812\t100\n",
    )
    (tomogram,) = TomogramTable.read(path).tomograms
    assert (tomogram.full, tomogram.name) == (Path("tomoset/TS01-wbp.rec"), "TS01-wbp")
    assert (tomogram.pixel_size, tomogram.defocus) == (10.8, 38838.257812)
    for word in ("300 kV", "2.7 mm", "rlnAmplitudeContrast", "-60 to 60"):
        assert word in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("\t39057\t", "\t3.9\t", "did you mean 39000"),
        ("\t39057\t", "\t390000\t", "did you mean 39000"),
        ("\t39057\t", "\t3,9\t", "not a number"),
        ("\t5.400000\t39057", "\t0\t39057", "must be above 0"),
        ("\t300\t2.7\t0.1\tNone", "\t300000\t2.7\t0.1\tNone", "did you mean 300"),
        ("\t300\t2.7\t0.1\tNone", "\t300\t27\t0.1\tNone", "outside 0 to 10"),
        ("\t300\t2.7\t0.1\tNone", "\t300\t2.7\t10\tNone", "did you mean 0.1"),
        ("\t-60\t60\t", "\t60\t-60\t", "below rlnTiltMax"),
        ("\t-60\t60\t", "\t-95\t60\t", "outside -90 to 90"),
        ("600.000000", "-1", "whole number"),
        ("\n2\t", "\n1\t", "rlnIndex stands there twice"),
        ("\n2\t", "\nB\t", "rlnIndex B is no whole number"),
        ("lab0Note", "rlnVoltage", "rlnVoltage stands twice"),
        ("data_", "table_", "no line that begins with data_"),
        ("# made", "data_\n\n_a b\n# made", "stands in it twice"),
        ("007", "O'B", "quote"),
        ("\n1\t", "\ndata_1\t", "begins with data_"),
    ],
)
def test_implausible_tables_are_refused_by_name(tmp_path, old, new, sentence):
    path = put(tmp_path / "bad.star", OURS.replace(old, new, 1))
    with pytest.raises(InputError, match=sentence) as caught:
        TomogramTable.read(path)
    assert "bad.star" in str(caught.value)


def test_a_half_without_the_other_is_refused(tmp_path):
    lone = "data_\n\nloop_\n_rlnTomoName #1\n_rlnTomoReconstructedTomogramHalf2 #2\na.mrc b.mrc\n"
    with pytest.raises(InputError, match=r"b\.mrc stands without .*Half1; name both"):
        TomogramTable.read(put(tmp_path / "lone.star", lone))


def test_what_a_row_does_not_say_is_assumed_aloud(tmp_path, caplog):
    columns = "_rlnTomoName #1\n_rlnPixelSize #2\n_rlnNumberSubtomo #3\n"
    text = f"data_\n\nloop_\n{columns}a.mrc 10 4\nb.mrc nan nan\n"
    first, second = TomogramTable.read(put(tmp_path / "a.star", text)).tomograms
    assert (first.number_subtomos, second.number_subtomos) == (4, 1500)
    assert "no rlnPixelSize, taking the sizes of voxels in the headers" in caplog.text
    assert "a row without rlnNumberSubtomo, assuming 1500" in caplog.text


def test_all_problems_are_told_at_once(tmp_path):
    text = OURS.replace("\t39057\t", "\t3.9\t").replace("\t-50\t60\t", "\t70\t60\t")
    with pytest.raises(InputError) as caught:
        TomogramTable.read(put(tmp_path / "bad.star", text))
    assert len(str(caught.value).splitlines()) == 2


def test_zero_defocus_is_unknown_unless_there_is_a_phase_plate(tmp_path):
    text = OURS.replace("\t39057\t", "\t0\t").replace("lab0Note", "rlnPhaseShift")
    first, second = TomogramTable.read(
        put(tmp_path / "a.star", text.replace("0x1A", "0"))
    ).tomograms
    assert (first.phase_shift, first.defocus) == (7.0, 0.0)
    assert (second.phase_shift, second.defocus) == (0.0, None)


def test_tilt_file_and_its_range(tmp_path):
    put(tmp_path / "a.tlt", "-40\n0\n50\n")
    text = OURS.replace("lab0Note", "rlnTiltFile").replace("007", "a.tlt").replace("0x1A", "None")
    good = put(tmp_path / "a.star", text.replace("\t-60\t60\t", "\t-40\t50\t"))
    first, second = TomogramTable.read(good).tomograms
    assert first.tilts == (-40, 0, 50)
    assert second.tilts is None
    with pytest.raises(InputError, match=r"differs from a\.tlt, which goes from -40 to 50"):
        TomogramTable.read(put(tmp_path / "b.star", text))


def test_paths_are_taken_from_here_or_from_beside_the_table(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    table = put(there / "tomograms.star", OURS)
    put(there / "EVN" / "TS_01_EVN.mrc", "")
    here.mkdir()
    monkeypatch.chdir(here)
    assert TomogramTable.read(table).tomograms[0].half1 == there / "EVN" / "TS_01_EVN.mrc"
    assert TomogramTable.read(table).tomograms[0].half2 == Path("ODD/TS_01_ODD.mrc")
    put(here / "ODD" / "TS_01_ODD.mrc", "")
    assert TomogramTable.read(table).tomograms[0].half2 == Path("ODD/TS_01_ODD.mrc")
    put(here / "EVN" / "TS_01_EVN.mrc", "")
    with pytest.raises(InputError, match=r"EVN/TS_01_EVN.mrc is one file here and another in"):
        TomogramTable.read(table)


def test_paths_of_a_table_below_the_project_are_found_from_anywhere(tmp_path, monkeypatch):
    table = put(tmp_path / "jobs" / "tomograms.star", OURS)
    put(tmp_path / "EVN" / "TS_01_EVN.mrc", "")
    for folder in (tmp_path, tmp_path / "jobs", tmp_path.parent):
        monkeypatch.chdir(folder)
        assert TomogramTable.read(table).tomograms[0].half1.exists()


def test_results_are_noted_so_that_they_are_found_from_the_table(tmp_path, monkeypatch):
    table = put(tmp_path / "a" / "tomograms.star", OURS)
    for folder, noted in ((tmp_path, "mask/x.mrc"), (tmp_path / "b", f"{tmp_path}/b/mask/x.mrc")):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        update(table, 1, {"rlnMaskName": Path("mask/x.mrc")})
        assert TomogramTable.read(table).tomograms[0].cells["rlnMaskName"] == noted


def test_column(ours):
    first, second = TomogramTable.read(ours).tomograms
    assert second.column("rlnMaskName") == Path("m/03.mrc")
    with pytest.raises(InputError, match=r"tomogram 1 has no rlnMaskName; run .*make_mask"):
        first.column("rlnMaskName")
    with pytest.raises(InputError) as caught:
        first.column("rlnDeconvTomoName")
    assert str(caught.value).endswith(
        "there is no column rlnDeconvTomoName; run isonet.py deconv first (volumes are named in "
        "rlnTomoName, rlnTomoReconstructedTomogramHalf1, rlnTomoReconstructedTomogramHalf2)"
    )


def test_same_file_names_get_different_names(tmp_path):
    path = tmp_path / "a.star"
    write_table(path, pd.DataFrame({"rlnTomoName": ["a/tomo.mrc", "b/tomo.mrc"]}))
    assert [tomogram.name for tomogram in TomogramTable.read(path).tomograms] == ["tomo", "tomo_2"]


def test_nothing_is_logged_about_a_complete_table(ours, caplog):
    with caplog.at_level(logging.DEBUG):
        TomogramTable.read(ours)
    assert caplog.text == ""


def test_an_overfocus_is_refused_with_the_likely_value(tmp_path):
    frame = pd.DataFrame({"rlnIndex": [1], "rlnTomoName": ["a.mrc"], "rlnDefocus": [-30000.0]})
    write_table(tmp_path / "t.star", frame)
    with pytest.raises(InputError, match="did you mean 30000"):
        TomogramTable.read(tmp_path / "t.star")
