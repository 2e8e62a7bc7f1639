"""What commands would make of one tomogram, and its CTF: shown while parameters are chosen.

`python -m isonet2.live` answers each line on its standard input with one on its standard
output, both JSON, and ends with its input. The same functions work here as in the commands:
`deconv` on a part of the tomogram, `make_mask` on all of it, binned more where it is large. Of its
CTF, and of what a CTF mode makes of that, curves are given.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import ValidationError

from isonet2.commands.deconv import filter_of
from isonet2.commands.make_mask import mask_of, refuse_empty
from isonet2.data.inputs import FULL, TomogramInput, open_input
from isonet2.data.moments import Moments
from isonet2.data.star import Tomogram, TomogramTable
from isonet2.data.volumes import Triple, write_volume
from isonet2.errors import InputError
from isonet2.opening.boundaries import boundary_of
from isonet2.opening.rows import ctf_of
from isonet2.parameters import (
    DeconvParameters,
    DenoiseParameters,
    MakeMaskParameters,
    PrepareStarParameters,
    RefineParameters,
)
from isonet2.parameters.describe import sentences
from isonet2.physics.binning import bin_volume
from isonet2.physics.ctf import ContrastTransfer, ctf_curves
from isonet2.physics.masking import BINNING, Boundary
from isonet2.runs.plan import TrainParameters, treatment_of
from isonet2.types import Position, Region, Shape

log = logging.getLogger(__name__)

PART: Shape = (96, 288, 288)
"""Voxels of a tomogram that are deconvolved."""
BINNED_VOXELS = 2**21
"""Most voxels that a mask is made of."""
POINTS = 1024
"""Of a curve, up to Nyquist."""
V = TypeVar("V")


@dataclass(slots=True)
class Live:
    """Answers requests; what was read for the one before is kept for the next."""

    _kept: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Paths of what to show, or the problem in words.

        Parameters
        ----------
        request
            `command`, its `parameters` by name, `index` of the tomogram, `folder` for volumes that
            are shown, in place of those of the answer before, and for `deconv` the `place`
            (z, y, x) that is wanted in the middle. With `curves`, curves are wanted; those of
            `prepare_star` need no tomogram.
        """
        command = request["command"]
        model, work = CURVES[command] if request.get("curves") else COMMANDS[command]
        try:
            parameters = model.model_validate(request["parameters"])
            if model is PrepareStarParameters:
                return work(parameters)
            tomograms = TomogramTable.read(parameters.star_file).select(str(request["index"]))
            if request.get("curves"):
                return work(parameters, tomograms[0])
            return work(self, parameters, tomograms[0], request)
        except ValidationError as error:
            said = sentences(error, model, request["parameters"])
            return {"problem": " ".join(said.values())}
        except InputError as error:
            return {"problem": str(error)}

    def keep(self, name: str, key: object, make: Callable[[], V]) -> V:
        """What was made for a name last, if it was for the same key; else it is made."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != key:
            self._kept[name] = (key, make())
        made: V = self._kept[name][1]
        return made


def deconv(
    live: Live, parameters: DeconvParameters, tomogram: Tomogram, request: Mapping[str, Any]
) -> dict[str, Any]:
    """Deconvolve a part of a tomogram."""
    source = open_input(tomogram, parameters.input_column)
    filtering = filter_of(parameters, tomogram, source.pixel_size(tomogram))
    place = request["place"] or [length // 2 for length in source.shape]
    region = part_of(source.shape, tuple(place))
    size = source.voxel_size(tomogram)
    folder, bounds = Path(request["folder"]), [(part.start, part.stop) for part in region]

    def read() -> tuple[Any, str]:
        data = source.read(region)
        return data, write(folder / "part.mrc", data, size)

    part, first = live.keep("part", (folder, identity(source), bounds), read)
    before = Moments.of(part)
    result = filtering.whole(torch.from_numpy(part - np.float32(before.mean))).numpy()
    return {
        "first": first,
        "second": write(folder / "deconvolved.mrc", result + np.float32(before.mean), size),
        "shape": source.shape,
        "region": bounds,
    }


def make_mask(
    live: Live, parameters: MakeMaskParameters, tomogram: Tomogram, request: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the mask of a tomogram from fewer, larger voxels where it has many."""
    source = open_input(tomogram, parameters.input_column)
    factor = binning_of(source.shape)
    size = source.voxel_size(tomogram)
    coarse = None if size is None else (size[0] * factor, size[1] * factor, size[2] * factor)
    folder = Path(request["folder"])

    def read() -> tuple[Any, str]:
        source.moments()
        binned = bin_volume(source.read, source.shape, factor)
        one = len(source.volumes) == 1
        shown = str(source.volumes[0].path) if one else write(folder / "mean.mrc", binned, coarse)
        return binned, shown

    binned, first = live.keep("binned", (folder, identity(source), factor), read)
    ratio = BINNING / factor
    reach = max(1, round(parameters.patch_size * ratio))
    boundary = boundary_of(tomogram)
    mask = mask_of(
        parameters.model_copy(update={"patch_size": reach}),
        binned,
        None if boundary is None else scaled(boundary, ratio),
    )
    refuse_empty(mask, parameters)
    voxels = mask.voxels.numpy().astype(np.float32)
    return {
        "first": first,
        "mask": write(folder / "mask.mrc", voxels, coarse, "int8"),
        "kept": mask.fraction,
        "shape": source.shape,
        "binning": factor,
    }


def write(path: Path, data: Any, size: Triple | None, dtype: str = "float32") -> str:
    """Write a volume to be shown; its path."""
    write_volume(path, data, voxel_size=size, dtype=dtype, label="preview")
    return str(path)


COMMANDS: dict[str, tuple[Any, Callable[..., dict[str, Any]]]] = {
    "deconv": (DeconvParameters, deconv),
    "make_mask": (MakeMaskParameters, make_mask),
}
"""Commands that are shown: their parameters, and what makes the picture."""


def curves_of_table(parameters: PrepareStarParameters) -> dict[str, Any]:
    """The CTF that a new table would list of its first tomogram."""
    p = parameters
    defocus = p.defocus[0] if isinstance(p.defocus, tuple) else p.defocus
    if defocus is None or p.pixel_size is None:
        raise InputError("give defocus and pixel_size, and the curve is drawn")
    return curves(ContrastTransfer(defocus, p.voltage, p.cs, p.ac), p.pixel_size)


def curves_of_deconv(parameters: DeconvParameters, tomogram: Tomogram) -> dict[str, Any]:
    """The CTF of a tomogram, and the filter that deconvolves it."""
    pixel = _pixel_size(tomogram)
    filtering = filter_of(parameters, tomogram, pixel)
    return curves(filtering.ctf, pixel, wiener=lambda k: filtering.weight(k * pixel))


def curves_of_training(parameters: TrainParameters, tomogram: Tomogram) -> dict[str, Any]:
    """The CTF of a tomogram, and the filters that a CTF mode makes of it."""
    pixel = _pixel_size(tomogram)
    ctf = ctf_of(tomogram)
    if ctf is None:
        raise InputError(f"{tomogram.name}: fill in its rlnDefocus (angstrom), and it is drawn")
    optics = replace(ctf, bfactor=parameters.bfactor)

    def slot(name: str) -> Callable[[torch.Tensor], torch.Tensor | None]:
        return lambda k: getattr(ctf_curves(optics, treatment_of(parameters), k, pixel), name)

    return curves(
        ctf, pixel, sign=slot("input"), transfer=slot("prediction"), wiener=slot("target")
    )


def curves(
    ctf: ContrastTransfer, pixel_size: float, **more: Callable[[torch.Tensor], torch.Tensor | None]
) -> dict[str, Any]:
    """The CTF up to Nyquist, where it is zero first, and further curves.

    Parameters
    ----------
    ctf
        Of a tomogram.
    pixel_size
        Angstrom.
    more
        What makes each further curve of frequencies (m,) in cycles per angstrom; None for none.
    """
    k = torch.linspace(0, 0.5 / pixel_size, POINTS, dtype=torch.float64)
    plain = ctf.curve(k)
    found = {"ctf": plain, **{name: make(k) for name, make in more.items()}}
    turns = torch.nonzero(plain[1:] * plain[:-1] < 0)
    zero = None
    if len(turns):
        at = int(turns[0])
        part = float(plain[at] / (plain[at] - plain[at + 1]))
        zero = 1 / float(k[at] + part * (k[at + 1] - k[at]))
    return {
        "k": [round(value, 7) for value in k.tolist()],
        "curves": {
            name: [round(value, 4) for value in curve.tolist()]
            for name, curve in found.items()
            if curve is not None
        },
        "zero": zero,
        "defocus": ctf.defocus,
    }


def _pixel_size(tomogram: Tomogram) -> float:
    """By the table, or by the header of a tomogram's first file."""
    if tomogram.pixel_size is not None:
        return tomogram.pixel_size
    return open_input(tomogram, FULL).pixel_size(tomogram)


CURVES: dict[str, tuple[Any, Callable[..., dict[str, Any]]]] = {
    "prepare_star": (PrepareStarParameters, curves_of_table),
    "deconv": (DeconvParameters, curves_of_deconv),
    "denoise": (DenoiseParameters, curves_of_training),
    "refine": (RefineParameters, curves_of_training),
}
"""Commands whose CTF curves are drawn: their parameters, and what makes the curves."""


def part_of(shape: Shape, place: Position) -> Region:
    """The part of a tomogram around a place, moved inward at its border."""
    edges = []
    for length, wanted, middle in zip(shape, PART, place, strict=True):
        edge = min(length, wanted)
        low = min(max(0, middle - edge // 2), length - edge)
        edges.append(slice(low, low + edge))
    return edges[0], edges[1], edges[2]


def binning_of(shape: Shape) -> int:
    """How often a tomogram is binned for its mask to be made while somebody waits."""
    factor = BINNING
    while np.prod([-(-length // factor) for length in shape]) > BINNED_VOXELS:
        factor += 1
    return factor


def scaled(boundary: Boundary, ratio: float) -> Boundary:
    """A boundary in other voxels."""
    z = boundary.z_range
    return Boundary(
        tuple(polygon * ratio for polygon in boundary.polygons),
        None if z is None else (z[0] * ratio, z[1] * ratio),
    )


def identity(source: TomogramInput) -> list[tuple[str, int, int]]:
    """What tells the files of a tomogram from those that stood there before."""
    states = [(volume.path, volume.path.stat()) for volume in source.volumes]
    return [(str(path), state.st_mtime_ns, state.st_size) for path, state in states]


def main() -> None:
    """Answer until the input ends."""
    live = Live()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(live.answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
