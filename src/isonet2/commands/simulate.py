"""`simulate`: tomograms of a specimen that is known."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isonet2.data.files import atomic_path
from isonet2.data.progress import ProgressFile
from isonet2.data.volumes import write_volume
from isonet2.errors import InputError
from isonet2.parameters import SimulateParameters, write_parameters
from isonet2.parameters.record import FILE_NAME
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.projection import (
    back_project,
    detector_width,
    modulate,
    noisy_halves,
    project,
    specimen_width,
)
from isonet2.physics.specimen import Molecule, build, library

log = logging.getLogger(__name__)

FILES = {
    "EVN": "{name}_EVN.mrc",
    "ODD": "{name}_ODD.mrc",
    "full": "{name}.mrc",
    "truth": "{name}.mrc",
}


def simulate(parameters: SimulateParameters) -> Path:
    """Write half tomograms, their mean, the truth and the tilt angles into one folder.

    Parameters
    ----------
    parameters
        What to simulate, and the folder.

    Returns
    -------
    Path
        The folder: `EVN/`, `ODD/`, `full/` and `truth/` with one MRC file for each tomogram
        (protein dark), `tilts.tlt` in degrees, `meta.json` with every tomogram's defocus, and
        `params.yaml`.

    Raises
    ------
    InputError
        When the tilt range holds a single tilt, or the defocus list is not as long as `count`.
    """
    out = parameters.output_dir
    tilts = _tilts(parameters)
    defoci = _defoci(parameters)
    generator = torch.Generator().manual_seed(parameters.seed)
    molecules = library(generator)
    records: list[dict[str, Any]] = []
    with ProgressFile(out, parameters.command, FILE_NAME) as progress:
        progress.report(tomogram=0, tomograms=len(defoci))
        for index, defocus in enumerate(defoci, start=1):
            name = f"TS_{index:02d}"
            with _one_thread():
                volumes, count = _tomogram(parameters, tilts, defocus, molecules, generator)
            for folder, volume in volumes.items():
                path = out / folder / FILES[folder].format(name=name)
                label = f"IsoNet2 simulate: {folder} of {name}, seed {parameters.seed}"
                write_volume(path, -volume.numpy(), voxel_size=parameters.pixel_size, label=label)
            records.append({"name": name, "defocus": defocus, "molecules": count})
            log.info("%s: %d molecules in view and beside it", name, count)
            progress.report(tomogram=index)
    _write_text(out / "tilts.tlt", "".join(f"{tilt:.2f}\n" for tilt in tilts))
    settings = parameters.model_dump(mode="json", exclude={"output_dir", "defocus"})
    _write_text(out / "meta.json", json.dumps({**settings, "tomograms": records}, indent=2) + "\n")
    write_parameters(parameters, out)
    log.info("the tomograms, their truth and tilts.tlt lie in %s", out)
    return out


def _tomogram(
    parameters: SimulateParameters,
    tilts: list[float],
    defocus: float | None,
    molecules: tuple[Molecule, ...],
    generator: torch.Generator,
) -> tuple[dict[str, Tensor], int]:
    """Simulate one tomogram; return its volumes `(z, y, x)`, protein bright, by folder."""
    p = parameters
    thickness, height, width = p.shape
    slab = specimen_width(thickness, width, tilts)
    vesicles = round(p.membranes * slab / width)
    specimen, count = build(
        (thickness, height, slab), p.pixel_size, molecules, p.density, vesicles, generator
    )
    images = project(specimen, tilts, detector_width(thickness, width))
    if defocus is not None:
        transfer = ContrastTransfer(
            defocus=defocus,
            voltage=p.voltage,
            spherical_aberration=p.cs,
            amplitude_contrast=p.ac,
        )
        images = modulate(images, transfer, p.pixel_size)
    first, second = (
        back_project(exposure, tilts, p.shape)
        for exposure in noisy_halves(images, p.snr, generator)
    )
    side = (slab - width) // 2
    truth = specimen[:, :, side : side + width]
    return {"EVN": first, "ODD": second, "full": (first + second) / 2, "truth": truth}, count


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: the steps are so small that several would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _tilts(parameters: SimulateParameters) -> list[float]:
    """Return the tilt angles in degrees, ascending."""
    p = parameters
    steps = int((p.tilt_max - p.tilt_min) / p.tilt_step + 1e-6)
    if steps < 1:
        raise InputError(
            f"tilt_step = {p.tilt_step:g} leaves one tilt between {p.tilt_min:g} and "
            f"{p.tilt_max:g} degrees; give a smaller step or a wider range"
        )
    return [p.tilt_min + step * p.tilt_step for step in range(steps + 1)]


def _defoci(parameters: SimulateParameters) -> list[float | None]:
    """Return one defocus in angstrom for each tomogram, or None where there is no CTF."""
    given, count = parameters.defocus, parameters.count
    if not isinstance(given, tuple):
        return [given] * count
    if len(given) != count:
        raise InputError(
            f"defocus has {len(given)} values and count is {count}; "
            f"give one value, or one for each tomogram"
        )
    return list(given)


def _write_text(path: Path, text: str) -> None:
    """Write a small text file that appears whole."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
