"""Files that say something of a tilt series: read by their ending, line by line or as XML."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

from isonet2.data.files import refuse_dangling
from isonet2.errors import InputError

T = TypeVar("T")

COMMENTS = ("#", ";")


class OtherContent(InputError):
    """A file of a known ending that holds something else than what is looked for."""


def read_by_ending(path: Path, readers: Mapping[str, Callable[[Path], T]], kind: str) -> T:
    """What the reader for a file's ending makes of it.

    Parameters
    ----------
    path
        The file.
    readers
        Readers by ending, in small letters.
    kind
        What the file is to be, in words.

    Raises
    ------
    InputError
        For an unknown ending and a file that is missing or cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InputError(f"{path}: not a {kind} (unknown ending); use one of {', '.join(readers)}")
    refuse_dangling(path)
    try:
        return readers[suffix](path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such {kind}; correct the name") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a {kind} ({error})") from error


def holds(reader: Callable[[Path], object], path: Path) -> bool:
    """Whether a file is of the kind that a reader wants; a broken one may be."""
    try:
        reader(path)
    except OtherContent:
        return False
    except InputError:
        return True
    return True


def lines_of_words(path: Path) -> list[tuple[str, list[str]]]:
    """Place and words of every line; empty lines and those that begin with # or ; are left out."""
    lines = enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1)
    words = [(f"{path}, line {number}", line.split()) for number, line in lines]
    return [(place, line) for place, line in words if line and not line[0].startswith(COMMENTS)]


def number(place: str, text: str, meaning: str) -> float:
    """Number in a word; InputError names the place and what the word was to mean."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{place}: '{text}' is not a {meaning}; correct it") from None


def xml_root(path: Path) -> ElementTree.Element:
    """Outermost element of an XML file of any encoding."""
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: is not readable as XML ({error}); write it anew") from error
