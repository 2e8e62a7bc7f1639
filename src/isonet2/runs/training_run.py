"""One network trained from start to end, with all that is written on the way."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from isonet2.data.run_folder import NetworkFiles
from isonet2.data.star import Tomogram
from isonet2.errors import InputError, counted
from isonet2.machine.devices import autocast_type, named
from isonet2.machine.interrupts import stop_request
from isonet2.machine.ranks import make_fabric
from isonet2.networks import depth, network_options
from isonet2.opening.rows import full_column
from isonet2.parameters import package_version
from isonet2.physics.rotation import source_size
from isonet2.prediction.checkpoint import FORMAT, OWN, Checkpoint
from isonet2.prediction.usage import Usage
from isonet2.reports.history import ABOVE_NOISE, write_history
from isonet2.reports.pictures import loss_picture
from isonet2.reports.progress import progress_bar
from isonet2.runs.beginning import Own, first_network
from isonet2.runs.estimate import say_how_long
from isonet2.runs.passing import Passages, pass_on
from isonet2.runs.plan import TrainParameters, last_noise_level, plan_of, treatment_of
from isonet2.runs.preview import Preview, mean_row, write_scalars
from isonet2.runs.remask import MaskUpdates
from isonet2.runs.resuming import shared, take_over
from isonet2.training.assembly import Assembler, Cubes
from isonet2.training.floor import noise_floor
from isonet2.training.loop import fit
from isonet2.training.objectives import Method, Recipe
from isonet2.training.sampling import Subtomograms
from isonet2.training.schedule import best_epoch
from isonet2.training.state import Training, start
from isonet2.training.tomogram import Source
from isonet2.training.validation import ROOMY, SMALLEST, Validation, hold_out
from isonet2.training.watch import Hooks, StepReport, Stopped, agreed

log = logging.getLogger(__name__)


class TrainingRun:
    """One run of the loop with all that it writes: made, then begun, then gone through.

    Parameters
    ----------
    parameters, method, recipe, own
        What is learned.
    rows, sources
        From what: rows of the table, and the same tomograms made ready.
    previewed
        Numbers (rlnIndex) of those that are restored at each save_interval.
    devices, threads
        Where.
    part
        `full`, or the part of the tomograms that this network sees.
    report
        Told, on the first rank, of the epoch, the step and the loss, by their names in `Progress`.
    """

    def __init__(
        self,
        parameters: TrainParameters,
        method: Method,
        recipe: Recipe,
        own: Own,
        rows: Sequence[Tomogram],
        sources: Sequence[Source],
        previewed: set[int],
        devices: list[torch.device],
        threads: int,
        part: str,
        report: Callable[..., None],
    ) -> None:
        self.parameters, self.method, self.recipe, self.part = parameters, method, recipe, part
        self.devices, self.report, self.own = devices, report, own
        self.floor: dict[str, float] = {}
        self.arch, size = own.arch(parameters), parameters.cube_size
        self.files = NetworkFiles(
            parameters.output_dir, method.name, Path(self.arch.removeprefix(OWN)).stem, size, part
        )
        self.usage = Usage(
            size,
            treatment_of(parameters),
            apply_mw_x1=recipe.apply_mw_x1,
            in_ball=method.fills_wedge,
        )
        self.fabric = make_fabric(devices, parameters.mixed_precision)
        columns = {full_column(row) for row in rows}
        self.column: str | None = None
        if not method.reads_halves:
            usual = columns.pop() if len(columns) == 1 else None
            self.column = getattr(parameters, "input_column", None) or usual
        self.tomograms = {source.name: source.identity for source in sources}
        self.seen: dict[str, tuple[int, int] | None] = {source.files: None for source in sources}
        ranks = max(1, len(devices), self.fabric.world_size)
        self.cubes, self.validation = self._cubes(sources)
        self.passages = Passages(self.cubes, self.usage, self.fabric, self.files.network.name)
        cubes = len(self.cubes.subtomograms)
        self.plan = own.plan(plan_of(parameters, ranks, threads, cubes))
        self.options = network_options(
            parameters.arch,
            normalization=parameters.normalization,
            **depth(parameters.arch, size),
        )
        if method.reads_halves and own.network is None:
            self.options["passing"] = size // 2 + 1
        restored = [
            Preview(source, row.ground_truth, self.usage,
                    autocast_type(self.fabric.device, parameters.mixed_precision))
            for row, source in zip(rows, self.cubes.subtomograms.sources, strict=True)
        ]  # fmt: skip
        pairs = zip(rows, restored, strict=True)
        self.previews = [preview for row, preview in pairs if row.index in previewed]
        updates = getattr(parameters, "num_mask_updates", 0)
        self.remask = MaskUpdates(
            rows, restored, self.files, parameters.epochs, updates, centres=parameters.with_mask
        )

    def _cubes(self, sources: Sequence[Source]) -> tuple[Cubes, Validation | None]:
        """Cubes to train on, and those held out, if any."""
        p, method = self.parameters, self.method
        held: list[Source] = []
        if p.validation is not False:
            wanted = p.validation is True or p.patience is not None
            sources, held = hold_out(sources, p.cube_size, small_too=wanted)
        drawing = partial(
            Subtomograms,
            size=p.cube_size,
            seed=p.seed,
            swap=p.pairing == "swap",
            turn=method.fills_wedge,
        )
        assembler = partial(Assembler, treatment=self.usage.treatment, device=self.fabric.device)
        drawn = drawing(sources, random_rot_weight=getattr(p, "random_rot_weight", 0.0))
        if drawn.upright:
            log.info(
                "random_rot_weight: cubes of %s are turned by right angles only; a free turn needs "
                "%d voxels along each axis",
                drawn.upright[0] if len(drawn.upright) == 1 else f"{len(drawn.upright)} tomograms",
                source_size(p.cube_size),
            )
        both = p.pairing == "both" and method.reads_halves
        cubes = Cubes(drawn, assembler(sources, both_directions=both))
        if held:
            self.seen |= {source.files: source.bounds for source in held}
            aside = Cubes(drawing(held), assembler(held))
            return cubes, Validation(method, self.recipe, aside, last_noise_level(p))
        if p.validation or p.patience:
            raise InputError(
                f"validation, patience: no tomogram has specimen {SMALLEST} cubes of cube_size "
                f"{p.cube_size} wide along y, so that a part could be held out; choose a smaller "
                f"cube_size or leave both out"
            )
        if p.validation is None:
            log.info(
                "nothing is held out to tell when training is enough: no tomogram has specimen %d "
                "cubes wide along y (--validation True does so from %d cubes on)",
                ROOMY,
                SMALLEST,
            )
        return cubes, None

    @property
    def record(self) -> dict[str, Any]:
        """What a resumed run must share with the run that it goes on from."""
        made = {"network_options": self.options, "network_format": FORMAT}
        told = shared(self.parameters.model_dump(mode="json"))
        return told | made | {"batch_size": self.plan.batch_size, "tomograms": self.tomograms}

    def begin(self) -> Training:
        """What the run begins with: a network, or where it stood when it was stopped."""
        self.fabric.launch()
        torch.manual_seed(self.parameters.seed)
        network, self.options = first_network(self.parameters, self.options, self.own.network)
        if self.parameters.pretrained_model is None:
            pass_on(network, self.cubes, self.usage)
        training = start(network, self.plan)
        resumed = self.parameters.resume and take_over(training, self.files.state, self.record)
        if resumed and self.plan.ended(training.history):
            log.warning(
                "resume: the run in %s ended after %s; a larger --epochs trains further, "
                "without --patience if that ended it",
                self.files.folder,
                counted(training.epoch, "epoch"),
            )
        return training

    def go(self, training: Training) -> Path:
        """Train, and return where the network is."""
        if self.fabric.is_global_zero:
            self._after_a_kill(training)
        self.fabric.barrier()
        self.remask.apply(self.cubes.subtomograms, training.epoch)
        if self.fabric.is_global_zero and not self.plan.ended(training.history):
            self.floor = self._floor()
            objective = self.method.with_recipe(self.recipe)
            say_how_long(self.fabric, training, self.cubes, objective, self.plan)
        self._fit(training)
        if self.fabric.is_global_zero:
            log.info("the network is %s", self.files.network)
            self._judge(training.history)
        return self.files.network

    def _floor(self) -> dict[str, float]:
        """What noise contributes to columns of the history, where that can be known."""
        found: dict[str, float] = {}
        drawn = noise_floor(self.method, self.recipe, self.cubes)
        if drawn is not None:
            found |= {"n2n": drawn[0], "mw": drawn[1]}
        if self.validation is not None:
            most = len(self.validation.cubes.subtomograms)
            held = noise_floor(self.method, self.recipe, self.validation.cubes, most)
            found |= {} if held is None else self.validation.named(*held)
        return found

    def _after_a_kill(self, training: Training) -> None:
        """Leave out what an earlier process was killed in, and make the masks that it owes."""
        work = self.files.cut_off()
        if work is None or training.updates == 0:
            return
        log.warning(
            "an earlier process was killed while it made the %s, perhaps for want of memory; that "
            "is left out from now on, and training goes on",
            work,
        )
        self.previews = [preview for preview in self.previews if preview.work != work]
        if training.step == 0 and self.remask.owed(work):
            self.remask.make(training.average, self.fabric.device, training.epoch, leave_out=work)

    def _judge(self, history: list[dict[str, float]]) -> None:
        """Say which epoch was best on the parts held out."""
        best = best_epoch(history)
        if len(history) < self.plan.epochs:
            log.info("stopped early: the loss on the parts held out fell last in epoch %d", best)
        if best < len(history):
            log.warning(
                "on the parts held out, epoch %d of %d was better than the last one; its network "
                "is %s",
                best,
                len(history),
                self.files.best,
            )

    def _fit(self, training: Training) -> None:
        """Train to the end, with a progress bar."""
        log.info(
            "%s: %s of %d voxels an epoch in batches of %d, %s, on %s",
            self.files.network.name,
            counted(len(self.cubes.subtomograms), "cube"),
            self.parameters.cube_size,
            self.plan.batch_size,
            counted(self.plan.epochs, "epoch"),
            named(self.devices),
        )
        show = self.fabric.is_global_zero
        with progress_bar("training", 1, show=show) as bar, stop_request() as request:

            def on_step(report: StepReport) -> None:
                bar.describe(f"epoch {report.epoch} of {self.plan.epochs}")
                done = (report.epoch - 1) * report.steps + report.step
                bar.update(done, report.steps * self.plan.epochs, f"loss {report.loss:.4f}")
                if show:
                    self._report(report)

            hooks = Hooks(
                on_step=on_step,
                on_epoch=self._after_epoch,
                on_stop=lambda state: state.save(self.files.state, self.record),
                stop=request,
                validate=self.validation,
            )
            objective = self.method.with_recipe(self.recipe)
            try:
                fit(self.fabric, training, self.cubes, objective, self.plan, hooks)
            except Stopped:
                if show:
                    log.warning(
                        "stopped in epoch %d; everything is kept: the same command with --resume "
                        "True goes on from here",
                        training.epoch + 1,
                    )
                raise KeyboardInterrupt from None
            if agreed(self.fabric, request())[0]:
                if show:
                    log.warning("stopped after the last epoch: the network is %s",
                                self.files.network)  # fmt: skip
                raise KeyboardInterrupt

    def _report(self, at: StepReport) -> None:
        """Tell other programs where the run is."""
        device = self.fabric.device
        self.report(
            epoch=at.epoch,
            step=at.step,
            steps=at.steps,
            loss=at.loss,
            device_memory=(
                torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
            ),
            message=f"training {self.files.network.name}",
        )

    def _after_epoch(self, training: Training) -> None:
        """Keep what the epoch brought, on the first rank; then new masks, on every rank."""
        if self.fabric.is_global_zero:
            self._keep(training)
            if self.own.on_epoch is not None:
                self.own.on_epoch(dict(training.history[-1]))
        if training.epoch in self.remask.after:
            self.fabric.barrier()
            self.remask.apply(self.cubes.subtomograms, training.epoch)

    def _keep(self, training: Training) -> None:
        """Save the epoch; only then make masks and previews, and save what they brought."""
        row, device = training.history[-1], self.fabric.device
        above = {name: row[name] - floor for name, floor in self.floor.items() if name in row}
        row |= {f"{name}{ABOVE_NOISE}": value for name, value in above.items()}
        if self.method.reads_halves:
            gain = self.passages.look(training, last=self.plan.ended(training.history))
            self.usage = replace(self.usage, gain=gain)
        self._save(training)
        if training.epoch in self.remask.after:
            self.report(message="making masks from the prediction")
            self.remask.make(training.average, device, training.epoch)
        due = training.epoch % self.parameters.save_interval == 0
        if self.previews and (due or self.plan.ended(training.history)):
            self.report(message="making previews")
            row |= mean_row(
                [
                    preview.make(training.average, device, self.files, training.epoch)
                    for preview in self.previews
                ]
            )
            self._save(training)
        if self.parameters.tensorboard:
            write_scalars(self.files.tensorboard, row)

    def _save(self, training: Training) -> None:
        """Write networks, history, curve and, last, the state: it says that the rest is there."""
        checkpoint = self.checkpoint(training)
        if training.epoch % self.parameters.save_interval == 0:
            checkpoint.save(self.files.of_epoch(training.epoch))
        checkpoint.save(self.files.network)
        if self.validation is not None and best_epoch(training.history) == training.epoch:
            checkpoint.save(self.files.best)
        write_history(self.files.history, training.history)
        loss_picture(self.files.curve, training.history, self.floor)
        training.save(self.files.state, self.record)

    def checkpoint(self, training: Training) -> Checkpoint:
        """The network as it predicts now, with everything needed to use it."""
        told = self.parameters.model_dump(mode="json")
        made = {
            "normalization": self.options.get("normalization", self.parameters.normalization),
            "input_column": self.column,
        }
        return Checkpoint(
            method=self.method.name,
            reads_halves=self.method.reads_halves,
            fills_wedge=self.method.fills_wedge,
            arch=self.arch,
            usage=self.usage,
            weights=training.average.state_dict(),
            network_options=self.options,
            epoch=training.epoch,
            version=package_version(),
            parameters=told | made,
            metrics=training.history[-1],
            pixel_size=median(s.geometry.pixel_size for s in self.cubes.subtomograms.sources),
            part=self.part,
            seen=self.seen,
        )
