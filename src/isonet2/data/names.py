"""What a file name says: which tomogram, and which half of it."""

import re
from collections.abc import Sequence
from pathlib import Path

from isonet2.data.formats import BY_SUFFIX

VOLUME_SUFFIXES = tuple(BY_SUFFIX)
OME = ".ome"
HALF = re.compile(
    r"(?:^|[_\-. ]+)(?:(evn|even|half(?:map)?[_-]?1)|(odd|half(?:map)?[_-]?2))(?=$|[_\-. ])",
    re.IGNORECASE,
)
RELION = "rec_"
"""What RELION 5 puts before a tomogram's name, but not before the names of its other files."""
ENDING = re.compile(r"[_\-. ]+(?:full|vol|avg|average)$", re.IGNORECASE)


def stem(path: Path | str, suffixes: Sequence[str] = VOLUME_SUFFIXES) -> str:
    """File name without its known endings; other dots stay ("a_10.00Apx.rec.mrc" -> "a_10.00Apx").

    Parameters
    ----------
    path
        A file.
    suffixes
        The endings that go, in any case and any number, besides those of volumes.
    """
    name = Path(path).name
    known = {*suffixes, *VOLUME_SUFFIXES, OME}
    while Path(name).suffix.lower() in known:
        name = Path(name).stem
    return name


def half(path: Path | str) -> int | None:
    """1 for the even half, 2 for the odd one, None when the name does not say."""
    found = list(HALF.finditer(stem(path)))
    return (1 if found[-1][1] else 2) if found else None


def tomogram_name(path: Path | str, suffixes: Sequence[str] = VOLUME_SUFFIXES) -> str:
    """Name that both halves of a tomogram and their average share.

    The last word EVN, ODD, even, odd, half1 or half2 goes, and full, Vol or average at the end,
    in any case.
    """
    name = _without_ending(stem(path, suffixes))
    found = list(HALF.finditer(name))
    if found:
        name = name[: found[-1].start()] + name[found[-1].end() :]
    return _without_ending(name).strip("_-. ") or "tomogram"


def _without_ending(name: str) -> str:
    while ENDING.search(name):
        name = ENDING.sub("", name)
    return name


def match(
    names: Sequence[str], files: Sequence[Path], suffixes: Sequence[str] = VOLUME_SUFFIXES
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Find each tomogram's file among files that are called after the tomograms.

    The same name is best; then a file with more words ("TS_1_mask" for "TS_1"); then one with
    fewer ("TS_1" for "TS_1_10.00Apx"). A number is never a mere word more: "TS_1_2" is another
    tomogram than "TS_1". Of equally good names the earliest suffix counts.

    Parameters
    ----------
    names
        Tomogram names.
    files
        Candidates.
    suffixes
        Endings of the candidates, the preferred first.

    Returns
    -------
    found : dict of str to list of Path
        The best candidates of each name: one if all is well, none, or several.
    unused : list of Path
        Candidates that suit no name.
    """
    found: dict[str, list[Path]] = {}
    used: set[Path] = set()
    plain = {name: name.removeprefix(RELION) for name in names}
    for name in names:
        ranked: dict[tuple[int, int, int], list[Path]] = {}
        for file in files:
            called = tomogram_name(file, suffixes)
            rank = _rank(name, called, names) or _rank(plain[name], called, list(plain.values()))
            if rank is not None:
                suffix = file.suffix.lower()
                position = suffixes.index(suffix) if suffix in suffixes else len(suffixes)
                ranked.setdefault((*rank, position), []).append(file)
                used.add(file)
        found[name] = ranked[min(ranked)] if ranked else []
    return found, [file for file in files if file not in used]


def _rank(name: str, called: str, names: Sequence[str]) -> tuple[int, int] | None:
    """How well a file's name suits a tomogram's, smallest is best; None when it does not."""
    if called == name:
        return 0, 0
    if called in names:
        return None
    if _extends(called, name):
        better = any(len(other) > len(name) and _extends(called, other) for other in names)
        return None if better else (1, len(called))
    return (2, -len(called)) if _extends(name, called) else None


def _extends(longer: str, shorter: str) -> bool:
    """Whether a name is another one and at least one more word that is no mere number."""
    rest = longer[len(shorter) :]
    if not longer.startswith(shorter) or not re.match(r"[_\-. ]", rest):
        return False
    word = re.split(r"[_\- ]", rest[1:])[0]
    return any(letter.isalpha() for letter in word)
