"""The command `prepare_star`: a STAR table of the tomograms in some folders."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from isonet2.data import coordinates, defoci
from isonet2.data.blocks import cell
from isonet2.data.defoci import Ctf, read_ctf
from isonet2.data.files import keep_old
from isonet2.data.inspection import looks_inverted, mixed_up
from isonet2.data.names import VOLUME_SUFFIXES, match
from isonet2.data.pairing import (
    Source,
    check,
    find_sources,
    isotropic,
    list_files,
)
from isonet2.data.series import holds
from isonet2.data.star import write_table
from isonet2.data.tilts import READERS, read_tilts, tilts_in_order
from isonet2.data.tomograms import SUBTOMOGRAMS, RecordReader, Tomogram
from isonet2.data.volumes import Volume, VolumeWriter, open_volume, slabs
from isonet2.errors import InputError
from isonet2.parameters import PrepareStarParameters
from isonet2.reports.progress import followed
from isonet2.reports.table import show_table
from isonet2.training.sources import contradictions, ctf_of, sectors_of

log = logging.getLogger(__name__)

T = TypeVar("T")
AVERAGES = "averaged_tomos"
USUAL_PIXEL_SIZES = (5.0, 20.0)


@dataclass(slots=True)
class _Findings:
    """What is wrong, and what the user should know; each said once with the names it is true of."""

    problems: list[str] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def remark(self, text: str, name: str = "") -> None:
        self.remarks.setdefault(text, []).extend([name] if name else [])

    def attempt(self, action: Callable[[], T]) -> T | None:
        """Result of an action, or None and one more problem."""
        try:
            return action()
        except InputError as error:
            self.problems.append(str(error))
            return None

    def tell(self) -> None:
        """Log the remarks; raise the problems."""
        for text, names in self.remarks.items():
            log.warning("%s%s", text, f" ({', '.join(names)})" if names else "")
        if self.problems:
            raise InputError("\n".join(self.problems))


def prepare_star(p: PrepareStarParameters) -> Path:
    """Write and show the table of all tomograms; nothing is written when anything is wrong.

    Parameters
    ----------
    p
        Folders, microscope, tilt range and names.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    InputError
        With everything that is wrong, one sentence a line.
    """
    findings = _Findings()
    if p.create_average and p.full is not None:
        findings.remark("create_average is not needed: full tomograms are given")
        p = p.model_copy(update={"create_average": False})
    sources, findings.problems = find_sources(p.full, p.even, p.odd)
    volumes = _check_volumes(sources, findings)
    table = _table(p, sources, volumes, findings)
    _check_table(p.star_name, table, volumes, findings)
    findings.tell()
    if p.create_average:
        for source in sources:
            _write_average(volumes[source.name], _average_path(p, source), p.pixel_size)
    old = keep_old(p.star_name)
    if old is not None:
        log.warning("%s existed; the old table is now %s", p.star_name, old)
    write_table(p.star_name, table)
    _show(p.star_name, table)
    return p.star_name


def _table(
    p: PrepareStarParameters,
    sources: Sequence[Source],
    volumes: Mapping[str, Sequence[Volume]],
    findings: _Findings,
) -> pd.DataFrame:
    """All columns, in the order that the manuals show."""
    count = len(sources)
    averages = [_average_path(p, source) if p.create_average else source.full for source in sources]
    tilt_files = _tilt_files(p, sources, findings)
    tilts = _tilts(p, tilt_files, findings)
    ctf = _ctf(p, sources, tilt_files, findings)
    boxes, numbers = _subtomograms(p, sources, volumes, findings)
    columns: dict[str, Sequence[object]] = {
        "rlnIndex": range(1, count + 1),
        "rlnTomoName": averages,
        "rlnTomoReconstructedTomogramHalf1": [source.half1 for source in sources],
        "rlnTomoReconstructedTomogramHalf2": [source.half2 for source in sources],
        "rlnPixelSize": [
            _pixel_size(p.pixel_size, source.name, volumes[source.name], findings)
            for source in sources
        ],
        "rlnDefocus": ctf.pop("rlnDefocus"),
        "rlnVoltage": [p.voltage] * count,
        "rlnSphericalAberration": [p.cs] * count,
        "rlnAmplitudeContrast": [p.ac] * count,
        "rlnDeconvTomoName": [None] * count,
        "rlnMaskBoundary": [None] * count,
        "rlnMaskName": _masks(p, sources, volumes, findings),
        "rlnTiltMin": tilts.pop("rlnTiltMin"),
        "rlnTiltMax": tilts.pop("rlnTiltMax"),
        "rlnBoxFile": boxes,
        "rlnNumberSubtomo": numbers,
        "rlnCorrectedTomoName": [None] * count,
        "rlnDenoisedTomoName": [None] * count,
        **tilts,
        **ctf,
    }
    return pd.DataFrame(columns, dtype=object)


def _check_volumes(sources: Sequence[Source], findings: _Findings) -> dict[str, list[Volume]]:
    """Open and check the files of all tomograms, several at a time."""
    with ThreadPoolExecutor(4) as pool:
        results = list(followed("opening tomograms", pool.map(check, sources), len(sources)))
    findings.problems.extend(problem for _, problems in results for problem in problems)
    volumes = {s.name: found for s, (found, _) in zip(sources, results, strict=True)}
    if not findings.problems:
        halves = [(v[0], v[1]) for s in sources if s.half1 and s.half2 for v in [volumes[s.name]]]
        findings.problems.extend(mixed_up(halves))
        for name, files in volumes.items():
            if looks_inverted(files[0]):
                findings.remark(
                    "protein seems to be bright, and make_mask takes dark voxels for specimen; "
                    "if so, turn the contrast round (IMOD: newstack -multadd -1,0)",
                    name,
                )
    return volumes


def _pixel_size(
    given: float | None, name: str, volumes: Sequence[Volume], findings: _Findings
) -> float | None:
    """Pixel size in angstrom, as given or from the headers."""
    if not volumes:
        return None
    known = [volume.voxel_size for volume in volumes if volume.voxel_size is not None]
    header = float(f"{sum(known[0]) / 3:.6g}") if known else None
    if given is None and header is None:
        findings.problems.append(
            f"{volumes[0].path}: its header gives no voxel size (0 or 1.0); add --pixel_size"
        )
        return None
    if given is None and not isotropic(known[0]):
        edges = " x ".join(f"{edge:g}" for edge in known[0])
        findings.problems.append(
            f"{volumes[0].path}: its voxels of {edges} A (z x y x x) are no cubes; correct the "
            f"header, or say the edge with --pixel_size"
        )
    if given is not None and header is not None and abs(header - given) > 0.01 * given:
        findings.remark(
            f"pixel_size {given:g} A is used, although headers say {header:g} A (isonet.py "
            "resize bins tomograms to another pixel size)",
            name,
        )
    size = header if given is None else given
    if size is not None and not USUAL_PIXEL_SIZES[0] <= size <= USUAL_PIXEL_SIZES[1]:
        findings.remark(
            f"the pixel size is {size:g} A; networks restore best at about 10 A (5 to 20 A)", name
        )
    return size


def _ctf(
    p: PrepareStarParameters,
    sources: Sequence[Source],
    tilt_files: Sequence[Path | None],
    findings: _Findings,
) -> dict[str, Sequence[object]]:
    """Columns of the defocus in angstrom, and of phase shifts in degrees where there are any."""
    if p.defocus_folder is None:
        return {"rlnDefocus": _given_defoci(p, len(sources), findings)}
    endings = tuple(defoci.READERS)
    files = _matching(p.defocus_folder, "defocus_folder", endings, sources, findings, read_ctf)
    fits = [
        findings.attempt(partial(_fit, file, tilts)) if file else None
        for file, tilts in zip(files, tilt_files, strict=True)
    ]
    columns: dict[str, Sequence[object]] = {
        "rlnDefocus": [fit.defocus if fit else None for fit in fits]
    }
    if any(fit.phase_shift for fit in fits if fit):
        columns["rlnPhaseShift"] = [fit.phase_shift if fit else None for fit in fits]
    return columns


def _fit(path: Path, tilt_file: Path | None) -> Ctf:
    """CTF at the tilt nearest to zero; what is wrong with the tilt file is said elsewhere.

    Tilts in the order of recording do not count: the programs that fit sort the images.
    """
    tilts: tuple[float, ...] = ()
    with suppress(InputError):
        tilts = tilts_in_order(tilt_file) if tilt_file else ()
    return read_ctf(path, tilts if list(tilts) in (sorted(tilts), sorted(tilts)[::-1]) else ())


def _given_defoci(
    p: PrepareStarParameters, count: int, findings: _Findings
) -> Sequence[float | None]:
    """Defocus of every tomogram in angstrom as the user says it, in the order of their names."""
    if p.defocus is None:
        findings.remark(
            "no defocus is given: rlnDefocus stays None, and CTF modes other than None need it"
        )
        return [None] * count
    values = p.defocus if isinstance(p.defocus, tuple) else (p.defocus,)
    if len(values) == 1:
        return values * count
    if len(values) != count:
        findings.problems.append(
            f"defocus has {len(values)} values, but there are {count} tomograms; "
            f"give one value or {count}"
        )
        return [None] * count
    return values


def _tilt_files(
    p: PrepareStarParameters, sources: Sequence[Source], findings: _Findings
) -> Sequence[Path | None]:
    """Tilt file of every tomogram."""
    if p.tilt_folder is None:
        return [p.tilt_file] * len(sources)
    endings = tuple(READERS)
    return _matching(p.tilt_folder, "tilt_folder", endings, sources, findings, read_tilts)


def _tilts(
    p: PrepareStarParameters, files: Sequence[Path | None], findings: _Findings
) -> dict[str, Sequence[object]]:
    """Columns of the tilt range, and of tilt files or the tilt step where they were given."""
    if p.tilt_file is None and p.tilt_folder is None:
        ends = []
        for option, given, usual in (("tilt_min", p.tilt_min, -60.0), ("tilt_max", p.tilt_max, 60)):
            if given is None:
                findings.remark(f"assuming {option} = {usual:g} degrees; tilt files say it better")
            ends.append(usual if given is None else given)
        columns = dict(zip(("rlnTiltMin", "rlnTiltMax"), ends, strict=True))
        if "tilt_step" in p.model_fields_set:
            columns["rlnTiltStep"] = p.tilt_step
        return {name: [value] * len(files) for name, value in columns.items()}
    if p.tilt_min is not None or p.tilt_max is not None:
        findings.remark("the tilt range is taken from the tilt files, not from tilt_min, tilt_max")
    angles = {file: findings.attempt(partial(read_tilts, file)) for file in set(files) if file}
    ends_of = [angles[file] if file else None for file in files]
    return {
        "rlnTiltMin": [tilts[0] if tilts else None for tilts in ends_of],
        "rlnTiltMax": [tilts[-1] if tilts else None for tilts in ends_of],
        "rlnTiltFile": files,
    }


def _matching(
    folder: Path,
    option: str,
    suffixes: Sequence[str],
    sources: Sequence[Source],
    findings: _Findings,
    reader: Callable[[Path], object] | None = None,
) -> list[Path | None]:
    """One file of a folder for each tomogram, by name, and of the kind that a reader wants."""
    files = findings.attempt(partial(list_files, folder, suffixes, option))
    if files is None:
        return [None] * len(sources)
    names = [source.name for source in sources]
    found, unused = match(names, files, suffixes)
    if reader is not None:
        fitting = [file for file in files if file not in unused and holds(reader, file)]
        better, _ = match(names, fitting, suffixes)
        found |= {name: paths for name, paths in better.items() if paths}
    for name, paths in found.items():
        if not paths:
            findings.problems.append(f"--{option} {folder}: no file for tomogram {name}")
        elif len(paths) > 1:
            several = " and ".join(path.name for path in paths)
            findings.problems.append(f"--{option} {folder}: {several} suit {name}; keep one")
    if unused:
        words = ", ".join(path.name for path in unused)
        findings.remark(f"--{option} {folder}: suits no tomogram: {words}")
    return [found[source.name][0] if found[source.name] else None for source in sources]


def _masks(
    p: PrepareStarParameters,
    sources: Sequence[Source],
    volumes: Mapping[str, Sequence[Volume]],
    findings: _Findings,
) -> Sequence[Path | None]:
    """Masks by name, each of its tomogram's shape."""
    if p.mask_folder is None:
        return [None] * len(sources)
    masks = _matching(p.mask_folder, "mask_folder", VOLUME_SUFFIXES, sources, findings)
    for source, path in zip(sources, masks, strict=True):
        mask = findings.attempt(partial(open_volume, path)) if path else None
        tomogram = volumes[source.name]
        if mask is not None and tomogram and mask.shape != tomogram[0].shape:
            findings.problems.append(
                f"{mask.path}: its shape {mask.shape} (z, y, x) is not that of "
                f"{tomogram[0].path}, {tomogram[0].shape}; make the mask again"
            )
    return masks


def _subtomograms(
    p: PrepareStarParameters,
    sources: Sequence[Source],
    volumes: Mapping[str, Sequence[Volume]],
    findings: _Findings,
) -> tuple[Sequence[Path | None], Sequence[int]]:
    """Coordinate files and how many cubes to draw from each tomogram."""
    share = p.number_subtomos or math.ceil(SUBTOMOGRAMS / max(len(sources), 1))
    if p.coordinate_folder is None:
        return [None] * len(sources), [share] * len(sources)
    suffixes = coordinates.SUFFIXES
    boxes = _matching(p.coordinate_folder, "coordinate_folder", suffixes, sources, findings)
    counts = []
    for source, path in zip(sources, boxes, strict=True):
        points = findings.attempt(partial(coordinates.read_coordinates, path)) if path else None
        counts.append(share if points is None else len(points))
        if points is not None and volumes[source.name]:
            shape = volumes[source.name][0].shape
            outside = int(((points < 0) | (points >= shape)).any(axis=1).sum())
            if outside:
                findings.problems.append(
                    f"{path}: {outside} of {len(points)} points lie outside the tomogram of "
                    f"{shape} voxels (z, y, x); give voxels of this tomogram"
                )
    return boxes, counts


def _check_table(
    path: Path,
    table: pd.DataFrame,
    volumes: Mapping[str, Sequence[Volume]],
    findings: _Findings,
) -> None:
    """See that the table can be written and read again, and that it fits the tomograms."""
    if findings.problems or table.empty:
        return
    texts = findings.attempt(partial(table.map, cell))
    if texts is None:
        return
    reader = RecordReader(path, texts)
    tomograms = list(reader.rows())
    findings.problems.extend(reader.problems)
    if findings.problems:
        return
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(_contradictions, tomograms, volumes.values())
        asked = list(followed("asking their spectra", found, len(tomograms)))
    for name, remarks in zip(volumes, asked, strict=True):
        for remark in remarks:
            findings.remark(remark, name)


def _contradictions(tomogram: Tomogram, files: Sequence[Volume]) -> list[str]:
    """What a tomogram's spectra say against its row; its halves stand first in its files."""
    halves = tomogram.half1 is not None and tomogram.half2 is not None
    return contradictions(
        files[: 2 if halves else 1],
        sectors_of(tomogram),
        tomogram.pixel_size,
        ctf_of(tomogram),
    )


def _average_path(p: PrepareStarParameters, source: Source) -> Path:
    return p.star_name.parent / AVERAGES / f"{source.name}.mrc"


def _write_average(halves: Sequence[Volume], path: Path, pixel_size: float | None) -> None:
    """Write the mean of two halves, slab by slab, with the pixel size where it is given."""
    first, second = halves
    size = None if pixel_size is None else (pixel_size,) * 3
    label = "isonet2: mean of the even and the odd half"
    with VolumeWriter(path, like=first, voxel_size=size, label=label) as writer:
        for region in slabs(first):
            writer.write(region, (first.read(region) + second.read(region)) * np.float32(0.5))
    log.info("wrote %s", path)


def _show(path: Path, table: pd.DataFrame) -> None:
    """Print the table without columns that say nothing yet."""
    texts = table.map(cell)
    columns = [str(column) for column in texts if (texts[column] != "None").any()]
    title = f"{path}: {len(texts)} tomogram{'s' * (len(texts) > 1)}"
    show_table(title, columns, texts[columns].to_numpy().tolist())
