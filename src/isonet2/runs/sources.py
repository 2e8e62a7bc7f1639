"""Tomograms of the table made ready for training: opened, checked, with their masks."""

import logging

import numpy as np

from isonet2.checks.contrast import keeps_the_empty
from isonet2.checks.findings import Findings
from isonet2.checks.opened import opened_findings
from isonet2.data.coordinates import Grid, read_coordinates
from isonet2.data.inputs import edges
from isonet2.data.star import Tomogram
from isonet2.data.volumes import Volume, in_voxels, open_volume
from isonet2.errors import InputError
from isonet2.opening.halves import halves_of
from isonet2.opening.rows import geometry_of, input_paths
from isonet2.physics.ctf import CtfTreatment
from isonet2.training.tomogram import Source, centres_of_mask

log = logging.getLogger(__name__)

PLAUSIBLE_SHARE = (0.01, 0.95)
"""Part of a tomogram that a mask usually keeps."""


def open_mask(tomogram: Tomogram, volume: Volume, pixel_size: float) -> Volume | None:
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


def training_source(
    tomogram: Tomogram,
    findings: Findings,
    *,
    checked: bool = True,
    reads_halves: bool,
    treatment: CtfTreatment,
    bfactor: float,
    with_mask: bool,
    mask_weighted_loss: bool,
    input_column: str | None,
) -> Source:
    """Everything that training needs of a tomogram; what its checks find goes to `findings`.

    Parameters
    ----------
    tomogram
        Its row.
    findings
        Take what is found.
    checked
        Whether what the voxels say against the row is looked for, which one process does for all.
    reads_halves, treatment
        As the method, and the CTF mode.
    bfactor, with_mask, mask_weighted_loss, input_column
        Of the parameters.

    Raises
    ------
    InputError
        For whatever is wrong with its files or its row.
    """
    paths = input_paths(tomogram, reads_halves=reads_halves, input_column=input_column)
    halves = halves_of(paths)
    volume = halves[0].volume
    geometry = geometry_of(tomogram, volume, treatment, bfactor)
    if checked:
        found = opened_findings(halves, geometry, ctf=treatment.needs_ctf, name=tomogram.name)
        findings.add(found)
    mask = (
        open_mask(tomogram, volume, geometry.pixel_size)
        if with_mask or mask_weighted_loss
        else None
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
        geometry=geometry,
        count=tomogram.number_subtomos,
        centres=centres,
        weight=mask if mask_weighted_loss else None,
    )
