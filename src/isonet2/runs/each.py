"""Tomograms one after the other, or several at a time; one that fails stops no other."""

import logging
import os
import re
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from isonet2.data.blocks import cell
from isonet2.data.files import make_folder
from isonet2.data.formats import BY_SUFFIX
from isonet2.data.progress import ProgressFile
from isonet2.data.star import Tomogram, TomogramTable, refuse_unwritable, rows_of, update
from isonet2.errors import InputError, few, sentence
from isonet2.jobs.cluster import GPU, crew, deaths_of
from isonet2.parameters import (
    DeconvParameters,
    MakeMaskParameters,
    PredictParameters,
    write_parameters,
)
from isonet2.parameters.base import Parameters
from isonet2.parameters.record import FILE_NAME, read_values
from isonet2.parameters.shared import SpreadParameters
from isonet2.reports.progress import progress_bar

log = logging.getLogger(__name__)


def begin(
    parameters: Parameters,
    table: Path,
    folder: Path,
    tomograms: Sequence[Tomogram],
    made: Mapping[str, object] | None = None,
) -> None:
    """Write the record of a run, once it is seen that results can be written and noted.

    Parameters
    ----------
    parameters
        Of the command.
    table
        STAR file that results are noted in.
    folder
        Where they are written.
    tomograms
        Those that results are made of.
    made
        What results are, for the record.

    Raises
    ------
    InputError
        When either place cannot be written to, the folder's name not into a table, or the folder
        holds results of other tomograms of the same names.
    """
    cell(folder)
    refuse_unwritable(table)
    make_folder(folder)
    other = _table_of(folder / FILE_NAME, type(parameters))
    if other is not None and other.resolve() != table.resolve():
        _refuse_namesakes(tomograms, rows_of(other), folder)
    write_parameters(parameters, folder, made)


def _refuse_namesakes(mine: Sequence[Tomogram], others: Sequence[Tomogram], folder: Path) -> None:
    """Raise InputError for tomograms of one name and other files that have a result there."""
    named = {tomogram.name: tomogram for tomogram in others}
    for tomogram in mine:
        other = named.get(tomogram.name)
        if other is None or _files(other) == _files(tomogram):
            continue
        whole = re.compile(rf"(?<![^\W_]){re.escape(tomogram.name)}(?![^\W_])")
        if any(p.suffix.lower() in BY_SUFFIX and whole.search(p.stem) for p in folder.iterdir()):
            raise InputError(
                f"{folder}: holds the result of another {tomogram.name}, that of {other.table}; "
                "choose another output_dir"
            )


def _files(tomogram: Tomogram) -> set[Path]:
    """What a tomogram is made of."""
    named = (tomogram.full, tomogram.half1, tomogram.half2)
    return {path.resolve() for path in named if path is not None}


def _table_of(record: Path, model: type[Parameters]) -> Path | None:
    """STAR table of the run that left a record, if it says so and the table is still there."""
    try:
        values, _ = read_values(record, model)
    except InputError:
        return None
    table = Path(str(values.get("star_file", "")))
    return table if table.is_file() else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one tomogram.

    Attributes
    ----------
    columns
        What to note in its row of the table; None where it failed.
    said
        What went wrong, in a sentence or with the traceback of a fault of ours.
    messages
        What was logged on another process: level and text.
    """

    columns: Mapping[str, object] | None
    said: str = ""
    messages: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What a command has made of one tomogram.

    Attributes
    ----------
    index, name
        Of the tomogram.
    columns
        What was noted in its row of the table, files as paths.
    """

    index: int
    name: str
    columns: Mapping[str, object]

    @property
    def path(self) -> Path | None:
        """The first file that was made, if any."""
        return next((cell for cell in self.columns.values() if isinstance(cell, Path)), None)


class SomeFailed(InputError):
    """Some tomograms failed, each of which was said; `done` holds what became of the others."""

    def __init__(self, text: str, done: Sequence[Done]) -> None:
        super().__init__(text)
        self.done = list(done)


class Named(Protocol):
    """What is worked on: a row of a table, or what else says of a tomogram where it is."""

    @property
    def name(self) -> str:
        """Of the tomogram."""


P = TypeVar("P", bound=SpreadParameters)
OfTable = TypeVar("OfTable", DeconvParameters, MakeMaskParameters, PredictParameters)
T = TypeVar("T", bound=Named)
Work = Callable[[T, str], Mapping[str, object]]
"""Takes a tomogram, and its name with its number among the others; gives what to note of it."""


def for_chosen(
    parameters: OfTable,
    folder: Path,
    prepare: Callable[[OfTable], Work[Tomogram]],
    done: str,
    made: Mapping[str, object] | None = None,
) -> list[Done]:
    """Do something with the chosen tomograms of a table; one that fails does not stop the others.

    Parameters
    ----------
    parameters
        Of the command: `star_file` and `tomo_idx` say which tomograms.
    folder
        Where the results are to lie.
    prepare, done
        As for `for_each`.
    made
        As for `begin`.

    Returns
    -------
    list of Done
        What was made of each, and where it is.

    Raises
    ------
    SomeFailed
        When some failed, after all were tried.
    """
    table = TomogramTable.read(parameters.star_file)
    tomograms = table.select(parameters.tomo_idx)
    begin(parameters, table.path, folder, tomograms, made)
    return for_each(parameters, table.path, tomograms, prepare, done, folder)


def for_each(
    parameters: P,
    table: Path,
    tomograms: Sequence[Tomogram],
    prepare: Callable[[P], Work[Tomogram]],
    done: str,
    folder: Path,
) -> list[Done]:
    """Do something with every tomogram, note it, and say at the end how many it went well with.

    Parameters
    ----------
    parameters
        Of the command; `cluster` says where the work is done.
    table
        STAR file in which results are noted, by this process alone.
    tomograms
        All of them.
    prepare
        Function of a module that makes ready, once for each process, what does the work.
    done
        What was done, for messages: "deconvolved".
    folder
        Where the results lie.

    Returns
    -------
    list of Done
        What was made of each of them.

    Raises
    ------
    SomeFailed
        When some failed, after all were tried.
    """
    records, failed = [], []
    with ProgressFile(folder, parameters.command, FILE_NAME) as progress:
        for tomogram, outcome in outcomes(parameters, tomograms, prepare, done, progress):
            if outcome.columns is None:
                failed.append(tomogram.name)
            else:
                update(table, tomogram.index, outcome.columns)
                records.append(Done(tomogram.index, tomogram.name, outcome.columns))
        log.info("%d %s in %s", len(tomograms) - len(failed), done, folder)
        if failed:
            raise SomeFailed(f"{len(failed)} failed: {few(failed)}", records)
    return records


def outcomes(
    parameters: P,
    tomograms: Sequence[T],
    prepare: Callable[[P], Work[T]],
    done: str,
    progress: ProgressFile,
) -> Iterator[tuple[T, Outcome]]:
    """Do something with every tomogram, and give what became of each as it comes.

    See `for_each` for the parameters.
    """
    labels = [f"{t.name} ({n} of {len(tomograms)})" for n, t in enumerate(tomograms, start=1)]
    progress.report(tomogram=0, tomograms=len(tomograms))
    found = _here if parameters.cluster is None else _spread
    pairs = found(parameters, tomograms, labels, prepare, done, progress)
    for number, (tomogram, outcome) in enumerate(pairs, start=1):
        for level, text in outcome.messages:
            log.log(level, "%s", text)
        if outcome.columns is None:
            log.error("%s: %s", tomogram.name, outcome.said)
        yield tomogram, outcome
        progress.report(tomogram=number)  # when it is noted


def _here(
    parameters: P,
    tomograms: Sequence[T],
    labels: Sequence[str],
    prepare: Callable[[P], Work[T]],
    done: str,
    progress: ProgressFile,
) -> Iterator[tuple[T, Outcome]]:
    """One after the other in this process."""
    if not tomograms:
        return
    work = prepare(parameters)
    for tomogram, label in zip(tomograms, labels, strict=True):
        progress.report(message=label)
        yield tomogram, _attempt(work, tomogram, label, done)


def _spread(
    parameters: P,
    tomograms: Sequence[T],
    labels: Sequence[str],
    prepare: Callable[[P], Work[T]],
    done: str,
    progress: ProgressFile,
) -> Iterator[tuple[T, Outcome]]:
    """Several at the same time by the processes of a cluster."""
    on_gpus = "gpuID" in type(parameters).model_fields
    ids = getattr(parameters, "gpuID", None)
    place = str(parameters.cluster)
    with (
        crew(place, ids, on_gpus=on_gpus, tasks=len(tomograms)) as workers,
        progress_bar(done, len(tomograms)) as bar,
    ):
        run = secrets.token_hex(8)
        calls = [
            (run, Path.cwd(), prepare, parameters, tomogram, label, done)
            for tomogram, label in zip(tomograms, labels, strict=True)
        ]
        for count, (number, result) in enumerate(workers.each(_at_worker, calls), start=1):
            bar.update(count, len(tomograms), f"{workers.size} workers")
            progress.report(workers=workers.size, message=labels[number])
            if isinstance(result, BaseException):
                result = Outcome(None, f"could not be {done}: {_of_workers(result)}")
            yield tomograms[number], result


def _of_workers(error: BaseException) -> str:
    """What happened to the workers of a task, in words."""
    if deaths := deaths_of(error):
        return f"{deaths} workers died over it; does its memory suffice?"
    return f"{type(error).__name__}: {error}"


def _attempt(work: Work[T], tomogram: T, label: str, done: str) -> Outcome:
    try:
        return Outcome(work(tomogram, label))
    except InputError as error:
        return Outcome(None, str(error).removeprefix(f"{tomogram.name}: "))
    except Exception as error:
        said = sentence(error) if isinstance(error, OSError) else None
        return Outcome(None, said or f"could not be {done}\n{traceback.format_exc()}")


_ready: dict[str, Work[Any]] = {}
"""What this process has made ready, by the run that it is for."""


def _at_worker(
    run: str,
    project: Path,
    prepare: Callable[[P], Work[T]],
    parameters: P,
    tomogram: T,
    label: str,
    done: str,
) -> Outcome:
    """One tomogram on a worker, which keeps what it has made ready for the next one."""
    heard = _Listener()
    package = logging.getLogger("isonet2")
    package.setLevel(logging.INFO)
    package.addHandler(heard)
    try:
        os.chdir(project)  # where paths are meant from
        if run not in _ready:
            _ready.clear()
            _ready[run] = prepare(_adapted(parameters))
        outcome = _attempt(_ready[run], tomogram, label, done)
    except (InputError, OSError) as error:
        outcome = Outcome(None, str(error))
    finally:
        package.removeHandler(heard)
    return replace(outcome, messages=tuple(heard.messages))


def _adapted(parameters: P) -> P:
    """The parameters for a worker, which computes on its own GPU."""
    if os.environ.get(GPU) and "gpuID" in type(parameters).model_fields:
        return parameters.model_copy(update={"gpuID": os.environ[GPU]})
    return parameters


class _Listener(logging.Handler):
    """Keeps what is logged, to be said where the user is."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.messages: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.messages.append((record.levelno, self.format(record)))
