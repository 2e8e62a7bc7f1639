"""The command `json2star`: a STAR file from JSON as `star2json` writes it."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from isonet2.data.blocks import cell, read_star, render
from isonet2.data.files import atomic_path, keep_old, locked, refuse_to_replace
from isonet2.errors import InputError
from isonet2.parameters import Json2StarParameters

log = logging.getLogger(__name__)


def json2star(parameters: Json2StarParameters) -> Path:
    """Write the blocks of a JSON file as a STAR file.

    Parameters
    ----------
    parameters
        JSON file, and the STAR file to write.

    Returns
    -------
    Path
        The STAR file.

    Raises
    ------
    InputError
        When the file is not JSON of blocks, or holds a text that STAR files cannot.
    """
    source = parameters.json_file
    path = parameters.star_file or source.with_suffix(".star")
    refuse_to_replace(path, source, "star_file")
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{source}: no such file; make one with isonet.py star2json") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: is not readable as JSON ({error})") from error
    if not isinstance(content, dict) or not content:
        raise InputError(f"{source}: must hold an object of blocks, as isonet.py star2json writes")
    blocks = {name: _block(source, name, block) for name, block in content.items()}
    with locked(path), atomic_path(path) as temporary:
        temporary.write_text(render(blocks), encoding="utf-8")
        try:
            read_star(temporary)
        except InputError as error:
            why = str(error).replace(str(temporary), str(path))
            raise InputError(f"{source}: makes no table that can be read again ({why})") from None
        keep_old(path, "table")
    log.info("wrote %s", path)
    return path


def _block(source: Path, name: str, block: Any) -> Any:
    """A table for a list of rows or an object of lists; a plain object for a block of one row."""
    try:
        if isinstance(block, dict) and not any(isinstance(v, list) for v in block.values()):
            return {column: _cell(content) for column, content in block.items()}
        rows = block if isinstance(block, dict) else [dict(row) for row in block]
        frame = pd.DataFrame(rows, dtype=object)
        return frame.map(_cell)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{source}: the block {name!r} is no table ({error}); give a list of rows"
        ) from error


def _cell(content: Any) -> str:
    if isinstance(content, list | dict):
        raise TypeError("a cell holds a list or an object")
    return cell(content)
