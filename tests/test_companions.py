from pathlib import Path

import pytest
from preparing import MANUAL_COLUMNS, halves, refused, run, volume

from isonet2.data.star import TomogramTable


def test_defocus_of_one_for_all_and_none(project, caplog):
    assert [row["rlnDefocus"] for row in halves(defocus=25000)] == ["25000", "25000"]
    assert "defocus" not in caplog.text
    assert [row["rlnDefocus"] for row in halves()] == ["None", "None"]
    assert "no defocus is given" in caplog.text


def test_given_tilt_range_and_step(project, caplog):
    rows = halves(tilt_min=-48, tilt_max=54.5, tilt_step=20.5)
    assert (rows[0]["rlnTiltMin"], rows[0]["rlnTiltMax"]) == ("-48", "54.5")
    assert "assuming" not in caplog.text
    tilts = TomogramTable.read("tomograms.star").tomograms[0].tilts
    assert tilts == (-48, -27.5, -7, 13.5, 34, 54.5)


def test_one_tilt_file_for_all(project, caplog):
    Path("a.tlt").write_text("-51\n0\n42.5\n")
    rows = halves(tilt_file="a.tlt")
    assert list(rows[0]) == [*MANUAL_COLUMNS, "rlnTiltFile"]
    assert {(row["rlnTiltMin"], row["rlnTiltMax"], row["rlnTiltFile"]) for row in rows} == {
        ("-51", "42.5", "a.tlt")
    }
    assert TomogramTable.read("tomograms.star").tomograms[1].tilts == (-51, 0, 42.5)
    assert "assuming" not in caplog.text


def test_tilt_files_by_name(project):
    Path("tlt").mkdir()
    Path("tlt/TS_03.rawtlt").write_text("-60\n60\n")
    refused("--tilt_folder tlt: no file for tomogram TS_01", tilt_folder="tlt")
    Path("tlt/TS_01.tlt").write_text("-40\n50\n")
    Path("tlt/TS_03.tlt").write_text("-59\n59\n")
    rows = halves(tilt_folder="tlt")
    assert [row["rlnTiltFile"] for row in rows] == ["tlt/TS_01.tlt", "tlt/TS_03.tlt"]
    assert [row["rlnTiltMin"] for row in rows] == ["-40", "-59"]
    Path("tlt/TS_03.tlt").write_text("-59,5\n59\n")
    refused(r"tlt/TS_03\.tlt, line 1: '-59,5' is not a tilt angle", tilt_folder="tlt")


WARP = """<TiltSeries AreAnglesInverted="False" LevelAngleY="-6">
<Angles>46 6.5 -34</Angles>
<UseTilt>True True True</UseTilt>
<GridCTF><Node Z="0" Value="2.5" /><Node Z="1" Value="{}" /><Node Z="2" Value="4.5" /></GridCTF>
</TiltSeries>
"""
CTFFIND = (
    "# CTFFIND\n1 25000 25000 5 {0} 0.1 9\n2 32000 32000 5 {0} 0.1 9\n3 45000 45000 5 {0} 0.1 9\n"
)
FIT = CTFFIND.format(0)
TILTS = "-3\n0\n3\n"
ORDERED = "-3.00 1 3.1\n0.00 2 3.1\n3.00 3 3.1\n"
MDOC = "[ZValue = 0]\nTiltAngle = -51\n[ZValue = 1]\nTiltAngle = 48\n"


def series(files: dict[str, str]) -> None:
    """Files of both tomograms in one folder, by what follows their names."""
    Path("fits").mkdir(exist_ok=True)
    for ending, text in files.items():
        for name in ("TS_01", "TS_03"):
            Path(f"fits/{name}{ending}").write_text(text)


def test_defocus_by_name_at_the_tilt_nearest_to_zero(project, caplog):
    series({".xml": WARP.format(3.2)})
    Path("fits/TS_03.xml").write_text(WARP.format(2.9))
    rows = halves(defocus_folder="fits")
    assert [row["rlnDefocus"] for row in rows] == ["32000", "29000"]
    assert list(rows[0]) == MANUAL_COLUMNS
    assert "no defocus" not in caplog.text
    Path("fits/TS_03.xml").unlink()
    refused("--defocus_folder fits: no file for tomogram TS_03", defocus_folder="fits")


def test_optics_that_the_fit_was_made_with_and_that_are_not_taken_are_said(project, caplog):
    said = '<CTF><Param Name="Voltage" Value="200" /><Param Name="Cs" Value="2.7" /></CTF>'
    series({".xml": WARP.format(3.2).replace("</TiltSeries>", f"{said}</TiltSeries>")})
    halves(defocus_folder="fits")
    assert "fitted with voltage 200, and 300 is written" in caplog.text
    assert "with cs" not in caplog.text
    caplog.clear()
    halves(defocus_folder="fits", voltage=200)
    assert "fitted with" not in caplog.text


def test_tilts_and_defoci_from_the_same_files(project):
    series({".xml": WARP.format(3.2)})
    row, _ = halves(defocus_folder="fits", tilt_folder="fits")
    assert (row["rlnTiltMin"], row["rlnTiltMax"]) == ("-40", "40")
    assert (row["rlnTiltFile"], row["rlnDefocus"]) == ("fits/TS_01.xml", "32000")
    assert TomogramTable.read("tomograms.star").tomograms[0].tilts == (-40, -0.5, 40)


@pytest.mark.parametrize(
    ("files", "tilt_file", "defocus"),
    [
        ({".tlt": TILTS, ".xml": WARP.format(3.2), "_CTF.txt": FIT}, ".tlt", "32000"),
        ({".tlt": "0\n3\n-3\n", ".xml": "<TiltSeries />", "_CTF.txt": FIT}, ".tlt", "32000"),
        ({".tlt": "3\n-3\n0\n", ".mrc_ctf.txt": FIT}, ".tlt", "32000"),
        ({".tlt": "3\n1\n0\n", ".mrc_ctf.txt": FIT}, ".tlt", "45000"),
        ({"_TLT.txt": ORDERED, "_CTF.txt": FIT}, "_TLT.txt", "32000"),
        ({"_aligned.tlt": TILTS, "_CTF.txt": FIT}, "_aligned.tlt", "32000"),
        ({".mrc.mdoc": MDOC, "_CTF.txt": FIT}, ".mrc.mdoc", "32000"),
        ({".rawtlt": TILTS, ".defocus": "1 1 -3 -3 2500 2\n2 2 0 0 3200\n"}, ".rawtlt", "32000"),
    ],
)
def test_one_folder_with_files_of_several_programs(project, files, tilt_file, defocus):
    """A file counts for what can be read from it: a table of CTF fits is no list of tilts."""
    series(files)
    rows = halves(defocus_folder="fits", tilt_folder="fits")
    assert [row["rlnTiltFile"] for row in rows] == [f"fits/TS_0{i}{tilt_file}" for i in (1, 3)]
    assert {row["rlnDefocus"] for row in rows} == {defocus}


def test_defocus_files_that_do_not_do(project):
    series({"_a.defocus": "1 1 0 0 3200 2\n", "_b.defocus": "1 1 0 0 3200 2\n"})
    refused(r"TS_01_a\.defocus and TS_01_b\.defocus suit TS_01; keep one", defocus_folder="fits")
    series({".xml": WARP.format(-3.2), ".tlt": "-3,5\n"})
    said = refused("TS_03", defocus_folder="fits", tilt_folder="fits")
    assert "fits/TS_01.xml: its defocus -32000 is no defocus in angstrom" in said
    assert "did you mean 32000?" in said
    assert "fits/TS_01.tlt, line 1: '-3,5' is not a tilt angle" in said
    series({".xml": "<TiltSeries />"})
    Path("fits/TS_01_a.defocus").unlink()
    Path("fits/TS_03_a.defocus").unlink()
    assert {row["rlnDefocus"] for row in halves(defocus_folder="fits")} == {"32000"}
    Path("fits/TS_01_b.defocus").unlink()
    refused(r"fits/TS_01\.xml: no <Angles>", defocus_folder="fits")


def test_phase_shifts_have_a_column_where_there_are_any(project):
    series({"_CTF.txt": CTFFIND.format(1.5707963)})
    rows = halves(defocus_folder="fits")
    assert list(rows[0]) == [*MANUAL_COLUMNS, "rlnPhaseShift"]
    tomogram = TomogramTable.read("tomograms.star").tomograms[0]
    assert tomogram.phase_shift == pytest.approx(90, abs=1e-3)


def test_masks_by_name_and_shape(project, caplog):
    for name in ("TS_01", "TS_03", "TS_99"):
        volume(Path(f"masks/{name}_mask.mrc"))
    rows = halves(mask_folder="masks")
    assert [row["rlnMaskName"] for row in rows] == ["masks/TS_01_mask.mrc", "masks/TS_03_mask.mrc"]
    assert "suits no tomogram: TS_99_mask.mrc" in caplog.text
    volume(Path("masks/TS_03_mask.mrc"), shape=(20, 24, 29))
    refused(r"masks/TS_03_mask\.mrc: its shape \(20, 24, 29\)", mask_folder="masks")


def test_coordinates_count_subtomograms(project):
    Path("box").mkdir()
    Path("box/TS_01.txt").write_text("x y z\n1 2 3\n# none\n4, 5, 6\n27 23 19\n")
    Path("box/TS_03.star").write_text(
        "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnCoordinateZ #3\n1 2 3\n4 5 6\n"
    )
    rows = halves(coordinate_folder="box", number_subtomos=9)
    assert [(row["rlnBoxFile"], row["rlnNumberSubtomo"]) for row in rows] == [
        ("box/TS_01.txt", "3"),
        ("box/TS_03.star", "2"),
    ]
    Path("box/TS_01.txt").write_text("1 2 3\n28 2 3\n")
    refused("1 of 2 points lie outside TS_01", coordinate_folder="box")
    Path("box/TS_01.txt").write_text("1 2\n")
    refused(r"box/TS_01\.txt, line 1: '1 2' is not x y z", coordinate_folder="box")


def test_number_of_subtomograms_is_shared(project):
    for seed, name in enumerate("abcdefg"):
        volume(Path(f"tomos/{name}.mrc"), seed)
    assert {row["rlnNumberSubtomo"] for row in run(full="tomos")} == {"429"}


def test_a_tilt_file_without_angles_gives_way_to_one_with_them(project):
    for name in ("TS_01", "TS_03"):
        Path(f"tilts/{name}.tlt").parent.mkdir(exist_ok=True)
        Path(f"tilts/{name}.tlt").write_text("0.0\n" * 3)
        Path(f"tilts/{name}.rawtlt").write_text("-51\n0\n48\n")
    rows = halves(tilt_folder="tilts")
    assert [row["rlnTiltFile"] for row in rows] == ["tilts/TS_01.rawtlt", "tilts/TS_03.rawtlt"]
    Path("tilts/TS_03.rawtlt").unlink()
    refused(r"tilts/TS_03\.tlt: a tilt series needs two different angles", tilt_folder="tilts")


def test_a_broken_file_is_said_once(project):
    Path("warp").mkdir()
    for name in ("TS_01", "TS_03"):
        Path(f"warp/{name}.xml").write_text("<TiltSeries")
    said = refused("is not readable as XML", tilt_folder="warp", defocus_folder="warp")
    assert said.count("warp/TS_01.xml") == 1


def test_as_many_slices_as_tilts_may_be_the_tilt_series(project, caplog):
    Path("all.tlt").write_text("".join(f"{angle}\n" for angle in range(-60, 60, 6)))
    halves(tilt_file="all.tlt")
    assert "as many slices as the tilt file has angles" in caplog.text
    caplog.clear()
    Path("all.tlt").write_text("".join(f"{angle}\n" for angle in range(-60, 63, 3)))
    halves(tilt_file="all.tlt")
    assert "as many slices" not in caplog.text
