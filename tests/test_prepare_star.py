import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from isonet2.commands import prepare_star as module
from isonet2.commands.prepare_star import prepare_star
from isonet2.data.blocks import read_star
from isonet2.data.star import TomogramTable
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import PrepareStarParameters

SHAPE = (20, 24, 28)
MANUAL_COLUMNS = [
    "rlnIndex",
    "rlnTomoName",
    "rlnTomoReconstructedTomogramHalf1",
    "rlnTomoReconstructedTomogramHalf2",
    "rlnPixelSize",
    "rlnDefocus",
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnDeconvTomoName",
    "rlnMaskBoundary",
    "rlnMaskName",
    "rlnTiltMin",
    "rlnTiltMax",
    "rlnBoxFile",
    "rlnNumberSubtomo",
    "rlnCorrectedTomoName",
    "rlnDenoisedTomoName",
]


def volume(path: Path, seed: int = 0, voxel: float | None = 10.0, shape=SHAPE) -> Path:
    data = np.random.default_rng(seed).normal(3, 2, shape).astype(np.float32)
    write_volume(path, data, voxel_size=voxel, label="test")
    return path


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Two tomograms in halves, and the working folder."""
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(("TS_01", "TS_03")):
        volume(Path(f"EVN/{name}_EVN.mrc"), 2 * index)
        volume(Path(f"ODD/{name}_ODD.mrc"), 2 * index + 1)
    return tmp_path


def run(**values: object) -> list[dict[str, str]]:
    """Run the command; the rows of its table."""
    return read_star(prepare_star(PrepareStarParameters(**values))).blocks[""].to_dict("records")


def halves(**values: object) -> list[dict[str, str]]:
    return run(even="EVN", odd="ODD", **values)


def refused(sentence: str, **values: object) -> str:
    """Run a command that must fail and write nothing; what it says."""
    before = sorted(Path().rglob("*"))
    with pytest.raises(InputError, match=sentence) as caught:
        run(**({"even": "EVN", "odd": "ODD"} | values))
    assert sorted(Path().rglob("*")) == before
    return str(caught.value)


def test_the_manuals_line(project, capsys, caplog):
    """The example of the manual: own pixel size, a defocus each, the average."""
    rows = halves(create_average=True, pixel_size=5.4, defocus="[39057,14817]")
    assert list(rows[0]) == MANUAL_COLUMNS
    files = "averaged_tomos/TS_03.mrc EVN/TS_03_EVN.mrc ODD/TS_03_ODD.mrc"
    assert " ".join(rows[1].values()) == (
        f"2 {files} 5.4 14817 300 2.7 0.1 None None None -60 60 None 1500 None None"
    )
    assert rows[0]["rlnDefocus"] == "39057"
    for text in ("tilt_min = -60", "tilt_max = 60", "pixel_size 5.4 A is used"):
        assert text in caplog.text
    assert "defocus" not in caplog.text
    shown = capsys.readouterr().out
    assert "39057" in shown
    assert "rlnDeconvTomoName" not in shown
    tomogram = TomogramTable.read("tomograms.star").tomograms[1]
    assert (tomogram.name, tomogram.defocus, tomogram.number_subtomos) == ("TS_03", 14817, 1500)


def test_the_average_is_the_mean_and_keeps_the_header(project):
    raw = bytearray(Path("EVN/TS_01_EVN.mrc").read_bytes())
    struct.pack_into("<3i", raw, 16, 5, 6, 7)
    struct.pack_into("<3f", raw, 196, -1, -2, -3)
    Path("EVN/TS_01_EVN.mrc").write_bytes(raw)
    halves(create_average=True, defocus=20000)
    one, two = open_volume("EVN/TS_01_EVN.mrc"), open_volume("ODD/TS_01_ODD.mrc")
    with mrcfile.open("averaged_tomos/TS_01.mrc") as file:
        assert file.header.mode == 2
        np.testing.assert_allclose(file.data, (one.read() + two.read()) / 2, rtol=1e-6)
        assert file.voxel_size.tolist() == pytest.approx((10, 10, 10))
        assert file.header.origin.tolist() == (-1, -2, -3)
        assert (file.header.nxstart, file.header.nystart, file.header.nzstart) == (5, 6, 7)
        assert b"mean of the even" in file.header.label[1]


def test_averages_lie_beside_the_table(project):
    rows = halves(create_average=True, star_name="sub/all.star")
    assert rows[0]["rlnTomoName"] == "sub/averaged_tomos/TS_01.mrc"
    assert Path("sub/averaged_tomos/TS_03.mrc").exists()
    assert TomogramTable.read("sub/all.star").tomograms[0].half1 == Path("EVN/TS_01_EVN.mrc")


def test_full_tomograms(project):
    volume(Path("tomos/b.1_10.00Apx.mrc"), 7)
    volume(Path("tomos/a b.rec"), 8)
    Path("tomos/notes.txt").write_text("stray, but no volume")
    rows = run(full="tomos", number_subtomos=800, defocus=20000)
    assert [row["rlnTomoName"] for row in rows] == ["tomos/a b.rec", "tomos/b.1_10.00Apx.mrc"]
    assert [row["rlnTomoReconstructedTomogramHalf1"] for row in rows] == ["None", "None"]
    assert [row["rlnNumberSubtomo"] for row in rows] == ["800", "800"]
    names = [tomogram.name for tomogram in TomogramTable.read("tomograms.star").tomograms]
    assert names == ["a b", "b.1_10.00Apx"]


def test_halves_without_average_have_no_full_tomogram(project):
    assert {row["rlnTomoName"] for row in halves()} == {"None"}


def test_full_and_halves_go_together_by_name(project):
    volume(Path("tomos/TS_03_full.mrc"), 9)
    volume(Path("tomos/TS_01_full.mrc"), 10)
    assert [row["rlnTomoName"] for row in halves(full="tomos")] == [
        "tomos/TS_01_full.mrc",
        "tomos/TS_03_full.mrc",
    ]


def test_halves_are_paired_by_name_in_folders_of_other_order(project):
    """Warp's names carry no half; AreTomo's carry it in the middle; here the order differs."""
    for seed, name in enumerate(("TS_1_10.00Apx.mrc", "TS_10_10.00Apx.mrc")):
        volume(Path("even") / name, seed)
        volume(Path("odd") / name, seed + 10)
    volume(Path("even/Z_Vol.rec"), 30)
    volume(Path("odd/Z.rec"), 31)
    rows = run(even="even", odd="odd")
    for row in rows[:2]:
        one, two = (Path(row[f"rlnTomoReconstructedTomogramHalf{half}"]) for half in (1, 2))
        assert (one.parent, two.parent, one.name) == (Path("even"), Path("odd"), two.name)
    assert rows[2]["rlnTomoReconstructedTomogramHalf2"] == "odd/Z.rec"


def test_both_halves_in_one_folder(project):
    for seed, name in enumerate(
        ("x_EVN_Vol.mrc", "x_ODD_Vol.mrc", "y_EVN_Vol.mrc", "y_ODD_Vol.mrc")
    ):
        volume(Path("all") / name, seed)
    rows = run(even="all", odd="all", create_average=True)
    assert [row["rlnTomoName"] for row in rows] == ["averaged_tomos/x.mrc", "averaged_tomos/y.mrc"]
    volume(Path("all/z.mrc"), 9)
    refused(r"all/z\.mrc: its name says neither even nor odd", even="all", odd="all")


def test_all_problems_are_told_at_once(project):
    volume(Path("EVN/TS_05_EVN.mrc"), 20)
    volume(Path("ODD/TS_07_ODD.mrc"), 21)
    volume(Path("EVN/TS_08_ODD.mrc"), 22)
    volume(Path("EVN/TS_01_EVN.rec"), 23)
    volume(Path("ODD/TS_03_ODD.mrc"), 24, shape=(20, 24, 30))
    said = refused("TS_05", defocus="[20000,30000,40000]", tilt_folder="gone")
    for text in (
        "EVN/TS_05_EVN.mrc: no file called TS_05 in --odd",
        "ODD/TS_07_ODD.mrc: no file called TS_07 in --even",
        "EVN/TS_08_ODD.mrc: is the other half",
        "both are tomogram TS_01",
        "EVN/TS_03_EVN.mrc has 20 x 24 x 28 voxels (z x y x x), ODD/TS_03_ODD.mrc 20 x 24 x 30",
        "defocus has 3 values, but there are 2 tomograms",
        "--tilt_folder gone: no such folder",
    ):
        assert text in said


def test_unequal_voxel_sizes(project):
    volume(Path("ODD/TS_01_ODD.mrc"), 1, voxel=5.0)
    refused(r"EVN/TS_01_EVN\.mrc has voxels of 10 A, ODD/TS_01_ODD\.mrc of 5 A")


@pytest.mark.parametrize("voxel", [None, 1.0])
def test_missing_voxel_size_asks_for_it(project, voxel):
    for seed, name in enumerate(("EVN/TS_01_EVN.mrc", "ODD/TS_01_ODD.mrc")):
        volume(Path(name), seed, voxel=voxel)
    refused(r"TS_01_EVN\.mrc: its header gives no voxel size \(0 or 1\.0\); add --pixel_size")
    assert halves(pixel_size=5.4)[0]["rlnPixelSize"] == "5.4"


def test_anisotropic_voxels(project):
    for seed, name in enumerate(("EVN/TS_01_EVN.mrc", "ODD/TS_01_ODD.mrc")):
        data = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
        write_volume(name, data, voxel_size=(10.0, 10.0, 10.2), label="test")
    refused(r"voxels of 10 x 10 x 10\.2 A \(z x y x x\) are no cubes")
    for seed, name in enumerate(("EVN/TS_01_EVN.mrc", "ODD/TS_01_ODD.mrc")):
        data = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
        write_volume(name, data, voxel_size=(13.48, 13.48, 13.5), label="test")
    assert halves()[0]["rlnPixelSize"] == "13.4867"


def test_unusual_pixel_sizes_are_remarked_with_the_names(project, caplog):
    halves(pixel_size=1.737)
    assert "the pixel size is 1.737 A; networks restore best at about 10 A" in caplog.text
    assert "(TS_01, TS_03)" in caplog.text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data * 0, "every voxel is zero"),
        (lambda data: data * np.nan, "NaN"),
        (lambda data: data * 0 + 5, "every voxel is 5"),
    ],
)
def test_empty_halves_are_named(project, change, sentence):
    raw = bytearray(Path("ODD/TS_03_ODD.mrc").read_bytes())
    data = np.frombuffer(raw[1024:], np.float32)
    Path("ODD/TS_03_ODD.mrc").write_bytes(raw[:1024] + change(data).astype(np.float32).tobytes())
    refused(rf"ODD/TS_03_ODD\.mrc: .*{sentence}")


def test_halves_that_are_one_file(project):
    Path("ODD/TS_01_ODD.mrc").unlink()
    Path("ODD/TS_01_ODD.mrc").symlink_to(Path("EVN/TS_01_EVN.mrc").resolve())
    refused("are the same file")


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (-2.5, 10), (1e-6, 0)])
def test_copied_halves_are_found_in_any_scale(project, scale, shift):
    data = open_volume("EVN/TS_01_EVN.mrc").read() * scale + shift
    write_volume("ODD/TS_01_ODD.mrc", data, voxel_size=10.0, label="copy")
    refused(r"EVN/TS_01_EVN\.mrc and ODD/TS_01_ODD\.mrc: hold the same noise \(correlation 1")


def test_halves_that_share_their_specimen_are_accepted(project):
    """A smooth specimen ten times as strong as the noise is no reason to refuse."""
    z, y, x = np.indices(SHAPE)
    specimen = 20 * np.exp(-((z - 10) ** 2 + (y - 12) ** 2 + (x - 14) ** 2) / 50)
    for path in (Path("EVN/TS_01_EVN.mrc"), Path("ODD/TS_01_ODD.mrc")):
        data = open_volume(path).read() + specimen
        write_volume(path, data, voxel_size=10.0, label="test")
    assert len(halves()) == 2


def test_one_broken_file_and_one_image(project):
    Path("EVN/TS_01_EVN.mrc").write_bytes(Path("EVN/TS_01_EVN.mrc").read_bytes()[:-1])
    volume(Path("ODD/TS_03_ODD.mrc"), 3, shape=(1, 24, 28))
    said = refused("cut short")
    assert "ODD/TS_03_ODD.mrc: is one image" in said


def test_missing_and_empty_folders(project):
    refused("--even gone: no such folder", even="gone")
    Path("empty").mkdir()
    refused("--odd empty: holds no files .mrc", odd="empty")


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
    refused("1 of 2 points lie outside the tomogram", coordinate_folder="box")
    Path("box/TS_01.txt").write_text("1 2\n")
    refused(r"box/TS_01\.txt, line 1: '1 2' is not x y z", coordinate_folder="box")


def test_number_of_subtomograms_is_shared(project):
    for seed, name in enumerate("abcdefg"):
        volume(Path(f"tomos/{name}.mrc"), seed)
    assert {row["rlnNumberSubtomo"] for row in run(full="tomos")} == {"429"}


def test_an_old_table_is_kept(project, caplog):
    halves(defocus=20000)
    first = Path("tomograms.star").read_bytes()
    halves(defocus=30000)
    second = Path("tomograms.star").read_bytes()
    halves(defocus=40000)
    assert Path("tomograms.star.1").read_bytes() == first
    assert Path("tomograms.star.2").read_bytes() == second
    assert "the old table is now tomograms.star.2" in caplog.text


def test_names_that_no_table_can_carry(project):
    volume(Path("EVN/O'Brien_EVN.mrc"), 40)
    volume(Path("ODD/O'Brien_ODD.mrc"), 41)
    refused("rename")


@pytest.mark.parametrize("name", ["1.mrc", "TS 1.2.mrc", "Å_断层.rec", "-x.map", "a.mrc.mrc"])
def test_free_names(project, name):
    stem = Path(name).stem
    for seed, token in enumerate(("EVN", "ODD")):
        volume(Path(f"n/{token}/{stem}_{token}{Path(name).suffix}"), seed)
    run(even="n/EVN", odd="n/ODD", create_average=True)
    (tomogram,) = TomogramTable.read("tomograms.star").tomograms
    for path in (tomogram.full, tomogram.half1, tomogram.half2):
        assert path is not None
        assert open_volume(path).shape == SHAPE


def test_a_failing_average_leaves_the_old_table(project, monkeypatch):
    halves(defocus=20000)
    before = Path("tomograms.star").read_bytes()

    def fails(*_):
        raise InputError("no room")

    monkeypatch.setattr(module, "_write_average", fails)
    with pytest.raises(InputError, match="no room"):
        halves(create_average=True)
    assert Path("tomograms.star").read_bytes() == before
    assert not Path("tomograms.star.1").exists()


def test_no_average_is_made_beside_full_tomograms(project, caplog):
    Path("full").mkdir()
    for path in Path("EVN").glob("*.mrc"):
        Path("full", path.name.replace("_EVN", "")).symlink_to(path.resolve())
    rows = halves(full="full", create_average=True)
    assert "create_average is not needed" in caplog.text
    assert not Path("averaged_tomos").exists()
    assert [row["rlnTomoName"] for row in rows] == ["full/TS_01.mrc", "full/TS_03.mrc"]
