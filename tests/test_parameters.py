import json
import os
import pickle
import time
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from isonet2.errors import InputError
from isonet2.parameters import (
    COMMANDS,
    DeconvParameters,
    DenoiseParameters,
    MakeMaskParameters,
    Parameters,
    PredictParameters,
    PrepareStarParameters,
    RefineParameters,
    SimulateParameters,
    ValidateParameters,
    read_parameters,
    write_parameters,
)
from isonet2.parameters.base import shown
from isonet2.parameters.describe import default_text, metavar, sentences
from isonet2.parameters.help import page
from isonet2.parameters.names import ALIASES, spellings
from isonet2.parameters.record import record_of

MODELS: list[type[Parameters]] = [
    PrepareStarParameters,
    DeconvParameters,
    MakeMaskParameters,
    DenoiseParameters,
    RefineParameters,
    PredictParameters,
    SimulateParameters,
]

# Every name that the two manuals use, by command.
TRAINING = """
    star_file output_dir arch cube_size epochs batch_size acc_batches mixed_precision CTF_mode
    clip_first_peak_mode bfactor split_halves snrfalloff deconvstrength highpassnyquist
    with_predict with_preview with_mask prev_tomo_idx save_interval loss_func learning_rate
    learning_rate_min gpuID ncpus pretrained_model isCTFflipped phaseflipped do_phaseflip_input
    iterations subtomo_size
"""
MANUAL_NAMES = {
    PrepareStarParameters: """
        full even odd tilt_min tilt_max tilt_step pixel_size create_average number_subtomos
        mask_folder coordinate_folder cs voltage ac defocus rlnDefocus star_name outputstar
        pixelsize numbersubtomos
    """,
    DeconvParameters: """
        star_file input_column output_dir snrfalloff deconvstrength highpassnyquist chunk_size
        overlap_rate ncpus phaseflipped tomo_idx deconvfolder chunksize ncpu
    """,
    MakeMaskParameters: """
        star_file input_column output_dir patch_size density_percentage std_percentage z_crop
        tomo_idx maskfolder patchsize densitypercentage stdpercentage zcrop
    """,
    DenoiseParameters: TRAINING,
    RefineParameters: TRAINING
    + """
        method mw_weight noise_level noise_mode apply_mw_x1 num_mask_updates random_rot_weight
        with_deconv input_column outputdir noiselevel noisestartiter
    """,
    PredictParameters: """
        star_file model model2 output_dir gpuID input_column apply_mw_x1 isCTFflipped phaseflipped
        do_phaseflip_input padding_factor tomo_idx output_prefix outputdir inputcolumn
    """,
}

REQUIRED = {"star_file": "t.star", "model": "n.pt", "output_dir": "out"}


def make(model: type[Parameters], **values: object) -> Parameters:
    required = {n: v for n, v in REQUIRED.items() if model.model_fields.get(n)}
    required = {n: v for n, v in required.items() if model.model_fields[n].is_required()}
    if model is PrepareStarParameters and not values.keys() & {"full", "even", "odd"}:
        required["full"] = "tomograms"
    return model.model_validate(required | values)


def complaint(model: type[Parameters], **values: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        make(model, **values)
    return sentences(caught.value, model, values)


@pytest.mark.parametrize("model", MANUAL_NAMES, ids=lambda m: m.command)
def test_every_name_of_the_manuals_is_understood(model):
    known = spellings(model)
    from isonet2.parameters.words import fold

    assert [name for name in MANUAL_NAMES[model].split() if fold(name) not in known] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.command)
def test_every_field_is_documented_and_on_the_help_page(model):
    text = page(model)
    assert f"isonet.py {model.example}" in text
    for name, field in model.model_fields.items():
        assert field.description, name
        assert f"--{name} {metavar(field)}" in text
        if not field.is_required():
            assert f"default {default_text(field)}" in " ".join(text.split())
        assert all(word in " ".join(text.split()) for word in field.description.split())


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.command)
def test_no_two_parameters_share_a_spelling_or_a_short_form(model):
    from isonet2.parameters.words import fold

    assert len({fold(name) for name in model.model_fields}) == len(model.model_fields)
    shorts = [shown(field).short for field in model.model_fields.values() if shown(field).short]
    assert len(set(shorts)) == len(shorts)


def test_aliases_name_parameters_that_exist():
    for command, table in ALIASES.items():
        for name in table.values():
            of = [COMMANDS[command]] if command != "*" else COMMANDS.values()
            assert any(name in model.model_fields for model in of)


def test_models_are_frozen_and_refuse_unknown_names():
    parameters = make(RefineParameters)
    for change in (lambda: setattr(parameters, "epochs", 3), lambda: delattr(parameters, "epochs")):
        with pytest.raises(
            InputError, match=r"^epochs is fixed .* make it anew with another value"
        ):
            change()
    with pytest.raises(InputError, match="refine has no parameter epoch, and none"):
        parameters.epoch = 3
    assert parameters.epochs == 50
    for copy in (pickle.loads(pickle.dumps(parameters)), deepcopy(parameters)):
        assert copy == parameters
    assert parameters.model_copy(update={"epochs": 3}).epochs == 3
    assert complaint(RefineParameters, epoch=3) == {
        "epoch": "refine has no parameter epoch: did you mean epochs?"
    }


def test_defaults_of_the_manuals():
    refine = make(RefineParameters)
    assert (refine.cube_size, refine.epochs, refine.batch_size) == (96, 50, None)
    assert (refine.arch, refine.CTF_mode, refine.mw_weight) == ("unet-medium", "None", -1)
    assert refine.output_dir == Path("isonet_maps")
    assert make(DenoiseParameters).output_dir == Path("denoise")
    assert (make(DeconvParameters).snrfalloff, refine.snrfalloff) == (1.0, 0.0)
    prepare = make(PrepareStarParameters)
    assert (prepare.tilt_min, prepare.tilt_max, prepare.pixel_size) == (None, None, None)
    assert (prepare.voltage, prepare.cs, prepare.ac) == (300.0, 2.7, 0.1)


@pytest.mark.parametrize(
    ("model", "name", "word", "value"),
    [
        (RefineParameters, "CTF_mode", "Network", "network"),
        (RefineParameters, "CTF_mode", None, "None"),
        (RefineParameters, "CTF_mode", "none", "None"),
        (RefineParameters, "CTF_mode", "phase-only", "phase_only"),
        (RefineParameters, "clip_first_peak_mode", "3", 3),
        (RefineParameters, "loss_func", "huber", "Huber"),
        (RefineParameters, "method", "auto", "auto"),
        (RefineParameters, "arch", "UNet-Small", "unet-small"),
        (RefineParameters, "arch", "mine.yaml", "mine.yaml"),
        (RefineParameters, "batch_size", "auto", None),
        (RefineParameters, "batch_size", "None", None),
        (RefineParameters, "pretrained_model", "None", None),
        (RefineParameters, "gpuID", 0, "0"),
        (RefineParameters, "gpuID", [0, 1], "0,1"),
        (RefineParameters, "gpuID", "CPU", "cpu"),
        (RefineParameters, "gpuID", "GPU-8932f937-d72c", "GPU-8932f937-d72c"),
        (RefineParameters, "with_mask", "yes", True),
        (RefineParameters, "with_mask", "0", False),
        (RefineParameters, "noise_level", "0.2", 0.2),
        (RefineParameters, "input_column", "_rlnTomoName", "rlnTomoName"),
        (RefineParameters, "prev_tomo_idx", [1, 3], "1,3"),
        (PredictParameters, "tomo_idx", "1,3,5-7", "1,3,5-7"),
        (PredictParameters, "tomo_idx", "all", None),
        (PrepareStarParameters, "defocus", "[39057,14817]", (39057.0, 14817.0)),
        (PrepareStarParameters, "defocus", "39057", 39057.0),
        (PrepareStarParameters, "defocus", "None", None),
        (PrepareStarParameters, "pixel_size", "auto", None),
        (PrepareStarParameters, "full", "~", Path.home()),
        (SimulateParameters, "shape", "96,160,128", (96, 160, 128)),
    ],
)
def test_words_become_values(model, name, word, value):
    assert getattr(make(model, **{name: word}), name) == value


@pytest.mark.parametrize(
    ("model", "values", "says"),
    [
        (RefineParameters, {"cube_size": 100}, "cube_size = 100 .* multiple of 16"),
        (RefineParameters, {"epochs": "auto"}, "epochs = auto .* whole number"),
        (RefineParameters, {"epochs": "None"}, "epochs = None .* whole number"),
        (RefineParameters, {"epochs": True}, "epochs = True .* whole number"),
        (RefineParameters, {"bfactor": False}, "bfactor = False .* a number"),
        (RefineParameters, {"CTF_mode": "netwrk"}, "phase_only, network or wiener; did you mean"),
        (RefineParameters, {"arch": "resnet"}, "arch = resnet is not known: give unet-small"),
        (RefineParameters, {"gpuID": "0,a"}, "gpuID = 0,a .* GPU numbers such as"),
        (RefineParameters, {"gpuID": "1,1"}, "names one GPU twice"),
        (RefineParameters, {"gpuID": "GPU-xyz"}, "names such as GPU-"),
        (RefineParameters, {"gpuID": "-1"}, "gpuID = -1"),
        (RefineParameters, {"prev_tomo_idx": "a"}, "prev_tomo_idx = a .* rlnIndex"),
        (RefineParameters, {"prev_tomo_idx": "5-3"}, "runs backwards"),
        (RefineParameters, {"learning_rate": "nan"}, "learning_rate = nan"),
        (RefineParameters, {"learning_rate_min": 0.1}, "0.1 is above learning_rate = 0.002"),
        (RefineParameters, {"noise_level": "[0.1,0.2]"}, "has 0 and noise_level 2 numbers"),
        (RefineParameters, {"noise_level": -1}, "noise_level = -1 is negative"),
        (RefineParameters, {"noise_level": "a,b"}, "noise_level = a,b .* one number"),
        (
            RefineParameters,
            {"noise_level": [0.1, 0.2], "noisestartiter": [5, 2]},
            "noisestartiter = 5,2 must rise",
        ),
        (
            RefineParameters,
            {"method": "isonet2-n2n", "with_deconv": True},
            "with_deconv = True is about full tomograms",
        ),
        (
            RefineParameters,
            {"input_column": "rlnTomoName", "with_deconv": True},
            "with_deconv = True trains on rlnDeconvTomoName, not on input_column rlnTomoName",
        ),
        (PrepareStarParameters, {"defocus": 3.9}, "micrometres.* did you mean 39000 angstrom"),
        (PrepareStarParameters, {"defocus": -39000}, "other sign.* mean 39000 angstrom"),
        (PrepareStarParameters, {"defocus": -3.9}, "other sign and in micrometres"),
        (PrepareStarParameters, {"defocus": [30000, 500]}, "defocus = 500 .* nanometres"),
        (PrepareStarParameters, {"defocus": 1e7}, "angstrom, 2000 to 120000"),
        (PrepareStarParameters, {"defocus": 0}, "angstrom, 2000 to 120000"),
        (PrepareStarParameters, {"tilt_min": 30, "tilt_max": -30}, "tilt_min = 30 must be below"),
        (PrepareStarParameters, {"tilt_min": 70}, "tilt_min = 70 must be below tilt_max = 60"),
        (PrepareStarParameters, {"tilt_max": 95}, "tilt_max = 95 .* at most 90"),
        (PrepareStarParameters, {"star_name": "x"}, "star_name = x must end in .star"),
        (PrepareStarParameters, {"even": "EVN"}, "even is given without odd"),
        (PrepareStarParameters, {"tilt_file": "a", "tilt_folder": "b"}, "both given"),
        (PrepareStarParameters, {"defocus": 2e4, "defocus_folder": "b"}, "defocus_folder are both"),
        (PrepareStarParameters, {"voltage": 300000}, "voltage = 300000 .* kV"),
        (DenoiseParameters, {"epochs": 500_000}, "epochs = 500000 .* at most 100000"),
        (
            ValidateParameters,
            {"models": "a.pt", "epochs": 500_000},
            "epochs = 500000 .* at most 100000",
        ),
        (SimulateParameters, {"shape": "96,160"}, "shape = 96,160 .* three whole numbers"),
        (SimulateParameters, {"shape": "96,160,8"}, "too small"),
        (SimulateParameters, {"tilt_min": 60}, "tilt_min = 60 must be below"),
        (PredictParameters, {"padding_factor": 0.5}, "padding_factor = 0.5 .* at least 1"),
        (PredictParameters, {"input_column": ""}, None),
        (DeconvParameters, {"input_column": ""}, "input_column =  is not allowed"),
    ],
)
def test_a_bad_value_gets_one_plain_sentence(model, values, says):
    if says is None:
        make(model, **values)
        return
    found = complaint(model, **values)
    assert len(found) == 1
    (sentence,) = found.values()
    assert "\n" not in sentence
    assert sentence.endswith((".", "?"))
    import re

    assert re.search(says, sentence), sentence


def test_all_problems_come_at_once():
    found = complaint(
        RefineParameters, cube_size=7, epochs="x", gpuID="a", learning_rate_min=0.5, foo=1
    )
    assert set(found) == {"cube_size", "epochs", "gpuID", "learning_rate_min", "foo"}


def test_no_tomograms_at_all():
    with pytest.raises(InputError, match=r"^No tomograms are given"):
        PrepareStarParameters()


@pytest.mark.parametrize("model", COMMANDS.values(), ids=lambda m: m.command)
def test_calls_from_python_are_refused_in_the_sentences_of_the_command_line(model):
    with pytest.raises(InputError) as caught:
        model(nonsense=1)
    lines = str(caught.value).splitlines()
    assert f"{model.command} has no parameter nonsense" in lines[-1]
    assert all("pydantic" not in line and "validation error" not in line for line in lines)
    numbers = [name for name, field in model.model_fields.items() if "NUMBER" in metavar(field)]
    for name in numbers:
        with pytest.raises(InputError, match=rf"{name} = x is not allowed: give"):
            model(**{name: "x"})


def test_units_that_are_others_are_said():
    for model in (PrepareStarParameters, SimulateParameters):
        with pytest.raises(InputError, match=r"cs = 0\.0027 .* in mm; did you mean 2\.7\?"):
            model(cs=0.0027)
        assert complaint(model, cs=27000)["cs"]
        assert make(model, cs=0).cs == 0


def test_a_lower_learning_rate_takes_the_default_of_its_end_with_it():
    assert make(RefineParameters, learning_rate="1e-5").learning_rate_min == 1e-5
    assert make(RefineParameters, learning_rate=1e-3).learning_rate_min == 2e-5


CHANGED = {
    PrepareStarParameters: {"defocus": (39057, 14817), "tilt_min": -50, "even": "E", "odd": "O"},
    DeconvParameters: {"chunk_size": 64, "tomo_idx": "1,3"},
    MakeMaskParameters: {"z_crop": 0.5},
    DenoiseParameters: {"gpuID": "0,1", "loss_func": "L1", "with_mask": True},
    RefineParameters: {"noise_level": [0.1, 0.2], "noisestartiter": [1, 9], "CTF_mode": "wiener"},
    PredictParameters: {"dtype": "float16", "input_column": "rlnTomoName", "gpuID": "0"},
    SimulateParameters: {"shape": [64, 96, 96], "defocus": None, "snr": 0.05},
}


def test_what_a_killed_process_left_of_a_record_is_cleared(tmp_path):
    """Only what nobody can be writing any more: another process may be at its own."""
    old, fresh, other = (tmp_path / name for name in (
        ".params.yaml.0a1b2c3d.part", ".params.yaml.4e5f6071.part", ".notes.part",
    ))  # fmt: skip
    for path in (old, fresh, other):
        path.write_text("command: ref")
    long_ago = time.time() - 3600
    for path in (old, other):
        os.utime(path, (long_ago, long_ago))
    write_parameters(make(RefineParameters), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {fresh.name, other.name, "params.yaml"}


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.command)
def test_the_record_runs_the_command_again(model, tmp_path, monkeypatch):
    monkeypatch.setitem(COMMANDS, model.command, model)
    parameters = make(model, **CHANGED[model])
    path = write_parameters(parameters, tmp_path / "new" / "folder")
    assert path.name == "params.yaml"
    assert [p.name for p in path.parent.iterdir()] == ["params.yaml"]
    assert read_parameters(path) == parameters
    content = yaml.safe_load(path.read_text())
    assert content.keys() == {"command", "version", *model.model_fields}
    as_json = tmp_path / "p.json"
    as_json.write_text(json.dumps(content))
    assert read_parameters(as_json) == parameters


def test_the_json_schema_carries_what_a_form_needs():
    cube = RefineParameters.model_json_schema()["properties"]["cube_size"]
    assert cube["default"] == 96
    assert cube["multipleOf"] == 16
    assert cube["unit"] == "voxels"
    assert cube["group"] == "Basic"
    assert cube["description"].startswith("Edge of")


def test_records_are_found_by_paths_written_as_text(tmp_path):
    parameters = make(RefineParameters, epochs=3)
    path = write_parameters(parameters, str(tmp_path / "new"))
    assert read_parameters(str(path)) == parameters


def test_no_record_that_says_otherwise_is_lost(tmp_path):
    """Several commands that write into one folder, and one with other values in turns."""

    def deconvolved(**values):
        write_parameters(DeconvParameters(star_file="t.star", **values), tmp_path)

    deconvolved()
    deconvolved(tomo_idx="2", ncpus=3)  # a task of an array: the same work
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml"]
    for _ in range(3):
        deconvolved(snrfalloff=0.5)
        write_parameters(MakeMaskParameters(star_file="t.star"), tmp_path)
        deconvolved()
    records = {path.name: read_parameters(path) for path in tmp_path.iterdir()}
    assert sorted(records) == ["params.1.yaml", "params.2.yaml", "params.3.yaml", "params.yaml"]
    said = [(one.command, getattr(one, "snrfalloff", None)) for one in records.values()]
    assert set(said) == {("deconv", 1.0), ("deconv", 0.5), ("make_mask", None)}
    assert record_of(tmp_path, "deconv").name == "params.yaml"
    assert read_parameters(record_of(tmp_path, "make_mask")).command == "make_mask"
    assert record_of(tmp_path, "predict") is None
