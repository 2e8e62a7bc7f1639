"""Deconvolve the CTF from tomograms."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from isonet2.checks.findings import Findings
from isonet2.checks.past import past_findings
from isonet2.data.files import scratch_beside
from isonet2.data.inputs import TomogramInput, open_input
from isonet2.data.labels import DECONVOLVED_LABEL, is_there, key_of, refuse_foreign
from isonet2.data.moments import Moments
from isonet2.data.star import Tomogram
from isonet2.data.volumes import Triple, VolumeWriter, open_volume, slabs
from isonet2.errors import InputError, counted
from isonet2.machine.memory import memory_limit
from isonet2.machine.threads import use_threads
from isonet2.opening.rows import ctf_of
from isonet2.parameters import DeconvParameters, package_version
from isonet2.parameters.record import how
from isonet2.physics.ctf import ContrastTransfer, WienerSettings
from isonet2.physics.deconvolution import Deconvolution, memory_of_whole
from isonet2.reports.progress import progress_bar
from isonet2.runs.each import Done, Work, for_chosen
from isonet2.types import Block, Region

log = logging.getLogger(__name__)

CHUNK_SIZE = 256
"""Edge of the cubes where a whole tomogram does not fit into memory."""


def deconv(parameters: DeconvParameters) -> list[Done]:
    """Deconvolve the chosen tomograms of a table; see `for_chosen`."""
    return for_chosen(parameters, parameters.output_dir, prepare, "deconvolved")


def prepare(parameters: DeconvParameters) -> Work[Tomogram]:
    """Make ready what deconvolves a tomogram, in the process that does it."""
    log.info("computing with %s", counted(use_threads(parameters.ncpus), "processor thread"))

    def work(tomogram: Tomogram, label: str) -> dict[str, object]:
        return {"rlnDeconvTomoName": deconvolve_one(parameters, tomogram, label)}

    return work


def deconvolve_one(parameters: DeconvParameters, tomogram: Tomogram, label: str) -> Path:
    """Deconvolve one tomogram, unless that is done already.

    Returns
    -------
    Path
        The result, in its input's scale: of the same mean and deviation over all voxels.

    Raises
    ------
    InputError
        When its defocus or voxel size is not known, or its file cannot be used.
    """
    source = open_input(tomogram, parameters.input_column)
    output = parameters.output_dir / f"{tomogram.name}_deconv.mrc"
    source.refuse_to_replace(output)
    refuse_foreign(output)
    pixel = source.pixel_size(tomogram)
    filtering = filter_of(parameters, tomogram, pixel)
    ctf = filtering.ctf
    key = key_of(source.paths, how(parameters), ctf, pixel)
    note = f"IsoNet2 {key} {DECONVOLVED_LABEL}; {package_version()}"
    if not parameters.overwrite and is_there(label, {output: note}):
        return output
    result = _Result(output, source, source.voxel_size(tomogram), note)
    Findings(past_findings(source.volumes, ctf=True, name=tomogram.name)).tell()
    log.info(
        "%s: defocus %g A, %g kV, Cs %g mm, amplitude contrast %g, phase shift %g degrees, "
        "%g A voxels",
        label,
        ctf.defocus,
        ctf.voltage,
        ctf.spherical_aberration,
        ctf.amplitude_contrast,
        ctf.phase_shift,
        pixel,
    )
    chunk = parameters.chunk_size
    need, have = memory_of_whole(source.shape), memory_limit()
    if chunk is None and need > have:
        chunk = CHUNK_SIZE
        log.warning(
            "%s: needs %.0f GB of memory as a whole, and %.0f GB may be used; working in chunks "
            "(--chunk_size %d)",
            label,
            need / 1e9,
            have / 1e9,
            chunk,
        )
    if chunk is not None and chunk < max(source.shape):
        _in_chunks(filtering, source, result, label, chunk, parameters.overlap_rate)
    else:
        _at_once(filtering, source, result)
    return output


def filter_of(parameters: DeconvParameters, tomogram: Tomogram, pixel_size: float) -> Deconvolution:
    """The Wiener filter of a tomogram.

    Raises
    ------
    InputError
        When its defocus is not known.
    """
    settings = WienerSettings(
        parameters.snrfalloff, parameters.deconvstrength, parameters.highpassnyquist
    )
    return Deconvolution(_ctf(tomogram), settings, pixel_size, parameters.phaseflipped)


def _ctf(tomogram: Tomogram) -> ContrastTransfer:
    ctf = ctf_of(tomogram)
    if ctf is None:
        raise InputError(
            f"{tomogram.table} holds no defocus of it; fill in rlnDefocus (angstrom, positive "
            f"for underfocus) of tomogram {tomogram.index}"
        )
    return ctf


@dataclass(frozen=True, slots=True)
class _Result:
    """The file that is made, and what stands in its header."""

    path: Path
    source: TomogramInput
    voxel_size: Triple | None
    note: str

    def write(self, read: Callable[[Region], Block], before: Moments, after: Moments) -> None:
        """Write it slab by slab, brought to the input's mean and deviation."""
        if after.std <= 1e-12 * before.std:
            raise InputError(
                "nothing is left of it; lower snrfalloff or highpassnyquist, or raise "
                "deconvstrength"
            )
        scale = np.float32(before.std / after.std)
        shift = np.float32(before.mean - after.mean * before.std / after.std)
        like = self.source.volumes[0]
        with VolumeWriter(
            self.path, like=like, voxel_size=self.voxel_size, label=self.note
        ) as writer:
            for region in slabs(like):
                writer.write(region, read(region) * scale + shift)


def _at_once(filtering: Deconvolution, source: TomogramInput, output: _Result) -> None:
    """Filter the whole volume by one Fourier transform."""
    before = source.moments()
    z, y, x = source.shape
    data = torch.from_numpy(source.read((slice(0, z), slice(0, y), slice(0, x))))
    data -= before.mean
    result = filtering.whole(data).numpy()
    after = Moments()
    for region in slabs(source.volumes[0]):
        after.add(Moments.of(result[region]))
    output.write(lambda region: result[region], before, after)


def _in_chunks(
    filtering: Deconvolution,
    source: TomogramInput,
    output: _Result,
    label: str,
    chunk_size: int,
    overlap_rate: float,
) -> None:
    """Filter cube by cube in bounded memory.

    The deviation of the result is known when all of it was made; so it is written as it comes
    to a file beside the output, and from there in the input's scale.
    """
    before = source.moments()
    after = Moments()
    with scratch_beside(output.path) as folder:
        scratch = folder / "unscaled.mrc"
        with (
            VolumeWriter(scratch, shape=source.shape, label="not in scale") as writer,
            progress_bar(label, 1) as bar,
        ):

            def read(region: Region) -> Block:
                block: Block = source.read(region) - np.float32(before.mean)
                return block

            def write(region: Region, block: Block) -> None:
                after.add(Moments.of(block))
                writer.write(region, block)

            filtering.chunked(
                read,
                write,
                source.shape,
                chunk_size=chunk_size,
                overlap_rate=overlap_rate,
                progress=bar.update,
            )
        output.write(open_volume(scratch).read, before, after)
