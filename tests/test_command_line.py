"""Words after a command become its parameters."""

from pathlib import Path

import pytest
from command_words import problems, refine

from isonet2.cli import main
from isonet2.errors import InputError
from isonet2.parameters import (
    COMMANDS,
    CheckParameters,
    PredictParameters,
    PrepareStarParameters,
    RefineParameters,
    SimulateParameters,
)
from isonet2.parameters.command_line import parse, plain
from isonet2.parameters.names import GONE, GONE_COMMANDS, spellings
from isonet2.parameters.record import validated
from isonet2.parameters.shared import takes_list
from isonet2.parameters.words import fold


def test_a_line_of_the_manual(called):
    line = "refine tomograms.star --with_mask True --gpuID 0 --mw_weight 200 --bfactor 200"
    assert main([*line.split(), "--CTF_mode", "network"]) == 0
    (parameters,) = called
    assert parameters == RefineParameters(
        star_file=Path("tomograms.star"),
        with_mask=True,
        gpuID="0",
        mw_weight=200,
        bfactor=200,
        CTF_mode="network",
    )


@pytest.mark.parametrize(
    "line",
    [
        "prepare_star --even E --odd O --create_average True --pixel_size 5.4 "
        "--defocus [39057,14817,25241]",
        "prepare_star -e E -d O -o x.star",
        "prepare_star -e E -o O --create_average True",
        "prepare_star tomograms",
        "prepare_star -f tomograms",
        "prepare_star --even E --odd O --pixel_size 5.35 \u2013create_average True",
        "prepare_star tomograms --outputstar t.star --pixelsize 5 --numbersubtomos 9",
        "refine tomograms.star -o 01_test --CTF_mode wiener",
        "refine tomograms.star --input_column rlnDeconvTomoName --method isonet2 --noise_level 0.2",
        "refine s.star --outputdir r --gpuID 0,1 --iterations 9 --noiselevel [0,0.1] "
        "--noisestartiter [1,5] --method isonet2 --arch unet-small",
        "predict tomograms.star isonet_maps/network.pt --tomo_idx 1 --input_column rlnTomoName",
        "predict tomograms.star model.h5 --gpuID 0 --outputdir o --inputcolumn rlnTomoName",
    ],
)
def test_lines_of_the_manuals_as_printed(called, line):
    assert main(line.split()) == 0
    assert len(called) == 1


def test_the_odd_folder_of_the_tutorials_short_form():
    parameters = parse(["-e", "EVN", "-o", "ODD"], PrepareStarParameters)
    assert (parameters.odd, parameters.star_name) == (Path("ODD"), Path("tomograms.star"))
    with pytest.raises(InputError, match=r"star_name = mytable must end in \.star"):
        parse(["FULL", "-o", "mytable"], PrepareStarParameters)
    parameters = parse(["-e", "EVN", "-d", "ODD", "-o", "x.star"], PrepareStarParameters)
    assert (parameters.odd, parameters.star_name) == (Path("ODD"), Path("x.star"))


@pytest.mark.parametrize(
    "word", ["--CTF_mode", "--ctf-mode", "--CTFMODE", "\u2013ctf_mode", "\u2014Ctf-Mode"]
)
def test_options_in_any_writing(word):
    assert refine("t.star", word, "network").CTF_mode == "network"
    assert refine("t.star", f"{word}=network").CTF_mode == "network"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--with_mask", "True"], True),
        (["--with_mask", "yes"], True),
        (["--with_mask", "1"], True),
        (["--with_mask"], True),
        (["--with_mask", "--epochs", "3"], True),
        (["--with_mask=no"], False),
        (["--with_mask", "FALSE"], False),
        (["--with_mask", "0"], False),
        ([], False),
    ],
)
def test_switches(words, value):
    assert refine("t.star", *words).with_mask is value
    assert refine(*words, "t.star").with_mask is value


def test_a_switch_does_not_swallow_the_table():
    assert refine("--with_mask", "t.star").star_file == Path("t.star")
    assert problems(["t.star", "--with_mask", "maybe"]) == [
        "with_mask = maybe is not allowed: give True or False."
    ]


@pytest.mark.parametrize("value", ["-50", "\u221250", "-50.0", "-5e1", "\u201350"])
def test_negative_numbers_are_values(value):
    for words in (["--tilt_min", value], [f"--tilt_min={value}"]):
        assert parse(["out", *map(plain, words)], SimulateParameters).tilt_min == -50


LISTS = {
    "64,96": ["64,96", "64 96", "64, 96", "[64,96]", "[64, 96]", "[64 96]", "(64 96)", "64 , 96,"],
    "64,80,96": ["64,80,96", "64 80 96", "64, 80,96", "[64 80 96]", "( 64, 80 , 96 )"],
    "5000,6000,7000": ["5000,6000,7000", "5000 6000 7000", "[5000 6000 7000]"],
}


NEEDED = {
    "prepare_star": {"full": "f"},
    "resize": {"volumes": "t.star"},
    "predict": {"star_file": "t.star", "model": "n.pt"},
    "simulate": {"output_dir": "o"},
    "submit": {"words": "psf"},
    "jobs": {"action": "cancel"},
    "inspect": {"tomograms": "t.star"},
    "validate": {"star_file": "t.star", "models": "a.pt", "held_out": "full"},
    "refine": {"star_file": "t.star", "noise_level": "1,2,3", "noisestartiter": "1,2,3"},
}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (model, name)
        for model in COMMANDS.values()
        for name, field in model.model_fields.items()
        if takes_list(field) and name != "arch"
    ],
)
def test_blanks_separate_in_every_list(model, name):
    others = NEEDED.get(
        model.command, {"star_file": "t.star"} if "star_file" in model.model_fields else {}
    )
    given = [f"--{other}={value}" for other, value in others.items() if other != name]
    length = 2 if (model.command, name) == ("check", "cube_size") else 3
    canon = "5000,6000,7000" if name == "defocus" else [*LISTS][length - 2]
    read = {}
    for written in LISTS[canon]:
        apart = [*given, f"--{name}", *written.split()]
        for words in ([*given, f"--{name}", written], [f"--{name}={written}", *given], apart):
            value = getattr(parse(words, model), name)
            read[" ".join(words)] = value
        content = {**others, name: written}
        assert getattr(validated(model, content, []), name) == value
    assert len(set(read.values())) == 1, read
    numbers = value.split(",") if isinstance(value, str) else value
    assert [float(number) for number in numbers] == [float(n) for n in canon.split(",")]


def test_lists_do_not_swallow_what_follows():
    assert refine("--gpuID", "0", "1", "t.star").star_file == Path("t.star")
    assert refine("t.star", "--tomo_idx", "[1,2", "--epochs", "3").epochs == 3
    assert refine("t.star", "--tomo_idx", "1", "-", "3", "7").tomo_idx == "1-3,7"
    words = ["folder", "--defocus", "[39057,", "14817]", "--voltage", "200"]
    assert parse(words, PrepareStarParameters).defocus == (39057.0, 14817.0)
    several = parse(["--arch", "[unet-small", "HSFormer]"], CheckParameters)
    assert several.arch == ("unet-small", "HSFormer")


def test_the_positionals_by_name():
    by_name = parse(["--model", "n.pt", "--star_file", "t.star"], PredictParameters)
    assert by_name == parse(["t.star", "n.pt"], PredictParameters)
    assert by_name == parse(["--star_file", "t.star", "n.pt"], PredictParameters)


def test_all_problems_of_a_call_come_at_once():
    words = ["t.star", "--CTF_mod", "network", "--cube_size", "100", "--gpuID", "x", "extra"]
    found = problems([*words, "--epochs", "3", "--iterations", "4", "--output_dir"])
    assert len(found) == 6
    text = "\n".join(found)
    assert "refine has no parameter --CTF_mod: did you mean --CTF_mode?" in text
    assert "cube_size = 100 is not allowed" in text
    assert "gpuID = x is not allowed" in text
    assert "what extra is for" in text
    assert "epochs is given twice, as 3 and as 4" in text
    assert "output_dir has no value" in text


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("refine t.star -epochs 1", "epochs", 1),
        ("refine t.star -gpuID 0 1 --result_dir r", "output_dir", Path("r")),
        ("refine --subtomo_star t.star", "star_file", Path("t.star")),
        ("resize --star_file t.star --apix 15 --out_folder r", "pixel_size", 15.0),
        ("resize --star_file t.star --apix 15 --out_folder r", "output_dir", Path("r")),
        ("json2star a.json --star_name b.star", "star_file", Path("b.star")),
        ("prepare_star --folder_name tomos --output_star x.star", "full", Path("tomos")),
        ("fsc --t1 a.mrc --t2 b.mrc --m m.mrc", "mask", Path("m.mrc")),
        ("deconv t.star --deconv_folder d --ncpu 4", "output_dir", Path("d")),
    ],
)
def test_names_of_other_versions_are_understood(called, line, name, value):
    assert main(line.split()) == 0
    assert getattr(called[0], name) == value


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("refine t.star --number_subtomos 800", "the table: --number_subtomos of prepare_star"),
        ("refine t.star --continue_from x.json", "--resume True"),
        ("refine t.star --log_level debug", "leave it out"),
        ("predict t.star n.pt --cube_size 64", "--chunk_size sets the size of tiles"),
        ("predict t.star n.pt --crop_size 96", "--overlap_rate"),
        ("psf --w 5", "leave it out"),
        ("psf --between_tilts True", "--tilt_file"),
        ("psf --output wedge.mrc", "--output_dir FOLDER gets wedge.mrc and psf.mrc"),
        ("deconv t.star --voltage 300", "rlnVoltage"),
        ("extract t.star", "is not needed: refine draws sub-tomograms"),
        ("powerlaw_filtering a b", "is power_law here"),
    ],
)
def test_what_became_of_names_of_other_versions_is_said(capsys, called, line, said):
    assert main(line.split()) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert said in sentence
    assert called == []


def test_names_that_are_gone_are_no_parameters():
    for command, names in GONE.items():
        for model in COMMANDS.values() if command == "*" else [COMMANDS[command]]:
            assert spellings(model).keys().isdisjoint(map(fold, names)), model
    assert COMMANDS.keys().isdisjoint(GONE_COMMANDS)


def test_a_wildcard_that_the_shell_wrote_out_is_one_sentence():
    files = [f"EVN/TS_{number}.mrc" for number in range(41)]
    found = problems(["--even", *files, "--odd", "ODD"], PrepareStarParameters)
    assert len(found) == 1
    assert "of a wildcard give the folder, or put it in quotes" in found[0]
    assert "and 34 more" in found[0]


def test_a_missing_table_is_named():
    (sentence,) = problems([])
    assert sentence.startswith("star_file is missing (STAR table")


def test_a_parameter_of_another_command_is_recognised():
    (sentence,) = problems(["t.star", "n.pt", "--method", "isonet2"], PredictParameters)
    assert sentence == "predict has no parameter --method; refine has it."
