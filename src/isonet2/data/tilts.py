"""Tilt angles from the files of IMOD, AreTomo, RELION, Warp and SerialEM.

A tilt by `t` degrees puts the point `(x, z)` at the detector coordinate `u = x cos t + z sin t`
in all of them but Warp, where it is `u = x cos t - z sin t` for `t = Angle + LevelAngleY`: its
angles change their signs here. Its AreAnglesInverted is about the defocus alone.
"""

import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

import pandas as pd

from isonet2.data.blocks import is_missing, read_star
from isonet2.data.series import OtherContent, lines_of_words, number, read_by_ending, xml_root
from isonet2.errors import InputError

log = logging.getLogger(__name__)

LARGE_LEVEL = 3.0
"""Degrees of a turn about x that can be left out."""

ANGLE = "tilt angle"
STAR_COLUMNS = {"rlnTomoYTilt": 1, "rlnTomoNominalStageTiltAngle": 1, "wrpAngleTilt": -1}
"""Columns of angles, refined ones first, and their signs."""
MOST_WORDS = 4
FEWEST_IN_A_LINE = 5
"""Words on a line of tilt angles: the angle, order, dose; more are a table of something else."""


def read_tilts(path: Path | str) -> tuple[float, ...]:
    """Tilt angles of one series in degrees, sorted.

    Understood are lists with the angle first on each line (.tlt, .rawtlt, .txt), AreTomo's
    .aln (its TILT column; dark frames and local shifts are left out), RELION-5's tilt-series
    tables (.star; refined angles before nominal ones), Warp's .xml (with its levelling, without
    the tilts that it does not use) and .tomostar, and SerialEM's .mdoc (nominal angles).

    Raises
    ------
    InputError
        Missing file, a line that is no angle, an angle beyond 90 degrees, fewer than two angles.
    """
    return tuple(sorted(tilts_in_order(path)))


def tilts_in_order(path: Path | str) -> tuple[float, ...]:
    """Tilt angles as `read_tilts`, in the order of the file, which is that of the images."""
    path = Path(path)
    if path.suffix.lower() == ".xtilt":
        raise InputError(
            f"{path}: not a tilt file (it holds tilts about the x axis); "
            f"use one of {', '.join(READERS)}"
        )
    angles = read_by_ending(path, READERS, "tilt file")
    beyond = [angle for angle in angles if not -90 <= angle <= 90]
    if beyond:
        raise InputError(f"{path}: the tilt angle {beyond[0]:g} lies beyond 90 degrees; correct it")
    if len(set(angles)) < 2:
        same = f"each of {len(angles)} is {angles[0]:g}" if angles else "there is none"
        raise OtherContent(f"{path}: a tilt series needs two different angles, and here {same}")
    return tuple(angles)


def _from_list(path: Path) -> list[float]:
    """First number of every line; all numbers where they stand in a single one."""
    return _from_one_line(path) or [
        number(place, words[0], ANGLE) for place, words in lines_of_words(path)
    ]


def _from_one_line(path: Path) -> list[float]:
    """Angles that stand beside each other, rising or falling, in the only line; else nothing."""
    lines = lines_of_words(path)
    if len(lines) != 1 or len(lines[0][1]) < FEWEST_IN_A_LINE:
        return []
    place, words = lines[0]
    try:
        angles = [number(place, word.rstrip(","), ANGLE) for word in words]
    except InputError:
        return []
    rising = all(a < b for a, b in pairwise(angles)) or all(a > b for a, b in pairwise(angles))
    return angles if rising and max(map(abs, angles)) <= 90 else []


def _from_text(path: Path) -> list[float]:
    """A list, when it is not a table of something else."""
    if angles := _from_one_line(path):
        return angles
    widest = max((len(words) for _, words in lines_of_words(path)), default=0)
    if widest > MOST_WORDS:
        raise OtherContent(
            f"{path}: is a table of {widest} columns, no list of tilt angles; give a tilt file"
        )
    return _from_list(path)


def _from_aretomo(path: Path) -> list[float]:
    """The TILT column of the lines between the heading and the local alignment."""
    column: int | None = None
    angles = []
    for line_number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        words = line.split()
        place = f"{path}, line {line_number}"
        if line.startswith("# Local Alignment"):
            break
        if line.startswith("#"):
            column = words.index("TILT") - 1 if "TILT" in words else column
        elif words and column is not None and len(words) > column:
            angles.append(number(place, words[column], ANGLE))
        elif words:
            raise InputError(f"{place}: no TILT column, this is no AreTomo alignment")
    return angles


def _from_star(path: Path) -> list[float]:
    """The first known column of angles in any block."""
    for block in read_star(path).blocks.values():
        angles = tilts_in_block(path, block)
        if angles is not None:
            return angles
    raise OtherContent(f"{path}: no column of tilt angles ({', '.join(STAR_COLUMNS)})")


def tilts_in_block(path: Path, block: pd.DataFrame) -> list[float] | None:
    """Angles of the first column of `STAR_COLUMNS` that a block of a STAR file has in full."""
    for column, sign in STAR_COLUMNS.items():
        if column in block and not any(map(is_missing, block[column])):
            cells = enumerate(block[column], 1)
            return [sign * number(f"{path}, {column} {row}", cell, ANGLE) for row, cell in cells]
    return None


def _from_warp(path: Path) -> list[float]:
    return [angle for angle in warp_tilts(path, xml_root(path)) if angle is not None]


def warp_tilts(path: Path, root: Element) -> list[float | None]:
    """Angles that Warp reconstructs with, one per image; None for images that it leaves out.

    Notes
    -----
    Warp projects with `Matrix3.Euler(0, Angle + LevelAngleY, -AxisAngle)` times a turn by
    LevelAngleX about x (`TiltSeries.GetPositionInAllTilts`, github.com/warpem/warp); positions
    that it wrote for a levelled series agree. The turn about x is left out, and said so where
    it is not small.
    """
    angles, used = ((root.findtext(name) or "").split() for name in ("Angles", "UseTilt"))
    if not angles:
        raise OtherContent(f"{path}: no <Angles>; give the XML file of a Warp tilt series")
    if used and len(used) != len(angles):
        raise InputError(
            f"{path}: <UseTilt> has {len(used)} lines and <Angles> {len(angles)}; import it anew"
        )
    about_x = number(f"{path}, LevelAngleX", root.get("LevelAngleX", "0"), "number")
    if abs(about_x) > LARGE_LEVEL:
        log.warning(
            "%s: LevelAngleX is %g degrees: the missing wedge is turned by that about x, which is "
            "left out here; reconstruct with a LevelAngleX near 0 where you can",
            path,
            about_x,
        )
    level = number(f"{path}, LevelAngleY", root.get("LevelAngleY", "0"), "number")
    tilts = [
        0.0 - (number(f"{path}, <Angles> {row}", text, ANGLE) + level)
        for row, text in enumerate(angles, 1)
    ]
    return [
        tilt if flag.casefold() == "true" else None
        for tilt, flag in zip(tilts, used or ["true"] * len(tilts), strict=True)
    ]


def _from_serialem(path: Path) -> list[float]:
    """TiltAngle of every image, which begins with [ZValue = number]."""
    angles = []
    section = ""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for line_number, line in enumerate(text.splitlines(), 1):
        key, _, value = (part.strip() for part in line.partition("="))
        if key.startswith("["):
            section = key
        elif key == "TiltAngle" and section == "[ZValue":
            angles.append(number(f"{path}, line {line_number}", value, ANGLE))
    if not angles:
        raise OtherContent(f"{path}: no TiltAngle of images; give the .mdoc of a tilt series")
    return angles


READERS: dict[str, Callable[[Path], list[float]]] = {
    ".tlt": _from_list,
    ".aln": _from_aretomo,
    ".xml": _from_warp,
    ".rawtlt": _from_list,
    ".star": _from_star,
    ".tomostar": _from_star,
    ".txt": _from_text,
    ".mdoc": _from_serialem,
}
"""Readers by ending, the best to know the reconstruction's angles from first."""
