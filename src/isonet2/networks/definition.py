"""Networks that users define in YAML, from the families and blocks of this package."""

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from torch import nn

from isonet2.errors import InputError
from isonet2.networks.custom import CustomNet
from isonet2.networks.hsformer import HSFormer
from isonet2.networks.scunet import SCUNet
from isonet2.networks.unet import UNet
from isonet2.networks.vtunet import VTUNet

FAMILIES: dict[str, type[nn.Module]] = {
    "unet": UNet,
    "scunet": SCUNet,
    "hsformer": HSFormer,
    "vtunet": VTUNet,
    "custom": CustomNet,
}
SUFFIXES = (".yaml", ".yml")

Definition = dict[str, Any]
"""`family` and the parameters of its class."""


def is_definition(arch: str) -> bool:
    """Tell whether an architecture is a file rather than a name."""
    return Path(arch).suffix.lower() in SUFFIXES


def read_definition(path: Path) -> Definition:
    """Read the definition of a network.

    Parameters
    ----------
    path
        YAML file that holds `family` and parameters of that family's class.

    Returns
    -------
    dict
        What the file says, checked.

    Raises
    ------
    InputError
        When the file cannot be read, or does not define a network.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"arch {path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"arch {path}: is not valid YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"arch {path}: must hold lines such as `family: unet` and `filters: 32`")
    definition = {str(name): value for name, value in content.items()}
    check_definition(definition, str(path))
    return definition


def check_definition(definition: Mapping[str, Any], where: str) -> None:
    """Raise InputError with one sentence for all that is wrong with a definition."""
    family = definition.get("family")
    if family not in FAMILIES:
        found = "names no family" if family is None else f"family = {family} is not known"
        raise InputError(f"arch {where}: {found}; write `family:` and one of {_list(FAMILIES)}")
    given = {name: value for name, value in definition.items() if name != "family"}
    try:
        _schema(family).model_validate(given)
    except ValidationError as error:
        problems = [_problem(detail, family) for detail in error.errors()]
        raise InputError(f"arch {where}: {'; '.join(problems)}") from error


def build_definition(definition: Mapping[str, Any], where: str, **options: Any) -> nn.Module:
    """Make the network of a definition.

    Parameters
    ----------
    definition
        As `read_definition` returns it.
    where
        The file, for messages.
    options
        Parameters for what the definition leaves open; where it says something, that holds.

    Raises
    ------
    InputError
        When the definition, or the network it asks for, is not possible.
    """
    check_definition(definition, where)
    chosen = {**options, **definition}
    family = chosen.pop("family")
    try:
        return FAMILIES[family](**chosen)
    except InputError as error:
        raise InputError(f"arch {where}: {error}") from error


def _schema(family: str) -> type[BaseModel]:
    """Model of what a definition may hold: the signature of the family's class."""
    maker = FAMILIES[family]
    types = get_type_hints(maker.__init__, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(maker).parameters.items():
        empty = parameter.default is inspect.Parameter.empty
        fields[name] = (types[name], ... if empty else parameter.default)
    return create_model(family, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def _problem(detail: Any, family: str) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _list(_schema(family).model_fields)
        return f"{place} is not a parameter of {family}, which takes {known}"
    if detail["type"] == "missing":
        return f"{family} needs {place}"
    return f"{place} = {detail['input']!r}: {detail['msg'].lower()}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
