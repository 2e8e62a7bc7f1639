"""The table as it is edited in the page: cell by cell, checked, and each state kept."""

import pytest
from star_files import HALVES, OURS, RELION, put

from isonet2.data.star import TomogramTable, update
from isonet2.errors import InputError
from isonet2.gui.project import Project, Remembered
from isonet2.gui.table import (
    Edit,
    column_edits,
    edit,
    heading,
    in_angstrom,
    is_path,
    load,
    split_values,
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Project(tmp_path, Remembered(tmp_path / "s.json"), Remembered(tmp_path / "u.json"))


def test_one_cell_changes_and_everything_else_stays_to_the_letter(place):
    path = put(place.folder / "tomograms.star", OURS)
    edit(place, path, [Edit(2, "rlnDefocus", "None", "31000")])
    rows = load(path).rows
    assert rows[1]["rlnDefocus"] == "31000"
    assert rows[0] == load(put(place.folder / "before.star", OURS)).rows[0]
    assert rows[0]["rlnPixelSize"] == "5.400000"
    assert rows[1]["lab0Note"] == "0x1A"
    assert path.read_text().startswith("# made by hand")


def test_other_blocks_of_relions_tables_stay_and_a_missing_column_is_added(place):
    path = put(place.folder / "tomograms.star", RELION)
    table = load(path)
    assert "rlnDefocus" in table.lacking
    assert table.others == ("data_other",)
    assert table.indices == (1, 2)
    after = edit(place, path, [Edit(1, "rlnDefocus", None, "30000")])
    assert "rlnDefocus" not in after.lacking
    assert [row["rlnDefocus"] for row in after.rows] == ["30000", "None"]
    assert RELION.partition("data_other")[2].strip() in path.read_text()


def test_every_save_keeps_the_table_as_it_was(place):
    path = put(place.folder / "tomograms.star", OURS)
    for before, after in (("39057", "40000"), ("40000", "41000")):
        edit(place, path, [Edit(1, "rlnDefocus", before, after)])
    kept = sorted((place.folder / ".isonet" / "tables").glob("tomograms-*.star"))
    assert [copy.read_text() == OURS for copy in kept] == [True, False]
    assert "40000" in kept[1].read_text()


def test_undoing_gives_back_the_same_cells(place):
    path = put(place.folder / "tomograms.star", OURS)
    first = load(path).rows
    edits = column_edits(load(path), "rlnDefocus", ["20000"])
    edit(place, path, edits)
    edit(place, path, [one.undone() for one in reversed(edits)])
    assert load(path).rows == first


@pytest.mark.parametrize(
    ("column", "before", "after", "said"),
    [
        ("rlnDefocus", "39057", "abc", "not a number"),
        ("rlnDefocus", "39057", "3.9", "did you mean 39000"),
        ("rlnTiltMin", "-60", "70", "must be below"),
        ("rlnPixelSize", "5.400000", "-1", "above 0"),
        ("rlnMaskName", "None", 'a"b.mrc', "quote"),
        ("rlnIndex", "1", "7", "stays as it is"),
    ],
)
def test_what_the_records_refuse_is_refused_and_changes_nothing(place, column, before, after, said):
    path = put(place.folder / "tomograms.star", OURS)
    with pytest.raises(InputError, match=said):
        edit(place, path, [Edit(1, column, before, after)])
    assert path.read_text() == OURS


def test_a_wrong_value_that_was_there_before_does_not_keep_others_from_being_mended(place):
    path = put(place.folder / "tomograms.star", OURS.replace("\t39057\t", "\t3.9\t"))
    assert len(load(path).problems) == 1
    after = edit(place, path, [Edit(2, "rlnDefocus", "None", "30000")])
    assert len(after.problems) == 1
    assert not edit(place, path, [Edit(1, "rlnDefocus", "3.9", "39000")]).problems


def test_two_pages_cannot_overwrite_each_other_and_a_jobs_results_stay(place):
    path = put(place.folder / "tomograms.star", OURS)
    edit(place, path, [Edit(1, "rlnDefocus", "39057", "40000")])
    with pytest.raises(InputError, match="was changed to 40000 meanwhile"):
        edit(place, path, [Edit(1, "rlnDefocus", "39057", "50000")])
    update(path, 1, {"rlnMaskName": "mask/1.mrc"})
    edit(place, path, [Edit(2, "rlnDefocus", "None", "30000")])
    assert load(path).rows[0]["rlnMaskName"] == "mask/1.mrc"
    assert load(path).rows[0]["rlnDefocus"] == "40000"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("39057\n14817\n", ["39057", "14817"]),
        ("[39057, 14817]", ["39057", "14817"]),
        ("39057 14817", ["39057", "14817"]),
        ("a b.mrc\nc d.mrc", ["a b.mrc", "c d.mrc"]),
        ("", []),
    ],
)
def test_pasted_columns_are_split_as_people_paste_them(text, values):
    assert split_values(text) == values


def test_a_column_takes_one_value_or_one_for_each_row(place):
    table = load(put(place.folder / "tomograms.star", OURS))
    assert [one.after for one in column_edits(table, "rlnDefocus", ["5"])] == ["5", "5"]
    assert [one.index for one in column_edits(table, "rlnDefocus", ["39057", "6"])] == [2]
    with pytest.raises(InputError, match="3 values for 2 tomograms"):
        column_edits(table, "rlnDefocus", ["1", "2", "3"])


@pytest.mark.parametrize(
    ("column", "values", "meant"),
    [
        ("rlnDefocus", ["3.9", "-1.4817", "None"], ["39000", "14817", "None"]),
        ("rlnDefocus", ["39000", "3.9"], None),
        ("rlnDefocus", ["x"], None),
        ("rlnPixelSize", ["5.4"], None),
    ],
)
def test_defocus_in_micrometres_is_recognised(column, values, meant):
    assert in_angstrom(column, values) == meant


def test_headings_name_units_and_leave_out_the_prefix():
    assert heading("rlnDefocus") == "Defocus (Å)"
    assert heading("rlnMaskName") == "MaskName"
    assert is_path("rlnMaskName")
    assert not is_path("rlnDefocus")


def test_what_is_no_table_is_said(place):
    with pytest.raises(InputError, match="not a STAR table"):
        load(put(place.folder / "x.star", "hello"))


def test_files_that_are_not_there_are_found_in_our_tables_and_in_relions(place):
    for name in ("EVN/TS_01_EVN.mrc", "my ODD/TS 03_ODD.mrc"):
        (place.folder / name).parent.mkdir(exist_ok=True)
        (place.folder / name).touch()
    even, odd = HALVES
    there = {(1, even), (2, odd)}
    ours = load(put(place.folder / "tomograms.star", OURS)).missing
    assert ours == {
        (1, "rlnTomoName"), (1, even), (1, odd), (2, even), (2, odd), (2, "rlnMaskName")
    } - there  # fmt: skip
    relions = load(put(place.folder / "relion.star", RELION))
    assert relions.missing
    assert "rlnTomoName" not in {column for _, column in relions.missing}


def test_the_edited_table_is_read_by_the_commands(place):
    path = put(place.folder / "tomograms.star", OURS)
    edit(place, path, [Edit(2, "rlnDefocus", "None", "31000")])
    assert TomogramTable.read(path).tomograms[1].defocus == 31000
