"""The command `prepare_star`: a STAR table of the tomograms in some folders."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from isonet2.checks.contradictions import contradictions, tilt_contradictions
from isonet2.commands.companions import (
    Findings,
    ctf_columns,
    masks_of,
    subtomograms_of,
    tilt_columns,
    tilt_files_of,
)
from isonet2.commands.earlier import keep_results
from isonet2.data.blocks import cell
from isonet2.data.files import keep_old
from isonet2.data.inputs import edges
from isonet2.data.inspection import looks_inverted, mixed_up
from isonet2.data.labels import AVERAGE_LABEL, is_labelled
from isonet2.data.pairing import (
    Source,
    check,
    find_sources,
    isotropic,
    unlike_sizes,
)
from isonet2.data.star import write_table
from isonet2.data.tomograms import RecordReader, Tomogram
from isonet2.data.volumes import Volume, VolumeWriter, slabs
from isonet2.opening.rows import ctf_of, sectors_of
from isonet2.parameters import PrepareStarParameters
from isonet2.physics.geometry import Geometry
from isonet2.reports.progress import followed
from isonet2.reports.table import show_table

log = logging.getLogger(__name__)

AVERAGES = "averaged_tomos"
USUAL_PIXEL_SIZES = (5.0, 20.0)


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
    findings = Findings()
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
    findings: Findings,
) -> pd.DataFrame:
    """All columns, in the order that the manuals show."""
    count = len(sources)
    averages = [_average_path(p, source) if p.create_average else source.full for source in sources]
    tilt_files = tilt_files_of(p, sources, findings)
    tilts = tilt_columns(p, tilt_files, findings)
    ctf = ctf_columns(p, sources, tilt_files, findings)
    boxes, numbers = subtomograms_of(p, sources, volumes, findings)
    columns: dict[str, Sequence[object]] = {
        "rlnIndex": range(1, count + 1),
        "rlnTomoName": averages,
        "rlnTomoReconstructedTomogramHalf1": [source.half1 for source in sources],
        "rlnTomoReconstructedTomogramHalf2": [source.half2 for source in sources],
        "rlnPixelSize": _pixel_sizes(p, sources, volumes, findings),
        "rlnDefocus": ctf.pop("rlnDefocus"),
        "rlnVoltage": [p.voltage] * count,
        "rlnSphericalAberration": [p.cs] * count,
        "rlnAmplitudeContrast": [p.ac] * count,
        "rlnDeconvTomoName": [None] * count,
        "rlnMaskBoundary": [None] * count,
        "rlnMaskName": masks_of(p, sources, volumes, findings),
        "rlnTiltMin": tilts.pop("rlnTiltMin"),
        "rlnTiltMax": tilts.pop("rlnTiltMax"),
        "rlnBoxFile": boxes,
        "rlnNumberSubtomo": numbers,
        "rlnCorrectedTomoName": [None] * count,
        "rlnDenoisedTomoName": [None] * count,
        **tilts,
        **ctf,
    }
    table = pd.DataFrame(columns, dtype=object)
    keep_results(p.star_name, table, [source.name for source in sources])
    return table


def _check_volumes(sources: Sequence[Source], findings: Findings) -> dict[str, list[Volume]]:
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


def _pixel_sizes(
    p: PrepareStarParameters,
    sources: Sequence[Source],
    volumes: Mapping[str, Sequence[Volume]],
    findings: Findings,
) -> list[float | None]:
    """Pixel sizes in angstrom; that they differ is said."""
    names = [source.name for source in sources]
    sizes = [_pixel_size(p.pixel_size, name, volumes[name], findings) for name in names]
    unlike = unlike_sizes({name: size for name, size in zip(names, sizes, strict=True) if size})
    if unlike:
        findings.remark(unlike)
    return sizes


def _pixel_size(
    given: float | None, name: str, volumes: Sequence[Volume], findings: Findings
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


def _check_table(
    path: Path,
    table: pd.DataFrame,
    volumes: Mapping[str, Sequence[Volume]],
    findings: Findings,
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
    volumes, sectors = files[: 2 if halves else 1], sectors_of(tomogram)
    if tomogram.pixel_size is None:
        return tilt_contradictions(volumes, sectors)
    return contradictions(volumes, Geometry(sectors, ctf_of(tomogram), tomogram.pixel_size))


def _average_path(p: PrepareStarParameters, source: Source) -> Path:
    return p.star_name.parent / AVERAGES / f"{source.name}.mrc"


def _write_average(halves: Sequence[Volume], path: Path, pixel_size: float | None) -> None:
    """Write the mean of two halves, slab by slab, with the pixel size where it is given.

    What it is made of stands in its label, so that it is made once, and nothing else is replaced.
    """
    first, second = halves
    size = None if pixel_size is None else edges(first, pixel_size)
    states = [(volume.path.resolve(), volume.path.stat()) for volume in halves]
    told = [(str(place), state.st_size, state.st_mtime_ns) for place, state in states]
    digest = hashlib.sha256(repr([*told, size]).encode()).hexdigest()[:16]
    label = f"IsoNet2 {AVERAGE_LABEL}; {digest}"
    if path.exists() and is_labelled(path, label):
        return
    old = keep_old(path)
    if old is not None:
        log.warning("%s was made of other files; it is now %s", path, old)
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
