"""Rows of the table made ready for training: files opened, checked and standardised."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isonet2.data.coordinates import Grid, read_coordinates
from isonet2.data.inputs import edges, past_remarks, pixel_size
from isonet2.data.inspection import keeps_the_empty, refuse_dependence
from isonet2.data.star import Tomogram
from isonet2.data.volumes import Volume, in_voxels, open_volume, statistics
from isonet2.errors import InputError
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.wedge import Sectors, sectors_of_tilts
from isonet2.training.ctf_check import halves_remarks
from isonet2.training.objectives import METHODS
from isonet2.training.prediction import Geometry
from isonet2.training.tomogram import Half, Source, centres_of_mask
from isonet2.training.wedge_check import tilt_halves_remark, wedge_remark

log = logging.getLogger(__name__)

UNEQUAL = 3.0
"""Two halves rarely differ by such a factor."""
PLAUSIBLE_SHARE = (0.01, 0.95)
"""Part of a tomogram that a mask usually keeps."""


def sectors_of(tomogram: Tomogram) -> Sectors:
    """Measured intervals of tilt angles: from the real tilts when known, else the two ends."""
    if tomogram.tilts is not None:
        return sectors_of_tilts(tomogram.tilts)
    return ((tomogram.tilt_min, tomogram.tilt_max),)


def ctf_of(tomogram: Tomogram, bfactor: float = 0.0) -> ContrastTransfer | None:
    """The microscope's transfer function, or None where the table holds no defocus."""
    if tomogram.defocus is None:
        return None
    return ContrastTransfer(
        defocus=tomogram.defocus,
        voltage=tomogram.voltage,
        spherical_aberration=tomogram.spherical_aberration,
        amplitude_contrast=tomogram.amplitude_contrast,
        phase_shift=tomogram.phase_shift,
        bfactor=bfactor,
    )


def geometry_of(tomogram: Tomogram, volume: Volume, *, mode: str, bfactor: float = 0.0) -> Geometry:
    """What the physics needs to know of a tomogram.

    Raises
    ------
    InputError
        When the CTF mode needs a defocus, or the voxel size is nowhere to be found.
    """
    ctf = ctf_of(tomogram, bfactor)
    if ctf is None and mode != "None":
        raise InputError(
            f"{tomogram.name}: CTF_mode {mode} needs its defocus, and rlnDefocus is empty; fill "
            f"in that column (angstrom), or train with CTF_mode None"
        )
    pixel = pixel_size(tomogram, volume)
    return Geometry(sectors_of(tomogram), ctf if mode != "None" else None, pixel)


def halves_of(paths: Sequence[Path]) -> tuple[Half, ...]:
    """Open volumes and measure what standardises them; unequal shapes are refused."""
    halves = tuple(Half(v, statistics(v)) for v in map(open_volume, paths))
    for half in halves[1:]:
        if half.volume.shape != halves[0].volume.shape:
            raise InputError(
                f"{half.volume.path}: has {in_voxels(half.volume.shape)} voxels, but "
                f"{halves[0].volume.path} has {in_voxels(halves[0].volume.shape)}; halves must be "
                f"of one shape"
            )
        refuse_dependence(halves[0].volume, half.volume)
        ratio = half.statistics.std / halves[0].statistics.std
        if max(ratio, 1 / ratio) > UNEQUAL:
            log.warning(
                "%s: varies %.3g times as much as %s; were both reconstructed in the same way?",
                half.volume.path,
                ratio,
                halves[0].volume.path,
            )
    return halves


def input_paths(tomogram: Tomogram, method: str, input_column: str | None) -> list[Path]:
    """Files that a method reads: both halves, or one volume from a column.

    Without a column, a method of full tomograms takes the deconvolved one where there is one.
    """
    if METHODS[method].reads_halves and input_column is None:
        return [
            tomogram.column("rlnTomoReconstructedTomogramHalf1"),
            tomogram.column("rlnTomoReconstructedTomogramHalf2"),
        ]
    if input_column is not None:
        return [tomogram.column(input_column)]
    if tomogram.deconvolved is not None:
        return [tomogram.deconvolved]
    if tomogram.full is not None:
        return [tomogram.full]
    return [tomogram.column("rlnTomoName")]


def mask_of(tomogram: Tomogram, volume: Volume, pixel_size: float) -> Volume | None:
    """The tomogram's mask, of its own shape, or None with a warning where it has none."""
    shape = volume.shape
    if tomogram.mask is None:
        log.warning(
            "%s has no mask (rlnMaskName is empty): cubes are drawn from all of it; "
            "`isonet.py make_mask` makes masks",
            tomogram.name,
        )
        return None
    mask = open_volume(tomogram.mask)
    if mask.shape != shape:
        raise InputError(
            f"{tomogram.mask}: the mask has {in_voxels(mask.shape)} voxels, but its tomogram "
            f"{tomogram.name} has {in_voxels(shape)}; make it again with `isonet.py make_mask`"
        )
    if mask.voxel_size not in (None, volume.voxel_size, edges(mask, pixel_size)):
        log.warning(
            "%s: the mask's voxels are %g A by its header, the tomogram's %g A; does it belong "
            "to %s?",
            tomogram.mask,
            mask.voxel_size[2],
            pixel_size,
            tomogram.name,
        )
    if keeps_the_empty(mask, volume):
        log.warning(
            "%s: keeps what is brighter and varies less than what it leaves out of %s; is it "
            "inverted? It must be above 0 where the specimen is",
            tomogram.mask,
            tomogram.name,
        )
    return mask


def contradictions(
    volumes: Sequence[Volume],
    sectors: Sectors,
    pixel_size: float | None,
    ctf: ContrastTransfer | None,
) -> list[str]:
    """What the spectra of a tomogram say against its declared tilts and its CTF.

    Parameters
    ----------
    volumes
        The tomogram, or its two halves.
    sectors
        Measured intervals of tilt angles, degrees.
    pixel_size
        Angstrom; without it the CTF is not looked at.
    ctf
        None where it is of no account.

    Returns
    -------
    list of str
        One sentence for each.
    """
    remarks = [wedge_remark(volumes[0], sectors)]
    if len(volumes) > 1:
        remarks.append(tilt_halves_remark(volumes[0], volumes[1]))
        if pixel_size is not None:
            remarks += halves_remarks(volumes[0], volumes[1], pixel_size, ctf)
    return [remark for remark in remarks if remark is not None]


def training_source(
    tomogram: Tomogram,
    method: str,
    *,
    mode: str,
    bfactor: float,
    with_mask: bool,
    mask_weighted_loss: bool,
    input_column: str | None,
) -> Source:
    """Everything that training needs of a tomogram.

    Raises
    ------
    InputError
        For whatever is wrong with its files or its row.
    """
    halves = halves_of(input_paths(tomogram, method, input_column))
    volume = halves[0].volume
    geometry = geometry_of(tomogram, volume, mode=mode, bfactor=bfactor)
    volumes = [half.volume for half in halves]
    remarks = contradictions(volumes, geometry.sectors, geometry.pixel_size, geometry.ctf)
    for text in [*past_remarks(volumes, ctf=mode != "None"), *remarks]:
        log.warning("%s: %s", tomogram.name, text)
    mask = (
        mask_of(tomogram, volume, geometry.pixel_size) if with_mask or mask_weighted_loss else None
    )
    if mask is None and mask_weighted_loss:
        raise InputError(
            f"{tomogram.name}: mask_weighted_loss True needs its mask, and rlnMaskName is empty; "
            f"run isonet.py make_mask"
        )
    centres = None
    if tomogram.box_file is not None:
        grid = Grid(tomogram.name, volume.shape, geometry.pixel_size)
        centres = np.rint(read_coordinates(tomogram.box_file, grid)).astype(np.int32)
        if with_mask:
            log.warning(
                "%s: cubes are drawn around the points of %s, not inside its mask",
                tomogram.name,
                tomogram.box_file,
            )
    elif mask is not None and with_mask:
        centres, share = centres_of_mask(mask)
        if share == 0:
            raise InputError(
                f"{mask.path}: is 0 everywhere; it must be above 0 where the specimen is: make it "
                f"again with isonet.py make_mask"
            )
        if not PLAUSIBLE_SHARE[0] <= share <= PLAUSIBLE_SHARE[1]:
            log.warning(
                "%s: the mask keeps %.1f %% of %s; it must be above 0 where the specimen is, and 0 "
                "elsewhere",
                mask.path,
                100 * share,
                tomogram.name,
            )
    return Source(
        name=tomogram.name,
        first=halves[0],
        second=halves[-1],
        sectors=geometry.sectors,
        ctf=geometry.ctf,
        pixel_size=geometry.pixel_size,
        count=tomogram.number_subtomos,
        centres=centres,
        weight=mask if mask_weighted_loss else None,
    )
