import importlib.util
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from isonet2.networks import build_network
from isonet2.physics.ctf import CtfTreatment
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.usage import Usage

OPTIONS = {"filters": 4, "levels": 2, "convolutions": 1}

ROOT = Path(__file__).parents[1]

spec = importlib.util.spec_from_file_location(
    "make_parameters", ROOT / "docs" / "make_parameters.py"
)
make_parameters = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_parameters)


def called(places):
    return ", ".join(f"{command} --{name}" for command, name in places)


def test_the_page_of_parameters_is_fresh():
    fresh = make_parameters.page() == make_parameters.TABLE.read_text(encoding="utf-8")
    assert fresh, "run `python docs/make_parameters.py`"


def test_every_parameter_acts_somewhere():
    places = make_parameters.places()
    missing = called(key for key, place in places.items() if place.module is None)
    assert not missing, f"docs/parameters.yaml does not say where these act: {missing}"
    for place in places.values():
        assert (ROOT / "src/isonet2" / place.module).is_file(), place


def test_the_tests_that_are_named_exist():
    for place in make_parameters.places().values():
        if place.test is not None:
            file, name = place.test.split("::")
            text = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), place


def test_nothing_is_said_about_parameters_that_are_gone():
    known = yaml.safe_load(make_parameters.PLACES.read_text(encoding="utf-8"))
    models = make_parameters.COMMANDS.values()
    owners = {base.__name__: base for model in models for base in model.__mro__}
    owners |= {model.command: model for model in models}
    for owner, entries in known.items():
        assert set(entries) <= set(owners[owner].model_fields), owner


def test_every_parameter_has_a_test():
    places = make_parameters.places()
    missing = [key for key, place in places.items() if place.module and place.test is None]
    assert not missing, f"no test shows the effect of {called(missing)}"


def blocks(page):
    """Python blocks of a page, each under its heading."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", text, re.M | re.S)
    return [pytest.param(code, id=title) for title, code in found]


def test_no_block_is_missed():
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    assert len(blocks("docs/api.md")) == text.count("```python") == 6


@pytest.mark.parametrize("code", blocks("docs/api.md"))
def test_examples_for_python_run(code, halves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, name in zip(halves, ("even.mrc", "odd.mrc"), strict=False):
        shutil.copy(path, name)
    torch.manual_seed(0)
    network = build_network("unet-small", **OPTIONS)
    Checkpoint(
        method="isonet2-n2n", reads_halves=True, fills_wedge=True, arch="unet-small",
        usage=Usage(32, CtfTreatment()), weights=network.state_dict(), network_options=OPTIONS,
    ).save(tmp_path / "network.pt")  # fmt: skip
    exec(compile(code, "docs/api.md", "exec"), {"__name__": "example"})
