"""What a parameter takes, and what is wrong with a value, in plain words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from isonet2.parameters.base import Parameters, choices, members, shown
from isonet2.parameters.names import nearest
from isonet2.parameters.words import in_words

_LIMITS = {
    Ge: ("ge", "at least {:g}"),
    Gt: ("gt", "above {:g}"),
    Le: ("le", "at most {:g}"),
    Lt: ("lt", "below {:g}"),
    MultipleOf: ("multiple_of", "a multiple of {:g}"),
}
_KINDS = {
    bool: ("True|False", "True or False"),
    int: ("INTEGER", "a whole number"),
    float: ("NUMBER", "a number"),
    Path: ("PATH", "a path"),
    str: ("TEXT", "a text"),
}


def _kind(field: FieldInfo) -> type:
    """The plain type that a value of `field` has: the first that is not None."""
    first = members(field.annotation)[0]
    kind: type = get_origin(first) or first
    return kind


def metavar(field: FieldInfo) -> str:
    """The sign for a value of `field` in a usage line."""
    if options := choices(field):
        return "|".join(map(str, options))
    if _kind(field) is tuple or len(members(field.annotation)) > 2:
        return "LIST"
    return _KINDS[_kind(field)][0]


def limits(field: FieldInfo) -> str:
    """The limits of a number, such as "at least 32, a multiple of 16"."""
    found = [
        text.format(getattr(rule, name))
        for rule in field.metadata
        for kind, (name, text) in _LIMITS.items()
        if isinstance(rule, kind)
    ]
    return ", ".join(found)


def allowed(field: FieldInfo) -> str:
    """What a value of `field` may be, to stand after the word "give"."""
    how = shown(field)
    if options := choices(field):
        return in_words(options)
    if how.form:
        return how.form
    unit = f"in {how.unit}" if how.unit and how.unit[0].isalpha() and how.unit[:3] != "of " else ""
    parts = [_KINDS[_kind(field)][1], limits(field), unit, "or auto" if how.auto else ""]
    return ", ".join(part for part in parts if part)


def default_text(field: FieldInfo) -> str:
    """The default of `field` as a user would write it, with its unit."""
    how, value = shown(field), field.default
    if value is None:
        return "auto" if how.auto else "None"
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    elif isinstance(value, float):
        value = f"{value:g}"
    elif value == "":
        return "nothing"
    return f"{value} {how.unit}".strip()


def sentences(
    error: ValidationError, model: type[Parameters], values: Mapping[str, Any]
) -> dict[str, str]:
    """Say what is wrong, one sentence for each bad parameter.

    Parameters
    ----------
    error
        What the model raised.
    model
        The model.
    values
        What it was given.

    Returns
    -------
    dict
        The sentence for each parameter's name; "" is the name of a problem of several together.
    """
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if name not in found:
            found[name] = _sentence(problem, name, model, values.get(name))
    return found


def _sentence(problem: Any, name: str, model: type[Parameters], value: Any) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["type"] == "extra_forbidden" or name not in model.model_fields:
        near = nearest(name, model.model_fields)
        hint = f": did you mean {near}?" if near else "."
        return f"{model.command} has no parameter {name}{hint}"
    field = model.model_fields[name]
    if problem["type"] == "missing" and len(problem["loc"]) == 1:
        purpose = " ".join((field.description or "").split()).rstrip(".")
        return f"{name} is missing ({purpose})."
    options = choices(field)
    near = nearest(str(value), map(str, options)) if options else None
    hint = f"; did you mean {near}?" if near else "."
    return f"{name} = {value} is not allowed: give {allowed(field)}{hint}"
