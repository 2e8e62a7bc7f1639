"""Everything that can be asked of one tomogram before a GPU is touched: figures and findings."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from isonet2.checks.contrast import contrast_findings
from isonet2.checks.ctf import (
    alike_findings,
    ctf_findings,
    shells_of,
    single_findings,
)
from isonet2.checks.files import files_findings
from isonet2.checks.findings import Finding, Findings
from isonet2.checks.halves import noise_correlation
from isonet2.checks.past import past_findings
from isonet2.checks.signal import signal_figures
from isonet2.checks.wedge import (
    Spectrum,
    fan_of,
    gaps_findings,
    lean_findings,
    spectrum_of,
    tilt_halves_findings,
    uncertainty,
    untold_findings,
    wedge_findings,
)
from isonet2.data.inputs import SAME_SIZE, USUAL_PIXEL_SIZES
from isonet2.data.labels import restored_state
from isonet2.data.pairing import ISOTROPY, TomogramFiles
from isonet2.data.volumes import Volume
from isonet2.data.voxels import statistics
from isonet2.physics.binning import bin_volume
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.lamella import fit_slab
from isonet2.physics.masking import bead_cores, gaussian, local_deviation
from isonet2.physics.seen_ctf import SeenDefocus, Shells, seen_defocus
from isonet2.physics.wedge import Sectors
from isonet2.types import Block

POSSIBLE_PIXEL_SIZES = (0.5, 100.0)
THIN = 32
FEW_VOXELS = 128
SUPPOSED = ContrastTransfer(30_000.0)
"""Whose optics are believed where the zeros of an unknown CTF are looked for."""
ALTERNATING, EQUAL = -0.3, 0.6


@dataclass(frozen=True, slots=True)
class Declared:
    """What is said of a tomogram.

    Attributes
    ----------
    source
        Its name and files.
    sectors
        Measured intervals of tilt angles, degrees; None where nobody says.
    pixel_size
        Angstrom; None: the header counts.
    ctf
        None where no defocus is known.
    correctable
        Whether the tilt range may be corrected: no file of tilts says it.
    """

    source: TomogramFiles
    sectors: Sectors | None = None
    pixel_size: float | None = None
    ctf: ContrastTransfer | None = None
    correctable: bool = True

    @property
    def name(self) -> str:
        """Of the tomogram."""
        return self.source.name


@dataclass(slots=True)
class Examination:
    """What was found out about a tomogram.

    Attributes
    ----------
    declared
        What was said of it.
    findings
        What is wrong, and what is good to know.
    figures
        Numbers and words by name, fit for JSON.
    volume
        The tomogram, or its first half; None where it cannot be opened.
    second
        Its second half.
    binned
        The same, binned so that it is quickly seen.
    spectrum, shells
        Of the tomogram, and of what its halves share.
    """

    declared: Declared
    findings: Findings = field(default_factory=Findings)
    figures: dict[str, object] = field(default_factory=dict)
    volume: Volume | None = None
    second: Volume | None = None
    binned: Block | None = None
    spectrum: Spectrum | None = None
    shells: Shells | None = None

    @property
    def name(self) -> str:
        """Of the tomogram."""
        return self.declared.name

    @property
    def pixel_size(self) -> float | None:
        """Angstrom, as declared, or else by the header."""
        return None if self.volume is None else _pixel_size(self.declared, self.volume)


def examine(declared: Declared) -> Examination:
    """Look at one tomogram; nothing that is wrong with it is raised.

    No more of it is in memory at once than a slab, and some blocks.
    """
    found = Examination(declared)
    volumes, said = files_findings(declared.source)
    found.findings.add(said)
    if not volumes:
        return found
    found.volume = volumes[0]
    found.second = volumes[1] if _halves(declared.source, volumes) else None
    found.figures |= _headers(volumes[0])
    found.findings.add(_grid_findings(volumes, declared))
    if found.findings.refused and not _readable(found):
        return found
    _look(found)
    _ask(found, volumes[: 1 if found.second is None else 2])
    return found


def _readable(found: Examination) -> bool:
    """Whether the voxels can be used, whatever else is refused."""
    return all(finding.kind != "unusable" for finding in found.findings.all)


def _halves(source: TomogramFiles, volumes: list[Volume]) -> bool:
    return source.half1 is not None and source.half2 is not None and len(volumes) > 1


def _headers(volume: Volume) -> dict[str, object]:
    size = volume.voxel_size
    return {
        "voxels": list(volume.shape),
        "stored as": volume.dtype.name,
        "voxel size in the header": None if size is None else [round(edge, 4) for edge in size],
    }


def _pixel_size(declared: Declared, volume: Volume) -> float | None:
    return declared.pixel_size or (volume.voxel_size and volume.voxel_size[2])


def _grid_findings(volumes: list[Volume], declared: Declared) -> list[Finding]:
    """What is wrong with voxel size and shape."""
    name, volume = declared.source.name, volumes[0]
    header, given = volume.voxel_size, declared.pixel_size
    found: list[Finding] = []
    if header is None and given is None:
        told = f"{volume.path}: neither its header nor a table says its voxel size"
        remedy = "fill in rlnPixelSize (angstrom)"
        return [Finding("voxel size: missing", "refusal", told, remedy, name)]
    if header is not None and given is None and max(header) > min(header) * (1 + ISOTROPY):
        edges = " x ".join(f"{edge:g}" for edge in header)
        told = f"{volume.path}: its voxels of {edges} A (z x y x x) are no cubes"
        found.append(
            Finding("voxel size: edges", "refusal", told, "correct the header", name, None, header)
        )
    if header is not None and given is not None and abs(header[2] / given - 1) > SAME_SIZE:
        told = f"rlnPixelSize is {given:g} A, but the header says {header[2]:g} A"
        remedy = "correct the one that is wrong; the table counts"
        found.append(Finding("voxel size", "warning", told, remedy, name, given, header[2]))
    size = _pixel_size(declared, volume) or 0.0
    low, high = POSSIBLE_PIXEL_SIZES
    if not low <= size <= high:
        told = f"voxels of {size:g} A are not those of a tomogram"
        remedy = "give the voxel size in angstrom"
        found.append(Finding("voxel size: implausible", "warning", told, remedy, name, size))
    elif not USUAL_PIXEL_SIZES[0] <= size <= USUAL_PIXEL_SIZES[1]:
        told = f"voxels of {size:g} A; networks restore best at about 10 A (5 to 20 A)"
        found.append(Finding("voxel size: unusual", "remark", told, "see resize", name, size))
    if volume.shape[0] < THIN:
        told = f"only {volume.shape[0]} voxels along z: the wedge cannot be measured well"
        found.append(Finding("thin", "remark", told, "", name, None, volume.shape[0]))
    if volume.shape[0] > min(volume.shape[1:]):
        told = (
            f"z is not the shortest of its axes ({' x '.join(map(str, volume.shape))}, z x y x x)"
        )
        remedy = "does the beam run along z? (IMOD: trimvol -rx)"
        found.append(Finding("axes: shape", "remark", told, remedy, name))
    return found


def _look(found: Examination) -> None:
    """Bin the tomogram, and see its statistics, specimen and beads."""
    volume = found.volume
    assert volume is not None
    numbers = statistics(volume)
    found.figures |= {
        "mean": numbers.mean,
        "deviation": numbers.std,
        "range": [numbers.smallest, numbers.largest],
        "part that is 0": round(numbers.zeros, 4),
    }
    factor = max(1, -(-max(volume.shape) // FEW_VOXELS))
    found.binned = bin_volume(
        lambda region: numbers.tame(volume.read(region)), volume.shape, factor
    )
    bright = torch.from_numpy((numbers.mean - found.binned) / numbers.std)
    share = float(bead_cores(bright).float().mean())
    name = found.name
    if share > 0:
        told = "gold beads, or bodies as dense, are in it"
        remedy = "make_mask leaves them out"
        found.findings.add([Finding("gold", "remark", told, remedy, name, None, share)])
    contrast = contrast_findings(volume, name)
    found.findings.add(contrast)
    found.figures |= {
        "part at the ends of the range": round(numbers.at_ends, 4),
        "protein": "bright" if contrast else "not bright",
    }
    slab = fit_slab(local_deviation(gaussian(bright, 1.0), 2)) if min(bright.shape) >= 8 else None
    size = _pixel_size(found.declared, volume)
    if slab is not None and size is not None:
        found.figures |= {
            "specimen thickness (nm)": round(slab.thickness * factor * size / 10, 1),
            "specimen angles along y and x (degrees)": [round(angle) for angle in slab.angles],
            "empty part": round(1 - float(slab.voxels(tuple(bright.shape)).float().mean()), 2),
        }


def _ask(found: Examination, volumes: list[Volume]) -> None:
    """Ask the spectra of a tomogram, or of its halves."""
    declared, name = found.declared, found.name
    size = _pixel_size(declared, volumes[0])
    found.findings.add(past_findings(volumes, ctf=True, name=name))
    found.figures["restored"] = restored_state(volumes[0])
    spectra = [spectrum_of(volume) for volume in volumes]
    found.spectrum = spectrum = spectra[0]
    lean = None if spectrum is None else spectrum.lean
    found.figures |= _tilts(spectra, lean)
    found.findings.add(lean_findings(lean, name))
    if declared.sectors is None:
        found.findings.add([_undeclared(spectrum, name)])
    else:
        thickness = volumes[0].shape[0]
        said = wedge_findings(spectrum, declared.sectors, thickness, name)
        found.findings.add(said or untold_findings(spectrum, name))
        found.findings.add(gaps_findings(spectrum, declared.sectors, name))
    if len(volumes) < 2:
        if size is not None:
            found.findings.add(single_findings(spectrum, size, name))
        return
    found.findings.add(tilt_halves_findings(spectra[0], spectra[1], name))
    found.findings.add(alike_findings(spectra[0], spectra[1], name))
    found.figures["noise correlation of the halves"] = round(noise_correlation(*volumes), 3)
    if spectra[0] is not None and spectra[1] is not None:
        fan = fan_of(spectra[0], spectra[1])
        kind = "tilts" if fan < ALTERNATING else "frames" if fan > EQUAL else "unclear"
        found.figures["halves of"] = kind
    found.shells = shells_of(*volumes)
    found.figures["CTF"] = "not told by the spectra"
    if found.shells is None or size is None:
        return
    found.figures |= signal_figures(found.shells, size)
    found.findings.add(ctf_findings(found.shells, size, declared.ctf, name))
    seen = seen_defocus(found.shells, declared.ctf or SUPPOSED, size)
    found.figures |= _defocus(seen, declared.ctf)
    found.figures["CTF"] = _state(found, seen)
    if seen is not None and seen.zeros > 1 and declared.ctf is None:
        told = f"no defocus is declared; its zeros show about {round(seen.defocus, -3):g} A"
        remedy = "CTF modes other than None need rlnDefocus"
        found.findings.add(
            [Finding("defocus: missing", "remark", told, remedy, name, None, seen.defocus)]
        )


def _tilts(spectra: Sequence[Spectrum | None], lean: float | None) -> dict[str, object]:
    """What the spectrum of a tomogram, or of its halves, shows of its tilts."""
    spectrum = spectra[0]
    if spectrum is None or spectrum.seen is None or not spectrum.upright:
        return {"tilts that are seen": None}
    seen = spectrum.seen
    return {
        "tilts that are seen": [round(seen.low, 1), round(seen.high, 1)],
        "uncertainty of their ends (degrees)": round(uncertainty(spectra), 1),
        "tilts with any power": [round(seen.faint_low, 1), round(seen.faint_high, 1)],
        "tilt about x (degrees)": None if lean is None else round(lean, 1),
    }


def _state(found: Examination, seen: SeenDefocus | None) -> str:
    """What was done about the CTF, as far as labels and spectra tell."""
    kinds = {finding.kind for finding in found.findings.all}
    if "deconvolved before" in kinds:
        return "deconvolved"
    if "halves: filtered" in kinds:
        return "filtered"
    if seen is not None and seen.zeros > 1:
        return "as recorded, or its phases flipped: its zeros are there"
    return "no zeros are seen"


def _undeclared(spectrum: Spectrum | None, name: str) -> Finding:
    told = "no tilt range is declared"
    if spectrum is None or spectrum.seen is None or not spectrum.upright:
        remedy = "give it (rlnTiltMin, rlnTiltMax); its power spectrum does not tell"
        return Finding("tilts: undeclared", "remark", told, remedy, name)
    low, high = spectrum.seen.low, spectrum.seen.high
    told = f"{told}; its power spectrum shows {low:.0f} to {high:.0f} degrees"
    return Finding("tilts: undeclared", "remark", told, "", name, None, (low, high))


def _defocus(seen: SeenDefocus | None, ctf: ContrastTransfer | None) -> dict[str, object]:
    return {
        "defocus that is declared (A)": None if ctf is None else ctf.defocus,
        "defocus that is seen (A)": None if seen is None else round(seen.defocus, -2),
        "zeros that are seen": 0 if seen is None else seen.zeros,
    }
