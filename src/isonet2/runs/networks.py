"""What `denoise` and `refine` share: from the table's rows to trained networks on disk."""

import logging
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from isonet2.checks.findings import Findings
from isonet2.checks.halves import mixed_up
from isonet2.data.files import locked, make_folder
from isonet2.data.pairing import unlike_sizes
from isonet2.data.star import TomogramTable, refuse_unwritable
from isonet2.errors import InputError
from isonet2.machine.devices import choose_devices
from isonet2.machine.launching import on_ranks, ranks_for
from isonet2.machine.threads import use_threads
from isonet2.machine.watch import watched
from isonet2.parameters import write_parameters
from isonet2.parameters.record import FILE_NAME
from isonet2.reports.progress import followed
from isonet2.runs.plan import TrainParameters, treatment_of, without_effect
from isonet2.runs.sources import training_source
from isonet2.runs.training_run import TrainingRun, previewed
from isonet2.training.objectives import Method, Recipe
from isonet2.training.state import Training
from isonet2.training.tomogram import Source

log = logging.getLogger(__name__)


def train(
    parameters: TrainParameters, method: Method, table: TomogramTable, recipe: Recipe
) -> list[Path]:
    """Train on the tomograms of a table; two networks with `split_halves`.

    Parameters
    ----------
    parameters
        Of `denoise` or `refine`.
    method
        What is trained.
    table
        The tomograms.
    recipe
        Settings of the objective.

    Returns
    -------
    list of Path
        The checkpoints.
    """
    if (count := ranks_for(parameters.gpuID)) > 1:
        return on_ranks(count, train, parameters, method, table, recipe)
    if parameters.tensorboard and find_spec("tensorboard") is None:
        raise InputError("tensorboard True: the package is missing; pip install tensorboard")
    if parameters.with_predict:
        refuse_unwritable(table.path)
    if parameters.with_preview:
        previewed(parameters, table)
    make_folder(parameters.output_dir)
    for text in without_effect(parameters, method):
        log.warning(text)
    masks = parameters.with_mask or parameters.mask_weighted_loss
    if not masks and any(tomogram.mask is not None for tomogram in table.tomograms):
        log.warning("masks are listed and not used; --with_mask True draws cubes inside them only")
    devices = choose_devices(parameters.gpuID)
    threads = use_threads(parameters.ncpus)
    if not any(tomogram.number_subtomos for tomogram in table.tomograms):
        raise InputError(f"{table.path}: rlnNumberSubtomo is 0 everywhere; give numbers")
    sources = _sources(table, parameters, method)
    parts = ("top", "bottom") if parameters.split_halves else ("full",)
    runs = []
    for part in parts:
        mine = [_part_of(source, part) for source in sources]
        runs.append(TrainingRun(parameters, method, mine, recipe, devices, threads, part))
        runs[-1].watch(table)
    return _go(runs)


def _go(runs: list[TrainingRun]) -> list[Path]:
    """Begin all runs, which is where ranks meet, and train."""
    begun = [run.begin() for run in runs]
    with watched():
        return _all(runs, begun)


def _all(runs: list[TrainingRun], begun: list[Training]) -> list[Path]:
    """Train one network after the other, in a folder that no other run uses meanwhile.

    What an earlier run left is moved away for all of them before the first begins, so that the
    networks of two runs never stand beside each other.
    """
    parameters, folder = runs[0].parameters, runs[0].folder
    first = runs[0].fabric.is_global_zero
    with locked(folder / "run", timeout=1, name=folder) if first else nullcontext():
        if first:
            fresh = [
                run for run, training in zip(runs, begun, strict=True) if training.updates == 0
            ]
            set_aside(folder, [path for run in fresh for path in run.left_behind()])
            pairs = zip(runs, begun, strict=True)
            if not all(run.plan.ended(training.history) for run, training in pairs):
                write_parameters(parameters, folder)
        return [run.go(training) for run, training in zip(runs, begun, strict=True)]


def set_aside(folder: Path, files: list[Path]) -> None:
    """Move files of an earlier run into a folder of their own, with the record of that run."""
    if not files:
        return
    number = 1
    while (aside := folder / f"earlier_{number}").exists():
        number += 1
    aside.mkdir()
    for path in files:
        path.rename(aside / path.name)
    record = folder / FILE_NAME
    if record.exists():
        shutil.copy2(record, aside)
    log.warning(
        "%s holds an earlier run, which is now in %s (--resume True goes on with a run)",
        folder,
        aside,
    )


def _sources(table: TomogramTable, parameters: TrainParameters, method: Method) -> list[Source]:
    """Every tomogram opened and checked; what is wrong with any of them is said together."""
    findings = Findings()
    sources: list[Source] = []
    for tomogram in followed("opening tomograms", table.tomograms, len(table.tomograms)):
        source = findings.attempt(
            partial(
                training_source,
                tomogram,
                findings,
                reads_halves=method.reads_halves,
                treatment=treatment_of(parameters),
                bfactor=parameters.bfactor,
                with_mask=parameters.with_mask,
                mask_weighted_loss=parameters.mask_weighted_loss,
                input_column=getattr(parameters, "input_column", None),
            )
        )
        if source is not None:
            sources.append(source)
    if unlike := unlike_sizes({s.name: s.geometry.pixel_size for s in sources}):
        findings.warn(unlike)
    pairs = [(s.first.volume, s.second.volume) for s in sources if s.second is not s.first]
    findings.add(mixed_up(pairs))
    findings.tell()
    columns = {tomogram.deconvolved is None for tomogram in table.tomograms}
    chosen = method.reads_halves or getattr(parameters, "input_column", None)
    if len(columns) > 1 and not chosen:
        log.warning(
            "some rows list a deconvolved tomogram, which is taken, and some do not: run "
            "isonet.py deconv on all of them, or choose with --input_column"
        )
    return sources


def _part_of(source: Source, part: str) -> Source:
    """A tomogram narrowed to one half along y, for a network that must not see the other."""
    y = source.first.volume.shape[1]
    bounds = {"full": None, "top": (0, y // 2), "bottom": (y // 2, y)}[part]
    return replace(source, bounds=bounds)
