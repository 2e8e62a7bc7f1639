"""Make docs/parameters.md from the parameter models and docs/parameters.yaml."""

from pathlib import Path
from typing import NamedTuple

import yaml

from isonet2.parameters import COMMANDS, Parameters
from isonet2.parameters.base import shown
from isonet2.parameters.describe import default_text
from isonet2.parameters.help import ordered

FOLDER = Path(__file__).parent
TABLE = FOLDER / "parameters.md"
PLACES = FOLDER / "parameters.yaml"
HEAD = """# Parameters

Every parameter of every command: where in `src/isonet2` it acts, and the test in `tests` that shows
its effect. `isonet.py COMMAND --help` explains each. This page is made by
`python docs/make_parameters.py` from the parameter models and `parameters.yaml`.
"""
ROWS = """
## {command}

| parameter | unit | default | where it acts | test |
|---|---|---|---|---|
"""


class Place(NamedTuple):
    """Where a parameter acts, and the test that shows it; None where that is not known."""

    module: str | None
    test: str | None


def places() -> dict[tuple[str, str], Place]:
    """Place of every parameter of every command, by command and parameter."""
    known = yaml.safe_load(PLACES.read_text(encoding="utf-8"))
    return {
        (command, name): _place(known, model, name)
        for command, model in COMMANDS.items()
        for name in ordered(model)
    }


def _place(known: dict[str, dict[str, list[str]]], model: type[Parameters], name: str) -> Place:
    """Entry under the command, else under the model that declares the parameter."""
    for key in (model.command, *(base.__name__ for base in model.__mro__)):
        if name in known.get(key, {}):
            return Place(*known[key][name])
    return Place(None, None)


def page() -> str:
    """Text of the page."""
    found = places()
    text = HEAD
    for command, model in COMMANDS.items():
        text += ROWS.format(command=command)
        for name in ordered(model):
            field, place = model.model_fields[name], found[command, name]
            unit = shown(field).unit
            default = "required" if field.is_required() else default_text(field)
            default = default.removesuffix(f" {unit}") if unit else default
            cells = [
                f"`{name}`",
                unit,
                default,
                f"`{place.module}`" if place.module else "**unknown**",
                f"`{place.test}`" if place.test else "none yet",
            ]
            text += f"| {' | '.join(cells)} |\n"
    return text


if __name__ == "__main__":
    TABLE.write_text(page(), encoding="utf-8")
