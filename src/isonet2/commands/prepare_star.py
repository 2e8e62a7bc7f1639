"""The command `prepare_star`: a STAR table of the tomograms in some folders."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from isonet2.checks.contradictions import contradictions
from isonet2.checks.contrast import contrast_findings
from isonet2.checks.files import files_findings
from isonet2.checks.findings import Finding, Findings
from isonet2.checks.halves import mixed_up
from isonet2.checks.past import past_findings
from isonet2.data.blocks import cell
from isonet2.data.files import keep_old
from isonet2.data.inputs import SAME_SIZE, USUAL_PIXEL_SIZES, edges
from isonet2.data.labels import AVERAGE_LABEL, is_labelled, key_of
from isonet2.data.pairing import (
    TomogramFiles,
    find_sources,
    isotropic,
    unlike_sizes,
)
from isonet2.data.progress import ProgressFile
from isonet2.data.run_folder import AVERAGES
from isonet2.data.star import write_table
from isonet2.data.tomograms import RecordReader, Tomogram
from isonet2.data.volumes import Volume, VolumeWriter, slabs
from isonet2.jobs.descendants import own_job
from isonet2.opening.rows import ctf_of, sectors_of
from isonet2.parameters import PrepareStarParameters
from isonet2.preparing.companions import (
    ctf_columns,
    masks_of,
    subtomograms_of,
    tilt_columns,
    tilt_files_of,
)
from isonet2.preparing.earlier import keep_results
from isonet2.reports.progress import followed
from isonet2.reports.table import show_table

log = logging.getLogger(__name__)


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
        findings.warn("create_average is not needed: full tomograms are given")
        p = p.model_copy(update={"create_average": False})
    sources, problems = find_sources(p.full, p.even, p.odd)
    findings.refuse(*problems)
    volumes = _check_volumes(sources, findings)
    table = _table(p, sources, volumes, findings)
    _check_table(p.star_name, table, volumes, findings)
    findings.tell()
    if p.create_average:
        _write_averages(p, sources, volumes)
    keep_old(p.star_name, "table")
    write_table(p.star_name, table)
    _show(p.star_name, table)
    return p.star_name


def _table(
    p: PrepareStarParameters,
    sources: Sequence[TomogramFiles],
    volumes: Mapping[str, Sequence[Volume]],
    findings: Findings,
) -> pd.DataFrame:
    """All columns, in the order that the manuals show."""
    count = len(sources)
    averages = [_average_path(p, source) if p.create_average else source.full for source in sources]
    tilt_files = tilt_files_of(p, sources, findings)
    tilts = tilt_columns(p, tilt_files, sources, volumes, findings)
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


def _check_volumes(sources: Sequence[TomogramFiles], findings: Findings) -> dict[str, list[Volume]]:
    """Open and check the files of all tomograms, several at a time."""
    with ThreadPoolExecutor(4) as pool:
        work = pool.map(files_findings, sources)
        results = list(followed("opening tomograms", work, len(sources)))
    volumes = {s.name: found for s, (found, _) in zip(sources, results, strict=True)}
    for _, found in results:
        findings.add(found)
    usable = [
        volumes[source.name]
        for source, (_, found) in zip(sources, results, strict=True)
        if source.half1 and source.half2 and all(f.severity != "refusal" for f in found)
    ]
    findings.add(mixed_up([(files[0], files[1]) for files in usable]))
    if not findings.refused:
        for name, files in volumes.items():
            findings.add(contrast_findings(files[0], name))
            findings.add(past_findings(files, ctf=False, name=name))
    return volumes


def _pixel_sizes(
    p: PrepareStarParameters,
    sources: Sequence[TomogramFiles],
    volumes: Mapping[str, Sequence[Volume]],
    findings: Findings,
) -> list[float | None]:
    """Pixel sizes in angstrom; that they differ is said."""
    names = [source.name for source in sources]
    sizes = [_pixel_size(p.pixel_size, name, volumes[name], findings) for name in names]
    unlike = unlike_sizes({name: size for name, size in zip(names, sizes, strict=True) if size})
    if unlike:
        findings.warn(unlike)
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
        findings.refuse(
            f"{volumes[0].path}: its header gives no voxel size (0 or 1.0); add --pixel_size"
        )
        return None
    if given is None and not isotropic(known[0]):
        edges = " x ".join(f"{edge:g}" for edge in known[0])
        findings.refuse(
            f"{volumes[0].path}: its voxels of {edges} A (z x y x x) are no cubes; correct the "
            f"header, or say the edge with --pixel_size"
        )
    if given is not None and header is not None and abs(header - given) > SAME_SIZE * given:
        findings.warn(
            f"pixel_size {given:g} A is used, although headers say {header:g} A (isonet.py "
            "resize bins tomograms to another pixel size)",
            name,
        )
    size = header if given is None else given
    if size is not None and not USUAL_PIXEL_SIZES[0] <= size <= USUAL_PIXEL_SIZES[1]:
        findings.warn(
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
    if findings.refused or table.empty:
        return
    texts = findings.attempt(partial(table.map, cell))
    if texts is None:
        return
    reader = RecordReader(path, texts)
    tomograms = list(reader.rows())
    findings.refuse(*reader.problems)
    if findings.refused:
        return
    with ThreadPoolExecutor(4) as pool:
        work = pool.map(_contradictions, tomograms, volumes, volumes.values())
        asked = list(followed("asking their spectra", work, len(tomograms)))
    for found in asked:
        findings.add(found)


def _contradictions(tomogram: Tomogram, name: str, files: Sequence[Volume]) -> list[Finding]:
    """What a tomogram's spectra say against its row; its halves stand first in its files."""
    halves = tomogram.half1 is not None and tomogram.half2 is not None
    declared = sectors_of(tomogram), tomogram.pixel_size, ctf_of(tomogram)
    return contradictions(files[: 2 if halves else 1], *declared, name)


def _average_path(p: PrepareStarParameters, source: TomogramFiles) -> Path:
    return p.star_name.parent / AVERAGES / f"{source.name}.mrc"


def _write_averages(
    p: PrepareStarParameters,
    sources: Sequence[TomogramFiles],
    volumes: Mapping[str, Sequence[Volume]],
) -> None:
    """Write the means of all halves; how far this is stands beside them, or in the job's folder."""
    total = len(sources)
    work = map(partial(_average, p), sources, (volumes[source.name] for source in sources))
    with ProgressFile(own_job() or p.star_name.parent / AVERAGES, p.command) as progress:
        progress.report(tomogram=0, tomograms=total)
        for done, _ in enumerate(followed("averaging halves", work, total, many=2), start=1):
            progress.report(tomogram=done)


def _average(p: PrepareStarParameters, source: TomogramFiles, halves: Sequence[Volume]) -> Path:
    """Write the mean of two halves, slab by slab, with the pixel size where it is given.

    What it is made of stands in its label, so that it is made once, and nothing else is replaced.
    """
    first, second = halves
    path = _average_path(p, source)
    size = None if p.pixel_size is None else edges(first, p.pixel_size)
    label = f"IsoNet2 {AVERAGE_LABEL}; {key_of([first.path, second.path], size)}"
    if path.exists() and is_labelled(path, label):
        return path
    keep_old(path, "average, which was made of other files,")
    with VolumeWriter(path, like=first, voxel_size=size, label=label) as writer:
        for region in slabs(first):
            writer.write(region, (first.read(region) + second.read(region)) * np.float32(0.5))
    log.info("wrote %s", path)
    return path


def _show(path: Path, table: pd.DataFrame) -> None:
    """Print the table without columns that say nothing yet."""
    texts = table.map(cell)
    columns = [str(column) for column in texts if (texts[column] != "None").any()]
    title = f"{path}: {len(texts)} tomogram{'s' * (len(texts) > 1)}"
    show_table(title, columns, texts[columns].to_numpy().tolist())
