"""Specimens with known truth: analytic molecules at random poses in a slab, and vesicles.

A molecule is a set of Gaussian beads, so that it can be turned and moved by any amount and drawn
on any grid without interpolation: a voxel holds the exact average of the density inside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from isonet2.physics.rotation import random_rotations

_SUPPORT = 4.0  # a bead is drawn out to so many of its standard deviations
_BODY = 0.1  # density above which a voxel belongs to a molecule
_MARGIN = 1 / 12  # empty part of the thickness at either face of the slab
_ATTEMPTS = 50  # poses tried for one molecule before the slab counts as full
_LEAFLETS = 40.0  # distance of a membrane's two leaflets, angstrom
_LEAFLET_WIDTH = 8.0  # standard deviation of one leaflet, angstrom
_LEAFLET_HEIGHT = 0.7  # density of a leaflet, where a molecule has at most 1


@dataclass(frozen=True)
class Molecule:
    """A rigid body of equal Gaussian beads.

    Parameters
    ----------
    name
        What it resembles.
    beads
        `(n, 3)` bead centres `(z, y, x)` in angstrom about the body's centre.
    width
        Standard deviation of a bead, angstrom.
    height
        Density at the centre of a lone bead.
    """

    name: str
    beads: Tensor
    width: float
    height: float


def molecule(name: str, beads: Tensor, width: float) -> Molecule:
    """Centre `beads` `(n, 3)` (angstrom) and scale their median density to 1."""
    beads = beads - beads.mean(0)
    density = torch.exp(-(torch.cdist(beads, beads) ** 2) / (2 * width**2)).sum(1)
    return Molecule(name, beads, width, 1 / float(density.median()))


def shell(radius: float = 110.0, spacing: float = 34.0, width: float = 9.0) -> Molecule:
    """A capsid: subunits spread evenly over a sphere of `radius` (angstrom)."""
    count = round(4 * math.pi * (radius / spacing) ** 2)
    order = torch.arange(count, dtype=torch.float32)
    cosine = 1 - (2 * order + 1) / count
    azimuth = order * math.pi * (3 - math.sqrt(5))  # the golden angle
    sine = torch.sqrt(1 - cosine**2)
    beads = torch.stack([cosine, sine * torch.sin(azimuth), sine * torch.cos(azimuth)], 1)
    return molecule("shell", radius * beads, width)


def rod(
    length: float = 300.0, radius: float = 35.0, pitch: float = 72.0, width: float = 9.0
) -> Molecule:
    """A filament: two strands wound right-handed about a straight axis (lengths in angstrom)."""
    along = torch.arange(-length / 2, length / 2, 9.0)
    strands = []
    for start in (0.0, math.pi):
        turn = 2 * math.pi * along / pitch + start
        strands.append(torch.stack([along, radius * torch.sin(turn), radius * torch.cos(turn)], 1))
    return molecule("rod", torch.cat(strands), width)


def virus_coat(
    spacing: float = 75.0, rings: int = 2, curvature: float = 450.0, width: float = 10.0
) -> Molecule:
    """A patch of an immature virus coat: a hexagonal lattice of two-storey rings on a sphere.

    Parameters
    ----------
    spacing
        Distance of neighbouring lattice points, angstrom.
    rings
        Hexagonal rings of lattice points about the middle one.
    curvature
        Radius of the sphere that the patch lies on, angstrom.
    width
        Standard deviation of a bead, angstrom.
    """
    steps = range(-rings, rings + 1)
    points = [(a, b) for a in steps for b in steps if abs(a + b) <= rings]
    centres = spacing * torch.tensor([(a * math.sqrt(0.75), b + a / 2) for a, b in points])
    turn = torch.arange(6) * math.pi / 3
    hexagon = torch.stack([torch.sin(turn), torch.cos(turn)], 1)
    storeys = []
    for radius, depth, twist in ((26.0, 0.0, 0.0), (15.0, -62.0, 0.4)):
        cosine, sine = math.cos(twist), math.sin(twist)
        ring = radius * hexagon @ torch.tensor([[cosine, sine], [-sine, cosine]])
        flat = (centres[:, None] + ring).reshape(-1, 2)
        sag = curvature - torch.sqrt(curvature**2 - (flat**2).sum(1))
        storeys.append(torch.cat([(depth - sag)[:, None], flat], 1))
    return molecule("virus coat", torch.cat(storeys), width)


def blob(generator: torch.Generator, radius: float = 100.0, width: float = 9.0) -> Molecule:
    """A ribosome-like body: two lobes filled at random with beads (lengths in angstrom)."""
    large = _ball(220, generator) * radius
    small = _ball(110, generator) * torch.tensor([0.45, 0.85, 0.65]) * radius
    small = small + torch.tensor([0.95, 0.15, -0.2]) * radius
    return molecule("blob", torch.cat([large, small]), width)


def library(generator: torch.Generator) -> tuple[Molecule, ...]:
    """Return the molecules of one data set; the generator draws the inside of the blobs."""
    return (
        blob(generator),
        blob(generator, radius=65.0, width=8.0),
        shell(),
        rod(),
        virus_coat(),
    )


def build(
    shape: tuple[int, int, int],
    pixel_size: float,
    molecules: Sequence[Molecule],
    density: float,
    membranes: int,
    generator: torch.Generator,
) -> tuple[Tensor, int]:
    """Place molecules and vesicles that do not touch each other in a slab.

    Parameters
    ----------
    shape
        `(z, y, x)` of the volume; the slab leaves a twelfth of z empty at both faces.
    pixel_size
        Angstrom.
    molecules
        What to choose from, each with equal probability.
    density
        Part of the volume's voxels to fill with molecules (reached unless the slab is full).
    membranes
        Number of vesicles, spread evenly along x.
    generator
        Draws every choice.

    Returns
    -------
    volume
        `(z, y, x)` float32 density, protein bright, vacuum and ice 0.
    count
        Number of molecules placed.
    """
    volume = torch.zeros(shape)
    occupied = torch.zeros(shape, dtype=torch.bool)
    for index in range(membranes):
        _place_vesicle(volume, occupied, pixel_size, (index, membranes), generator)
    filled, count, failures = 0, 0, 0
    while filled < density * volume.numel() and failures < _ATTEMPTS:
        chosen = molecules[_integer(len(molecules), generator)]
        voxels = _place_molecule(volume, occupied, pixel_size, chosen, generator)
        filled += voxels
        count += voxels > 0
        failures = 0 if voxels else failures + 1
    return volume, count


def draw(
    shape: tuple[int, int, int], pixel_size: float, body: Molecule, beads: Tensor
) -> tuple[tuple[slice, slice, slice], Tensor]:
    """Draw a molecule whose beads lie at `beads` `(n, 3)` (voxels, `(z, y, x)`).

    Returns
    -------
    region
        The part of a volume of `shape` that the molecule touches (empty when it lies outside).
    block
        Its density there: the average of every voxel, exactly.
    """
    width = body.width / pixel_size
    reach = _SUPPORT * width
    region, profiles = [], []
    for axis, size in enumerate(shape):
        centres = beads[:, axis]
        first = max(0, math.floor(float(centres.min()) - reach))
        last = max(first, min(size, math.ceil(float(centres.max()) + reach) + 1))
        region.append(slice(first, last))
        edges = torch.arange(first, last + 1) - 0.5
        below = torch.erf((edges - centres[:, None]) / (math.sqrt(2) * width))
        profiles.append(math.sqrt(math.pi / 2) * width * below.diff(dim=1))
    block = torch.einsum("nz,ny,nx->zyx", *profiles) * body.height
    return (region[0], region[1], region[2]), block


def _place_molecule(
    volume: Tensor,
    occupied: Tensor,
    pixel_size: float,
    body: Molecule,
    generator: torch.Generator,
) -> int:
    """Add one molecule at a random pose; return the voxels that it fills, 0 if some are taken."""
    thickness, *sides = volume.shape
    shape = (thickness, sides[0], sides[1])
    beads = body.beads @ random_rotations(1, generator)[0].T / pixel_size
    low = _MARGIN * thickness - float(beads[:, 0].min())
    high = (1 - _MARGIN) * thickness - 1 - float(beads[:, 0].max())
    if low > high:
        return 0
    place = torch.rand(3, generator=generator)
    centre = torch.stack([low + place[0] * (high - low), place[1] * sides[0], place[2] * sides[1]])
    beads = beads + centre
    if _touches(occupied, beads):
        return 0
    region, block = draw(shape, pixel_size, body, beads)
    filled = block > _BODY
    if bool((filled & occupied[region]).any()):
        return 0
    volume[region] += block
    occupied[region] |= filled
    return int(filled.sum())


def _place_vesicle(
    volume: Tensor,
    occupied: Tensor,
    pixel_size: float,
    place: tuple[int, int],
    generator: torch.Generator,
) -> None:
    """Add a vesicle in the given one of equal x intervals, unless every try meets another one."""
    thickness, height, width = volume.shape
    index, total = place
    for _ in range(_ATTEMPTS):
        draws = torch.rand(4, generator=generator).tolist()
        radius = (0.18 + 0.22 * draws[0]) * thickness
        outer = radius + (_LEAFLETS / 2 + _SUPPORT * _LEAFLET_WIDTH) / pixel_size
        room = thickness * (1 - 2 * _MARGIN) / 2 - radius
        centre = (
            (thickness - 1) / 2 + (2 * draws[1] - 1) * max(0.0, room),
            height * (0.2 + 0.6 * draws[2]),
            width * (index + draws[3]) / total,
        )
        region = tuple(
            slice(max(0, math.floor(c - outer)), min(size, math.ceil(c + outer) + 1))
            for c, size in zip(centre, volume.shape, strict=True)
        )
        axes = [torch.arange(r.start, r.stop) - c for r, c in zip(region, centre, strict=True)]
        z, y, x = torch.meshgrid(*axes, indexing="ij")
        depth = (torch.sqrt(z**2 + y**2 + x**2) - radius) * pixel_size
        filled = depth.abs() < _LEAFLETS / 2 + 2 * _LEAFLET_WIDTH
        if bool((filled & occupied[region]).any()):
            continue
        for leaflet in (-_LEAFLETS / 2, _LEAFLETS / 2):
            volume[region] += _LEAFLET_HEIGHT * torch.exp(
                -((depth - leaflet) ** 2) / (2 * _LEAFLET_WIDTH**2)
            )
        occupied[region] |= filled
        return


def _touches(occupied: Tensor, beads: Tensor) -> bool:
    """Tell whether a bead centre `(n, 3)` (voxels) lies in an occupied voxel."""
    voxels = beads.round().long()
    inside = ((voxels >= 0) & (voxels < torch.tensor(occupied.shape))).all(1)
    z, y, x = voxels[inside].unbind(1)
    return bool(occupied[z, y, x].any())


def _ball(count: int, generator: torch.Generator) -> Tensor:
    """Draw `(count, 3)` points uniformly from the unit ball."""
    points = F.normalize(torch.randn(count, 3, generator=generator), dim=1)
    return points * torch.rand(count, 1, generator=generator) ** (1 / 3)


def _integer(limit: int, generator: torch.Generator) -> int:
    """Draw an integer from 0 to `limit` - 1."""
    return int(torch.randint(limit, (1,), generator=generator))
