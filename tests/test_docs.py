import importlib.util
import re
from pathlib import Path

import yaml

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
