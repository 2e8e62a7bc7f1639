"""The command line: words in, a parameter model out, a command called, an exit status back."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from threading import current_thread, main_thread
from types import FrameType

from isonet2.errors import InputError, sentence
from isonet2.logs import log_to_stderr
from isonet2.machine.waiting import wait_briefly
from isonet2.machine.watch import watched
from isonet2.parameters.base import Parameters, shown
from isonet2.parameters.command_line import model_named, parse, plain
from isonet2.parameters.commands import COMMANDS
from isonet2.parameters.help import PROGRAM, overview, page
from isonet2.parameters.record import package_version
from isonet2.parameters.training import TrainingParameters
from isonet2.parameters.words import fold

PROGRAMS = {"gui": "isonet2.gui.server"}
"""Words that start something other than a command, and the module whose `main` does it."""


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
    log_to_stderr()
    wait_briefly()
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


def _run(words: Sequence[str]) -> int:
    """Answer a question about the program, or call the command."""
    first = fold(words[0]) if words else "help"
    if first in ("help", "h"):
        _write(page(model_named(words[1])) if len(words) > 1 else overview())
        return 0 if words else 2
    if first == "version":
        _write(f"isonet2 {package_version()}")
        return 0
    if first in PROGRAMS:
        program: int = import_module(PROGRAMS[first]).main(words[1:])
        return program
    model = model_named(words[0])
    if any(word == "-h" or (word[:2] == "--" and fold(word) == "help") for word in words[1:]):
        _write(page(_explained(words)))
        return 0
    parameters = parse(words[1:], model)
    with watched(loading=True) if issubclass(model, TrainingParameters) else nullcontext():
        command = getattr(import_module(f"isonet2.commands.{model.command}"), model.command)
        result = command(parameters)
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _explained(words: Sequence[str]) -> type[Parameters]:
    """The command that help is asked for: in `submit refine --help` the second one."""
    model = model_named(words[0])
    takes_another = any(shown(field).rest for field in model.model_fields.values())
    named = [word for word in words[1:] if fold(word) in map(fold, COMMANDS)]
    return model_named(named[0]) if takes_another and named else model


def _write(text: str) -> None:
    """Write to the standard output, which `head` may have closed."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    sys.exit(main())
