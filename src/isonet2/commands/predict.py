"""Restore tomograms with a trained network."""

import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from isonet2.checks.findings import Findings
from isonet2.checks.opened import opened_findings
from isonet2.data.files import refuse_to_replace, scratch_beside
from isonet2.data.inputs import edges
from isonet2.data.labels import (
    LETTERS,
    OF_TWO,
    RESTORED_LABEL,
    is_there,
    key_of,
    refuse_foreign,
)
from isonet2.data.star import Tomogram
from isonet2.data.volumes import Indexed, VolumeWriter, open_volume
from isonet2.errors import InputError
from isonet2.machine.devices import choose_devices
from isonet2.machine.ranks import is_first_rank
from isonet2.opening.halves import Half, halves_of
from isonet2.opening.rows import full_column, geometry_of, input_paths
from isonet2.parameters import PredictParameters, package_version
from isonet2.physics.emptying import empty_wedge
from isonet2.physics.geometry import Geometry
from isonet2.physics.tiling import AxisTiling
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.restoring import restore
from isonet2.prediction.tiles import fitted_tiles, training_tiles
from isonet2.reports.pictures import compare_picture
from isonet2.reports.progress import progress_bar
from isonet2.runs.each import Done, SomeFailed, Work, for_chosen
from isonet2.runs.plan import TrainParameters
from isonet2.runs.restorer import Restorer, folder_of, made_by, make_restorer, networks_of
from isonet2.types import Block, Region, Shape

log = logging.getLogger(__name__)

UNLIKE = 1.1
"""Voxels whose sizes differ by more than this factor show things that a network has not seen."""


def predict(parameters: PredictParameters) -> list[Done]:
    """Restore the chosen tomograms of a table; see `for_chosen`."""
    networks, model = networks_of(parameters)
    if parameters.cluster is None:
        choose_devices(parameters.gpuID)
    made, *_ = made_by(networks, model, parameters)
    folder = folder_of(parameters, model)
    return for_chosen(parameters, folder, prepare, "restored", asdict(made))


def prepare(parameters: PredictParameters) -> Work[Tomogram]:
    """Make ready what restores a tomogram, in the process that does it: networks on devices."""
    return partial(restore_one, make_restorer(parameters))


def predict_after(parameters: TrainParameters, networks: Sequence[Path]) -> None:
    """Restore the tomograms that networks were trained on, where `with_predict` asks for it.

    Of several ranks the first one does.

    Raises
    ------
    InputError
        When a tomogram could not be restored.
    """
    if not parameters.with_predict or not is_first_rank():
        return
    try:
        predict(
            PredictParameters(
                star_file=parameters.star_file,
                model=networks[0],
                model2=networks[1] if len(networks) > 1 else None,
                gpuID=parameters.gpuID,
                ncpus=parameters.ncpus,
                tomo_idx=parameters.tomo_idx,
                mixed_precision=parameters.mixed_precision,
            )
        )
    except SomeFailed as error:
        raise InputError(
            "with_predict True: not every tomogram was restored (see above)"
        ) from error


def _label(restorer: Restorer, geometry: Geometry, sources: Sequence[Path], part: int) -> str:
    """Header labels that say what was done; the first tells whether it must be done again.

    `part` is the network's number where two have a result each, and 0 for all together.
    """
    key = key_of(sources, restorer.key, geometry)
    method = restorer.model.method + (f", {OF_TWO[part - 1]}" if part else "")
    said = f"IsoNet2 {key} {method}: {RESTORED_LABEL}; {package_version()}"
    return f"{said[:LETTERS]}\n{restorer.made[part].label}"


def restore_one(restorer: Restorer, tomogram: Tomogram, label: str) -> dict[str, Path | None]:
    """Restore one tomogram, unless it is there already; return what to note in its row."""
    parameters, model = restorer.parameters, restorer.model
    column = parameters.input_column or _column_of_training(model, tomogram, label)
    sources = input_paths(tomogram, reads_halves=model.reads_halves, input_column=column)
    halves = halves_of(sources)
    treatment = model.usage.treatment
    geometry = geometry_of(tomogram, halves[0].volume, treatment)
    _compare_voxels(model, geometry, label)
    output = restorer.output(tomogram)
    paths = [output, *_parts(restorer, tomogram)]
    notes = [_label(restorer, geometry, sources, part) for part in range(len(paths))]
    labels = {path: note.splitlines()[0] for path, note in zip(paths, notes, strict=True)}
    columns = {
        column: path
        for column, path in itertools.zip_longest(restorer.columns, paths)
        if path is not None or column in tomogram.cells
    }
    if not parameters.overwrite and is_there(label, labels):
        return columns
    named = [tomogram.full, tomogram.half1, tomogram.half2, tomogram.deconvolved, tomogram.mask]
    inputs = [*sources, *(path for path in (*named, tomogram.ground_truth) if path is not None)]
    for source, path in itertools.product(inputs, paths):
        refuse_to_replace(path, source, "output_dir")
    for path in paths:
        refuse_foreign(path)
    name = tomogram.name
    Findings(opened_findings(halves, geometry, ctf=treatment.needs_ctf, name=name)).tell()
    read = " and ".join(str(half.volume.path) for half in halves)
    log.info("%s: reading %s", label, read)
    job = _Job(restorer, halves, geometry, paths, notes, label)
    small, tiles = _tiles(restorer, halves[0].volume.shape)
    if not job.fits(tiles, parameters.batch_size or restorer.replicas.count):
        log.warning("%s: out of GPU memory; going on with smaller tiles, one at a time", label)
        torch.cuda.empty_cache()
        if not job.fits(small, 1):
            raise InputError(
                "one tile does not fit into the GPU's memory; free some of it, train with a "
                "smaller cube_size, or use --gpuID cpu"
            )
    if parameters.save_slices:
        drawn = {
            "input": Indexed([h.volume for h in halves]),
            "restored": Indexed([open_volume(output)]),
        }
        compare_picture(output.with_suffix(".png"), drawn, geometry.pixel_size, tomogram.name)
    return columns


def _column_of_training(model: Checkpoint, tomogram: Tomogram, label: str) -> str | None:
    """The column of full tomograms that a network has learned from, where a row fills it in."""
    column = model.parameters.get("input_column")
    if model.reads_halves or column is None:
        return None
    try:
        tomogram.column(column)
    except InputError:
        log.warning(
            "%s: the network was trained on %s, which the table does not list of it; %s is "
            "restored, which may have been treated otherwise (--input_column chooses)",
            label,
            column,
            full_column(tomogram),
        )
        return None
    log.info("%s: restored from %s, as in training", label, column)
    return str(column)


def _tiles(restorer: Restorer, shape: Shape) -> tuple[list[AxisTiling], list[AxisTiling]]:
    """Tiles of the training cubes' size, and those to be used first."""
    p, multiple = restorer.parameters, restorer.replicas.multiple
    factor = p.padding_factor
    if p.overlap_rate is not None:
        factor = 1 / (1 - p.overlap_rate)
    edge = restorer.model.usage.cube_size
    small = training_tiles(shape, edge, factor)
    if p.chunk_size is not None:
        return small, training_tiles(shape, math.ceil(p.chunk_size / multiple) * multiple, factor)
    if restorer.model.is_published:
        return small, small
    return small, fitted_tiles(shape, edge, factor, multiple)


@dataclass(frozen=True, slots=True)
class _Job:
    """One tomogram to be restored into its files: one, or three with two networks."""

    restorer: Restorer
    halves: Sequence[Half]
    geometry: Geometry
    paths: Sequence[Path]
    notes: Sequence[str]
    label: str

    def fits(self, tiles: Sequence[AxisTiling], batch: int) -> bool:
        """Restore the tomogram; False when memory ran out, and nothing was written."""
        try:
            self._write(tiles, batch)
        except torch.OutOfMemoryError:
            return False
        return True

    def _write(self, tiles: Sequence[AxisTiling], batch: int) -> None:
        dtype = self.restorer.parameters.dtype
        if self.restorer.parameters.fill:
            with self._writers(self.paths, dtype) as writers:
                self._restore(writers, tiles, batch)
            return
        with scratch_beside(self.paths[0]) as folder:
            filled = [folder / f"{number}.mrc" for number in range(len(self.paths))]
            with self._writers(filled, "float32") as writers:
                self._restore(writers, tiles, batch)
            with self._writers(self.paths, dtype) as writers:
                for volume, writer in zip(map(open_volume, filled), writers, strict=True):
                    sectors = self.geometry.sectors
                    empty_wedge(volume.read, writer.write, volume.shape, sectors)

    @contextmanager
    def _writers(self, paths: Sequence[Path], dtype: str) -> Iterator[list[VolumeWriter]]:
        """Files for all results, which appear together when the block ends."""
        like = self.halves[0].volume
        size = edges(like, self.geometry.pixel_size)
        with ExitStack() as stack:
            yield [
                stack.enter_context(
                    VolumeWriter(path, like=like, voxel_size=size, dtype=dtype, label=note)
                )
                for path, note in zip(paths, self.notes, strict=True)
            ]

    def _restore(
        self, writers: Sequence[VolumeWriter], tiles: Sequence[AxisTiling], batch: int
    ) -> None:
        mean = np.float32(np.mean([half.statistics.mean for half in self.halves]))
        std = np.float32(np.mean([half.statistics.std for half in self.halves]))

        def write(region: Region, block: Block) -> None:
            maps = [block.mean(0), *block] if len(writers) > 1 else [block[0]]
            for writer, restored in zip(writers, maps, strict=True):
                writer.write(region, mean - restored * std)

        with progress_bar(self.label, 1) as bar:
            restore(
                self.restorer.replicas,
                self.halves,
                self.geometry,
                self.restorer.model.usage,
                write,
                tiles,
                batch=batch,
                ways=self.restorer.ways,
                progress=bar.update,
            )


def _parts(restorer: Restorer, tomogram: Tomogram) -> list[Path]:
    """Files for the independent maps of two networks."""
    if restorer.parameters.model2 is None:
        return []
    return [restorer.output(tomogram, part) for part in ("_half1", "_half2")]


def _compare_voxels(model: Checkpoint, geometry: Geometry, label: str) -> None:
    """Say that a tomogram's voxels are not of the size that the network has learned from."""
    trained = model.pixel_size
    if trained and not 1 / UNLIKE < geometry.pixel_size / trained < UNLIKE:
        log.warning(
            "%s: has voxels of %g A, and the network was trained on %g A; resize it first",
            label,
            geometry.pixel_size,
            trained,
        )
