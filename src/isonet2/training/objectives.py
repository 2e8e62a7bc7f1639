"""What is trained: one function per method, from a batch of sub-tomograms to losses."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from isonet2.physics.ctf import CtfSlots
from isonet2.physics.fourier import apply_filter, shells, spectrum, volume
from isonet2.physics.metrics import soft_edge
from isonet2.physics.noise import (
    back_projection_amplitude,
    back_projection_noise,
    spread_over_shells,
    weighted_shell_power,
)
from isonet2.physics.rotation import rotate_exact, rotate_free
from isonet2.training.losses import Loss, l2

Network = Callable[[Tensor], Tensor]

STREAMS = 4
ADDED_NOISE, INPUT_FILL, TARGET_FILL = range(3)
"""Independent noises that one cube's seed gives."""


@dataclass(frozen=True, slots=True)
class Wide:
    """The larger surroundings of those cubes of a batch that are turned freely.

    Parameters
    ----------
    rows
        Their places in the batch.
    rotation
        Their rotations, (w, 3, 3).
    first, second
        Halves (w, 1, s, s, s) with `s = source_size(n)`.
    input
        The CTF's input filter for the larger cubes, or None.
    measured
        Measured masks of the larger cubes, (w, 1, s, s, s//2+1).
    """

    rows: list[int]
    rotation: Tensor
    first: Tensor
    second: Tensor
    input: Tensor | None
    measured: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Sub-tomograms and all that is known about them.

    Parameters
    ----------
    first, second
        The two halves (b, 1, n, n, n), standardised, protein bright.
    rotation
        One proper rotation per cube, (b, 3, 3), on the CPU, as exact turns follow from its signs.
    measured, turned
        Measured masks as reconstructed and after `rotation`, (b, 1, n, n, n//2+1).
    ctf
        Filters of the CTF mode, stacked over the batch.
    seeds
        One seed per cube, for noise that does not depend on how the batch is split.
    wide
        Surroundings of the freely turned cubes, if any.
    weight
        Voxel weights (b, 1, n, n, n) of the loss after `rotation`, or None.
    noise_level
        Deviation of the noise added to the network's input.
    """

    first: Tensor
    second: Tensor
    rotation: Tensor
    measured: Tensor
    turned: Tensor
    ctf: CtfSlots
    seeds: list[int]
    wide: Wide | None = None
    weight: Tensor | None = None
    noise_level: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of the objectives; but for the loss, the names are those of `RefineParameters`.

    Parameters
    ----------
    loss
        Measure of the difference between prediction and target.
    mw_weight
        Weight of the loss in the missing wedge; 0 or below takes one loss over everything.
    apply_mw_x1
        Empty the missing wedge of the data first.
    fill_probability
        Part of the cubes whose wedge is filled with the network's own prediction.
    noise_mode
        Filter of the noise that is added to the input.
    """

    loss: Loss = l2
    mw_weight: float = -1.0
    apply_mw_x1: bool = True
    fill_probability: float = 1.0
    noise_mode: str = "nofilter"


@dataclass(frozen=True, slots=True)
class Losses:
    """What is minimised, and its parts inside and outside the measured region of the input."""

    total: Tensor
    n2n: Tensor
    mw: Tensor


def white_noise(seeds: list[int], stream: int, shape: torch.Size, device: torch.device) -> Tensor:
    """Unit noise (b, 1, z, y, x), each row from its own seed; streams are independent."""
    rows = []
    for seed in seeds:
        generator = torch.Generator(device).manual_seed(STREAMS * seed + stream)
        rows.append(torch.randn(shape[1:], generator=generator, device=device))
    return torch.stack(rows)


def match(x: Tensor, like: Tensor) -> Tensor:
    """Bring each volume to the mean and deviation of another, both (b, 1, z, y, x)."""
    axes = (1, 2, 3, 4)
    deviation, mean = torch.std_mean(x, dim=axes, keepdim=True)
    wanted, centre = torch.std_mean(like, dim=axes, keepdim=True)
    return (x - mean) * (wanted / deviation.clamp_min(1e-6)) + centre


def _rows(x: Tensor, rows: list[int]) -> Tensor:
    """Some rows of a batch. A list as an index would be sent to the device, and waited for."""
    return x if len(rows) == len(x) else torch.stack([x[row] for row in rows])


@dataclass(frozen=True, slots=True)
class _Half:
    """One half of a batch after the input slot: real and Fourier space, with its surroundings."""

    real: Tensor
    data: Tensor
    wide: Tensor | None


def _prepare(batch: Batch, recipe: Recipe, which: str) -> _Half:
    x: Tensor = getattr(batch, which)
    data = spectrum(x)
    if batch.ctf.input is not None:
        data = data * batch.ctf.input
    if recipe.apply_mw_x1:
        data = data * batch.measured
    if batch.wide is None:
        return _Half(volume(data, x.shape), data, None)
    weight = batch.wide.measured if recipe.apply_mw_x1 else None
    if batch.wide.input is not None:
        weight = batch.wide.input if weight is None else weight * batch.wide.input
    return _Half(volume(data, x.shape), data, apply_filter(getattr(batch.wide, which), weight))


def _noise_like(difference: Tensor, batch: Batch, stream: int) -> Tensor:
    """Spectra of noise with the power per shell of one half's noise, known from `e - o`."""
    shape = batch.first.shape
    shell = shells(shape[-3:], device=difference.device)
    power = weighted_shell_power(
        difference[:, 0], batch.measured[:, 0], shell, min(shape[-3:]) // 2 + 1
    )
    voxels = shape[-1] * shape[-2] * shape[-3]
    white = spectrum(white_noise(batch.seeds, stream, shape, difference.device))
    return white * spread_over_shells((power / (2 * voxels)).sqrt(), shell)[:, None]


def _fill(
    teacher: Network, half: _Half, other: _Half, batch: Batch, recipe: Recipe, stream: int
) -> Tensor | None:
    """What must be added for the wedge to hold the teacher's prediction and the data's noise.

    Cubes are filled with `fill_probability`, each by its own seed; the others get zero.
    """
    chosen = [
        i for i, seed in enumerate(batch.seeds) if seed % 1000 < 1000 * recipe.fill_probability
    ]
    if not chosen:
        return None
    with torch.no_grad():
        predicted = spectrum(teacher(_rows(half.real, chosen)))
        if batch.ctf.fill is not None:
            predicted = predicted * _rows(batch.ctf.fill, chosen)
        noise = _noise_like(half.data - other.data, batch, stream)
        wanted = predicted + _rows(noise, chosen) - _rows(half.data, chosen)
        missing = volume((1 - _rows(batch.measured, chosen)) * wanted, half.real.shape)
        if len(chosen) == len(batch.seeds):
            return missing
        fill = torch.zeros_like(half.real)
        for row, part in zip(chosen, missing, strict=True):
            fill[row] = part
    return fill


@lru_cache(maxsize=8)
def _edge(size: int, device: torch.device) -> Tensor:
    return soft_edge((size,) * 3, 3).to(device)


def _surround(raw: Tensor, fill: Tensor) -> Tensor:
    """Lay a fill (w, 1, n, n, n) softly onto the middle of raw surroundings (w, 1, s, s, s)."""
    n = fill.shape[-1]
    low = (raw.shape[-1] - n) // 2
    middle = slice(low, low + n)
    filled = raw.clone()
    filled[..., middle, middle, middle] += fill * _edge(n, fill.device)
    return filled


def _turn(half: _Half, fill: Tensor | None, batch: Batch) -> Tensor:
    """Turn each cube by its rotation; freely turned ones are cut from their surroundings."""
    x = half.real if fill is None else half.real + fill
    turned = torch.empty_like(x)
    rows = [] if batch.wide is None else batch.wide.rows
    for row in set(range(len(x))) - set(rows):
        turned[row] = rotate_exact(x[row], batch.rotation[row])
    if half.wide is not None and batch.wide is not None:
        wide = half.wide if fill is None else _surround(half.wide, _rows(fill, rows))
        free = rotate_free(wide, batch.wide.rotation, x.shape[-1])
        for row, cube in zip(rows, free, strict=True):
            turned[row] = cube
    return turned


def split_loss(prediction: Tensor, target: Tensor, batch: Batch, recipe: Recipe) -> Losses:
    """Loss of spectra in the region that the turned data hold, and its two parts."""
    loss, shape = recipe.loss, batch.first.shape
    inside, outside = batch.turned * batch.measured, batch.turned * (1 - batch.measured)
    n2n = loss(prediction, target, inside, shape, batch.weight)
    mw = loss(prediction, target, outside, shape, batch.weight)
    if recipe.mw_weight > 0:
        return Losses(n2n + recipe.mw_weight * mw, n2n.detach(), mw.detach())
    total = loss(prediction, target, None, shape, batch.weight)
    return Losses(total, n2n.detach(), mw.detach())


def noise2noise(network: Network, teacher: Network, batch: Batch, recipe: Recipe) -> Losses:
    """Predict one half from the other (Lehtinen et al. 2018), with the CTF's four slots."""
    source = apply_filter(batch.first, batch.ctf.input)
    target = spectrum(batch.second)
    if batch.ctf.input is not None:
        target = target * batch.ctf.input
    if batch.ctf.target is not None:
        target = target * batch.ctf.target
    prediction = spectrum(network(source))
    if batch.ctf.prediction is not None:
        prediction = prediction * batch.ctf.prediction
    loss, shape = recipe.loss, batch.first.shape
    total = loss(prediction, target, None, shape, batch.weight)
    n2n = loss(prediction.detach(), target, batch.measured, shape, batch.weight)
    mw = loss(prediction.detach(), target, 1 - batch.measured, shape, batch.weight)
    return Losses(total, n2n, mw)


def fill_wedge(network: Network, teacher: Network, batch: Batch, recipe: Recipe) -> Losses:
    """Turn the specimen, hide a second wedge, and predict what the turned data hold.

    With two halves this is `isonet2-n2n`; with one half in both places it is `isonet2`.
    """
    first = _prepare(batch, recipe, "first")
    second = first if batch.second is batch.first else _prepare(batch, recipe, "second")
    fill = _fill(teacher, first, second, batch, recipe, INPUT_FILL)
    source = apply_filter(_turn(first, fill, batch), batch.measured)
    source = match(source, first.real)
    if batch.noise_level > 0:
        amplitude = back_projection_amplitude(source.shape[-3:], recipe.noise_mode, source.device)
        noise = back_projection_noise(
            batch.measured,
            amplitude,
            white_noise(batch.seeds, ADDED_NOISE, source.shape, source.device),
        )
        source = source + batch.noise_level * noise
    prediction = spectrum(network(source))
    if batch.ctf.prediction is not None:
        prediction = prediction * batch.ctf.prediction
    target_fill = None
    if recipe.mw_weight <= 0:
        target_fill = fill
        if second is not first:
            target_fill = _fill(teacher, second, first, batch, recipe, TARGET_FILL)
    target = spectrum(_turn(second, target_fill, batch))
    if batch.ctf.target is not None:
        target = target * batch.ctf.target
    return split_loss(prediction, target, batch, recipe)


@dataclass(frozen=True, slots=True)
class Method:
    """A way of training, and what follows from it elsewhere.

    Parameters
    ----------
    name
        Of the method, in the names of networks and in messages.
    objective
        From (network, teacher, batch, recipe) to losses.
    fills_wedge
        Whether cubes are turned and a second wedge is hidden from the network. Its results go to
        rlnCorrectedTomoName, and no data teach it anything beyond Nyquist, in the corners of the
        Fourier cube.
    reads_halves
        Whether it takes the two halves, and not the full tomogram.
    """

    name: str
    objective: Callable[[Network, Network, Batch, Recipe], Losses]
    fills_wedge: bool
    reads_halves: bool

    def with_recipe(self, recipe: Recipe) -> "Objective":
        """What the loop minimises."""

        def objective(network: Network, teacher: Network, batch: Batch) -> Losses:
            return self.objective(network, teacher, batch, recipe)

        return objective


Objective = Callable[[Network, Network, Batch], Losses]
"""From (network, teacher, batch) to losses: all that the loop knows of what is learned."""

METHODS = {
    method.name: method
    for method in (
        Method("n2n", noise2noise, fills_wedge=False, reads_halves=True),
        Method("isonet2-n2n", fill_wedge, fills_wedge=True, reads_halves=True),
        Method("isonet2", fill_wedge, fills_wedge=True, reads_halves=False),
    )
}
