"""Parameters of the commands that train a network."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from isonet2.parameters.base import Shown
from isonet2.parameters.shared import (
    MOST_EPOCHS,
    Architecture,
    Column,
    Epochs,
    FilePath,
    Fraction,
    GpuIds,
    Indices,
    Numbers,
    Processors,
    StarParameters,
)

CtfMode = Literal["None", "phase_only", "network", "wiener"]


class TrainingParameters(StarParameters):
    """What `denoise` and `refine` have in common."""

    arch: Architecture = "unet-medium"
    """Network architecture."""
    cube_size: Annotated[int, Field(ge=32, multiple_of=16), Shown("Basic", "voxels")] = 96
    """Edge of a training sub-tomogram."""
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS), Shown("Basic")] = 50
    """Rounds of training; each draws rlnNumberSubtomo sub-tomograms from every tomogram."""
    gpuID: GpuIds = None
    """GPUs to use, counted among those that the process may see; None takes the one with
    most free memory."""
    with_mask: Annotated[bool, Shown("Basic")] = False
    """Draw sub-tomograms around voxels where the masks of rlnMaskName are above 0."""
    with_preview: Annotated[bool, Shown("Basic")] = True
    """Predict one tomogram at each save_interval, and draw its slices and its spectrum."""
    prev_tomo_idx: Annotated[
        Indices, Shown("Basic", form="rlnIndex numbers such as 1,3,5-7, or all")
    ] = "1"
    """Tomograms to preview, by rlnIndex; unasked, the first one where there is no number 1."""
    save_interval: Annotated[int, Field(ge=1), Shown("Basic", "epochs")] = 10
    """How often a checkpoint is kept for good, and a preview made."""
    with_predict: Annotated[bool, Shown("Basic")] = False
    """Predict the tomograms with the trained network at the end."""
    tomo_idx: Indices = None
    """Tomograms to train on, by rlnIndex; None or all takes every one. `predict` restores any
    others with the same network."""
    resume: Annotated[bool, Shown("Basic")] = False
    """Continue the run that was stopped in output_dir, exactly where it was."""
    pretrained_model: Annotated[FilePath | None, Shown("Basic")] = None
    """Trained network to start from."""

    CTF_mode: Annotated[CtfMode, Shown("CTF")] = "None"
    """Where the CTF acts: nowhere; on the signs of the input (phase_only); on the prediction,
    so that the network learns to undo it (network); or on the target (wiener)."""
    clip_first_peak_mode: Annotated[Literal[0, 1, 2, 3], Shown("CTF")] = 1
    """How frequencies below the first CTF peak are kept, in mode network: 0 as they are,
    1 as strong as the peak, 2 at least a falling sine, 3 at least a cosine."""
    bfactor: Annotated[float, Field(ge=0), Shown("CTF", "square angstrom")] = 0.0
    """Sharpening, in mode network; 200 to 300 for isolated particles, 0 for cells."""
    isCTFflipped: Annotated[bool, Shown("CTF")] = False
    """Whether the tomograms were phase-flipped already."""
    do_phaseflip_input: Annotated[bool, Shown("CTF")] = True
    """Flip the phases of what the network is given, when a CTF mode is chosen."""
    snrfalloff: Annotated[float, Field(ge=0), Shown("CTF")] = 0.0
    """How fast the assumed signal-to-noise ratio falls with frequency, for deconvolution and
    mode wiener."""
    deconvstrength: Annotated[float, Field(ge=-10, le=10), Shown("CTF")] = 1.0
    """Strength of the deconvolution, and of mode wiener."""
    highpassnyquist: Annotated[Fraction, Shown("CTF", "of Nyquist")] = 0.02
    """Frequency below which slow gradients are taken out, in deconvolution and mode wiener."""

    batch_size: Annotated[int | None, Field(ge=1), Shown(auto=True)] = None
    """Sub-tomograms in one step; auto takes 2 for each GPU, or 2 on a processor."""
    acc_batches: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients are averaged for one step, where memory holds no larger batch."""
    loss_func: Literal["L2", "L1", "Huber", "FSC"] = "L2"
    """Measure of the difference between prediction and target."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    """Step length of the optimiser at its highest."""
    learning_rate_min: Annotated[float, Field(ge=0, le=1)] = 2e-5
    """Step length at the end of the run, reached along a cosine; at most learning_rate."""
    mixed_precision: bool = True
    """Compute in 16 bits where that is safe: quicker, and less memory."""
    pairing: Literal["swap", "fixed", "both"] = "swap"
    """Which half is input and which is target: drawn at random, always even to odd, or both ways
    in every step."""
    split_halves: bool = False
    """Train two networks on the top and the bottom part of each tomogram, for independent maps."""
    mask_weighted_loss: bool = False
    """Weight the loss voxel by voxel with the mask, binary or soft."""
    ncpus: Processors = None
    """Processor cores to use; auto takes at most 16 of those that this process may use, by its
    affinity, control groups, SLURM and OMP_NUM_THREADS."""
    validation: Annotated[bool | None, Shown(auto=True)] = None
    """Keep the end along y of up to 8 tomograms out of training, and measure the loss there after
    each epoch; the network that was best there is kept too. auto does so where tomograms are 8
    cubes wide or more, True from 3 cubes on."""
    patience: Annotated[int | None, Field(ge=1), Shown(unit="epochs")] = None
    """Stop when the loss on the parts held out has not fallen for so many epochs; None trains to
    the end."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Start of the random numbers."""
    tensorboard: bool = False
    """Write TensorBoard event files beside history.csv."""

    optimizer: Literal["Muon", "AdamW"] = "Muon"
    """How gradients become steps. Muon makes them orthogonal, and fills the wedge sooner; AdamW is
    what the published program takes."""
    warm_up: Fraction = 0.05
    """Part of the run over which the step length rises from zero."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the moving average of the weights, which predicts and fills the wedge; it is
    reached gradually. 0 takes the weights as they are."""
    normalization: Literal["batch", "instance", "group", "none"] = "batch"
    """Normalisation between the layers of the network."""

    @model_validator(mode="before")
    @classmethod
    def _lower_the_end_too(cls, values: Any) -> Any:
        """Let a lower learning_rate lower the default of learning_rate_min with it."""
        if not isinstance(values, dict) or "learning_rate" not in values:
            return values
        try:
            highest = float(values["learning_rate"])
        except (TypeError, ValueError):
            return values
        default = float(cls.model_fields["learning_rate_min"].default)
        return {"learning_rate_min": min(default, highest), **values}

    @field_validator("patience")
    @classmethod
    def _something_to_watch(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("validation") is False:
            raise ValueError(
                f"patience = {value} watches the loss on parts held out, and validation is False: "
                "leave one of them out."
            )
        return value

    @field_validator("learning_rate_min")
    @classmethod
    def _not_above_the_highest(cls, value: float, info: ValidationInfo) -> float:
        highest = info.data.get("learning_rate", 1.0)
        if value > highest:
            raise ValueError(
                f"learning_rate_min = {value:g} is above learning_rate = {highest:g}: lower it."
            )
        return value


class DenoiseParameters(TrainingParameters):
    """Train a network that takes noise away, on pairs of half tomograms (noise2noise)."""

    command: ClassVar[str] = "denoise"
    example: ClassVar[str] = "denoise tomograms.star --CTF_mode network --gpuID 0"

    output_dir: Annotated[FilePath, Shown("Basic", short="o")] = Path("denoise")
    """Folder of the network, its history and its previews."""


class RefineParameters(TrainingParameters):
    """Train a network that fills the missing wedge and takes noise away."""

    command: ClassVar[str] = "refine"
    example: ClassVar[str] = (
        "refine tomograms.star --with_mask True --CTF_mode network --mw_weight 200 --gpuID 0"
    )

    output_dir: Annotated[FilePath, Shown("Basic", short="o")] = Path("isonet_maps")
    """Folder of the network, its history and its previews."""
    method: Annotated[Literal["auto", "isonet2", "isonet2-n2n"], Shown("Basic")] = "auto"
    """isonet2 trains on full tomograms, isonet2-n2n on pairs of halves; auto looks which of them
    the STAR table lists, and takes the halves where a full tomogram is only their average."""
    input_column: Annotated[Column | None, Shown("Basic")] = None
    """Column of the STAR table that names the full tomograms, for method isonet2. None takes
    rlnDeconvTomoName, or rlnTomoName where that is absent."""
    with_deconv: Annotated[bool, Shown("Basic")] = False
    """Run deconv and make_mask first, and train on the deconvolved tomograms (method isonet2)."""
    mw_weight: Annotated[float, Field(ge=-1), Shown("Basic")] = -1.0
    """Weight of the loss in the missing wedge beside the loss in the measured region, usually
    20 to 200; 0 or below takes one loss over everything."""
    noise_level: Annotated[
        Numbers,
        Shown("Basic", form="one number of 0 or more, or several such as [0,0.1,0.2]"),
    ] = 0.0
    """Deviation of the noise added to the input, so that the network learns to denoise; for method
    isonet2, since two halves bring their own. Several levels follow each other at the epochs of
    noisestartiter."""
    noisestartiter: Annotated[
        Epochs, Shown(unit="epochs", form="rising epoch numbers such as [1,16,31]")
    ] = None
    """Epochs at which each of several noise levels starts."""
    noise_mode: Literal["nofilter", "ramp", "hamming"] = "nofilter"
    """Filter of the back projection that the added noise has gone through."""
    apply_mw_x1: bool = True
    """Empty the missing wedge of what the network is given first."""
    random_rot_weight: Fraction = 0.2
    """Part of the sub-tomograms that is turned freely; the rest turns by right angles."""
    fill_probability: Fraction = 1.0
    """Part of the sub-tomograms whose missing wedge is filled with the network's own prediction
    before they are turned; the rest keeps it empty, which is quicker."""
    num_mask_updates: Annotated[int, Field(ge=0)] = 0
    """How often the masks are made anew from the network's own prediction during training."""

    @field_validator("with_deconv")
    @classmethod
    def _full_tomograms_only(cls, value: object, info: ValidationInfo) -> object:
        if value and info.data.get("method") == "isonet2-n2n":
            raise ValueError(
                f"{info.field_name} = {value} is about full tomograms, and method isonet2-n2n "
                "trains on halves: leave it out or choose method isonet2."
            )
        return value

    @field_validator("with_deconv")
    @classmethod
    def _deconvolved_column(cls, value: bool, info: ValidationInfo) -> bool:
        column = info.data.get("input_column")
        if value and column not in (None, "rlnDeconvTomoName"):
            raise ValueError(
                f"with_deconv = True trains on rlnDeconvTomoName, not on input_column {column}: "
                f"run isonet.py deconv --input_column {column} first, or leave one of them out."
            )
        return value

    @field_validator("num_mask_updates")
    @classmethod
    def _masks_in_use(cls, value: int, info: ValidationInfo) -> int:
        used = ("with_mask", "mask_weighted_loss", "with_deconv")
        if value and not any(info.data.get(name) for name in used):
            raise ValueError(
                f"num_mask_updates = {value} makes masks that nothing uses: give with_mask True, "
                "or leave it out."
            )
        return value

    @field_validator("noise_level")
    @classmethod
    def _not_negative(cls, value: Any) -> Any:
        for level in value if isinstance(value, tuple) else (value,):
            if level < 0:
                raise ValueError(f"noise_level = {level:g} is negative: give 0 or more.")
        return value

    @field_validator("noisestartiter")
    @classmethod
    def _one_start_per_level(
        cls, value: tuple[int, ...] | None, info: ValidationInfo
    ) -> tuple[int, ...] | None:
        level = info.data.get("noise_level", 0.0)
        levels = len(level) if isinstance(level, tuple) else 1
        starts = levels if value is None and levels == 1 else len(value or ())
        if starts != levels:
            raise ValueError(
                f"noisestartiter has {starts} and noise_level {levels} numbers: "
                "give one starting epoch per level."
            )
        if value and (value[0] < 1 or any(a >= b for a, b in pairwise(value))):
            raise ValueError(
                f"noisestartiter = {','.join(map(str, value))} must rise, from 1 or later."
            )
        return value
