import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isonet2.commands.json2star import json2star
from isonet2.commands.star2json import star2json, value
from isonet2.data.blocks import cell, read_star
from isonet2.errors import InputError
from isonet2.parameters import Json2StarParameters, Star2JsonParameters

TEXT = """
data_optics

_rlnVoltage 300.000
_mine 'two words'

data_global

loop_
_rlnIndex #1
_rlnTomoName #2
_rlnPixelSize #3
_rlnMaskName #4
1 /a/b_10.00Apx.mrc 5.40 None
2 12 5.4 nan
3 'with blank.mrc' 1e3 -0

data_other

loop_
_some
_thing
x 1
"""


def test_everything_comes_back(tmp_path):
    path = tmp_path / "t.star"
    path.write_text(TEXT)
    before = read_star(path)
    written = star2json(Star2JsonParameters(star_file=path))
    assert written == tmp_path / "t.json"
    content = json.loads(written.read_text())
    assert content["global"][1] == {
        "rlnIndex": 2, "rlnTomoName": 12, "rlnPixelSize": 5.4, "rlnMaskName": "nan",
    }  # fmt: skip
    assert content["global"][0]["rlnPixelSize"] == "5.40"
    assert content["global"][0]["rlnMaskName"] is None
    assert content["optics"]["mine"] == "two words"
    again = json2star(Json2StarParameters(json_file=written, star_file=tmp_path / "new.star"))
    after = read_star(again)
    assert list(after.blocks) == ["optics", "global", "other"]
    for name, frame in before.blocks.items():
        assert after.blocks[name].equals(frame), name
    assert after.text.count("loop_") == 2
    assert json.loads(star2json(Star2JsonParameters(star_file=again)).read_text()) == content


@given(st.floats() | st.integers() | st.text("0123456789.e+-_n a"))
def test_a_cell_is_written_again_as_it_was(found):
    text = cell(found)
    assert cell(value(text)) == text
    json.dumps(value(text), allow_nan=False)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "not readable as JSON"),
        ("[]", "object of blocks"),
        ('{"a": 5}', "is no table"),
        ('{"a": [{"b": [1]}]}', "is no table"),
        ('{"a": [{"b": "quote\'s"}]}', "cannot stand in a STAR table"),
    ],
)
def test_other_json_is_refused(tmp_path, content, sentence):
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(InputError, match=sentence):
        json2star(Json2StarParameters(json_file=path))
    assert not Path(tmp_path / "t.star").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="gone"):
        json2star(Json2StarParameters(json_file=tmp_path / "gone.json"))


def test_a_table_is_never_written_over(tmp_path):
    path = tmp_path / "t.star"
    path.write_text(TEXT)
    with pytest.raises(InputError, match="would replace the file that it is made from"):
        star2json(Star2JsonParameters(star_file=path, json_file=path))
    with pytest.raises(InputError, match=r"is the name of a STAR table; end it in \.json"):
        star2json(Star2JsonParameters(star_file=path, json_file=tmp_path / "u.star"))
    with pytest.raises(InputError, match="would replace the file"):
        json2star(Json2StarParameters(json_file=path, star_file=path))
    assert path.read_text() == TEXT


def test_json_that_makes_no_readable_table_is_refused(tmp_path):
    source = tmp_path / "j.json"
    source.write_text('{"":[{"rlnTomoName":"data_1.mrc","rlnB":"x"}]}')
    with pytest.raises(InputError, match=r"j.json: makes no table that can be read again"):
        json2star(Json2StarParameters(json_file=source))
    assert not (tmp_path / "j.star").exists()
