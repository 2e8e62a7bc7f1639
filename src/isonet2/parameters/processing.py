"""Parameters of the commands that work through tomograms one by one."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from isonet2.parameters.base import Shown
from isonet2.parameters.shared import (
    Column,
    FilePath,
    Fraction,
    GpuIds,
    Indices,
    Processors,
    ResultParameters,
    StarParameters,
)


class DeconvParameters(ResultParameters, StarParameters):
    """Deconvolve the CTF from tomograms: more contrast, by a Wiener weight in Fourier space."""

    command: ClassVar[str] = "deconv"
    example: ClassVar[str] = "deconv tomograms.star --snrfalloff 0.7"

    output_dir: Annotated[FilePath, Shown("Basic", short="o")] = Path("deconv")
    """Folder of the deconvolved tomograms; recorded in rlnDeconvTomoName."""
    input_column: Annotated[Column, Shown("Basic")] = "rlnTomoName"
    """Column of the STAR table that names the tomograms to read."""
    snrfalloff: Annotated[float, Field(ge=0), Shown("Basic")] = 1.0
    """How fast the assumed signal-to-noise ratio falls with frequency; larger is smoother."""
    deconvstrength: Annotated[float, Field(ge=-10, le=10), Shown("Basic")] = 1.0
    """Strength; the assumed signal-to-noise ratio starts at 10 to its power."""
    highpassnyquist: Annotated[Fraction, Shown("Basic", "of Nyquist")] = 0.02
    """Frequency below which slow gradients are taken out."""
    phaseflipped: bool = False
    """Whether the tomograms were phase-flipped already."""
    chunk_size: Annotated[int | None, Field(ge=32), Shown(unit="voxels")] = None
    """Edge of the cubes that a tomogram is worked on in, to bound memory; None takes it whole, or
    256 where memory does not suffice. From 64 on, and with the default overlap_rate, the result
    differs from the whole one by less than 2 % of its deviation."""
    overlap_rate: Annotated[float, Field(ge=0, le=0.75)] = 0.25
    """Overlap of neighbouring cubes, as part of chunk_size."""
    ncpus: Processors = None
    """Processor cores to use; auto takes at most 16 of those that this process may use, by its
    affinity, control groups, SLURM and OMP_NUM_THREADS."""
    tomo_idx: Indices = None
    """Tomograms to work on, by rlnIndex; None or all takes every one."""


class MakeMaskParameters(ResultParameters, StarParameters):
    """Make masks that keep the specimen and leave out empty regions."""

    command: ClassVar[str] = "make_mask"
    example: ClassVar[str] = "make_mask tomograms.star --input_column rlnDenoisedTomoName"

    output_dir: Annotated[FilePath, Shown("Basic", short="o")] = Path("mask")
    """Folder of the masks; recorded in rlnMaskName."""
    input_column: Annotated[Column, Shown("Basic")] = "rlnDeconvTomoName"
    """Column of the STAR table that names the tomograms to read; where it is absent, rlnTomoName
    is read instead, and said so."""
    patch_size: Annotated[int, Field(ge=1), Shown("Basic", "voxels")] = 4
    """Reach of the local maximum and of the local deviation, in the twice binned tomogram."""
    density_percentage: Annotated[float, Field(gt=0, le=100), Shown("Basic", "%")] = 50.0
    """Part of the voxels to keep by local density."""
    std_percentage: Annotated[float, Field(gt=0, le=100), Shown("Basic", "%")] = 50.0
    """Part of the voxels to keep by local standard deviation."""
    z_crop: Annotated[float, Field(ge=0, lt=1), Shown("Basic")] = 0.2
    """Part of the z slices to leave out, half of it at either end."""
    slab: Annotated[bool, Shown("Basic")] = False
    """Fit to each tomogram the slab that the specimen fills, two parallel planes, and leave out
    what lies outside it in place of z_crop: for lamellae. Its thickness and angles are said;
    where nothing empty stands out beside the specimen, z_crop is used, and said so."""
    exclude_gold: bool = True
    """Leave out gold beads and what else is far denser than protein, with patch_size around it."""
    ncpus: Processors = None
    """Processor cores to use; auto takes at most 16 of those that this process may use, by its
    affinity, control groups, SLURM and OMP_NUM_THREADS."""
    tomo_idx: Indices = None
    """Tomograms to work on, by rlnIndex; None or all takes every one."""


class PredictParameters(ResultParameters, StarParameters):
    """Restore tomograms with a trained network."""

    command: ClassVar[str] = "predict"
    example: ClassVar[str] = (
        "predict tomograms.star isonet_maps/network_isonet2-n2n_unet-medium_96_full.pt --gpuID 0"
    )

    model: Annotated[FilePath, Shown("Basic", positional=True)]
    """Trained network (.pt)."""
    model2: Annotated[FilePath | None, Shown("Basic")] = None
    """Second network, trained on the other part of the tomograms (`split_halves`). One restores
    the first half and the other the second, so that two independent maps and their mean are
    written; of full tomograms both restore the same one."""
    output_dir: Annotated[FilePath | None, Shown("Basic", short="o", auto=True)] = None
    """Folder of the restored tomograms. auto takes corrected_tomos, recorded in
    rlnCorrectedTomoName; or denoised_tomos, recorded in rlnDenoisedTomoName, for a network that
    `denoise` trained."""
    input_column: Annotated[Column | None, Shown("Basic")] = None
    """Column of the STAR table that names the tomograms to read. None reads the two halves for a
    network trained on halves, and else rlnDeconvTomoName, or rlnTomoName where that is absent."""
    gpuID: GpuIds = None
    """GPUs to use, counted among those that the process may see; None takes the one with
    most free memory."""
    ncpus: Processors = None
    """Processor cores to use; auto takes at most 16 of those that this process may use, by its
    affinity, control groups, SLURM and OMP_NUM_THREADS."""
    tomo_idx: Indices = None
    """Tomograms to restore, by rlnIndex; None or all takes every one."""
    output_prefix: str = ""
    """Beginning of the names of the files that are written."""
    fill: Annotated[bool, Shown("Basic")] = True
    """Keep what the network put into the missing wedge. False empties the wedge again, along the
    measured tilts and before the file is written: for template matching with a score that knows
    the wedge, and for averaging. Labels and `params.yaml` say so."""
    save_slices: bool = False
    """Draw slices and the power spectrum of each tomogram and of its result, as NAME.png."""
    dtype: Literal["float32", "float16", "int8"] = "float32"
    """Number format of the files; int8 is scaled, and the scale stands in the header."""
    output_format: Literal["mrc", "tif", "h5", "zarr"] = "mrc"
    """File format of the restored tomograms: MRC, TIFF, HDF5 or OME-Zarr."""
    padding_factor: Annotated[float, Field(ge=1, le=4)] = 1.5
    """Cube size over the part of a tile that is trusted; more hides seams better and costs time."""
    chunk_size: Annotated[int | None, Field(ge=32), Shown(unit="voxels")] = None
    """Edge of the tiles that a tomogram is restored in; None fits them to it. Smaller ones take
    less memory."""
    overlap_rate: Annotated[float | None, Field(ge=0, le=0.75)] = None
    """Overlap of neighbouring tiles, as part of their edge; None does as padding_factor says."""
    apply_mw_x1: bool | None = None
    """Empty the missing wedge of what the network is given first; None does as in training."""
    isCTFflipped: Annotated[bool | None, Shown("CTF")] = None
    """Whether the tomograms were phase-flipped already; None takes what training was told."""
    do_phaseflip_input: Annotated[bool | None, Shown("CTF")] = None
    """Flip the phases of what the network is given, for a network trained with a CTF mode;
    None does as in training."""
    orientations: Annotated[Literal[1, 2, 4] | None, Shown(auto=True)] = None
    """Ways round in which each half is restored and averaged: turns by 180 degrees that leave the
    missing wedge in place. More are better and take so many times as long. auto takes 2, and 1 as
    the data lie for a model of the published IsoNet2."""
    batch_size: Annotated[int | None, Field(ge=1), Shown(auto=True)] = None
    """Tiles restored at once; auto takes 1 per GPU."""
    mixed_precision: bool = True
    """Compute in 16 bits where that is safe: quicker, and less memory."""

    @field_validator("output_prefix")
    @classmethod
    def _fit_for_a_file_in_a_table(cls, value: str) -> str:
        if not set(value).isdisjoint("/\"'#"):
            raise ValueError(
                f"output_prefix = {value} is not allowed: it begins the names of files that stand "
                "in a table, so give it no slash, quote or #."
            )
        return value
