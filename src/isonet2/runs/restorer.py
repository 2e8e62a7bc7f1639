"""Networks made ready to restore tomograms, and where their results go."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from isonet2.data.formats import format_to_write
from isonet2.data.labels import Restoration
from isonet2.data.star import Tomogram
from isonet2.errors import InputError, counted
from isonet2.machine.devices import autocast_type, choose_devices, named
from isonet2.machine.threads import use_threads
from isonet2.parameters import PredictParameters
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.orientations import WAYS
from isonet2.prediction.replicas import Replicas

log = logging.getLogger(__name__)

DENOISED = ("rlnDenoisedTomo", Path("denoised_tomos"))
CORRECTED = ("rlnCorrectedTomo", Path("corrected_tomos"))
"""How the columns of results begin, and where results go."""


@dataclass(frozen=True, slots=True)
class Restorer:
    """Networks on their devices, and how tomograms go through them.

    Parameters
    ----------
    model
        The first network's checkpoint, with what the user changed about its use.
    replicas
        The networks.
    parameters
        Of `predict`.
    key
        Tells models and parameters apart, for results that are there already.
    made
        What is made of tomograms: by all networks together, then by each of two.
    """

    model: Checkpoint
    replicas: Replicas
    parameters: PredictParameters
    key: str
    made: tuple[Restoration, ...]

    @property
    def ways(self) -> int:
        """Orientations in which each half is restored."""
        return self.parameters.orientations or (1 if self.model.is_published else WAYS)

    @property
    def columns(self) -> tuple[str, str, str]:
        """STAR columns for the result, and for those of two networks."""
        stem, _ = _place(self.model)
        return f"{stem}Name", f"{stem}Half1", f"{stem}Half2"

    def output(self, tomogram: Tomogram, part: str = "") -> Path:
        """File for a tomogram's result."""
        p = self.parameters
        return (
            folder_of(p, self.model) / f"{p.output_prefix}{tomogram.name}{part}.{p.output_format}"
        )


def _place(model: Checkpoint) -> tuple[str, Path]:
    return CORRECTED if model.fills_wedge else DENOISED


def folder_of(parameters: PredictParameters, model: Checkpoint) -> Path:
    """Where the results are written."""
    return parameters.output_dir or _place(model)[1]


def make_restorer(parameters: PredictParameters) -> Restorer:
    """Load the networks and put them on their devices.

    Raises
    ------
    InputError
        For a model that cannot be read, or two that do not belong together.
    """
    devices = choose_devices(parameters.gpuID)
    use_threads(parameters.ncpus)
    networks, model = networks_of(parameters)
    precision = autocast_type(devices[0], parameters.mixed_precision)
    replicas = Replicas([network.network() for network in networks], devices, precision)
    log.info(
        "%s: %s, %s, CTF_mode %s, on %s",
        parameters.model,
        model.method,
        counted(model.epoch, "epoch"),
        model.usage.treatment.mode,
        named(devices),
    )
    key = _key(_paths(parameters), parameters, model)
    return Restorer(model, replicas, parameters, key, made_by(networks, model, parameters))


def made_by(
    networks: Sequence[Checkpoint], model: Checkpoint, parameters: PredictParameters
) -> tuple[Restoration, ...]:
    """What networks make of tomograms: all together, then each of two.

    Parameters
    ----------
    networks
        As they were saved.
    model
        The first one as it is to be used.
    parameters
        Of `predict`.
    """
    fill = parameters.fill
    together = model.restoration(fill=fill, others=networks[1:])
    each = [replace(network, usage=model.usage).restoration(fill=fill) for network in networks]
    return (together, *(each if len(networks) > 1 else ()))


def _paths(parameters: PredictParameters) -> list[Path]:
    return [parameters.model] + ([parameters.model2] if parameters.model2 else [])


def networks_of(parameters: PredictParameters) -> tuple[list[Checkpoint], Checkpoint]:
    """The networks as they were saved, and the first one as it is to be used."""
    format_to_write(Path(f"*.{parameters.output_format}"), parameters.dtype)
    models = [Checkpoint.load(path) for path in _paths(parameters)]
    first, last = models[0], models[-1]
    for name, one, other in (
        ("method", first.method, last.method),
        ("cube_size", first.usage.cube_size, last.usage.cube_size),
        ("treatment", first.usage.treatment, last.usage.treatment),
    ):
        if one != other:
            raise InputError(
                f"model2 {parameters.model2}: was trained with {name} {other}, but model with "
                f"{one}; give the two networks of one run"
            )
    if parameters.model2 is not None:
        _refuse_dependent(first, last, parameters.model2)
    if first.reads_halves and parameters.input_column is not None:
        log.warning(
            "input_column %s: the network was trained on halves, and restores that one volume in "
            "their place; without --input_column it restores both and averages them",
            parameters.input_column,
        )
    treatment = first.usage.treatment
    if parameters.isCTFflipped is not None:
        treatment = replace(treatment, phaseflipped=parameters.isCTFflipped)
    if parameters.do_phaseflip_input is not None:
        treatment = replace(treatment, do_phaseflip_input=parameters.do_phaseflip_input)
    usage = replace(first.usage, treatment=treatment)
    if parameters.apply_mw_x1 is not None:
        usage = replace(usage, apply_mw_x1=parameters.apply_mw_x1)
    return models, replace(first, usage=usage)


def _refuse_dependent(first: Checkpoint, second: Checkpoint, path: Path) -> None:
    """Raise InputError for two networks whose results would not be independent."""
    weights = first.weights, second.weights
    if weights[0].keys() == weights[1].keys() and all(
        torch.equal(weights[0][name], weights[1][name]) for name in weights[0]
    ):
        raise InputError(f"model2 {path}: is the same network as model; give two networks")
    if first.part == second.part != "full":
        raise InputError(
            f"model2 {path}: was trained on the {second.part} part of its tomograms, as model was; "
            f"give the networks of the top and of the bottom part"
        )


def _key(paths: Sequence[Path], parameters: PredictParameters, model: Checkpoint) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    told = {
        "usage": asdict(model.usage),
        "padding_factor": parameters.padding_factor,
        "chunk_size": parameters.chunk_size,
        "overlap_rate": parameters.overlap_rate,
        "orientations": parameters.orientations,
        "fill": parameters.fill,
        "dtype": parameters.dtype,
        "mixed_precision": parameters.mixed_precision,
    }
    digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()
