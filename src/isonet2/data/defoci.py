"""Defocus of a tilt series from the files of Warp, RELION, Gctf, IMOD, AreTomo and CTFFIND."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from isonet2.data.blocks import read_star
from isonet2.data.series import OtherContent, lines_of_words, number, read_by_ending, xml_root
from isonet2.data.tilts import tilts_in_block, warp_tilts
from isonet2.errors import InputError

LIMITS = (2_000.0, 120_000.0)
MISTAKES = (-1.0, 1e4, 10.0, 0.1)
MICROMETRE, NANOMETRE = 1e4, 10.0
STAR_COLUMNS = ("rlnDefocusU", "rlnDefocusV")
STAR_PHASE = "rlnPhaseShift"
CTFFIND_WIDTHS = range(7, 13)
"""Numbers on a line: 7 of CTFFIND 4 and AreTomo 2, 8 of AreTomo 3, 10 of CTFFIND 5."""
IMOD_VERSIONS = ("2", "3")
IMOD_ASTIGMATISM, IMOD_PHASE, IMOD_PHASE_IN_RADIANS = 1, 4, 8

OPTICS = {"voltage": "Voltage", "cs": "Cs", "ac": "Amplitude"}

Words = Sequence[tuple[str, list[str]]]


class Ctf(NamedTuple):
    """What a fit of the contrast transfer function found.

    Attributes
    ----------
    defocus
        Angstrom, positive for underfocus, mean of both axes.
    phase_shift
        Of a phase plate, degrees.
    """

    defocus: float
    phase_shift: float = 0.0


class Image(NamedTuple):
    """One image of a tilt series: its CTF, and its tilt in degrees where the file says it."""

    ctf: Ctf
    tilt: float | None = None


def read_defocus(path: Path | str, tilts: Sequence[float] | None = None) -> float:
    """Defocus of a tomogram in angstrom, positive for underfocus; see `read_ctf`."""
    return read_ctf(path, tilts).defocus


def read_ctf(path: Path | str, tilts: Sequence[float] | None = None) -> Ctf:
    """Defocus and phase shift of the image with the tilt nearest to zero.

    Understood are Warp's .xml (with its levelling, without the tilts that it does not use),
    tilt-series tables of RELION and Gctf (.star), IMOD's .defocus of versions 2 and 3, and the
    .txt of CTFFIND and AreTomo, which may also be in IMOD's format. Where a file says no tilts,
    and `tilts` are not as many as its images, both are the median of all images, which a few
    bad fits at high tilts do not change.

    Parameters
    ----------
    path
        The file.
    tilts
        Tilt angles of its images in their order, for files that do not say them.

    Raises
    ------
    InputError
        Missing file, one that holds no defocus, a word that is no number, a defocus that cannot
        be one in angstrom.
    """
    path = Path(path)
    images = read_by_ending(path, READERS, "defocus file")
    if not images:
        raise OtherContent(f"{path}: holds no defocus; fit the CTF first")
    angles = _angles(images, tilts or ())
    if angles is None:
        found = Ctf(*(median(values) for values in zip(*(i.ctf for i in images), strict=True)))
    else:
        found = images[min(range(len(images)), key=lambda at: abs(angles[at]))].ctf
    problem = implausible(found.defocus)
    if problem is not None:
        raise InputError(f"{path}: its defocus {found.defocus:g} {problem}")
    return found


def read_optics(path: Path) -> dict[str, float]:
    """What Warp's .xml says of the microscope: voltage in kV, cs in mm, ac; empty for other files.

    The names are those of the parameters of `prepare_star`.
    """
    if path.suffix.lower() != ".xml":
        return {}
    said = {
        node.get("Name"): node.get("Value", "") for node in xml_root(path).iterfind("CTF/Param")
    }
    return {
        name: number(f"{path}, {word}", said[word], "number")
        for name, word in OPTICS.items()
        if word in said
    }


def _angles(images: Sequence[Image], given: Sequence[float]) -> Sequence[float] | None:
    """Tilts of all images: those that the file says, else given ones when they are as many."""
    own = [image.tilt for image in images if image.tilt is not None and abs(image.tilt) <= 90]
    return next((tilts for tilts in (own, given) if len(tilts) == len(images)), None)


def implausible(defocus: float) -> str | None:
    """What is wrong with a defocus in angstrom, and what may have been meant; None if nothing."""
    low, high = LIMITS
    if low <= defocus <= high:
        return None
    guesses = [defocus * factor for factor in MISTAKES if low <= defocus * factor <= high]
    remedy = f"did you mean {guesses[0]:g}?" if guesses else "correct it"
    return f"is no defocus in angstrom ({low:g} to {high:g}); {remedy}"


def _from_warp(path: Path) -> list[Image]:
    """GridCTF in micrometres, and GridCTFPhase in half turns, of the tilts that Warp uses."""
    root = xml_root(path)
    tilts = warp_tilts(path, root)
    defoci = _along_tilts(path, root, "GridCTF", len(tilts))
    phases = _along_tilts(path, root, "GridCTFPhase", len(tilts))
    if not defoci.any():
        raise OtherContent(f"{path}: no fitted defocus (GridCTF); run WarpTools ts_ctf first")
    return [
        Image(Ctf(float(defocus) * MICROMETRE, float(phase) * 180), tilt)
        for defocus, phase, tilt in zip(defoci, phases, tilts, strict=True)
        if tilt is not None
    ]


def _along_tilts(path: Path, root: Element, grid: str, count: int) -> NDArray[np.float64]:
    """Values of a grid at each tilt, (count,): means over the image; 0 without such a grid."""
    layers: dict[float, list[float]] = {}
    for node in root.iterfind(f"{grid}/Node"):
        layer, value = (
            number(f"{path}, <{grid}> {name}", node.get(name, ""), "number")
            for name in ("Z", "Value")
        )
        layers.setdefault(layer, []).append(value)
    means = [float(np.mean(layers[layer])) for layer in sorted(layers)] or [0.0]
    return np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(means)), means)


def _from_star(path: Path) -> list[Image]:
    """Both axes, the phase shift where there is one, and the tilts where they are there too."""
    blocks = [
        block for block in read_star(path).blocks.values() if {*STAR_COLUMNS} <= {*block.columns}
    ]
    if not blocks:
        raise OtherContent(f"{path}: no columns {' and '.join(STAR_COLUMNS)}; fit the CTF first")
    if len(blocks) > 1:
        raise InputError(
            f"{path}: lists the defoci of {len(blocks)} tilt series; give one file per tomogram"
        )
    (block,) = blocks
    phases = block.get(STAR_PHASE, ["0"] * len(block))
    columns = zip(*(block[column] for column in STAR_COLUMNS), phases, strict=True)
    rows = [_numbers(f"{path}, row {row}", cells) for row, cells in enumerate(columns, 1)]
    tilts = tilts_in_block(path, block)
    return [
        Image(Ctf((first + second) / 2, phase), tilts[row] if tilts else None)
        for row, (first, second, phase) in enumerate(rows)
    ]


def _from_text(path: Path) -> list[Image]:
    """A table of CTFFIND or AreTomo, or what AreTomo writes in IMOD's format."""
    lines = lines_of_words(path)
    if lines and len(lines[0][1]) == 6 and lines[0][1][5] in IMOD_VERSIONS:
        return _imod(lines)
    if not lines or any(len(words) not in CTFFIND_WIDTHS for _, words in lines):
        raise OtherContent(f"{path}: is no table of CTFFIND or AreTomo; give their CTF file")
    return [
        Image(Ctf((first + second) / 2, math.degrees(phase)))
        for first, second, phase in (
            _numbers(place, (words[1], words[2], words[4])) for place, words in lines
        )
    ]


def _from_imod(path: Path) -> list[Image]:
    return _imod(lines_of_words(path))


def _imod(lines: Words) -> list[Image]:
    """First and last view and angle, one or two defoci in nanometres, axis, phase shift.

    Version 3 begins with a line of its own, whose first number is a sum of flags.

    References
    ----------
    https://bio3d.colorado.edu/imod/doc/man/ctfphaseflip.html
    """
    flags = 0
    if lines and lines[0][1][5:] == ["3"]:
        flags = int(_numbers(lines[0][0], lines[0][1][:1])[0])
        lines = lines[1:]
    axes = 2 if flags & IMOD_ASTIGMATISM else 1
    phase_at = 7 if axes == 2 else 5
    images = []
    for place, words in lines:
        row = _numbers(place, words)
        needed = phase_at + 1 if flags & IMOD_PHASE else 4 + axes
        if len(row) < needed:
            raise InputError(f"{place}: has {len(row)} numbers instead of {needed}; correct it")
        phase = row[phase_at] if flags & IMOD_PHASE else 0.0
        degrees = math.degrees(phase) if flags & IMOD_PHASE_IN_RADIANS else phase
        defocus = sum(row[4 : 4 + axes]) / axes * NANOMETRE
        images.append(Image(Ctf(defocus, degrees), (row[2] + row[3]) / 2))
    return images


def _numbers(place: str, words: Iterable[str]) -> list[float]:
    return [number(place, word, "number") for word in words]


READERS: dict[str, Callable[[Path], list[Image]]] = {
    ".xml": _from_warp,
    ".star": _from_star,
    ".defocus": _from_imod,
    ".txt": _from_text,
}
