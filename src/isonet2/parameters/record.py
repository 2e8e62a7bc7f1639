"""Parameters in files: the record beside every output, and the files that users write."""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from isonet2.errors import InputError
from isonet2.parameters.base import Parameters
from isonet2.parameters.commands import COMMANDS
from isonet2.parameters.describe import sentences
from isonet2.parameters.names import spellings, unknown
from isonet2.parameters.words import fold, in_words

Model = TypeVar("Model", bound=Parameters)

FILE_NAME = "params.yaml"
CITED = (
    "Liu, Y.-T. et al. Isotropic reconstruction for electron tomography with deep learning. "
    "Nature Communications 13, 6482 (2022)."
)
"""What a paper cites that uses the program."""
_RESERVED = ("command", "version", "made")
LEFT = 60.0
"""Seconds after which nobody writes a record any more."""
_ANYHOW = dict.fromkeys(("version", "tomo_idx", "gpuID", "ncpus", "cluster", "resume", "overwrite"))
"""What says nothing of how a result is made, only of which, where and when."""
_PLACES = ("star_file", "output_dir", "input_column")
"""What says where files are, which are told apart by themselves."""


def package_version() -> str:
    """Version of the installed package."""
    try:
        return version("isonet2")
    except PackageNotFoundError:
        return "unknown (the package is not installed)"


def how(parameters: Parameters) -> dict[str, Any]:
    """What parameters say of how a result is made, without which, where and when."""
    return parameters.model_dump(mode="json", exclude={*_ANYHOW, *_PLACES})


def told_apart(values: Mapping[str, Any], model: type[Parameters]) -> dict[str, Any]:
    """Of values of a record, those that say how results are made and are not the default."""
    fields = model.model_fields
    return {
        name: value
        for name, value in values.items()
        if name in fields
        and name not in (*_ANYHOW, *_PLACES)
        and (fields[name].is_required() or value != fields[name].default)
    }


def write_parameters(
    parameters: Parameters, folder: Path | str, made: Mapping[str, object] | None = None
) -> Path:
    """Write a complete record of `parameters` that runs the command again.

    A record that is there and says otherwise how results are made is kept as `params.1.yaml`, and
    so on.

    Parameters
    ----------
    parameters
        What the command was called with.
    folder
        Folder of the command's output; made where it does not exist.
    made
        What the output is, by name: for people and other programs, and not read again.

    Returns
    -------
    Path
        `params.yaml` in that folder, written beside and renamed.
    """
    folder = Path(folder)
    path = folder / FILE_NAME
    folder.mkdir(parents=True, exist_ok=True)
    again = f"isonet.py {parameters.command} --config {path}"
    record = {
        "command": parameters.command,
        "version": package_version(),
        **parameters.model_dump(mode="json"),
        **({"made": dict(made)} if made else {}),
    }
    text = f"# Run in {Path.cwd()}; again: {again}\n" + yaml.safe_dump(record, sort_keys=False)
    _clear(folder)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    beside.write_text(text, encoding="utf-8")
    _keep_other(path, yaml.safe_load(text))
    beside.replace(path)
    return path


def _clear(folder: Path) -> None:
    """Remove records that a killed process was writing: a living one takes but a moment."""
    for left in folder.glob(f".{FILE_NAME}.*.part"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT:
                left.unlink()


def record_of(folder: Path, command: str) -> Path | None:
    """The last record that a command has left in a folder."""
    path = folder / FILE_NAME
    found = [path, *reversed(_kept(path))] if path.is_file() else []
    return next((one for one in found if _told(one).get("command") == command), None)


def _keep_other(path: Path, record: Mapping[str, Any]) -> None:
    """Give a record that is about to be replaced a name of its own, where it says other things."""
    there = _told(path) if path.is_file() else record
    kept = _kept(path)
    if any(_alike(there, one) for one in (record, *map(_told, kept))):
        return
    number = max((int(one.stem.rpartition(".")[2]) for one in kept), default=0) + 1
    with suppress(FileNotFoundError):  # another run has done it
        path.rename(path.with_stem(f"{path.stem}.{number}"))


def _kept(path: Path) -> list[Path]:
    """Earlier records of a folder, the oldest first."""
    found = path.parent.glob(f"{path.stem}.*{path.suffix}")
    numbers = {one.stem.rpartition(".")[2]: one for one in found}
    return [numbers[number] for number in sorted(filter(str.isdecimal, numbers), key=int)]


def _told(path: Path) -> dict[str, Any]:
    try:
        return content_of(path)
    except InputError:
        return {}


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records make the same of a tomogram."""
    return {**one, **_ANYHOW} == {**other, **_ANYHOW}


def read_parameters(path: Path | str, command: str | None = None) -> Parameters:
    """Read the parameters of a command from a YAML or JSON file.

    Parameters
    ----------
    path
        A record of `write_parameters`, or a file that a user wrote.
    command
        The command that they are for, where the file does not say it.

    Returns
    -------
    model
        An instance of that command's model.

    Raises
    ------
    InputError
        With a sentence for each problem.
    """
    path = Path(path)
    content = content_of(path)
    named = command or content.get("command")
    if named not in COMMANDS:
        raise InputError(f"{path} names no command: write `command: {in_words(COMMANDS)}`.")
    model = COMMANDS[named]
    values, problems = known_values(content, model, path)
    return validated(model, values, problems)


def read_values(path: Path, model: type[Parameters]) -> tuple[dict[str, Any], list[str]]:
    """Read what a file says about `model`, and what is wrong with it.

    Returns
    -------
    values
        By the parameters' true names.
    problems
        One sentence each.
    """
    return known_values(content_of(path), model, path)


def known_values(
    content: Mapping[str, Any], model: type[Parameters], path: Path
) -> tuple[dict[str, Any], list[str]]:
    """Give the values in `content` their true names; say what `model` does not know."""
    known = spellings(model)
    values: dict[str, Any] = {}
    problems = []
    for word, value in content.items():
        name = known.get(fold(word))
        if name is None and fold(word) in _RESERVED:
            if fold(word) == "command" and value != model.command:
                problems.append(f"{path} is for {value}, not for {model.command}.")
        elif name is None:
            problems.append(f"{path}: {unknown(word, model, COMMANDS.values(), mark='')}")
        elif name in values:
            problems.append(f"{path} gives {name} twice.")
        else:
            values[name] = value
    return values, problems


def validated(model: type[Model], values: Mapping[str, Any], problems: list[str]) -> Model:
    """Make the model of `values`.

    Raises
    ------
    InputError
        With all `problems` found so far and those of the values, a line for each.
    """
    found: dict[str, str] = {}
    try:
        parameters = model.model_validate(dict(values))
    except ValidationError as error:
        found = sentences(error, model, values)
    if problems or found:
        raise InputError("\n".join([*problems, *found.values()]))
    return parameters


class _Once(yaml.SafeLoader):
    """Reads YAML, and refuses a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As usual, once the keys are seen to differ."""
        pairs = [(self.construct_object(key, deep=True), None) for key, _ in node.value]
        _once(pairs)
        return super().construct_mapping(node, deep)


def _once(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is given twice")
    return dict(pairs)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once)


def content_of(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    Raises
    ------
    InputError
        For a file that cannot be read or holds something else.
    """
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise InputError(f"{path} is neither YAML nor JSON: give a .yaml or .json file.")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid: {error}.") from error
    return content_in(text, path)


def content_in(text: str, path: Path) -> dict[str, Any]:
    """The mapping in the text of a YAML or JSON file, as `content_of` reads it."""
    try:
        content = _json(text) if path.suffix.lower() == ".json" else yaml.load(text, _Once)
    except (yaml.YAMLError, ValueError) as error:
        where = " ".join(str(error).split())
        raise InputError(f"{path} is not valid: {where}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold lines such as `epochs: 50`.")
    return {str(word): value for word, value in content.items()}
