"""The command line: words in, a parameter model out, a command called, an exit status back."""

import logging
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

from isonet2.errors import InputError, few, sentence
from isonet2.parameters.base import Parameters, members, shown
from isonet2.parameters.commands import COMMANDS
from isonet2.parameters.help import PROGRAM, ordered, overview, page
from isonet2.parameters.names import nearest, spellings, unknown
from isonet2.parameters.record import Model, package_version, read_values, validated
from isonet2.parameters.shared import takes_list
from isonet2.parameters.words import fold

PROGRAMS = {"gui": "isonet2.gui.server"}
"""Words that start something other than a command, and the module whose `main` does it."""
_TRUTH = {"true", "false", "yes", "no", "1", "0", "on", "off"}
_DASHES = "\u2013\u2014"  # en and em dash
_MINUS = "\u2212"
_MEMBER = re.compile(r"[\d.,+-][\d.,e+-]*[\])]?", re.IGNORECASE)
_OPTION = re.compile(r"--?[^\W\d]")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        Words after the program's name; those of the process where None.

    Returns
    -------
    int
        Exit status: 0 done, 2 a mistake in what was asked for, 130 stopped by a signal, or the
        command's own. Any other exception passes through with its traceback.
    """
    words = [plain(word) for word in (sys.argv[1:] if argv is None else argv)]
    _log_to_stderr()
    try:
        with _ended_by_scheduler():
            return _run(words)
    except InputError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"{PROGRAM}: {line}\n")
        return 2
    except OSError as error:
        said = sentence(error)
        if said is None:
            raise
        sys.stderr.write(f"{PROGRAM}: {said}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{PROGRAM}: stopped.\n")
        return 130


@contextmanager
def _ended_by_scheduler() -> Iterator[None]:
    """Let SIGTERM, as schedulers send it, end the program as Ctrl-C does: nothing half-written."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    usual = signal.getsignal(signal.SIGTERM)
    if current_thread() is not main_thread() or usual is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


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


def _run(words: Sequence[str]) -> int:
    """Answer a question about the program, or call the command."""
    first = fold(words[0]) if words else "help"
    if first in ("help", "h"):
        _write(page(_model(words[1])) if len(words) > 1 else overview())
        return 0 if words else 2
    if first == "version":
        _write(f"isonet2 {package_version()}")
        return 0
    if first in PROGRAMS:
        program: int = import_module(PROGRAMS[first]).main(words[1:])
        return program
    model = _model(words[0])
    if any(word == "-h" or (word[:2] == "--" and fold(word) == "help") for word in words[1:]):
        _write(page(model))
        return 0
    parameters = parse(words[1:], model)
    command = getattr(import_module(f"isonet2.commands.{model.command}"), model.command)
    result = command(parameters)
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _model(word: str) -> type[Parameters]:
    """The model of the command that `word` names."""
    for name, model in COMMANDS.items():
        if fold(name) == fold(word):
            return model
    near = nearest(word, COMMANDS)
    hint = f"did you mean {near}?" if near else f"the commands are {', '.join(COMMANDS)}."
    raise InputError(f"There is no command {word}: {hint}")


def _given(words: Sequence[str], model: type[Parameters]) -> tuple[dict[str, str], list[str]]:
    """Sort `words` by parameter name; also say what cannot be understood."""
    given: dict[str, str] = {}
    problems: list[str] = []
    for name, value in _pairs(words, model, problems):
        if given.setdefault(name, value) != value:
            problems.append(f"{name} is given twice, as {given[name]} and as {value}: leave one.")
    return given, problems


def _pairs(
    words: Sequence[str], model: type[Parameters], problems: list[str]
) -> Iterator[tuple[str, str]]:
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


def _name(written: str, model: type[Parameters]) -> str | None:
    """True name of the parameter written as `--name` or `-n`; None where there is none."""
    if not written.startswith("--"):
        short = {shown(field).short: name for name, field in model.model_fields.items()}
        return short.get(written[1:].casefold())
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
    if name in fields and takes_list(fields[name]):
        while rest and not _OPTION.match(rest[0]) and (_open(value) or _MEMBER.fullmatch(rest[0])):
            value += f" {rest.pop(0)}"
    return value


def _open(value: str) -> bool:
    """Whether a list in brackets goes on."""
    return value[:1] in ("[", "(") and value[-1:] not in ("]", ")")


def _write(text: str) -> None:
    """Write to the standard output, which `head` may have closed."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()


class _Stderr(logging.Handler):
    """Plain lines on the standard error as it is at that moment (a progress bar may guard it)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        sys.stderr.write(f"{level}{self.format(record)}\n")


def _log_to_stderr() -> None:
    """Send what the package says to the standard error."""
    log = logging.getLogger("isonet2")
    log.setLevel(logging.INFO)
    if not any(isinstance(handler, _Stderr) for handler in log.handlers):
        log.addHandler(_Stderr())


if __name__ == "__main__":
    sys.exit(main())
