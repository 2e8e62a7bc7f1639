"""Tomograms found in folders: halves paired by name, and their files opened."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isonet2.data.files import refuse_dangling
from isonet2.data.formats import FORMATS, format_of
from isonet2.data.formats.zarr import ZARR
from isonet2.data.names import VOLUME_SUFFIXES, half, natural, stem, tomogram_name
from isonet2.data.volumes import Triple, Volume, in_voxels, open_volume
from isonet2.errors import InputError, few

log = logging.getLogger(__name__)

FOLDERS = ZARR.suffixes
STACKS = (".st", ".mrcs")
"""Endings of MRC files that hold the images of a tilt series, and no volume."""
VOLUME = "_vol"
"""What AreTomo adds to the name of a tilt series for that of its tomogram, in the same folder."""
PRODUCT = re.compile(r"(.+)[_\-. ](?:2nd|ctf|mask|psd|spectrum|thumb)", re.IGNORECASE)
"""Name that AreTomo and others give to what they write beside a tomogram of the first part."""
ISOTROPY = 0.005
SIMILAR_SIZE = 0.02


@dataclass(frozen=True, slots=True)
class TomogramFiles:
    """The files of one tomogram, before anything else is known about it."""

    name: str
    full: Path | None = None
    half1: Path | None = None
    half2: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Those files that there are."""
        return tuple(path for path in (self.half1, self.half2, self.full) if path is not None)


def list_files(place: Path, suffixes: Sequence[str], option: str) -> list[Path]:
    """Files with one of some endings, in the order in which people count (TS_2, TS_10).

    Parameters
    ----------
    place
        A folder, or one of folders of which each holds some; a file, which is its own list; or a
        pattern of files or folders such as `*/EVN`. Links count as files, even dangling ones.
    suffixes
        Endings, in small letters.
    option
        Name of the parameter.

    Raises
    ------
    InputError
        When there is no such folder, or no such file in it.
    """
    if place.is_file() or place.suffix.lower() in FOLDERS:
        return [place]
    everything = _entries(place, option)
    found = [path for path in everything if path.suffix.lower() in suffixes and _is_one(path)]
    if not found:
        folders = [path for path in everything if path.is_dir()]
        everything = [path for folder in folders for path in _children(folder)]
        found = [path for path in everything if path.suffix.lower() in suffixes and _is_one(path)]
    if not found:
        raise InputError(f"--{option} {place}: holds no files {', '.join(suffixes)}")
    taken = set(found)
    others = [path.name for path in everything if path not in taken and path.is_file()]
    if others:
        log.info("--%s %s: left out %s", option, place, few(others))
    return sorted(found, key=natural)


def _entries(place: Path, option: str) -> list[Path]:
    """What lies in a folder, or what a pattern stands for."""
    if place.is_dir():
        return _children(place)
    if not any(letter in str(place) for letter in "*?["):
        raise InputError(f"--{option} {place}: no such folder; correct the name")
    found = list(Path(place.anchor or ".").glob(str(place.relative_to(place.anchor))))
    if not found:
        raise InputError(f"--{option} {place}: no file or folder has such a name; correct it")
    return found


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_one(path: Path) -> bool:
    """Whether a path is a file, a link to one that may be missing, or a folder that is one."""
    return path.is_file() or path.is_symlink() or (path.suffix.lower() in FOLDERS and path.is_dir())


def _list_volumes(place: Path, option: str) -> list[Path]:
    """Volumes of a place; of several formats only those of the first of `FORMATS` count."""
    files = list_files(place, VOLUME_SUFFIXES, option)
    formats = [format_of(path) for path in files]
    first = min(formats, key=FORMATS.index)
    others = [path for path, one in zip(files, formats, strict=True) if one is not first]
    _leave_out(files, others, option, place, f"takes the {first.name} files and ")
    volumes = {stem(path).casefold() for path in files}
    stacks = [
        path
        for path in files
        if path.suffix.lower() in STACKS or f"{stem(path)}{VOLUME}".casefold() in volumes
    ]
    if len(stacks) == len(files):
        raise InputError(
            f"--{option} {place}: {few([path.name for path in stacks])}: images of a tilt series "
            "by the ending; give the reconstructed tomograms (.mrc or .rec)"
        )
    _leave_out(files, stacks, option, place, "takes images of tilt series for no tomograms: ")
    names = {tomogram_name(path) for path in files}
    products = [path for path in files if _product_of(tomogram_name(path)) in names]
    _leave_out(files, products, option, place, "takes one volume of each tomogram: ")
    return files


def _product_of(name: str) -> str | None:
    """Tomogram that a file belongs to which some program wrote beside it; None for others."""
    found = PRODUCT.fullmatch(name)
    return found and found[1]


def _leave_out(
    files: list[Path], others: Sequence[Path], option: str, place: Path, why: str
) -> None:
    """Take some files off a list, and say so."""
    if others:
        left = few([path.name for path in others])
        log.warning("--%s %s: %sleaves out %s", option, place, why, left)
        gone = set(others)
        files[:] = [path for path in files if path not in gone]


def find_sources(
    full: Path | None, even: Path | None, odd: Path | None
) -> tuple[list[TomogramFiles], list[str]]:
    """List tomograms and pair halves by name.

    Even and odd may be one folder, if the names tell the halves apart.

    Returns
    -------
    sources : list of TomogramFiles
        In the order of the even (or full) files' names.
    problems : list of str
        Strays, missing partners and doubles, one sentence each.

    Raises
    ------
    InputError
        When a folder is missing or empty.
    """
    problems: list[str] = []
    named: dict[str, dict[str, Path]] = {"full": {}, "even": {}, "odd": {}}
    for option, folder in (("full", full), ("even", even), ("odd", odd)):
        if folder is not None:
            files = _list_volumes(folder, option)
            if option == "full":
                _whole_ones(files, folder, problems)
            elif even is not None and odd is not None:
                same = even.resolve() == odd.resolve()
                files = _of_half(files, option, folder, same, problems)
            named[option] = _by_name(files, option, problems)
    wanted = [option for option, folder in zip(named, (full, even, odd), strict=True) if folder]
    names = list(
        dict.fromkeys(name for option in ("even", "odd", "full") for name in named[option])
    )
    sources = []
    for name in names:
        files = [named[option][name] for option in wanted if name in named[option]]
        missing = [option for option in wanted if name not in named[option]]
        if missing:
            problems.append(
                f"{files[0]}: no file called {name} in --{' and --'.join(missing)}; "
                f"halves need equal names apart from EVN/ODD, even/odd or half1/half2"
            )
            continue
        paths = [named[option].get(name) for option in ("full", "even", "odd")]
        sources.append(TomogramFiles(name, *paths))
    return sources, problems


def _of_half(
    files: list[Path], option: str, place: Path, one_place: bool, problems: list[str]
) -> list[Path]:
    """Those files that may be the even (odd) half by their names."""
    mine = 1 if option == "even" else 2
    if not one_place:
        wrong = [path for path in files if half(path) == 3 - mine]
        problems.extend(
            f"{path}: is the other half by its name, but lies in --{option}" for path in wrong
        )
        gone = set(wrong)
        return [path for path in files if path not in gone]
    if mine == 1:
        paired = {tomogram_name(path) for path in files if half(path) is not None}
        strays = [path for path in files if half(path) is None]
        whole = [path for path in strays if tomogram_name(path) in paired]
        _leave_out(files, whole, option, place, "takes the halves and ")
        problems.extend(
            f"{path}: its name says neither even nor odd"
            for path in strays
            if tomogram_name(path) not in paired
        )
    return [path for path in files if half(path) == mine]


def _whole_ones(files: list[Path], place: Path, problems: list[str]) -> None:
    """Take halves off a list of full tomograms; say so, or that there is nothing else."""
    sides = [half(path) for path in files]
    if not {1, 2} <= set(sides):
        return
    whole = {tomogram_name(path) for path, side in zip(files, sides, strict=True) if not side}
    halves = [path for path, side in zip(files, sides, strict=True) if side]
    alone = [path for path in halves if tomogram_name(path) not in whole]
    if alone:
        problems.append(
            f"--full {place}: {few([path.name for path in alone])}: halves by their names; give "
            f"--even {place} --odd {place}"
        )
        return
    _leave_out(files, halves, "full", place, "takes the full tomograms and ")


def _by_name(files: Sequence[Path], option: str, problems: list[str]) -> dict[str, Path]:
    named: dict[str, list[Path]] = {}
    for path in files:
        named.setdefault(tomogram_name(path), []).append(path)
    problems.extend(
        f"{few(paths)}: {'both' if len(paths) == 2 else 'all'} are tomogram {name} in --{option}; "
        "keep one, or give each a name of its own (links will do)"
        for name, paths in named.items()
        if len(paths) > 1
    )
    return {name: paths[0] for name, paths in named.items()}


def isotropic(size: Triple) -> bool:
    """Whether the edges of a voxel differ by no more than half a percent."""
    return max(size) <= min(size) * (1 + ISOTROPY)


def unlike_sizes(sizes: Mapping[str, float]) -> str | None:
    """Say that tomograms have voxels of several sizes (angstrom), by name; None if they do not."""
    groups: dict[float, list[str]] = {}
    for name, size in sorted(sizes.items(), key=lambda item: item[1]):
        near = next((known for known in groups if size <= known * (1 + SIMILAR_SIZE)), size)
        groups.setdefault(near, []).append(name)
    if len(groups) < 2:
        return None
    words = " and ".join(f"{size:g} A ({few(names)})" for size, names in groups.items())
    return (
        f"voxels of {words}: a network learns details at one scale; bring all tomograms to one "
        "voxel size (isonet.py resize)"
    )


def open_files(source: TomogramFiles) -> tuple[list[Volume], list[str]]:
    """Open a tomogram's files; their voxels are not looked at.

    Returns
    -------
    volumes : list of Volume
        Those that could be opened.
    problems : list of str
        Unreadable files, one file for both halves, unequal shapes or voxel sizes.
    """
    volumes: list[Volume] = []
    problems: list[str] = []
    for path in source.files:
        try:
            refuse_dangling(path)
            volume = open_volume(path)
            if volume.shape[0] < 2:
                raise InputError(f"{path}: is one image, not a volume; give the tomogram")
            volumes.append(volume)
        except InputError as error:
            problems.append(str(error))
    for other in volumes[1:]:
        problems.extend(_differences(volumes[0], other))
    halves = source.half1, source.half2
    if not problems and halves[0] and halves[1] and halves[0].samefile(halves[1]):
        problems.append(f"{halves[0]} and {halves[1]}: are the same file; give the two halves")
    return volumes, problems


def _differences(first: Volume, second: Volume) -> list[str]:
    """Say how the shapes or voxel sizes of two volumes differ."""
    found = []
    if first.shape != second.shape:
        found.append(
            f"{first.path} has {in_voxels(first.shape)} voxels (z x y x x), {second.path} "
            f"{in_voxels(second.shape)}; reconstruct both on one grid"
        )
    one, two = first.voxel_size, second.voxel_size
    if one and two and any(abs(a - b) > ISOTROPY * a for a, b in zip(one, two, strict=True)):
        found.append(
            f"{first.path} has voxels of {one[2]:g} A, {second.path} of {two[2]:g} A; "
            f"correct the header that is wrong"
        )
    return found
