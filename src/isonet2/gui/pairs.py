"""What the folders hold that a new table is to list, seen before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass

from isonet2.data.pairing import find_sources, open_files
from isonet2.data.volumes import Volume
from isonet2.errors import InputError
from isonet2.parameters import PrepareStarParameters


@dataclass(frozen=True, slots=True)
class Pair:
    """A tomogram that was found.

    Attributes
    ----------
    name
        Of the tomogram.
    files
        Names of its files.
    shape
        z, y and x in words.
    pixel_size
        In words, in angstrom.
    """

    name: str
    files: str
    shape: str
    pixel_size: str


def look(parameters: PrepareStarParameters) -> tuple[list[Pair], list[str]]:
    """List the tomograms that a table would list, and everything that is wrong with their files.

    Parameters
    ----------
    parameters
        Folders, as the form says them.

    Returns
    -------
    pairs : list of Pair
        In the order of their names.
    problems : list of str
        One sentence each.
    """
    try:
        sources, problems = find_sources(parameters.full, parameters.even, parameters.odd)
    except InputError as error:
        return [], str(error).splitlines()
    pairs = []
    for source in sources:
        volumes, wrong = open_files(source)
        problems += wrong
        names = ", ".join(path.name for path in source.files)
        pairs.append(Pair(source.name, names, *_told(volumes, parameters.pixel_size)))
        if not wrong and parameters.pixel_size is None and volumes[0].voxel_size is None:
            problems.append(
                f"{volumes[0].path}: its header gives no voxel size; say the pixel size."
            )
    return pairs, problems


def _told(volumes: Sequence[Volume], pixel_size: float | None) -> tuple[str, str]:
    if not volumes:
        return "", ""
    size = pixel_size or (volumes[0].voxel_size[2] if volumes[0].voxel_size else None)
    return " x ".join(map(str, volumes[0].shape)), "" if size is None else f"{size:g}"
