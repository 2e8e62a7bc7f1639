"""What a row of the table says: which files a method reads, and the tomogram's geometry."""

from pathlib import Path

from isonet2.data.inputs import pixel_size
from isonet2.data.star import Tomogram
from isonet2.data.volumes import Volume
from isonet2.errors import InputError
from isonet2.physics.ctf import ContrastTransfer, CtfTreatment
from isonet2.physics.geometry import Geometry
from isonet2.physics.wedge import Sectors, sectors_of_tilts


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


def geometry_of(
    tomogram: Tomogram, volume: Volume, treatment: CtfTreatment, bfactor: float = 0.0
) -> Geometry:
    """What the physics needs to know of a tomogram; without its CTF where that is of no account.

    Raises
    ------
    InputError
        When the CTF mode needs a defocus, or the voxel size is nowhere to be found.
    """
    ctf = ctf_of(tomogram, bfactor) if treatment.needs_ctf else None
    if ctf is None and treatment.needs_ctf:
        raise InputError(
            f"{tomogram.name}: CTF_mode {treatment.mode} needs its defocus, and rlnDefocus is "
            f"empty; fill in that column (angstrom), or train with CTF_mode None"
        )
    return Geometry(sectors_of(tomogram), ctf, pixel_size(tomogram, volume))


def input_paths(tomogram: Tomogram, *, reads_halves: bool, input_column: str | None) -> list[Path]:
    """Files that a method reads: both halves, or one volume from a column.

    Without a column, a method of full tomograms takes the deconvolved one where there is one.
    """
    if reads_halves and input_column is None:
        return [
            tomogram.column("rlnTomoReconstructedTomogramHalf1"),
            tomogram.column("rlnTomoReconstructedTomogramHalf2"),
        ]
    return [tomogram.column(input_column or full_column(tomogram))]


def full_column(tomogram: Tomogram) -> str:
    """The column of a full tomogram that is taken where none was chosen."""
    return "rlnTomoName" if tomogram.deconvolved is None else "rlnDeconvTomoName"
