"""What the parameters of a training command mean to the loop."""

from isonet2.errors import InputError, counted
from isonet2.parameters import DenoiseParameters, RefineParameters
from isonet2.physics.ctf import CtfTreatment, WienerSettings
from isonet2.training.losses import LOSSES
from isonet2.training.objectives import Method, Recipe
from isonet2.training.schedule import Cosine, Plan
from isonet2.training.state import OPTIMIZERS

TrainParameters = DenoiseParameters | RefineParameters


CUBES_PER_DEVICE = 2

CTF_PARAMETERS = {
    "clip_first_peak_mode": ("network",),
    "bfactor": ("network",),
    "isCTFflipped": ("phase_only", "network", "wiener"),
    "do_phaseflip_input": ("phase_only", "network", "wiener"),
    "snrfalloff": ("wiener",),
    "deconvstrength": ("wiener",),
    "highpassnyquist": ("wiener",),
}
"""CTF modes that a parameter acts in."""
DECONVOLUTION = ("snrfalloff", "deconvstrength", "highpassnyquist", "isCTFflipped")
"""What with_deconv hands on to the deconvolution."""


def without_effect(parameters: TrainParameters, method: Method) -> list[str]:
    """Say which parameters were changed and do nothing beside the other ones."""
    fields = type(parameters).model_fields
    deconvolved = DECONVOLUTION if getattr(parameters, "with_deconv", False) else ()
    reasons = {
        name: f"in CTF_mode {parameters.CTF_mode}, only in {' and '.join(modes)}"
        for name, modes in CTF_PARAMETERS.items()
        if parameters.CTF_mode not in modes and name not in deconvolved
    }
    if not any(_levels(parameters)):
        reasons["noise_mode"] = "without noise_level"
    if method.reads_halves:
        reasons["input_column"] = f"in method {method.name}, which trains on the two halves"
    else:
        reasons["pairing"] = f"in method {method.name}, which has one volume and no pair"
    if not parameters.with_preview:
        reasons["prev_tomo_idx"] = "without with_preview"
    return [
        f"{name} has no effect {reason}"
        for name, reason in reasons.items()
        if name in fields and getattr(parameters, name) != fields[name].default
    ]


def recipe_of(parameters: TrainParameters) -> Recipe:
    """Settings of the objective."""
    loss = LOSSES[parameters.loss_func]
    if isinstance(parameters, DenoiseParameters):
        return Recipe(loss=loss, apply_mw_x1=False)
    return Recipe(
        loss=loss,
        mw_weight=parameters.mw_weight,
        apply_mw_x1=parameters.apply_mw_x1,
        fill_probability=parameters.fill_probability,
        noise_mode=parameters.noise_mode,
    )


def plan_of(parameters: TrainParameters, ranks: int, threads: int, cubes: int) -> Plan:
    """How long, in which batches and at which rates to train.

    Parameters
    ----------
    parameters
        Of `denoise` or `refine`.
    ranks
        Devices that share a batch.
    threads
        That read cubes.
    cubes
        In an epoch.

    Raises
    ------
    InputError
        When the batch cannot be shared by the ranks, or there are fewer cubes than ranks.
    """
    if cubes < ranks:
        raise InputError(
            f"{counted(cubes, 'cube')} in an epoch for {ranks} GPUs: give fewer of them with "
            "gpuID, or larger numbers in rlnNumberSubtomo"
        )
    batch = parameters.batch_size or CUBES_PER_DEVICE * ranks
    if batch % ranks:
        raise InputError(
            f"batch_size {batch}: cannot be shared evenly by {ranks} GPUs; give a multiple of "
            f"{ranks}"
        )
    return Plan(
        epochs=parameters.epochs,
        batch_size=batch,
        acc_batches=parameters.acc_batches,
        optimizer=OPTIMIZERS[parameters.optimizer],
        rate=Cosine(parameters.learning_rate, parameters.learning_rate_min, parameters.warm_up),
        ema=parameters.ema,
        noise_levels=noise_levels(parameters),
        workers=min(threads, 8),
        patience=parameters.patience,
    )


def treatment_of(parameters: TrainParameters) -> CtfTreatment:
    """How these parameters treat the CTF."""
    return CtfTreatment(
        mode=parameters.CTF_mode,
        clip_first_peak_mode=parameters.clip_first_peak_mode,
        phaseflipped=parameters.isCTFflipped,
        do_phaseflip_input=parameters.do_phaseflip_input,
        wiener=WienerSettings(
            parameters.snrfalloff, parameters.deconvstrength, parameters.highpassnyquist
        ),
    )


def last_noise_level(parameters: TrainParameters) -> float:
    """Noise level that a run ends with, however long it is."""
    return _levels(parameters)[-1]


def _levels(parameters: TrainParameters) -> tuple[float, ...]:
    level = getattr(parameters, "noise_level", 0.0)
    return level if isinstance(level, tuple) else (level,)


def noise_levels(parameters: TrainParameters) -> tuple[float, ...]:
    """Noise level of each epoch, from one level or from several and their starting epochs."""
    levels = _levels(parameters)
    starts = getattr(parameters, "noisestartiter", None) or (1,)
    found = []
    for epoch in range(1, parameters.epochs + 1):
        reached = [value for value, first in zip(levels, starts, strict=True) if epoch >= first]
        found.append(reached[-1] if reached else 0.0)
    return tuple(found)
