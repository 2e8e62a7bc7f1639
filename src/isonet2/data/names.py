"""What a file name says: which tomogram, and which half of it."""

import re
from collections.abc import Iterable, Iterator, Sequence
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
WORD_ENDS = "_-. "
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
    base, dot, ending = name.rpartition(".")
    while base and dot + ending.lower() in known:
        name = base
        base, dot, ending = name.rpartition(".")
    return name


def natural(path: Path | str) -> list[tuple[int, str]]:
    """Key that sorts names as people count: TS_2 before TS_10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]


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


def files_of(
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
    called: dict[str, list[Path]] = {}
    for file in files:
        called.setdefault(tomogram_name(file, suffixes), []).append(file)
    plain = {name: name.removeprefix(RELION) for name in names}
    ranks = _ranks(plain, called)
    plain_ranks = _ranks(plain.values(), called) if [*plain] != [*plain.values()] else ranks
    order = {suffix: place for place, suffix in reversed(list(enumerate(suffixes)))}
    place = {file: number for number, file in enumerate(files)}
    found: dict[str, list[Path]] = {}
    used: set[Path] = set()
    for name in names:
        ranked: dict[tuple[int, int, int], list[Path]] = {}
        for word, rank in (plain_ranks[plain[name]] | ranks[name]).items():
            for file in called[word]:
                position = order.get(file.suffix.lower(), len(suffixes))
                ranked.setdefault((*rank, position), []).append(file)
                used.add(file)
        found[name] = sorted(ranked[min(ranked)], key=place.__getitem__) if ranked else []
    return found, [file for file in files if file not in used]


def _ranks(names: Iterable[str], called: Iterable[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """How well files' names suit each tomogram's, smallest is best; those that do not are absent.

    Of tomograms whose names a file's extends, it belongs to that with the longest.
    """
    suiting: dict[str, dict[str, tuple[int, int]]] = {name: {} for name in names}
    extending: dict[str, list[str]] = {}
    for name in suiting:
        for root in _roots(name):
            extending.setdefault(root, []).append(name)
    for word in called:
        if word in suiting:
            suiting[word][word] = 0, 0
            continue
        for name in extending.get(word, ()):
            suiting[name][word] = 2, -len(word)
        known = next((root for root in _roots(word) if root in suiting), None)
        if known is not None:
            suiting[known][word] = 1, len(word)
    return suiting


def _roots(name: str) -> Iterator[str]:
    """Names that a name is with at least one more word that is no mere number, longest first."""
    for place in reversed(range(len(name))):
        if name[place] in WORD_ENDS:
            word = re.split(r"[_\- ]", name[place + 1 :], maxsplit=1)[0]
            if any(letter.isalpha() for letter in word):
                yield name[:place]
