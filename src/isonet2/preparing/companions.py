"""Columns of the table that come from files beside the tomograms, found by name."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from isonet2.checks.findings import Findings
from isonet2.data import defoci
from isonet2.data.coordinates import SUFFIXES, Grid, read_coordinates
from isonet2.data.defoci import Ctf, read_ctf, read_optics
from isonet2.data.names import VOLUME_SUFFIXES, files_of
from isonet2.data.pairing import TomogramFiles, list_files
from isonet2.data.series import holds
from isonet2.data.tilts import READERS, read_tilts, tilts_in_order
from isonet2.data.tomograms import SUBTOMOGRAMS
from isonet2.data.volumes import Volume, open_volume
from isonet2.errors import InputError, few
from isonet2.parameters import PrepareStarParameters

UNLIKE_OPTICS = 0.05
"""Part by which the microscope's values may differ from those of a CTF fit without a word."""


def ctf_columns(
    p: PrepareStarParameters,
    sources: Sequence[TomogramFiles],
    tilt_files: Sequence[Path | None],
    findings: Findings,
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
    for source, file in zip(sources, files, strict=True):
        said = findings.attempt(partial(read_optics, file)) if file else None
        for name, value in (said or {}).items():
            taken = getattr(p, name)
            if abs(value - taken) > UNLIKE_OPTICS * taken:
                findings.warn(
                    f"the CTF was fitted with {name} {value:g}, and {taken:g} is written; if the "
                    f"fit is right, give --{name} {value:g}",
                    source.name,
                )
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
    in_order = list(tilts) in (sorted(tilts), sorted(tilts)[::-1])
    return read_ctf(path, tilts if in_order else ())


def _given_defoci(
    p: PrepareStarParameters, count: int, findings: Findings
) -> Sequence[float | None]:
    """Defocus of every tomogram in angstrom as the user says it, in the order of their names."""
    if p.defocus is None:
        findings.warn(
            "no defocus is given: rlnDefocus stays None, and CTF modes other than None need it"
        )
        return [None] * count
    values = p.defocus if isinstance(p.defocus, tuple) else (p.defocus,)
    if len(values) == 1:
        return values * count
    if len(values) != count:
        findings.refuse(
            f"defocus has {len(values)} values, but there are {count} tomograms; "
            f"give one value or {count}"
        )
        return [None] * count
    return values


def tilt_files_of(
    p: PrepareStarParameters, sources: Sequence[TomogramFiles], findings: Findings
) -> Sequence[Path | None]:
    """Tilt file of every tomogram."""
    if p.tilt_folder is None:
        return [p.tilt_file] * len(sources)
    endings = tuple(READERS)
    return _matching(p.tilt_folder, "tilt_folder", endings, sources, findings, read_tilts)


def tilt_columns(
    p: PrepareStarParameters,
    files: Sequence[Path | None],
    sources: Sequence[TomogramFiles],
    volumes: Mapping[str, Sequence[Volume]],
    findings: Findings,
) -> dict[str, Sequence[object]]:
    """Columns of the tilt range, and of tilt files or the tilt step where they were given.

    A volume with as many slices as its series has tilts may be the series, and that is said.
    """
    if p.tilt_file is None and p.tilt_folder is None:
        ends = []
        for option, given, usual in (("tilt_min", p.tilt_min, -60.0), ("tilt_max", p.tilt_max, 60)):
            if given is None:
                findings.warn(f"assuming {option} = {usual:g} degrees; tilt files say it better")
            ends.append(usual if given is None else given)
        columns = dict(zip(("rlnTiltMin", "rlnTiltMax"), ends, strict=True))
        if "tilt_step" in p.model_fields_set:
            columns["rlnTiltStep"] = p.tilt_step
        return {name: [value] * len(files) for name, value in columns.items()}
    if p.tilt_min is not None or p.tilt_max is not None:
        findings.warn("the tilt range is taken from the tilt files, not from tilt_min, tilt_max")
    angles = {file: findings.attempt(partial(read_tilts, file)) for file in set(files) if file}
    ends_of = [angles[file] if file else None for file in files]
    for source, tilts in zip(sources, ends_of, strict=True):
        if tilts and any(len(tilts) == volume.shape[0] for volume in volumes[source.name]):
            findings.warn(
                "as many slices as the tilt file has angles: if these are the images of the tilt "
                "series, give the reconstructed tomogram",
                source.name,
            )
    return {
        "rlnTiltMin": [tilts[0] if tilts else None for tilts in ends_of],
        "rlnTiltMax": [tilts[-1] if tilts else None for tilts in ends_of],
        "rlnTiltFile": files,
    }


def _matching(
    folder: Path,
    option: str,
    suffixes: Sequence[str],
    sources: Sequence[TomogramFiles],
    findings: Findings,
    reader: Callable[[Path], object] | None = None,
) -> list[Path | None]:
    """One file of a folder for each tomogram, by name, and of the kind that a reader wants."""
    files = findings.attempt(partial(list_files, folder, suffixes, option))
    if files is None:
        return [None] * len(sources)
    names = [source.name for source in sources]
    found, unused = files_of(names, files, suffixes)
    if reader is not None:
        strange = set(unused)
        fitting = [file for file in files if file not in strange and holds(reader, file)]
        better, _ = files_of(names, fitting, suffixes)
        found |= {name: paths for name, paths in better.items() if paths}
    for name, paths in found.items():
        if not paths:
            findings.refuse(f"--{option} {folder}: no file for tomogram {name}")
        elif len(paths) > 1:
            several = " and ".join(path.name for path in paths)
            findings.refuse(f"--{option} {folder}: {several} suit {name}; keep one")
    if unused:
        words = few([path.name for path in unused])
        findings.warn(f"--{option} {folder}: suits no tomogram: {words}")
    return [found[source.name][0] if found[source.name] else None for source in sources]


def masks_of(
    p: PrepareStarParameters,
    sources: Sequence[TomogramFiles],
    volumes: Mapping[str, Sequence[Volume]],
    findings: Findings,
) -> Sequence[Path | None]:
    """Masks by name, each of its tomogram's shape."""
    if p.mask_folder is None:
        return [None] * len(sources)
    masks = _matching(p.mask_folder, "mask_folder", VOLUME_SUFFIXES, sources, findings)
    for source, path in zip(sources, masks, strict=True):
        mask = findings.attempt(partial(open_volume, path)) if path else None
        tomogram = volumes[source.name]
        if mask is not None and tomogram and mask.shape != tomogram[0].shape:
            findings.refuse(
                f"{mask.path}: its shape {mask.shape} (z, y, x) is not that of "
                f"{tomogram[0].path}, {tomogram[0].shape}; make the mask again"
            )
    return masks


def subtomograms_of(
    p: PrepareStarParameters,
    sources: Sequence[TomogramFiles],
    volumes: Mapping[str, Sequence[Volume]],
    findings: Findings,
) -> tuple[Sequence[Path | None], Sequence[int]]:
    """Coordinate files and how many cubes to draw from each tomogram."""
    share = p.number_subtomos or math.ceil(SUBTOMOGRAMS / max(len(sources), 1))
    if p.coordinate_folder is None:
        return [None] * len(sources), [share] * len(sources)
    boxes = _matching(p.coordinate_folder, "coordinate_folder", SUFFIXES, sources, findings)
    counts = []
    for source, path in zip(sources, boxes, strict=True):
        points = None
        if path is not None and volumes[source.name]:
            volume = volumes[source.name][0]
            size = p.pixel_size or (volume.voxel_size and volume.voxel_size[2])
            grid = Grid(source.name, volume.shape, size)
            points = findings.attempt(partial(read_coordinates, path, grid))
        counts.append(share if points is None else len(points))
    return boxes, counts
