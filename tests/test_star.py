import multiprocessing
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from star_files import OURS, RELION, SERIES, put

from isonet2.data.blocks import cell, read_star
from isonet2.data.star import TomogramTable, refuse_unwritable, update, write_table
from isonet2.errors import InputError


def test_one_row_without_a_loop(tmp_path):
    path = put(
        tmp_path / "a.star",
        "data_\n\n_rlnTomoName  a/TS_1.mrc\n_rlnVoltage 200\n_rlnPixelSize 010.50\n\n",
    )
    (tomogram,) = TomogramTable.read(path).tomograms
    assert (tomogram.name, tomogram.voltage, tomogram.pixel_size) == ("TS_1", 200, 10.5)
    update(path, 1, {"rlnMaskName": "m/a b.mrc"})
    assert "loop_" not in path.read_text()
    cells = TomogramTable.read(path).tomograms[0].cells
    assert cells["rlnMaskName"] == "m/a b.mrc"
    assert cells["rlnPixelSize"] == "010.50"


def test_update_changes_one_row_and_keeps_all_else(ours):
    update(ours, 2, {"rlnMaskName": "masks/TS 03.mrc", "rlnDenoisedTomoName": "d.mrc"})
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


def test_tables_of_other_things_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        TomogramTable.read(tmp_path / "gone.star")
    with pytest.raises(InputError, match="no block lists tomograms"):
        TomogramTable.read(put(tmp_path / "series.star", SERIES))


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("1-2000000", r"no tomogram 3-4, 6-2000000 .* \(1-2, 5\)"),
        ("1-999999999", "no tomogram 3-4, 6-999999999 "),
        ("5-9", "no tomogram 6-9 "),
        ("1,3", "no tomogram 3 "),
        ("1-4", "no tomogram 3-4 "),
        ("1-" + "9" * 5000, "is no index"),
        (",".join(map(str, range(1, 5000))), "no tomogram 3 "),
    ],
)
def test_what_is_not_there_is_said_in_few_words(tmp_path, words, said):
    path = tmp_path / "a.star"
    write_table(path, pd.DataFrame({"rlnIndex": [1, 2, 5], "rlnTomoName": list("abc")}))
    with pytest.raises(InputError, match=said) as caught:
        TomogramTable.read(path).select(words)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_an_aberration_in_metres_is_no_aberration_in_mm(tmp_path):
    path = tmp_path / "a.star"
    row = {"rlnTomoName": ["a"], "rlnSphericalAberration": ["0.0027"]}
    write_table(path, pd.DataFrame(row))
    with pytest.raises(
        InputError, match=r"rlnSphericalAberration 0\.0027 is in mm; did you mean 2\.7"
    ):
        TomogramTable.read(path)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "t.star"
    path.write_text(OURS, encoding="utf-8-sig")
    assert len(TomogramTable.read(path).tomograms) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"data_\n\nloop_\n_rlnTomoName #1\n", "lists no tomograms"),
        (b"\xff\xfe\x00\xf0\x9f", "is not a STAR table; give the one of prepare_star"),
        (
            b"data_\n\nloop_\n_rlnTomoName #1\na.mrc\nb.mrc c.mrc\n",
            "line 6: has 2 words, and the table 1 column; ",
        ),
        (
            b"data_\n\nloop_\n_rlnIndex #1\n_rlnTomoName #2\n1 a.mrc # good\n\n2 _b.mrc\n3\n",
            "line 9: has 1 word, and the table 2 columns; ",
        ),
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


def test_a_table_that_cannot_be_written_is_said_before_the_work(tmp_path, monkeypatch):
    path = tmp_path / "a.star"
    path.write_text(OURS)
    refuse_unwritable(path)
    assert sorted(tmp_path.iterdir()) == [path]
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="noted in the table there: work on a copy of it"):
        refuse_unwritable(path)
