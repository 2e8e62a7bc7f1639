"""STAR files as blocks of text cells: read, and one block replaced without touching the rest."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import starfile

from isonet2.errors import InputError, counted

BLOCK_START = re.compile(r"^(?=[ \t]*data_)", re.MULTILINE)
LOOP = re.compile(r"^[ \t]*loop_", re.MULTILINE)
COLUMN = re.compile(r"^[ \t]*_(\S+)", re.MULTILINE)
UNSAFE = re.compile(r"\S[\"'#]\S|\S#")
MISSING = frozenset({"", "none", "nan", "<na>", "null"})


@dataclass(frozen=True, slots=True)
class StarFile:
    """A STAR file; every cell is the text that stands in the file.

    Attributes
    ----------
    path
        The file.
    text
        All of it.
    blocks
        Tables by name; a block without `loop_` is a table of one row.
    """

    path: Path
    text: str
    blocks: dict[str, pd.DataFrame]


def read_star(path: Path | str) -> StarFile:
    """Read a STAR file.

    Raises
    ------
    InputError
        Missing or unreadable file, or names that the format cannot carry.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; make one with `isonet.py prepare_star`") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a STAR table; give the one of prepare_star") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({(error.strerror or '').lower()}); give a STAR table"
        ) from error
    _check(path, text)
    try:
        blocks = {name: _as_text(block) for name, block in _parse(text).items()}
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror} in {tempfile.gettempdir()}, where a copy "
            "is made); make room there, or name another folder by TMPDIR"
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise InputError(
            f"{path}: is not readable as a STAR table ({reason}); give the one of prepare_star"
        ) from error
    return StarFile(path, text, blocks)


def _check(path: Path, text: str) -> None:
    """Refuse what would be read as something else: twice the same name, quotes inside words."""
    names = [_block_name(section) for section in BLOCK_START.split(text)[1:]]
    if not names:
        raise InputError(f"{path}: is not a STAR table, it has no line that begins with data_")
    rows = [name for name in names if len(name.split()) > 1 and "#" not in name]
    if rows:
        raise InputError(
            f"{path}: the row 'data_{rows[0]}' begins with data_, which starts a block; "
            f"rename what it names"
        )
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"{path}: the block data_{sorted(twice)[0]} stands in it twice")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if words.startswith(("#", "_")) or not UNSAFE.search(words):
            continue
        raise InputError(
            f"{path}, line {number}: a quote or # inside a name cannot be read safely; "
            f"rename the file that it names"
        )
    _check_rows(path, text)


def _check_rows(path: Path, text: str) -> None:
    """Refuse a row that has lost a word: all after it would stand in other columns."""
    columns, in_table, in_rows = 0, False, False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(" #")[0].split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith("data_") or words[0] == "loop_":
            columns, in_table, in_rows = 0, words[0] == "loop_", False
            continue
        if words[0].startswith("_") and not in_rows:
            columns += 1
            continue
        if in_table and len(words) != columns and not re.search(r"[\"']", line):
            raise InputError(
                f"{path}, line {number}: has {counted(len(words), 'word')}, and the table "
                f"{counted(columns, 'column')}; write one word for each, None where there is "
                "nothing, and names without blanks"
            )
        in_rows = in_table


def _parse(text: str) -> dict[str, Any]:
    """Parse with every column as text, from a private copy that no other process changes."""
    with tempfile.NamedTemporaryFile("w", suffix=".star", encoding="utf-8") as copy:
        copy.write(text)
        copy.flush()
        columns = sorted(set(COLUMN.findall(text)))
        blocks: dict[str, Any] = starfile.read(copy.name, always_dict=True, parse_as_string=columns)
    return blocks


def _as_text(block: pd.DataFrame | Mapping[str, str]) -> pd.DataFrame:
    frame = block if isinstance(block, pd.DataFrame) else pd.DataFrame([dict(block)])
    if frame.columns.duplicated().any():
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"the column {twice} stands twice in one block")
    plain = frame.astype(object)
    return plain.where(plain.notna(), "nan")


def _block_name(section: str) -> str:
    return section.splitlines()[0].strip().removeprefix("data_")


def render(blocks: Mapping[str, Any]) -> str:
    """Text of whole blocks whose cells are text already."""
    text: str = starfile.to_string(dict(blocks))
    return text[text.index("data_") :]


def has_loop(star: StarFile, name: str) -> bool:
    """Whether a block is a table (`loop_`), not names with one value each."""
    return LOOP.search(star_section(star.text, name)) is not None


def star_section(text: str, name: str) -> str:
    """The lines of one block."""
    return next(part for part in BLOCK_START.split(text)[1:] if _block_name(part) == name)


def replace_block(star: StarFile, name: str, frame: pd.DataFrame) -> str:
    """Text of a STAR file with one block changed; all other lines stay as they are."""
    sections = BLOCK_START.split(star.text)
    at = next(i for i, text in enumerate(sections) if i and _block_name(text) == name)
    block: Any = frame if LOOP.search(sections[at]) else dict(frame.iloc[0])
    lines = sections[at].splitlines()
    kept = len(lines)
    while kept and (not lines[kept - 1].strip() or lines[kept - 1].lstrip().startswith("#")):
        kept -= 1
    after = lines[kept:] or [""]
    sections[at] = "\n".join([render({name: block}).rstrip("\n"), *after, ""])
    return "".join(sections)


def indices(path: Path, frame: pd.DataFrame) -> list[int]:
    """Index of every row: rlnIndex, or 1, 2, 3 ... where there is no such column."""
    if "rlnIndex" not in frame:
        return list(range(1, len(frame) + 1))
    strange = [text for text in frame["rlnIndex"] if not str(text).isdecimal()]
    if strange:
        raise InputError(
            f"{path}: rlnIndex {strange[0]} is no whole number; number the rows 1, 2, 3 ..."
        )
    found = [int(text) for text in frame["rlnIndex"]]
    if len(set(found)) < len(found):
        raise InputError(f"{path}: an rlnIndex stands there twice; number the rows 1, 2, 3 ...")
    return found


def is_missing(cell: str) -> bool:
    """Whether a cell stands for "there is nothing": None, nan, empty."""
    return cell.strip().lower() in MISSING


def cell(value: object) -> str:
    """Text of a value in a STAR table: "None" for nothing, numbers plain.

    Raises
    ------
    InputError
        For text that the format cannot carry: quotes, #, line ends, other invisible signs.
    """
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "None"
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    if not text.isprintable() or any(sign in text for sign in "\"'#"):
        raise InputError(f"{text!r} cannot stand in a STAR table (quote, # or line end); rename it")
    return text or "None"
