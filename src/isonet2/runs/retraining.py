"""A network trained anew, by the recipe in its checkpoint, on data without some tilts."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from isonet2.data.files import atomic_path, make_folder
from isonet2.data.inputs import pixel_size
from isonet2.data.run_folder import NetworkFiles
from isonet2.data.star import TomogramTable, write_table
from isonet2.data.volumes import VolumeWriter
from isonet2.errors import InputError
from isonet2.opening.halves import Half
from isonet2.parameters import DenoiseParameters, RefineParameters
from isonet2.parameters.record import validated
from isonet2.physics.wedge import Sectors
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.runs.candidate import Candidate
from isonet2.runs.networks import train
from isonet2.runs.plan import TrainParameters, recipe_of
from isonet2.runs.subject import Subject
from isonet2.training.objectives import METHODS
from isonet2.trust.regions import without_tilts

log = logging.getLogger(__name__)

PLANES = 32
"""x-z planes that are filtered at a time."""
LABEL = "IsoNet2 validate: without the tilts that are held out, do not use"
COLUMNS = {
    "rlnVoltage": "voltage",
    "rlnSphericalAberration": "spherical_aberration",
    "rlnAmplitudeContrast": "amplitude_contrast",
    "rlnPhaseShift": "phase_shift",
    "rlnDefocus": "defocus",
    "rlnNumberSubtomo": "number_subtomos",
    "rlnMaskName": "mask",
    "rlnBoxFile": "box_file",
}
"""Columns that a reduced table takes over from the records of tomograms."""


def refuse_without_recipe(checkpoint: Checkpoint, path: Path) -> None:
    """Raise InputError for a network that does not know how it was trained."""
    if checkpoint.is_published or not checkpoint.parameters or checkpoint.method not in METHODS:
        raise InputError(f"{path}: holds no recipe to train it anew; use --held_out quick")


def without_held_out(
    candidate: Candidate,
    subjects: Sequence[Subject],
    kept: Sequence[Sectors],
    folder: Path,
    *,
    epochs: int | None,
    gpuID: str | None,
    ncpus: int | None,
) -> Path:
    """Train a network like one on candidate on tomograms without some tilts.

    A training that was interrupted goes on; one that is done is not repeated.

    Parameters
    ----------
    candidate
        The network whose recipe is taken.
    subjects, kept
        The tomograms, and the tilts that are left of each.
    folder
        Where all that is made of these tomograms and this network lies.
    epochs
        Of training; None takes the recipe's.
    gpuID, ncpus
        As for `refine`.

    Returns
    -------
    Path
        The checkpoint.
    """
    checkpoint = candidate.checkpoint
    place = make_folder(folder / _name(candidate, subjects, kept))
    table = _table(subjects, kept, place, halves=checkpoint.reads_halves)
    parameters = _parameters(checkpoint, table, place, epochs, gpuID, ncpus)
    files = NetworkFiles(
        parameters.output_dir,
        checkpoint.method,
        Path(parameters.arch).stem,
        parameters.cube_size,
    )
    if files.network.exists() and Checkpoint.load(files.network).epoch >= parameters.epochs:
        log.info("%s: trained already", files.network)
        return files.network
    if files.state.exists():
        parameters = parameters.model_copy(update={"resume": True})
    (path,) = train(
        parameters, METHODS[checkpoint.method], TomogramTable.read(table), recipe_of(parameters)
    )
    return path


def _name(candidate: Candidate, subjects: Sequence[Subject], kept: Sequence[Sectors]) -> str:
    facts = [candidate.digest, *map(repr, kept)]
    for path in (path for subject in subjects for path in subject.files):
        status = path.stat()
        facts.append(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}")
    return f"without_tilts_{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}"


def _table(
    subjects: Sequence[Subject], kept: Sequence[Sectors], place: Path, *, halves: bool
) -> Path:
    """Write tomograms without some tilts, and the table that lists them."""
    rows: list[dict[str, Any]] = []
    for number, (subject, sectors) in enumerate(zip(subjects, kept, strict=True), start=1):
        row = subject.tomogram
        paths = [place / f"{row.name}_{part}.mrc" for part in ("EVN", "ODD")]
        for path, half in zip(paths, subject.halves, strict=True):
            if not path.exists():
                _write(path, [half], sectors)
        mine: dict[str, Any] = {"rlnIndex": number}
        if halves:
            mine["rlnTomoReconstructedTomogramHalf1"] = paths[0]
            mine["rlnTomoReconstructedTomogramHalf2"] = paths[1]
        else:
            mine["rlnTomoName"] = place / f"{row.name}.mrc"
            if not mine["rlnTomoName"].exists():
                _write(mine["rlnTomoName"], subject.halves, sectors)
        mine |= {column: getattr(row, field) for column, field in COLUMNS.items()}
        mine["rlnPixelSize"] = pixel_size(row, subject.halves[0].volume)
        mine["rlnTiltMin"], mine["rlnTiltMax"] = sectors[0][0], sectors[-1][1]
        if row.tilts is not None:
            left = [t for t in row.tilts if sectors[0][0] <= t <= sectors[-1][1]]
            mine["rlnTiltFile"] = place / f"{row.name}.tlt"
            _write_text(mine["rlnTiltFile"], "".join(f"{tilt:g}\n" for tilt in left))
        rows.append(mine)
    frame = pd.DataFrame(rows)
    path = place / "tomograms.star"
    write_table(path, frame.loc[:, [not frame[column].isna().all() for column in frame]])
    return path


def _write(path: Path, halves: Sequence[Half], sectors: Sectors) -> None:
    """Write the mean of halves without some tilts, plane by plane."""
    like = halves[0].volume
    depth, height, width = like.shape
    with VolumeWriter(path, like=like, label=LABEL) as writer:
        for low in range(0, height, PLANES):
            region = slice(0, depth), slice(low, min(low + PLANES, height)), slice(0, width)
            mean = np.mean([half.region(region) for half in halves], axis=0)
            writer.write(region, -without_tilts(torch.from_numpy(mean), sectors).numpy())


def _parameters(
    checkpoint: Checkpoint,
    table: Path,
    place: Path,
    epochs: int | None,
    gpuID: str | None,
    ncpus: int | None,
) -> TrainParameters:
    """The recipe of a checkpoint for other data."""
    model: type[TrainParameters] = (
        DenoiseParameters if checkpoint.method == "n2n" else RefineParameters
    )
    told = {
        name: value
        for name, value in checkpoint.parameters.items()
        if name in model.model_fields and value is not None
    }
    for name in ("pretrained_model", "resume", "tomo_idx", "split_halves", "input_column"):
        told.pop(name, None)
    definition = checkpoint.network_options.get("definition")
    if definition is not None:
        told["arch"] = place / Path(checkpoint.arch).name
        _write_text(Path(told["arch"]), yaml.safe_dump(definition))
        told["arch"] = str(told["arch"])
    told |= {
        "star_file": table,
        "output_dir": place / "network",
        "epochs": epochs or max(1, checkpoint.epoch),
        "with_preview": False,
        "with_predict": False,
        "tensorboard": False,
    }
    told |= {"with_deconv": False, "method": checkpoint.method} if model is RefineParameters else {}
    told |= {"gpuID": gpuID} if gpuID is not None else {"gpuID": None}
    told |= {"ncpus": ncpus} if ncpus is not None else {}
    found: TrainParameters = validated(model, told, [])
    return found


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
