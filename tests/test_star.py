import logging
import multiprocessing
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isonet2.data.blocks import cell, read_star
from isonet2.data.star import TomogramTable, update, write_table
from isonet2.errors import InputError

OURS = """# made by hand

data_

loop_
_rlnIndex #1
_rlnTomoName #2
_rlnTomoReconstructedTomogramHalf1 #3
_rlnTomoReconstructedTomogramHalf2 #4
_rlnPixelSize #5
_rlnDefocus #6
_rlnVoltage #7
_rlnSphericalAberration #8
_rlnAmplitudeContrast #9
_rlnMaskName #10
_rlnTiltMin #11
_rlnTiltMax #12
_rlnNumberSubtomo #13
_lab0Note #14
1\tavg/TS_01_EVN_full.mrc\tEVN/TS_01_EVN.mrc\tODD/TS_01_ODD.mrc\t5.400000\t39057\t300\t2.7\t0.1\tNone\t-60\t60\t600.000000\t007
2\tNone\t"my EVN/TS 03_EVN.mrc"\t"my ODD/TS 03_ODD.mrc"\t5.400000\tNone\t300\t2.7\t0.1\tm/03.mrc\t-50\t60\t600\t0x1A
"""  # noqa: E501

RELION = """
# version 50001

data_global

loop_ 
_rlnTomoName #1 
_rlnVoltage #2 
_rlnSphericalAberration #3 
_rlnAmplitudeContrast #4 
_rlnTomoTiltSeriesPixelSize #5 
_rlnTomoTiltSeriesStarFile #6 
_rlnTomoTomogramBinning #7 
_rlnTomoReconstructedTomogramHalf1 #8 
_rlnTomoReconstructedTomogramHalf2 #9 
     TS_01   200.000000     2.700000     0.070000     1.350000 tilt_series/TS_01.star     7.407407 rec/TS_01_half1.mrc rec/TS_01_half2.mrc 
     TS_1e5   300.000000     2.700000     0.100000     1.350000 tilt_series/gone.star     7.407407 rec/TS_1e5_half1.mrc rec/TS_1e5_half2.mrc 

# version 50001

data_other

_rlnSomething    0.500000
_rlnWord         "two words"   
"""  # noqa: E501, W291

SERIES = """data_TS_01

loop_
_rlnTomoNominalStageTiltAngle #1
_rlnDefocusU #2
_rlnDefocusV #3
_rlnTomoYTilt #4
-3.0 40000 41000 -2.9
0.0 30000 31000 0.1
45.0 35000 36000 45.2
"""


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return put(tmp_path / "tomograms.star", OURS)


@pytest.fixture
def relion(tmp_path: Path) -> Path:
    put(tmp_path / "tilt_series" / "TS_01.star", SERIES)
    return put(tmp_path / "tomograms.star", RELION)


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


def test_one_row_without_a_loop(tmp_path):
    path = put(
        tmp_path / "a.star",
        "data_\n\n_rlnTomoName  a/TS_1.mrc\n_rlnVoltage 200\n_rlnPixelSize 010.50\n\n",
    )
    (tomogram,) = TomogramTable.read(path).tomograms
    assert (tomogram.name, tomogram.voltage, tomogram.pixel_size) == ("TS_1", 200, 10.5)
    update(path, 1, {"rlnMaskName": Path("m/a b.mrc")})
    assert "loop_" not in path.read_text()
    cells = TomogramTable.read(path).tomograms[0].cells
    assert cells["rlnMaskName"] == "m/a b.mrc"
    assert cells["rlnPixelSize"] == "010.50"


def test_update_changes_one_row_and_keeps_all_else(ours):
    update(ours, 2, {"rlnMaskName": Path("masks/TS 03.mrc"), "rlnDenoisedTomoName": "d.mrc"})
    before = read_star(put(ours.with_name("before.star"), OURS)).blocks[""]
    after = read_star(ours).blocks[""]
    assert list(after.columns) == [*before.columns, "rlnDenoisedTomoName"]
    assert after["rlnMaskName"].tolist() == ["None", "masks/TS 03.mrc"]
    assert after["rlnDenoisedTomoName"].tolist() == ["None", "d.mrc"]
    same = [column for column in before.columns if column != "rlnMaskName"]
    pd.testing.assert_frame_equal(after[same], before[same])
    assert ours.read_text().startswith("# made by hand\n\ndata_\n")


def test_update_of_a_relion_table_keeps_blocks_comments_and_texts(relion):
    update(relion, 2, {"rlnDenoisedTomoName": Path("d/TS_1e5.mrc"), "rlnTiltMin": -51.5})
    text = relion.read_text()
    assert text.count("# version 50001") == 2
    assert text[text.index("data_other") :] == RELION[RELION.index("data_other") :]
    changed = read_star(relion).blocks["global"]
    old = read_star(put(relion.with_name("old.star"), RELION)).blocks["global"]
    pd.testing.assert_frame_equal(changed[old.columns], old)
    assert changed["rlnTiltMin"].tolist() == ["None", "-51.5"]
    assert changed["rlnTomoName"].tolist() == ["TS_01", "TS_1e5"]


def test_update_of_an_unknown_tomogram_changes_nothing(ours):
    with pytest.raises(InputError, match="no tomogram 3"):
        update(ours, 3, {"rlnMaskName": "m.mrc"})
    assert ours.read_text() == OURS


def _fill(path: Path, index: int, column: str) -> None:
    for number in range(15):
        update(path, index, {f"{column}{number}": f"{index}-{number}"})


def test_two_processes_lose_nothing(ours):
    context = multiprocessing.get_context("fork")
    jobs = [(1, "a"), (2, "a"), (1, "b")]
    workers = [context.Process(target=_fill, args=(ours, *job)) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    frame = read_star(ours).blocks[""]
    for number in range(15):
        assert frame[f"a{number}"].tolist() == [f"1-{number}", f"2-{number}"]
        assert frame[f"b{number}"].tolist() == [f"1-{number}", "None"]
    assert frame["rlnDefocus"].tolist() == ["39057", "None"]


NAMES = st.text(
    st.characters(whitelist_categories=("L", "N", "P", "S"), blacklist_characters="\"'#/\0")
    | st.just(" "),
    min_size=1,
    max_size=20,
).filter(lambda name: name.strip() == name and name.lower() not in {"none", "nan", "<na>", "null"})


@settings(max_examples=40, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_any_file_name_survives_writing_and_updating(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "names.star"
    files = [f"dir.with dots/{name}.mrc" for name in names]
    write_table(path, pd.DataFrame({"rlnIndex": range(1, len(names) + 1), "rlnTomoName": files}))
    update(path, 1, {"rlnMaskName": files[-1]})
    table = TomogramTable.read(path)
    assert [str(tomogram.full) for tomogram in table.tomograms] == files
    assert str(table.tomograms[0].mask) == files[-1]
    assert len({tomogram.name for tomogram in table.tomograms}) == len(names)


@pytest.mark.parametrize("name", ["O'Brien.mrc", 'a"b.mrc', "a#b.mrc", "a\nb.mrc", "a\u2028b"])
def test_names_that_the_format_cannot_carry_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="rename"):
        write_table(tmp_path / "a.star", pd.DataFrame({"rlnTomoName": [name]}))
    assert not (tmp_path / "a.star").exists()


def test_numbers_are_written_plainly(tmp_path):
    values = [5.4, 300.0, -60, 1e-7, 39057.25, True, None, float("nan"), Path("a/b"), ""]
    texts = ["5.4", "300", "-60", "1e-07", "39057.25", "True", "None", "None", "a/b", "None"]
    assert [cell(value) for value in values] == texts


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
        ("\n2\t", "\nB\t", "whole numbers"),
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


def test_all_problems_are_told_at_once(tmp_path):
    text = OURS.replace("\t39057\t", "\t3.9\t").replace("\t-50\t60\t", "\t70\t60\t")
    with pytest.raises(InputError) as caught:
        TomogramTable.read(put(tmp_path / "bad.star", text))
    assert len(str(caught.value).splitlines()) == 2


def test_tables_of_other_things_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        TomogramTable.read(tmp_path / "gone.star")
    with pytest.raises(InputError, match="no block lists tomograms"):
        TomogramTable.read(put(tmp_path / "series.star", SERIES))


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
    put(here / "EVN" / "TS_01_EVN.mrc", "")
    assert TomogramTable.read(table).tomograms[0].half1 == Path("EVN/TS_01_EVN.mrc")
    assert TomogramTable.read(table).tomograms[0].half2 == Path("ODD/TS_01_ODD.mrc")


def test_column(ours):
    first, second = TomogramTable.read(ours).tomograms
    assert second.column("rlnMaskName") == Path("m/03.mrc")
    with pytest.raises(InputError, match=r"tomogram 1 has no rlnMaskName; run .*make_mask"):
        first.column("rlnMaskName")
    with pytest.raises(InputError, match=r"no column rlnDeconvTomoName; run .*deconv.*rlnIndex"):
        first.column("rlnDeconvTomoName")


def test_same_file_names_get_different_names(tmp_path):
    path = tmp_path / "a.star"
    write_table(path, pd.DataFrame({"rlnTomoName": ["a/tomo.mrc", "b/tomo.mrc"]}))
    assert [tomogram.name for tomogram in TomogramTable.read(path).tomograms] == ["tomo", "tomo_2"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (None, [1, 2, 5, 6, 7]),
        ("all", [1, 2, 5, 6, 7]),
        ("1", [1]),
        ("1,5-7", [1, 5, 6, 7]),
        (" 7, 2 ", [2, 7]),
    ],
)
def test_select(tmp_path, words, expected):
    path = tmp_path / "a.star"
    write_table(path, pd.DataFrame({"rlnIndex": [1, 2, 5, 6, 7], "rlnTomoName": list("abcde")}))
    assert [tomogram.index for tomogram in TomogramTable.read(path).select(words)] == expected


@pytest.mark.parametrize("words", ["3", "1-3", "0", "x", "1;2", "2-1", "-1"])
def test_select_refuses_what_is_not_there(tmp_path, words):
    path = tmp_path / "a.star"
    write_table(path, pd.DataFrame({"rlnIndex": [1, 2, 5], "rlnTomoName": list("abc")}))
    with pytest.raises(InputError, match="tomo_idx"):
        TomogramTable.read(path).select(words)


def test_nothing_is_logged_about_a_complete_table(ours, caplog):
    with caplog.at_level(logging.DEBUG):
        TomogramTable.read(ours)
    assert caplog.text == ""


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "t.star"
    path.write_text(OURS, encoding="utf-8-sig")
    assert len(TomogramTable.read(path).tomograms) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"data_\n\nloop_\n_rlnTomoName #1\n", "lists no tomograms"),
        (b"\xff\xfe\x00\xf0\x9f", "is not a STAR table; give the one of prepare_star"),
        (b"data_\n\nloop_\n_rlnTomoName #1\na.mrc\nb.mrc c.mrc\n", "correct its rows"),
    ],
)
def test_what_is_no_table_is_said_in_one_line(tmp_path, content, sentence):
    path = tmp_path / "t.star"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        TomogramTable.read(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        TomogramTable.read(tmp_path)


def test_an_overfocus_is_refused_with_the_likely_value(tmp_path):
    frame = pd.DataFrame({"rlnIndex": [1], "rlnTomoName": ["a.mrc"], "rlnDefocus": [-30000.0]})
    write_table(tmp_path / "t.star", frame)
    with pytest.raises(InputError, match="did you mean 30000"):
        TomogramTable.read(tmp_path / "t.star")
