"""What `denoise` and `refine` share: from the table's rows to trained networks on disk."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from isonet2.checks.findings import Findings
from isonet2.checks.halves import mixed_up
from isonet2.data.pairing import unlike_sizes
from isonet2.data.progress import ProgressFile
from isonet2.data.run_folder import WHOLE, RunFolder
from isonet2.data.star import Tomogram, TomogramTable, refuse_unwritable
from isonet2.errors import InputError
from isonet2.machine.devices import choose_devices
from isonet2.machine.launching import on_ranks, ranks_for
from isonet2.machine.started import checks, is_first, silence
from isonet2.machine.threads import use_threads
from isonet2.machine.watch import explained, watched
from isonet2.parameters import write_parameters
from isonet2.parameters.record import FILE_NAME
from isonet2.reports.progress import followed
from isonet2.reports.remarks import gathered
from isonet2.runs.beginning import Own
from isonet2.runs.plan import TrainParameters, treatment_of, without_effect
from isonet2.runs.sources import training_source
from isonet2.runs.training_run import TrainingRun
from isonet2.training.objectives import Method, Recipe
from isonet2.training.tomogram import Source

log = logging.getLogger(__name__)

NOTHING = Own()


def train(
    parameters: TrainParameters,
    method: Method,
    table: TomogramTable,
    recipe: Recipe,
    own: Own = NOTHING,
) -> list[Path]:
    """Train on the tomograms of a table; two networks with `split_halves`.

    No other run uses the folder meanwhile. What an earlier run left there is set aside for all
    networks before the first begins, so that those of two runs never stand beside each other.

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
    own
        What a caller from Python brings.

    Returns
    -------
    list of Path
        The checkpoints.
    """
    if (count := ranks_for(parameters.gpuID)) > 1:
        return on_ranks(count, train, parameters, method, table, recipe, own)
    first = is_first()
    folder = RunFolder(parameters.output_dir)
    with ExitStack() as stack:
        watch = stack.enter_context(watched())
        report: Callable[..., None] = _nobody
        if first:
            stack.enter_context(folder.in_use())
            told = ProgressFile(folder.path, parameters.command, FILE_NAME)
            report = stack.enter_context(told).report
        else:
            stack.enter_context(silence())
        stack.enter_context(explained(watch))
        report(message="opening the tomograms")
        with gathered([tomogram.name for tomogram in table.tomograms]):
            runs = _runs(parameters, method, table, recipe, own, report)
        begun = [run.begin() for run in runs]
        if first:
            if all(training.updates == 0 for training in begun):
                _set_aside(folder)
            pairs = zip(runs, begun, strict=True)
            if not all(run.plan.ended(training.history) for run, training in pairs):
                write_parameters(parameters, folder.path)
        return [run.go(training) for run, training in zip(runs, begun, strict=True)]


def _nobody(**_: object) -> None:
    """Report to nobody: the first rank does."""


def _runs(
    parameters: TrainParameters,
    method: Method,
    table: TomogramTable,
    recipe: Recipe,
    own: Own,
    report: Callable[..., None],
) -> list[TrainingRun]:
    """The runs of a command, ready to begin; whatever can be seen to be wrong is refused."""
    if parameters.tensorboard and find_spec("tensorboard") is None:
        raise InputError("tensorboard True: the package is missing; pip install tensorboard")
    if parameters.with_predict:
        refuse_unwritable(table.path)
    chosen = previewed(parameters, table) if parameters.with_preview else ()
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
    parts = ("top", "bottom") if parameters.split_halves else (WHOLE,)
    return [
        TrainingRun(
            parameters,
            method,
            recipe,
            own,
            rows=table.tomograms,
            sources=[_part_of(source, part) for source in sources],
            previewed={tomogram.index for tomogram in chosen},
            devices=devices,
            threads=threads,
            part=part,
            report=_counted(report, parameters.epochs, place, len(parts)),
        )
        for place, part in enumerate(parts)
    ]


def _counted(
    report: Callable[..., None], epochs: int, place: int, runs: int
) -> Callable[..., None]:
    """Report epochs as those of one run after the other."""

    def tell(epoch: int | None = None, **news: object) -> None:
        if epoch is not None:
            news |= {"epoch": place * epochs + epoch, "epochs": runs * epochs}
        report(**news)

    return tell


def previewed(parameters: TrainParameters, table: TomogramTable) -> tuple[Tomogram, ...]:
    """Tomograms to preview: those asked for, else number 1, else the first there is.

    Raises
    ------
    InputError
        For an index that the table does not have.
    """
    asked = "prev_tomo_idx" in parameters.model_fields_set
    if not asked and all(tomogram.index != 1 for tomogram in table.tomograms):
        return table.tomograms[:1]
    return table.select(parameters.prev_tomo_idx, "prev_tomo_idx")


def _set_aside(folder: RunFolder) -> None:
    aside = folder.set_aside(FILE_NAME)
    if aside is not None:
        log.warning(
            "%s holds an earlier run, which is now in %s (--resume True goes on with a run)",
            folder.path,
            aside,
        )


def _sources(table: TomogramTable, parameters: TrainParameters, method: Method) -> list[Source]:
    """Every tomogram opened, and checked once; what is wrong with any of them is said together."""
    column = None if method.reads_halves else getattr(parameters, "input_column", None)
    findings = Findings()
    sources: list[Source] = []
    for tomogram in followed("opening tomograms", table.tomograms, len(table.tomograms)):
        source = findings.attempt(
            partial(
                training_source,
                tomogram,
                findings,
                checked=checks(),
                reads_halves=method.reads_halves,
                treatment=treatment_of(parameters),
                bfactor=parameters.bfactor,
                with_mask=parameters.with_mask,
                mask_weighted_loss=parameters.mask_weighted_loss,
                input_column=column,
            )
        )
        if source is not None:
            sources.append(source)
    if unlike := unlike_sizes({s.name: s.geometry.pixel_size for s in sources}):
        findings.warn(unlike)
    pairs = [(s.first.volume, s.second.volume) for s in sources if s.second is not s.first]
    if checks():
        findings.add(mixed_up(pairs))
    findings.tell()
    columns = {tomogram.deconvolved is None for tomogram in table.tomograms}
    if len(columns) > 1 and column is None and not method.reads_halves:
        log.warning(
            "some rows list a deconvolved tomogram, which is taken, and some do not: run "
            "isonet.py deconv on all of them, or choose with --input_column"
        )
    return sources


def _part_of(source: Source, part: str) -> Source:
    """A tomogram narrowed to one half along y, for a network that must not see the other."""
    y = source.first.volume.shape[1]
    bounds = {WHOLE: None, "top": (0, y // 2), "bottom": (y // 2, y)}[part]
    return replace(source, bounds=bounds)
