"""Tomograms one after the other; one that fails does not stop the others."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from isonet2.data.blocks import cell
from isonet2.data.files import make_folder
from isonet2.data.formats import BY_SUFFIX
from isonet2.data.star import Tomogram, refuse_unwritable, rows_of
from isonet2.data.tomograms import resolve
from isonet2.errors import InputError, few, sentence
from isonet2.parameters import write_parameters
from isonet2.parameters.base import Parameters
from isonet2.parameters.record import FILE_NAME, read_values

log = logging.getLogger(__name__)


def begin(parameters: Parameters, table: Path, folder: Path, tomograms: Sequence[Tomogram]) -> None:
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
    write_parameters(parameters, folder)


def _refuse_namesakes(mine: Sequence[Tomogram], others: Sequence[Tomogram], folder: Path) -> None:
    """Raise InputError for tomograms of one name and other files that have a result there."""
    named = {tomogram.name: tomogram for tomogram in others}
    for tomogram in mine:
        other = named.get(tomogram.name)
        if other is None or _files(other) == _files(tomogram):
            continue
        cells = (text for text in other.cells.values() if Path(text).suffix.lower() in BY_SUFFIX)
        results = (resolve(text, other.table) for text in cells)
        if any(path.parent.resolve() == folder.resolve() for path in results):
            raise InputError(
                f"{folder}: holds the result of another {tomogram.name}, which {other.table} "
                "lists; choose another output_dir"
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


def for_each(
    tomograms: Sequence[Tomogram],
    work: Callable[[Tomogram, str], None],
    done: str,
    folder: Path,
) -> int:
    """Do something with every tomogram, and say at the end how many it went well with.

    Parameters
    ----------
    tomograms
        All of them.
    work
        Takes a tomogram, and its name with its number among the others.
    done
        What was done, for messages: "deconvolved".
    folder
        Where the results lie.

    Returns
    -------
    int
        Exit status: 0 when all went well, else 2.
    """
    failed = []
    for number, tomogram in enumerate(tomograms, start=1):
        try:
            work(tomogram, f"{tomogram.name} ({number} of {len(tomograms)})")
        except Exception as error:
            said = sentence(error) if isinstance(error, OSError) else None
            if isinstance(error, InputError):
                said = str(error).removeprefix(f"{tomogram.name}: ")
            if said is None:
                log.exception("%s: could not be %s", tomogram.name, done)
            else:
                log.error("%s: %s", tomogram.name, said)
            failed.append(tomogram.name)
    log.info("%d %s in %s", len(tomograms) - len(failed), done, folder)
    if failed:
        log.error("%d failed: %s", len(failed), few(failed))
    return 2 if failed else 0
