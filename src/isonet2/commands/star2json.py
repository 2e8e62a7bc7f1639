"""The command `star2json`: a STAR file as JSON, nothing left out but its comments."""

import json
import logging
import math
from pathlib import Path
from typing import Any

from isonet2.data.blocks import StarFile, cell, has_loop, read_star
from isonet2.data.files import atomic_path, refuse_to_replace
from isonet2.errors import InputError
from isonet2.parameters import Star2JsonParameters

log = logging.getLogger(__name__)


def star2json(parameters: Star2JsonParameters) -> Path:
    """Write all blocks of a STAR file as JSON.

    Parameters
    ----------
    parameters
        STAR file, and the JSON file to write.

    Returns
    -------
    Path
        The JSON file: blocks by name; a table is a list of objects, one for each row (an object
        of empty lists where it has no rows), and a block without `loop_` is one object.
    """
    star = read_star(parameters.star_file)
    path = parameters.json_file or star.path.with_suffix(".json")
    refuse_to_replace(path, parameters.star_file, "json_file")
    if path.suffix.lower() == ".star":
        raise InputError(f"json_file {path}: is the name of a STAR table; end it in .json")
    text = json.dumps({name: _block(star, name) for name in star.blocks}, indent=2)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    log.info("wrote %s", path)
    return path


def _block(star: StarFile, name: str) -> Any:
    frame = star.blocks[name]
    rows = [
        {str(column): value(str(text)) for column, text in row.items()}
        for row in frame.to_dict("records")
    ]
    if not has_loop(star, name):
        return rows[0]
    return rows or {str(column): [] for column in frame}


def value(text: str) -> str | int | float | None:
    """Number or null that is written as this very text in a STAR file; else the text itself."""
    if text == cell(None):
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number) and cell(number) == text:
            return number
    return text
