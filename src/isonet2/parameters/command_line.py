"""The words of a command line made into parameters, and parameters written as words."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isonet2.errors import InputError, few
from isonet2.parameters.base import Parameters, members, shown
from isonet2.parameters.commands import COMMANDS
from isonet2.parameters.help import ordered
from isonet2.parameters.names import GONE_COMMANDS, nearest, spellings, unknown
from isonet2.parameters.record import Model, read_values, validated
from isonet2.parameters.shared import takes_list, takes_paths
from isonet2.parameters.words import fold

_TRUTH = {"true", "false", "yes", "no", "1", "0", "on", "off"}
_DASHES = "\u2013\u2014"  # en and em dash
_MINUS = "\u2212"
_MEMBER = re.compile(r"[\d.,+-][\d.,e+-]*[\])]?", re.IGNORECASE)
_OPTION = re.compile(r"--?[^\W\d]")


def plain(word: str) -> str:
    """Turn the dashes that word processors set, and the true minus sign, into `-`."""
    word = re.sub(rf"(?<![\w.])[{_DASHES}{_MINUS}](?=[\d.])", "-", word)
    return "--" + word.lstrip(_DASHES + "-") if word[:1] and word[0] in _DASHES else word


def parse(words: Sequence[str], model: type[Model]) -> Model:
    """Read the words after a command's name.

    Parameters
    ----------
    words
        Parameters as `--name value`, `--name=value`, `-o value`, or without a name.
    model
        What they are for.

    Returns
    -------
    Model
        The words over a `--config` file over the defaults.

    Raises
    ------
    InputError
        With a line for every problem.
    """
    given, problems = _given(words, model)
    values: dict[str, Any] = {}
    if "config" in given:
        try:
            values, more = read_values(Path(given.pop("config")).expanduser(), model)
        except InputError as error:
            raise InputError("\n".join([*problems, str(error)])) from error
        problems += more
    return validated(model, values | given, problems)


def model_named(word: str) -> type[Parameters]:
    """The model of the command that `word` names; InputError where there is none."""
    for name, model in COMMANDS.items():
        if fold(name) == fold(word):
            return model
    for name, said in GONE_COMMANDS.items():
        if fold(name) == fold(word):
            raise InputError(f"{name} {said}")
    near = nearest(word, COMMANDS)
    hint = f"did you mean {near}?" if near else f"the commands are {', '.join(COMMANDS)}."
    raise InputError(f"There is no command {word}: {hint}")


def _given(words: Sequence[str], model: type[Parameters]) -> tuple[dict[str, Any], list[str]]:
    """Sort `words` by parameter name; also say what cannot be understood."""
    given: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in _pairs(words, model, problems):
        if given.setdefault(name, value) != value:
            problems.append(f"{name} is given twice, as {given[name]} and as {value}: leave one.")
    return given, problems


def _pairs(
    words: Sequence[str], model: type[Parameters], problems: list[str]
) -> Iterator[tuple[str, Any]]:
    """Each parameter's name and value, as they come; what is wrong goes to `problems`."""
    waiting = [name for name in ordered(model) if shown(model.model_fields[name]).positional]
    rest = list(words)
    strange: list[str] = []
    while rest:
        word = rest.pop(0)
        if _OPTION.match(word):
            written, equals, value = word.partition("=")
            name = _name(written, model)
            if not equals:
                value = _value(rest, model, name, waiting)
            name = _tutorial_odd(name, written, value, words, model)
        else:
            written, value = word, word
            name = waiting[0] if waiting else None
            if name is not None and shown(model.model_fields[name]).rest:
                yield name, [word, *rest]
                return
            if name is not None and takes_paths(model.model_fields[name]):
                yield name, [word, *_until_option(rest)]
                waiting.remove(name)
                continue
        if name is None and not _OPTION.match(word):
            strange.append(word)
        elif name is None:
            problems.append(_not_known(written, model))
        elif not value:
            problems.append(f"{name} has no value: write {written} and a value.")
        else:
            yield name, value
        waiting = [other for other in waiting if other != name]
    if strange:
        problems.append(_no_place_for(strange, model))


def _until_option(rest: list[str]) -> list[str]:
    """Take the words off `rest` that stand before the next option."""
    end = next((i for i, word in enumerate(rest) if _OPTION.match(word)), len(rest))
    taken, rest[:end] = rest[:end], []
    return taken


def _name(written: str, model: type[Parameters]) -> str | None:
    """True name of the parameter written as `--name`, `-name` or `-n`; None where there is none."""
    if not written.startswith("--") and len(written) == 2:
        short = {shown(field).short: name for name, field in model.model_fields.items()}
        letter = written[1:].casefold()
        return short.get(letter) or spellings(model).get(letter)
    word = fold(written)
    return "config" if word == "config" else spellings(model).get(word)


def _tutorial_odd(
    name: str | None, written: str, value: str, words: Sequence[str], model: type[Parameters]
) -> str | None:
    """Understand `prepare_star -e EVN -o ODD`, as the English tutorial has it, as it is meant."""
    if name != "star_name" or written != "-o" or value.lower().endswith(".star"):
        return name
    given = {_name(word.partition("=")[0], model) for word in words if _OPTION.match(word)}
    return "odd" if "even" in given and "odd" not in given else name


def _not_known(written: str, model: type[Parameters]) -> str:
    """Say that `model` has no parameter of this name."""
    word = written.lstrip("-")
    mark = "-" if len(word) == 1 else "--"
    return unknown(word, model, COMMANDS.values(), mark)


def _no_place_for(words: Sequence[str], model: type[Parameters]) -> str:
    """Say that `model` has no place for these values; many are a wildcard's."""
    if len(words) == 1 and not Path(words[0]).suffix:
        return f"{model.command} does not know what {words[0]} is for: write --name {words[0]}."
    return (
        f"{model.command} does not know what {few(words)} {'is' if len(words) == 1 else 'are'} "
        "for: write --name before it; of a wildcard give the folder, or put it in quotes."
    )


def _value(
    rest: list[str], model: type[Parameters], name: str | None, waiting: Sequence[str]
) -> str:
    """Take the value of parameter `name` off `rest`; empty where there is none.

    A switch may stand alone and then means True; the members of a list may be words of their own.
    """
    fields = model.model_fields
    is_switch = name in fields and bool in members(fields[name].annotation)
    if not rest or _OPTION.match(rest[0]):
        return "True" if is_switch else ""
    awaited = any(fields[other].is_required() for other in waiting)
    if is_switch and awaited and rest[0].casefold() not in _TRUTH:
        return "True"
    value = rest.pop(0)
    if name in fields and takes_paths(fields[name]):
        more = _until_option(rest)
        return f"[{','.join([value, *more])}]" if more else value
    if name in fields and takes_list(fields[name]):
        while rest and not _OPTION.match(rest[0]) and (_open(value) or _MEMBER.fullmatch(rest[0])):
            value += f" {rest.pop(0)}"
    return value


def _open(value: str) -> bool:
    """Whether a list in brackets goes on."""
    return value[:1] in ("[", "(") and value[-1:] not in ("]", ")")


def words_of(parameters: Parameters) -> list[str]:
    """Words that call the command again: its name, and `--name=value` for all that was set.

    What was left to its default is left out, so that the call means the same as the first one.
    """
    values = parameters.model_dump(mode="json", include=parameters.model_fields_set)
    return [
        parameters.command,
        *(
            f"--{name}={_word(values[name])}"
            for name in type(parameters).model_fields
            if name in values
        ),
    ]


def _word(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    return str(value)
