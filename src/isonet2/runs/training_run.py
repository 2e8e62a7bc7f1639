"""One network trained from start to end, with all that is written on the way."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from isonet2.data.star import Tomogram, TomogramTable
from isonet2.errors import InputError, counted, few
from isonet2.machine.devices import autocast_type, describe
from isonet2.machine.interrupts import stop_request
from isonet2.machine.ranks import make_fabric
from isonet2.machine.tensors import load_tensors
from isonet2.networks import build_network, edge_multiple, network_options
from isonet2.parameters import package_version
from isonet2.physics.rotation import source_size
from isonet2.prediction.checkpoint import FORMAT, Checkpoint
from isonet2.prediction.usage import Usage
from isonet2.reports.history import write_history
from isonet2.reports.pictures import loss_picture
from isonet2.reports.progress import progress_bar
from isonet2.runs.plan import TrainParameters, last_noise_level, plan_of, treatment_of
from isonet2.runs.preview import Preview, mean_row, write_scalars
from isonet2.runs.remask import MaskUpdates, masks_of
from isonet2.training.assembly import Assembler, Cubes
from isonet2.training.loop import fit
from isonet2.training.objectives import Method, Recipe
from isonet2.training.sampling import Subtomograms
from isonet2.training.schedule import best_epoch
from isonet2.training.state import STATE_FILE, Training, start
from isonet2.training.tomogram import Source, changes
from isonet2.training.validation import ROOMY, SMALLEST, Validation, hold_out
from isonet2.training.watch import Hooks, StepReport, Stopped, agreed

log = logging.getLogger(__name__)

FREE_TO_CHANGE = {
    "resume", "gpuID", "ncpus", "output_dir", "with_predict", "with_preview", "prev_tomo_idx",
    "tensorboard", "learning_rate", "learning_rate_min", "mixed_precision", "epochs",
    "patience", "save_interval", "star_file",
}  # fmt: skip
"""Parameters that a resumed run need not share with the run that it continues; the table may be
named in another way, since its rows are compared."""


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


class TrainingRun:
    """One run of the loop with all that it writes.

    Parameters
    ----------
    parameters, method, sources, recipe
        What is learned from what.
    devices, threads
        Where.
    part
        `full`, or the part of the tomograms that this network sees.
    """

    def __init__(
        self,
        parameters: TrainParameters,
        method: Method,
        sources: Sequence[Source],
        recipe: Recipe,
        devices: list[torch.device],
        threads: int,
        part: str = "full",
    ) -> None:
        self.parameters, self.method, self.recipe, self.part = parameters, method, recipe, part
        self.folder = parameters.output_dir
        arch = Path(parameters.arch).stem
        self.stem = f"network_{method.name}_{arch}_{parameters.cube_size}"
        self.path = self.folder / f"{self.stem}_{part}.pt"
        self.state = self.folder / (STATE_FILE if part == "full" else f"{part}_{STATE_FILE}")
        self.history = self.folder / ("history.csv" if part == "full" else f"history_{part}.csv")
        self.curve = self.folder / f"loss_{part}.png"
        self.best = self.folder / f"{self.stem}_best_{part}.pt"
        self.usage = Usage(
            parameters.cube_size,
            treatment_of(parameters),
            apply_mw_x1=recipe.apply_mw_x1,
            in_ball=method.fills_wedge,
        )
        self.devices = devices
        self.previews: list[Preview] = []
        self.remask: MaskUpdates | None = None
        self.fabric = make_fabric(devices, parameters.mixed_precision)
        size = parameters.cube_size
        self.tomograms = {source.name: source.identity for source in sources}
        held: list[Source] = []
        if parameters.validation is not False:
            wanted = parameters.validation is True or parameters.patience is not None
            sources, held = hold_out(sources, size, small_too=wanted)
        drawing = partial(
            Subtomograms,
            size=size,
            seed=parameters.seed,
            swap=parameters.pairing == "swap",
            turn=method.fills_wedge,
        )
        assembler = partial(Assembler, treatment=self.usage.treatment, device=self.fabric.device)
        self.subtomograms = drawing(
            sources, random_rot_weight=getattr(parameters, "random_rot_weight", 0.0)
        )
        upright = self.subtomograms.upright
        if upright:
            log.info(
                "random_rot_weight: cubes of %s are turned by right angles only; a free turn needs "
                "%d voxels along each axis",
                upright[0] if len(upright) == 1 else f"{len(upright)} tomograms",
                source_size(size),
            )
        both = parameters.pairing == "both" and method.reads_halves
        self.cubes = Cubes(self.subtomograms, assembler(sources, both_directions=both))
        self.options = network_options(parameters.arch, normalization=parameters.normalization)
        ranks = max(1, len(devices), self.fabric.world_size)
        self.plan = plan_of(parameters, ranks, threads, len(self.subtomograms))
        self.validation: Validation | None = None
        if held:
            self.validation = Validation(
                method=method,
                recipe=recipe,
                cubes=Cubes(drawing(held), assembler(held)),
                noise_level=last_noise_level(parameters),
            )
        elif parameters.validation or parameters.patience:
            raise InputError(
                f"validation, patience: no tomogram has specimen {SMALLEST} cubes of cube_size "
                f"{size} wide along y, so that a part could be held out; choose a smaller "
                f"cube_size or leave both out"
            )
        elif parameters.validation is None:
            log.info(
                "nothing is held out to tell when training is enough: no tomogram has specimen %d "
                "cubes wide along y (--validation True does so from %d cubes on)",
                ROOMY,
                SMALLEST,
            )

    @property
    def record(self) -> dict[str, Any]:
        """What a resumed run must share with the run that it goes on from."""
        told = self.parameters.model_dump(mode="json")
        kept = {name: value for name, value in told.items() if name not in FREE_TO_CHANGE}
        made = {"network_options": self.options, "network_format": FORMAT}
        return kept | made | {"batch_size": self.plan.batch_size, "tomograms": self.tomograms}

    def begin(self) -> Training:
        """What the run begins with: a network, or where it stood when it was stopped."""
        self.fabric.launch()
        torch.manual_seed(self.parameters.seed)
        training = start(self._network(), self.plan)
        if self.parameters.resume:
            self._take_over(training)
        return training

    def go(self, training: Training) -> Path:
        """Train, and return where the network is."""
        if self.remask is not None:
            self.remask.apply(self.subtomograms, training.epoch)
        self.fabric.barrier()
        self._fit(training)
        if self.fabric.is_global_zero:
            log.info("the network is %s", self.path)
            self._judge(training.history)
        return self.path

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
                self.best,
            )

    def _fit(self, training: Training) -> None:
        """Train to the end, with a progress bar."""
        log.info(
            "%s: %s of %d voxels an epoch in batches of %d, %s, on %s",
            self.path.name,
            counted(len(self.subtomograms), "cube"),
            self.parameters.cube_size,
            self.plan.batch_size,
            counted(self.plan.epochs, "epoch"),
            describe(self.devices),
        )
        show = self.fabric.is_global_zero
        with progress_bar("training", 1, show=show) as bar, stop_request() as request:

            def on_step(report: StepReport) -> None:
                bar.describe(f"epoch {report.epoch} of {self.plan.epochs}")
                done = (report.epoch - 1) * report.steps + report.step
                bar.update(done, report.steps * self.plan.epochs, f"loss {report.loss:.4f}")

            try:
                fit(
                    self.fabric,
                    training,
                    self.cubes,
                    self.method.with_recipe(self.recipe),
                    self.plan,
                    Hooks(
                        on_step=on_step,
                        on_epoch=self._after_epoch,
                        on_stop=lambda state: state.save(self.state, self.record),
                        stop=request,
                        validate=self.validation,
                    ),
                )
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
                    log.warning("stopped after the last epoch: the network is %s", self.path)
                raise KeyboardInterrupt

    def left_behind(self) -> list[Path]:
        """What an earlier run left, and this one would replace."""
        replaced = [self.state, self.history, self.curve]
        replaced += self.folder.glob(f"{self.stem}*_{self.part}.pt")
        replaced += masks_of(self.folder, self.part)
        return [path for path in replaced if path.exists()]

    def _network(self) -> torch.nn.Module:
        """A fresh network, or the pretrained one."""
        given = self.parameters.pretrained_model
        if given is None:
            network = build_network(self.parameters.arch, **self.options)
        else:
            earlier = Checkpoint.load(given)
            wanted = self.options.get("definition")
            defined = earlier.network_options.get("definition")
            if wanted is not None and defined is not None and wanted != defined:
                raise InputError(
                    f"pretrained_model {given}: was trained with another definition than "
                    f"{self.parameters.arch} holds: {defined}; write that into the file"
                )
            if wanted != defined or (wanted is None and earlier.arch != self.parameters.arch):
                raise InputError(
                    f"pretrained_model {given}: is a {earlier.arch}, but arch is "
                    f"{self.parameters.arch}; use --arch {earlier.arch}"
                )
            self.options = earlier.network_options
            network = earlier.network()
        multiple = edge_multiple(network)
        if self.parameters.cube_size % multiple:
            raise InputError(
                f"cube_size {self.parameters.cube_size}: {self.parameters.arch} takes multiples "
                f"of {multiple}"
            )
        return network

    def _take_over(self, training: Training) -> None:
        """Go on from the saved state, if it is of a run with the same parameters."""
        if not self.state.is_file():
            log.warning("resume: there is no %s yet; starting from the beginning", self.state)
            return
        state = load_tensors(self.state, "start anew without --resume")
        earlier = state["run"]
        had, has = earlier.get("tomograms", {}), self.tomograms
        changed = [
            name
            for name, value in self.record.items()
            if name != "tomograms" and earlier.get(name) != value
        ]
        if changed:
            raise InputError(
                f"resume: {', '.join(changed)} differ from the run in {self.folder} (it had "
                f"{', '.join(f'{name} {earlier.get(name)}' for name in changed)}); give the same "
                f"parameters, or start from its network with --pretrained_model"
            )
        if had != has:
            raise InputError(
                f"resume: the table has changed since the run in {self.folder} began: "
                f"{few(changes(had, has), 3)}; give the table as it was, or start from the run's "
                f"network with --pretrained_model"
            )
        training.load(state)
        done = counted(training.epoch, "epoch"), counted(training.step, "step")
        log.info("going on after %s and %s", *done)
        if self.plan.ended(training.history):
            log.warning(
                "resume: the run in %s ended after %s; a larger --epochs trains further, "
                "without --patience if that ended it",
                self.folder,
                done[0],
            )

    def watch(self, table: TomogramTable) -> None:
        """Choose what is restored during the run: previews, and masks to be made anew."""
        p = self.parameters
        precision = autocast_type(self.fabric.device, p.mixed_precision)
        everything = [
            Preview(
                source=source,
                truth=tomogram.ground_truth,
                usage=self.usage,
                precision=precision,
            )
            for tomogram, source in zip(table.tomograms, self.subtomograms.sources, strict=True)
        ]
        if p.with_preview:
            chosen = {tomogram.index for tomogram in previewed(p, table)}
            pairs = zip(table.tomograms, everything, strict=True)
            self.previews = [preview for row, preview in pairs if row.index in chosen]
        updates = getattr(p, "num_mask_updates", 0)
        if updates:
            self.remask = MaskUpdates(
                table.tomograms, everything, p.epochs, updates, self.folder, self.part
            )

    def _after_epoch(self, training: Training) -> None:
        """Keep what the epoch brought, on the first rank; then new masks, on every rank."""
        if self.fabric.is_global_zero:
            self._keep(training)
        if self.remask is not None and training.epoch in self.remask.after:
            self.fabric.barrier()
            self.remask.apply(self.subtomograms, training.epoch)

    def _keep(self, training: Training) -> None:
        """Previews, checkpoint, history, curve, masks and state of an epoch."""
        kept = training.epoch % self.parameters.save_interval == 0
        row = training.history[-1]
        if self.previews and (kept or self.plan.ended(training.history)):
            row |= self._preview(training)
        checkpoint = self.checkpoint(training)
        if kept:
            checkpoint.save(self.folder / f"{self.stem}_epoch{training.epoch}_{self.part}.pt")
        checkpoint.save(self.path)
        if self.validation is not None and best_epoch(training.history) == training.epoch:
            checkpoint.save(self.best)
        write_history(self.history, training.history)
        loss_picture(self.curve, training.history)
        if self.parameters.tensorboard:
            write_scalars(self.folder / "tensorboard" / self.part, row)
        if self.remask is not None and training.epoch in self.remask.after:
            self.remask.make(training.average, self.fabric.device, training.epoch)
        training.save(self.state, self.record)

    def _preview(self, training: Training) -> dict[str, float]:
        """Make the previews, and take the mean of what they measure."""
        name, device = f"{self.part}_epoch{training.epoch}", self.fabric.device
        name = name.removeprefix("full_")
        return mean_row(
            [preview.make(training.average, device, self.folder, name) for preview in self.previews]
        )

    def checkpoint(self, training: Training) -> Checkpoint:
        """The network as it predicts now, with everything needed to use it."""
        return Checkpoint(
            method=self.method.name,
            reads_halves=self.method.reads_halves,
            fills_wedge=self.method.fills_wedge,
            arch=self.parameters.arch,
            usage=self.usage,
            weights=training.average.state_dict(),
            network_options=self.options,
            epoch=training.epoch,
            version=package_version(),
            parameters=self.parameters.model_dump(mode="json"),
            metrics=training.history[-1],
            pixel_size=median(s.geometry.pixel_size for s in self.subtomograms.sources),
            part=self.part,
        )
