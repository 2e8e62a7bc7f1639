import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isonet2.data.names import files_of, half, stem, tomogram_name


@pytest.mark.parametrize(
    ("name", "expected", "which"),
    [
        ("EVN/TS_01_EVN.mrc", "TS_01", 1),
        ("ODD/TS_01_ODD.mrc", "TS_01", 2),
        ("TS_01_EVN_Vol.mrc", "TS_01", 1),
        ("TS_01_ODD_Vol.mrc", "TS_01", 2),
        ("TS_01_Vol.mrc", "TS_01", None),
        ("averaged_tomos/TS_01_EVN_full.mrc", "TS_01", 1),
        ("TS_1_10.00Apx.mrc", "TS_1_10.00Apx", None),
        ("even/TS_1_10.00Apx.mrc", "TS_1_10.00Apx", None),
        ("a.rec.mrc", "a", None),
        ("rec_TS_01_half1.mrc", "rec_TS_01", 1),
        ("rec_TS_01_half2.mrc", "rec_TS_01", 2),
        ("TS_01.Half_2.MRC", "TS_01", 2),
        ("odd one-even.rec", "odd one", 1),
        ("evening_odd.mrc", "evening", 2),
        ("Todd.mrc", "Todd", None),
        ("even.mrc", "tomogram", 1),
        ("odd.mrc", "tomogram", 2),
        ("even_TS_3.mrc", "TS_3", 1),
        ("TS_even_3.mrc", "TS_3", 1),
        ("3.st", "3", None),
        ("00254_EVN.map", "00254", 1),
    ],
)
def test_names_of_real_programs(name, expected, which):
    assert tomogram_name(name) == expected
    assert half(name) == which


WORDS = st.text(
    st.characters(whitelist_categories=("Lu", "Ll", "Lo", "Nd")), min_size=1, max_size=6
).filter(lambda word: word.lower() not in {"evn", "even", "odd", "full", "vol", "avg", "average"})
PAIRS = [("EVN", "ODD"), ("even", "odd"), ("Even", "Odd"), ("half1", "half2"), ("HALF_1", "HALF_2")]


@given(
    st.lists(WORDS, min_size=1, max_size=4),
    st.sampled_from(["_", ".", "-", " "]),
    st.sampled_from(PAIRS),
    st.sampled_from([".mrc", ".rec", ".map", ".MRC", ".rec.mrc"]),
    st.booleans(),
)
def test_both_halves_get_one_name(words, separator, pair, suffix, in_front):
    names = []
    for token in pair:
        parts = [token, *words] if in_front else [*words, token]
        names.append(separator.join(parts) + suffix)
    assert tomogram_name(names[0]) == tomogram_name(names[1])
    assert [half(name) for name in names] == [1, 2]
    full = separator.join(words) + suffix
    assert half(full) in (None, 1, 2)
    if stem(full) == separator.join(words) and half(full) is None:
        assert tomogram_name(names[0]) == tomogram_name(full)


def found(names: list[str], files: list[str], *suffixes: str) -> dict[str, list[str]]:
    result, unused = files_of(
        names, [Path(file) for file in files], suffixes or (".tlt", ".rawtlt")
    )
    return {name: [str(path) for path in paths] for name, paths in result.items()} | {
        "unused": [str(path) for path in unused]
    }


def test_the_same_name_is_best():
    files = ["TS_1.tlt", "TS_1_x.tlt", "TS_10.tlt", "TS_1_2.tlt"]
    assert found(["TS_1", "TS_10", "TS_1_2"], files) == {
        "TS_1": ["TS_1.tlt"],
        "TS_10": ["TS_10.tlt"],
        "TS_1_2": ["TS_1_2.tlt"],
        "unused": [],
    }


def test_more_and_fewer_words():
    assert found(["TS_1", "TS_1_b"], ["TS_1_mask.mrc", "TS_1_b_mask.mrc"]) == {
        "TS_1": ["TS_1_mask.mrc"],
        "TS_1_b": ["TS_1_b_mask.mrc"],
        "unused": [],
    }
    assert found(["TS_1_10.00Apx", "TS_10_10.00Apx"], ["TS_1.tlt", "TS_10.tlt"]) == {
        "TS_1_10.00Apx": ["TS_1.tlt"],
        "TS_10_10.00Apx": ["TS_10.tlt"],
        "unused": [],
    }


def test_a_number_is_another_tomogram():
    assert found(["TS_1"], ["TS_1_2.tlt", "TS_2.tlt", "TS_12.tlt"]) == {
        "TS_1": [],
        "unused": ["TS_1_2.tlt", "TS_2.tlt", "TS_12.tlt"],
    }


def test_the_first_suffix_counts_and_doubles_are_told():
    assert found(["a"], ["a.rawtlt", "a.tlt"])["a"] == ["a.tlt"]
    assert found(["a"], ["a_x.tlt", "a_y.tlt"])["a"] == ["a_x.tlt", "a_y.tlt"]


def test_what_relion_puts_before_a_name_is_no_word_of_it():
    files = ["TS_01.star", "TS_02.star"]
    assert found(["rec_TS_01", "rec_TS_02"], files) == {
        "rec_TS_01": ["TS_01.star"],
        "rec_TS_02": ["TS_02.star"],
        "unused": [],
    }
    assert found(["rec_TS_1", "rec_TS_1_b"], ["TS_1_b.tlt"])["rec_TS_1"] == []


def as_defined(names: list[str], called: list[str]) -> dict[str, list[str]]:
    """The files that suit each name best, asked pair by pair."""

    def extends(longer, shorter):
        rest = longer[len(shorter) :]
        if not longer.startswith(shorter) or rest[:1] not in set("_-. ") or not rest:
            return False
        return any(letter.isalpha() for letter in re.split(r"[_\- ]", rest[1:])[0])

    def rank(name, word, others):
        if word == name:
            return 0, 0
        if word in others:
            return None
        if extends(word, name):
            longer = any(len(o) > len(name) and extends(word, o) for o in others)
            return None if longer else (1, len(word))
        return (2, -len(word)) if extends(name, word) else None

    plain = {name: name.removeprefix("rec_") for name in names}
    best = {}
    for name in names:
        ranked = {}
        for word in called:
            r = rank(name, word, names) or rank(plain[name], word, list(plain.values()))
            if r is not None:
                ranked.setdefault(r, []).append(f"{word}.tlt")
        best[name] = ranked[min(ranked)] if ranked else []
    return best


WORDS = st.lists(st.sampled_from(["rec", "TS", "1", "2", "a", "b3"]), min_size=1, max_size=4)
NAMES = st.lists(WORDS.map("_".join), min_size=1, max_size=6, unique=True)


@given(NAMES, NAMES)
def test_files_are_found_as_pair_by_pair(names, called):
    result = found(names, [f"{word}.tlt" for word in called])
    assert {name: result[name] for name in names} == as_defined(names, called)


def test_thousands_are_paired_at_once():
    names = [f"rec_TS_{number:04d}_10.00Apx" for number in range(2000)]
    files = [f"TS_{number:04d}{end}" for number in range(2000) for end in (".tlt", "_b.mrc")]
    began = time.process_time()
    result = found(names, files)
    assert time.process_time() - began < 2
    assert all(result[name] == [f"TS_{i:04d}.tlt"] for i, name in enumerate(names))
