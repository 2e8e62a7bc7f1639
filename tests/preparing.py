"""Runs of prepare_star that tests start, and the volumes that they need."""

from pathlib import Path

import numpy as np
import pytest

from isonet2.commands.prepare_star import prepare_star
from isonet2.data.blocks import read_star
from isonet2.data.volumes import write_volume
from isonet2.errors import InputError
from isonet2.parameters import PrepareStarParameters

SHAPE = (20, 24, 28)
MANUAL_COLUMNS = [
    "rlnIndex",
    "rlnTomoName",
    "rlnTomoReconstructedTomogramHalf1",
    "rlnTomoReconstructedTomogramHalf2",
    "rlnPixelSize",
    "rlnDefocus",
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnDeconvTomoName",
    "rlnMaskBoundary",
    "rlnMaskName",
    "rlnTiltMin",
    "rlnTiltMax",
    "rlnBoxFile",
    "rlnNumberSubtomo",
    "rlnCorrectedTomoName",
    "rlnDenoisedTomoName",
]


def volume(path: Path, seed: int = 0, voxel: float | None = 10.0, shape=SHAPE) -> Path:
    data = np.random.default_rng(seed).normal(3, 2, shape).astype(np.float32)
    write_volume(path, data, voxel_size=voxel, label="test")
    return path


def run(**values: object) -> list[dict[str, str]]:
    """Run the command; the rows of its table."""
    return read_star(prepare_star(PrepareStarParameters(**values))).blocks[""].to_dict("records")


def halves(**values: object) -> list[dict[str, str]]:
    return run(even="EVN", odd="ODD", **values)


def refused(sentence: str, **values: object) -> str:
    """Run a command that must fail and write nothing; what it says."""
    before = sorted(Path().rglob("*"))
    with pytest.raises(InputError, match=sentence) as caught:
        run(**({"even": "EVN", "odd": "ODD"} | values))
    assert sorted(Path().rglob("*")) == before
    return str(caught.value)
