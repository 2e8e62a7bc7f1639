"""Tilt angles from the files of IMOD, AreTomo and RELION."""

from collections.abc import Callable
from pathlib import Path

from isonet2.data.blocks import is_missing, read_star
from isonet2.errors import InputError

STAR_COLUMNS = ("rlnTomoYTilt", "rlnTomoNominalStageTiltAngle", "wrpAngleTilt")


def read_tilts(path: Path | str) -> tuple[float, ...]:
    """Tilt angles of one series in degrees, sorted.

    Understood are lists with the angle first on each line (.tlt, .rawtlt, .txt), AreTomo's
    .aln (its TILT column; dark frames and local shifts are left out) and RELION-5's tilt-series
    tables (.star; refined angles before nominal ones) and Warp's .tomostar.

    Raises
    ------
    InputError
        Missing file, a line that is no angle, an angle beyond 90 degrees, fewer than two angles.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READERS:
        hint = "it holds tilts about the x axis" if suffix == ".xtilt" else "unknown ending"
        raise InputError(f"{path}: not a tilt file ({hint}); use one of {', '.join(READERS)}")
    try:
        angles = READERS[suffix](path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such tilt file; correct the name") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a tilt file ({error})") from error
    beyond = [angle for angle in angles if not -90 <= angle <= 90]
    if beyond:
        raise InputError(f"{path}: the tilt angle {beyond[0]:g} lies beyond 90 degrees; correct it")
    if len(set(angles)) < 2:
        raise InputError(f"{path}: a tilt series needs two different angles; this has {angles}")
    return tuple(sorted(angles))


def _angle(path: Path, number: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{path}, line {number}: '{text}' is not a tilt angle") from None


def _from_list(path: Path) -> list[float]:
    """First number of every line; lines that begin with # are comments."""
    lines = enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1)
    words = [(number, line.split()) for number, line in lines]
    return [
        _angle(path, number, line[0]) for number, line in words if line and line[0][0] not in "#;"
    ]


def _from_aretomo(path: Path) -> list[float]:
    """The TILT column of the lines between the heading and the local alignment."""
    column: int | None = None
    angles = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        words = line.split()
        if line.startswith("# Local Alignment"):
            break
        if line.startswith("#"):
            column = words.index("TILT") - 1 if "TILT" in words else column
        elif words and column is not None and len(words) > column:
            angles.append(_angle(path, number, words[column]))
        elif words:
            raise InputError(f"{path}, line {number}: no TILT column, this is no AreTomo alignment")
    return angles


def _from_star(path: Path) -> list[float]:
    """The first known column of angles in any block."""
    for block in read_star(path).blocks.values():
        for column in STAR_COLUMNS:
            if column in block and not any(map(is_missing, block[column])):
                return [_angle(path, row, text) for row, text in enumerate(block[column], 1)]
    raise InputError(f"{path}: no column of tilt angles ({', '.join(STAR_COLUMNS)})")


READERS: dict[str, Callable[[Path], list[float]]] = {
    ".tlt": _from_list,
    ".aln": _from_aretomo,
    ".rawtlt": _from_list,
    ".star": _from_star,
    ".tomostar": _from_star,
    ".txt": _from_list,
}
