"""Tomograms found in folders: halves paired by name, and whether their files can be used."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isonet2.data.formats import FORMATS, format_of
from isonet2.data.formats.zarr import ZARR
from isonet2.data.inspection import refuse_dependence
from isonet2.data.names import VOLUME_SUFFIXES, half, tomogram_name
from isonet2.data.volumes import Triple, Volume, in_voxels, open_volume, statistics
from isonet2.errors import InputError

log = logging.getLogger(__name__)

FOLDERS = ZARR.suffixes
ISOTROPY = 0.005


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one tomogram, before anything else is known about it."""

    name: str
    full: Path | None = None
    half1: Path | None = None
    half2: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Those files that there are."""
        return tuple(path for path in (self.half1, self.half2, self.full) if path is not None)


def list_files(folder: Path, suffixes: Sequence[str], option: str) -> list[Path]:
    """Files with one of some endings in a folder, sorted by name; a file is its own list.

    Raises
    ------
    InputError
        When the folder is missing or holds no such file.
    """
    if folder.is_file() or folder.suffix.lower() in FOLDERS:
        return [folder]
    if not folder.is_dir():
        raise InputError(f"--{option} {folder}: no such folder; correct the name")
    everything = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found = [path for path in everything if path.suffix.lower() in suffixes and _is_one(path)]
    if not found:
        raise InputError(f"--{option} {folder}: holds no files {', '.join(suffixes)}")
    others = [path.name for path in everything if path not in found and path.is_file()]
    if others:
        log.info("--%s %s: left out %s", option, folder, ", ".join(others))
    return found


def _is_one(path: Path) -> bool:
    """Whether a path is a file, or a folder that stands for one."""
    return path.is_file() or (path.suffix.lower() in FOLDERS and path.is_dir())


def _list_volumes(folder: Path, option: str) -> list[Path]:
    """Volumes in a folder; of several formats only those of the first of `FORMATS` count."""
    files = list_files(folder, VOLUME_SUFFIXES, option)
    formats = [format_of(path) for path in files]
    first = min(formats, key=FORMATS.index)
    found = [path for path, one in zip(files, formats, strict=True) if one is first]
    others = [path.name for path in files if path not in found]
    if others:
        log.warning(
            "--%s %s: takes the %s files and leaves out %s",
            option, folder, first.name, ", ".join(others),
        )  # fmt: skip
    return found


def find_sources(
    full: Path | None, even: Path | None, odd: Path | None
) -> tuple[list[Source], list[str]]:
    """List tomograms and pair halves by name.

    Even and odd may be one folder, if the names tell the halves apart.

    Returns
    -------
    sources : list of Source
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
            if even is not None and odd is not None and option != "full":
                files = _of_half(files, option, even.resolve() == odd.resolve(), problems)
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
        sources.append(Source(name, *paths))
    return sources, problems


def _of_half(
    files: Sequence[Path], option: str, one_folder: bool, problems: list[str]
) -> list[Path]:
    """Those files that may be the even (odd) half by their names."""
    mine = 1 if option == "even" else 2
    if one_folder:
        strays = [path for path in files if half(path) is None] if mine == 1 else []
        problems.extend(f"{path}: its name says neither even nor odd" for path in strays)
        return [path for path in files if half(path) == mine]
    wrong = [path for path in files if half(path) == 3 - mine]
    problems.extend(
        f"{path}: is the other half by its name, but lies in --{option}" for path in wrong
    )
    return [path for path in files if path not in wrong]


def _by_name(files: Sequence[Path], option: str, problems: list[str]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in files:
        name = tomogram_name(path)
        if name in named:
            problems.append(
                f"{named[name]} and {path.name}: both are tomogram {name} in --{option}; keep one"
            )
        named.setdefault(name, path)
    return named


def isotropic(size: Triple) -> bool:
    """Whether the edges of a voxel differ by no more than half a percent."""
    return max(size) <= min(size) * (1 + ISOTROPY)


def check(source: Source) -> tuple[list[Volume], list[str]]:
    """Open a tomogram's files and see whether they can be used.

    Returns
    -------
    volumes : list of Volume
        Those that could be opened.
    problems : list of str
        Unreadable or empty volumes, unequal shapes or voxel sizes, halves that are not
        independent.
    """
    volumes: list[Volume] = []
    problems: list[str] = []
    for path in source.files:
        try:
            volume = open_volume(path)
            if volume.shape[0] < 2:
                raise InputError(f"{path}: is one image, not a volume; give the tomogram")
            volumes.append(volume)
            statistics(volume)
        except InputError as error:
            problems.append(str(error))
    for other in volumes[1:]:
        problems.extend(_differences(volumes[0], other))
    if not problems and source.half1 is not None and source.half2 is not None:
        try:
            refuse_dependence(volumes[0], volumes[1])
        except InputError as error:
            problems.append(str(error))
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
