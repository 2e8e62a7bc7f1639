import re
from itertools import product
from pathlib import Path

import pytest

import isonet2.gui
from isonet2.errors import InputError
from isonet2.gui.forms import Form, batch_script, briefly, script, split_command
from isonet2.gui.words import LANGUAGES, dictionary
from isonet2.parameters import COMMANDS
from isonet2.parameters.command_line import parse

PAGES = Path(isonet2.gui.__file__).parent
SEVEN = ("prepare_star", "inspect", "deconv", "make_mask", "denoise", "refine", "predict")
NEEDED = {
    "inspect": {"tomograms": "t.star"},
    "prepare_star": {"even": "E", "odd": "O"},
    "predict": {"model": "a.pt"},
}


def filled(command, **texts):
    form = Form(command)
    needed = {"star_file": "t.star"} if "star_file" in form.texts else {}
    form.texts.update(needed | NEEDED.get(command, {}) | texts)
    return form


@pytest.mark.parametrize("command", SEVEN)
def test_an_untouched_form_runs_the_command_with_its_defaults(command):
    form = filled(command)
    parameters, problems = form.check()
    assert problems == {}
    assert parameters == parse(form.words()[2:], COMMANDS[command])
    assert len(form.words()) <= 6


@pytest.mark.parametrize("command", SEVEN)
def test_every_default_is_what_the_command_line_takes_when_nothing_is_said(command):
    form = filled(command)
    fields = COMMANDS[command].model_fields
    for name in form.names:
        form.texts[name] = form.default(name) if not fields[name].is_required() else "x.star"
        assert not form.changed(name) or fields[name].is_required()


def test_a_command_line_and_its_form_mean_the_same_both_ways():
    line = (
        "isonet.py refine 'a b.star' --mw_weight 200 --bfactor 200 --CTF_mode network "
        "--gpuID 0,1 --with_mask True --noise_level 0 -o 01_test"
    )
    form = Form("refine")
    form.paste(line)
    again = Form("refine")
    again.paste(form.command())
    assert form.check()[0] == again.check()[0]
    assert form.texts["star_file"] == "a b.star"
    assert form.texts["gpuID"] == "0,1"
    assert form.texts["with_mask"] is True


@pytest.mark.parametrize(
    "value", ["a b.star", "it's.star", "$(touch x).star", "x; ls.star", "-x.star"]
)
def test_whatever_a_name_holds_it_stays_one_word(value):
    form = filled("deconv", star_file=value)
    pasted = Form("deconv")
    pasted.paste(form.command())
    assert pasted.texts["star_file"] == value


@pytest.mark.parametrize(("mode", "shown"), [
    ("None", set()),
    ("phase_only", {"do_phaseflip_input"}),
    ("network", {"do_phaseflip_input", "bfactor", "clip_first_peak_mode"}),
    ("wiener", {"do_phaseflip_input", "snrfalloff", "deconvstrength", "highpassnyquist"}),
])  # fmt: skip
def test_fields_of_the_ctf_are_shown_and_sent_by_mode(mode, shown):
    form = filled("denoise", CTF_mode=mode)
    every = {"do_phaseflip_input", "bfactor", "clip_first_peak_mode", "snrfalloff",
             "deconvstrength", "highpassnyquist"}  # fmt: skip
    values = dict.fromkeys(every - {"do_phaseflip_input"}, "0.5")
    form.texts.update(values, do_phaseflip_input=False)
    assert {name for name in every if form.visible(name)} == shown
    words = " ".join(form.words())
    assert {name for name in every if f"--{name} " in words} == shown


def test_everything_that_is_wrong_is_said_at_once():
    form = filled("refine", cube_size="100", epochs="many", batch_size="0", star_file="")
    parameters, problems = form.check()
    assert parameters is None
    assert set(problems) == {"cube_size", "epochs", "batch_size", "star_file"}
    assert briefly(problems["cube_size"]).startswith("Give a whole number, at least 32")


def test_numbers_are_written_as_people_write_them():
    form = filled("refine", mw_weight="200", learning_rate="3e-4")
    assert form.command().endswith("--mw_weight 200 --learning_rate 3e-4")
    form = Form("refine")
    form.paste("isonet.py refine t.star --mw_weight 200.0")
    assert form.texts["mw_weight"] == "200"


def test_what_was_remembered_of_another_version_does_no_harm():
    form = Form("refine", {"epochs": "12", "gone": "x", "with_mask": "yes", "cube_size": 64})
    assert form.texts["epochs"] == "12"
    assert "gone" not in form.texts
    assert form.texts["with_mask"] is False
    assert form.texts["cube_size"] == "96"


@pytest.mark.parametrize(
    "line",
    [
        "isonet.py refine t.star -o 01_test --CTF_mode network >> 01_test/log.txt 2>&1 &",
        "$ isonet.py refine t.star -o 01_test \\\n  --CTF_mode network",
        "python -m isonet2 refine t.star \u2013\u2013CTF_mode network -o 01_test",
    ],
)
def test_command_lines_as_manuals_and_shells_show_them_are_understood(line):
    form = Form("refine")
    form.paste(line)
    assert form.texts["CTF_mode"] == "network"
    assert form.texts["output_dir"] == "01_test"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ls -l", "no command"),
        ("isonet.py deconv t.star", "of deconv, not of refine"),
        ("isonet.py refine 't.star", "quotes"),
        ("isonet.py refine t.star --epoch 3 --cube_size 7", "did you mean --epochs"),
    ],
)
def test_what_cannot_be_understood_is_said_and_changes_nothing(line, said):
    form = filled("refine", epochs="7")
    with pytest.raises(InputError, match=said):
        form.paste(line)
    assert form.texts["epochs"] == "7"


def test_scripts_run_the_command_in_the_project(tmp_path):
    folder = tmp_path / "a b"
    for text in (script("isonet.py check", folder), batch_script("isonet.py check", folder, "c")):
        assert f"cd '{folder}'\n" in text
        assert "isonet.py check\n" in text
    assert split_command("isonet.py refine a.star &") == ("refine", ["a.star"])


def test_the_dictionaries_have_the_same_keys_and_the_same_places_for_values():
    english = dictionary("en")
    for language in LANGUAGES:
        other = dictionary(language)
        assert set(other) == set(english), set(other) ^ set(english)
        for key, text in other.items():
            assert text.strip(), key
            places = [set(re.findall(r"\{(\w*)\}", words)) for words in (text, english[key])]
            assert places[0] == places[1], key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_of_a_form_has_a_name_in_words(language):
    names = {name for command in SEVEN for name in Form(command).names}
    assert {f"field.{name}" for name in names} <= set(dictionary(language))
    for command, name in product(SEVEN, ("page", "lead")):
        if command != "prepare_star":
            assert f"{name}.{command}" in dictionary(language)


def test_every_text_is_shown_somewhere():
    code = "".join(path.read_text(encoding="utf-8") for path in PAGES.rglob("*.py"))
    begun = tuple(set(re.findall(r"""["']([a-z]+\.\w*)\{""", code)))
    for key in dictionary("en"):
        is_of_the_script = key.startswith("viewer.")
        assert is_of_the_script or key in code or key.startswith(begun), key
