"""Make masks that keep the specimen and leave out empty regions."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from isonet2.data.files import keep_old
from isonet2.data.inputs import TomogramInput, open_input
from isonet2.data.labels import is_there, key_of
from isonet2.data.star import Tomogram
from isonet2.data.volumes import Triple, VolumeWriter, slabs
from isonet2.errors import InputError
from isonet2.machine.threads import use_threads
from isonet2.opening.boundaries import boundary_of
from isonet2.parameters import MakeMaskParameters, package_version
from isonet2.parameters.record import how
from isonet2.physics import masking
from isonet2.physics.binning import bin_volume, unbin
from isonet2.physics.lamella import Slab
from isonet2.physics.masking import BINNING, Boundary, SpecimenMask, specimen_mask
from isonet2.reports.pictures import overlay_picture
from isonet2.runs.each import Done, Work, for_chosen

log = logging.getLogger(__name__)

FEW, MANY = 0.05, 0.95

REMEDIES = {
    masking.BOTH: "raise density_percentage ({density_percentage:g}) or std_percentage "
    "({std_percentage:g})",
    masking.CROP: "lower z_crop ({z_crop:g})",
    masking.SLAB: "look at the tomogram, or leave out slab",
    masking.BEADS: "give exclude_gold False",
    masking.BOUNDARY: "draw rlnMaskBoundary around the specimen, in voxels of this tomogram",
}
"""What to change when nothing is left after a step."""


def make_mask(parameters: MakeMaskParameters) -> list[Done]:
    """Make masks of the chosen tomograms of a table; see `for_chosen`."""
    return for_chosen(parameters, parameters.output_dir, prepare, "masked")


def prepare(parameters: MakeMaskParameters) -> Work[Tomogram]:
    """Make ready what makes the mask of a tomogram, in the process that does it."""
    use_threads(parameters.ncpus)

    def work(tomogram: Tomogram, label: str) -> dict[str, object]:
        return {"rlnMaskName": mask_one(parameters, tomogram, label)}

    return work


def mask_one(parameters: MakeMaskParameters, tomogram: Tomogram, label: str) -> Path:
    """Make the mask of one tomogram, unless it is there, and a picture of it beside it.

    Returns
    -------
    Path
        The mask: 1 where the specimen is, else 0.

    Raises
    ------
    InputError
        When the mask is empty, or a file cannot be used.
    """
    source = open_input(tomogram, parameters.input_column)
    output = parameters.output_dir / f"{tomogram.name}_mask.mrc"
    source.refuse_to_replace(output)
    drawn = [] if tomogram.mask_boundary is None else [tomogram.mask_boundary]
    size = source.voxel_size(tomogram)
    note = f"IsoNet2 {key_of([*source.paths, *drawn], how(parameters), size)} mask; "
    note += package_version()
    if not parameters.overwrite and is_there(label, {output: note}):
        return output
    binned = binned_input(source)
    mask = mask_of(parameters, binned, boundary_of(tomogram))
    if parameters.slab:
        _describe(mask.slab, label, size)
    refuse_empty(mask, parameters)
    if masking.BEADS in mask.kept:
        log.info(
            "%s: gold beads, or bodies as dense, were found and are left out: %d",
            label,
            len(mask.beads),
        )
    log.info("%s: the mask keeps %.1f %% of the voxels", label, 100 * mask.fraction)
    if not FEW <= mask.fraction <= MANY:
        log.warning(
            "%s: the mask keeps %.1f %% of the voxels (%s); look at %s, and change %s if it "
            "misses the point",
            tomogram.name,
            100 * mask.fraction,
            _steps(mask),
            output.with_suffix(".png"),
            "density_percentage, std_percentage or z_crop",
        )
    voxels = mask.voxels.numpy()
    keep_old(output, "mask")
    _write_mask(output, voxels, source, size, note)
    if min(voxels.shape) > 1:
        overlay_picture(
            output.with_suffix(".png"),
            binned,
            voxels,
            voxel_size=None if size is None else BINNING * size[2],
            title=f"{tomogram.name}, {source.source}: the mask keeps {100 * mask.fraction:.1f} %",
            beads=mask.beads,
        )
    return output


def mask_of(
    parameters: MakeMaskParameters, binned: NDArray[np.float32], boundary: Boundary | None
) -> SpecimenMask:
    """The mask of a binned tomogram, (z, y, x), in the file's own scale."""
    return specimen_mask(
        torch.from_numpy(-binned),
        patch_size=parameters.patch_size,
        density_percentage=parameters.density_percentage,
        std_percentage=parameters.std_percentage,
        z_crop=parameters.z_crop,
        slab=parameters.slab,
        exclude_gold=parameters.exclude_gold,
        boundary=boundary,
    )


def _describe(slab: Slab | None, label: str, size: Triple | None) -> None:
    """Say what slab was fitted to a tomogram, or that none was; `size` is that of a voxel."""
    if slab is None:
        log.warning(
            "%s: no empty region stands out above or below the specimen; z_crop is used", label
        )
        return
    thickness = BINNING * slab.thickness
    along_y, along_x = slab.angles
    log.info(
        "%s: the specimen's slab is %s thick and lies at %.0f degrees to the x axis and %.0f "
        "degrees to the y axis",
        label,
        f"{thickness:.0f} voxels" if size is None else f"{thickness * size[2] / 10:.0f} nm",
        along_x,
        along_y,
    )


def binned_input(source: TomogramInput) -> NDArray[np.float32]:
    """A tomogram binned for masking, (z, y, x), in the file's own scale.

    Raises
    ------
    InputError
        When it holds NaN or infinite values, or is constant.
    """
    source.moments()
    return bin_volume(source.read, source.shape, BINNING)


def _steps(mask: SpecimenMask) -> str:
    return ", ".join(f"{step} {100 * part:.1f} %" for step, part in mask.kept.items())


def refuse_empty(mask: SpecimenMask, parameters: MakeMaskParameters) -> None:
    """Raise InputError that says which step left nothing of a mask, and what to change."""
    if mask.fraction > 0:
        return
    step = next(step for step, part in mask.kept.items() if part == 0)
    remedy = REMEDIES[step].format(**parameters.model_dump())
    raise InputError(f"the mask is empty after {step} (kept by {_steps(mask)}); {remedy}")


def _write_mask(
    path: Path, voxels: NDArray[np.bool_], source: TomogramInput, size: Triple | None, note: str
) -> None:
    """Write a binned mask at the tomogram's full size, slab by slab."""
    _, y, x = source.shape
    with VolumeWriter(
        path, like=source.volumes[0], voxel_size=size, dtype="int8", label=note
    ) as writer:
        for z, _, _ in slabs(source.volumes[0]):
            region = (z, slice(0, y), slice(0, x))
            writer.write(region, unbin(voxels, BINNING, region).astype(np.float32))
