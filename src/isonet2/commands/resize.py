"""The command `resize`: tomograms on a coarser grid, and the table that lists them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from isonet2.data.blocks import cell, is_missing, read_star, replace_block
from isonet2.data.coordinates import Grid, read_coordinates
from isonet2.data.files import atomic_path, keep_old, make_folder, scratch_beside
from isonet2.data.formats import BY_SUFFIX
from isonet2.data.inputs import edges
from isonet2.data.labels import is_there, key_of, refuse_foreign
from isonet2.data.models import Points
from isonet2.data.names import stem
from isonet2.data.progress import ProgressFile
from isonet2.data.run_folder import RESIZED
from isonet2.data.star import Tomogram, TomogramTable, find_table
from isonet2.data.volumes import Triple, Volume, VolumeWriter, open_volume, slabs
from isonet2.errors import InputError
from isonet2.parameters import ResizeParameters, write_parameters
from isonet2.parameters.record import FILE_NAME
from isonet2.physics.resampling import coarse_length, coarsen, grid_ratio
from isonet2.runs.each import Work, outcomes

log = logging.getLogger(__name__)

MASK = "rlnMaskName"
OTHER_FILES = ("rlnTiltFile", "rlnTomoTiltSeriesStarFile")
"""Columns of files that have no voxels: the new table names them from where it lies."""
COLUMN_VOXELS = 2**22  # that are worked on at once along z


def resize(parameters: ResizeParameters) -> Path:
    """Bin a volume, or every volume of a table.

    Memory holds a few slices; the volume that is binned along x and y only lies in a scratch file
    beside the result meanwhile.

    Parameters
    ----------
    parameters
        Volume or table, voxel size and folder.

    Returns
    -------
    Path
        The binned volume, or the new table.

    Raises
    ------
    InputError
        When a voxel size is not known, or finer than what there is; nothing is written then.
    """
    p = parameters
    if p.volumes.suffix.lower() == ".star":
        return _resize_table(p)
    source = open_volume(p.volumes)
    size = p.old_pixel_size or _known_size(source)
    ratio = _ratio(p, size, source.path)
    path = _output(p.output_dir, stem(source.path), source.path)
    if path.resolve() == source.path.resolve():
        raise InputError(f"output_dir {p.output_dir}: holds {source.path} itself; choose another")
    refuse_foreign(path)
    with ProgressFile(p.output_dir, p.command, FILE_NAME):
        _bin(p, source, path, ratio, size, str(source.path))
    _tell(source.path, size, ratio)
    write_parameters(p, p.output_dir)
    return path


def _resize_table(p: ResizeParameters) -> Path:
    """Bin the volumes of a table and write a table of them."""
    table = TomogramTable.read(p.volumes)
    path = p.output_dir / p.volumes.name
    if path.resolve() == p.volumes.resolve():
        raise InputError(f"output_dir {p.output_dir}: holds {p.volumes} itself; choose another")
    chosen = table.select(p.tomo_idx)
    for tomogram in chosen:
        _plan(p, tomogram)
    make_folder(p.output_dir)
    cells: dict[int, Mapping[str, object]] = {}
    with ProgressFile(p.output_dir, p.command, FILE_NAME) as progress:
        for tomogram, outcome in outcomes(p, chosen, prepare, "binned", progress):
            if outcome.columns is None:
                raise InputError(f"{tomogram.name}: {outcome.said}; no table was written")
            cells[tomogram.index] = outcome.columns
    _write_table(path, table, {tomogram.index: cells[tomogram.index] for tomogram in chosen})
    write_parameters(p, p.output_dir)
    log.info("wrote %s", path)
    return path


def prepare(p: ResizeParameters) -> Work[Tomogram]:
    """What bins the volumes of one tomogram."""

    def work(tomogram: Tomogram, label: str) -> dict[str, object]:
        plan = _plan(p, tomogram)
        found: dict[str, object] = {}
        for column, source in plan.files.items():
            output = _output(p.output_dir / RESIZED[column], tomogram.name, source.path)
            _bin(p, source, output, plan.ratio, plan.size, label, is_mask=column == MASK)
            found[column] = output
        _tell(label, plan.size, plan.ratio)
        return found | _other_cells(p, tomogram, plan)

    return work


@dataclass(frozen=True, slots=True)
class _Plan:
    """A tomogram's volumes by column, its voxel size, the ratio of the grids, and its points."""

    files: dict[str, Volume]
    size: float
    ratio: Fraction
    points: Points | None


def _plan(p: ResizeParameters, tomogram: Tomogram) -> _Plan:
    """What is to be done for a tomogram; all is checked here."""
    files = {}
    named = "rlnTomoReconstructedTomogram" in tomogram.cells or tomogram.full is None
    for column in RESIZED:
        is_path = column != "rlnTomoName" or not named
        if is_path and not is_missing(tomogram.cells.get(column, "None")):
            source = files[column] = open_volume(tomogram.column(column))
            refuse_foreign(_output(p.output_dir / RESIZED[column], tomogram.name, source.path))
    if not files:
        raise InputError(f"{tomogram.table}: tomogram {tomogram.index} lists no volume")
    first = next(iter(files.values()))
    for volume in files.values():
        if volume.shape != first.shape:
            raise InputError(
                f"{volume.path}: its shape {volume.shape} (z, y, x) is not that of {first.path}, "
                f"{first.shape}; a tomogram's volumes share one grid"
            )
    size = p.old_pixel_size or tomogram.pixel_size or _known_size(first)
    ratio = _ratio(p, size, first.path)
    points = None
    if tomogram.box_file is not None:
        points = read_coordinates(tomogram.box_file, Grid(tomogram.name, first.shape, size))
    return _Plan(files, size, ratio, points)


def _known_size(volume: Volume) -> float:
    if volume.voxel_size is None:
        raise InputError(f"{volume.path}: has no voxel size; add --old_pixel_size")
    return float(np.mean(volume.voxel_size))


def _ratio(p: ResizeParameters, size: float, path: Path) -> Fraction:
    if p.pixel_size < size * 0.999:
        raise InputError(
            f"pixel_size {p.pixel_size:g} is finer than the {size:g} A of {path}, and detail that "
            f"was not recorded cannot be made; give {size:g} or more"
        )
    return grid_ratio(size, p.pixel_size)


def _output(folder: Path, name: str, source: Path) -> Path:
    """File of a result, in the format of its source where that is one that we write."""
    suffix = source.suffix.lower()
    return folder / f"{name}{suffix if suffix in BY_SUFFIX else '.mrc'}"


def _bin(
    p: ResizeParameters,
    source: Volume,
    path: Path,
    ratio: Fraction,
    size: float,
    name: str,
    *,
    is_mask: bool = False,
) -> None:
    """Bin along x and y slab by slab, then along z, unless that is done already.

    Masks stay within 0 and 1, hard ones hard.
    """
    key = key_of([source.path], ratio, size, is_mask)
    note = f"IsoNet2 {key} resize: {ratio.numerator} voxels for {ratio.denominator}"
    if not p.overwrite and is_there(name, {path: note}):
        return
    z, y, x = (coarse_length(n, ratio) for n in source.shape)
    low, high, far = (round(n * ratio) for n in source.header.start)
    with (
        scratch_beside(path) as scratch,
        VolumeWriter(
            path,
            like=source,
            shape=(z, y, x),
            voxel_size=_new_voxel(source, size, ratio),
            start=(low, high, far),
            label=note,
        ) as writer,
    ):
        shape = (source.shape[0], y, x)
        flat = np.lib.format.open_memmap(scratch / "flat.npy", "w+", np.float32, shape)
        hard = is_mask
        for region in slabs(source):
            slab = source.read(region)
            hard = hard and bool(np.isin(slab, (0, 1)).all())
            flat[region[0]] = coarsen(torch.from_numpy(slab), ratio, (1, 2)).numpy()
        rows = max(1, COLUMN_VOXELS // (source.shape[0] * x))
        for first in range(0, y, rows):
            part = slice(first, min(first + rows, y))
            block = coarsen(torch.from_numpy(np.array(flat[:, part])), ratio, (0,)).numpy()
            if is_mask:
                block = (block >= 0.5).astype(np.float32) if hard else block.clip(0, 1)
            writer.write((slice(0, z), part, slice(0, x)), block)


def _new_voxel(source: Volume, size: float, ratio: Fraction) -> Triple:
    """New voxel size; slightly different edges of a header stay so when they mean `size`."""
    z, y, x = (float(edge / ratio) for edge in edges(source, size))
    return z, y, x


def _other_cells(p: ResizeParameters, tomogram: Tomogram, plan: _Plan) -> dict[str, object]:
    """Cells of a row that depend on the voxel."""
    found: dict[str, object] = {"rlnPixelSize": float(plan.size / plan.ratio)}
    binning = tomogram.cells.get("rlnTomoTomogramBinning", "None")
    if not is_missing(binning):
        found["rlnTomoTomogramBinning"] = float(binning) / float(plan.ratio)
    for column in OTHER_FILES:
        if not is_missing(tomogram.cells.get(column, "None")):
            found[column] = tomogram.column(column).resolve()
    if tomogram.mask_boundary is not None:
        log.warning("%s: rlnMaskBoundary is left out, draw it anew", tomogram.name)
        found["rlnMaskBoundary"] = None
    if plan.points is not None:
        path = p.output_dir / "coordinates" / f"{tomogram.name}.txt"
        with atomic_path(path) as temporary:
            np.savetxt(temporary, plan.points[:, ::-1] * float(plan.ratio), fmt="%.3f")
        found["rlnBoxFile"] = path
    return found


def _write_table(
    path: Path, table: TomogramTable, cells: Mapping[int, Mapping[str, object]]
) -> None:
    """The old table with the rows that were worked on, and new cells in them."""
    star = read_star(table.path)
    block = find_table(star.path, star.blocks)
    positions = {tomogram.index: i for i, tomogram in enumerate(table.tomograms)}
    frame = star.blocks[block].iloc[[positions[index] for index in cells]].copy()
    for row, values in zip(frame.index, cells.values(), strict=True):
        for column, value in values.items():
            if column not in frame:
                frame[column] = "None"
            frame.loc[row, column] = cell(value)
    text = replace_block(star, block, frame)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    keep_old(path, "table")
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _tell(name: Path | str, size: float, ratio: Fraction) -> None:
    log.info("%s: %g A to %g A", name, size, float(size / ratio))
