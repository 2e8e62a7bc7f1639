"""Batches are put together, and steps made of them, without waiting for the device."""

import gc
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isonet2.data.voxels import Statistics
from isonet2.opening.halves import Half
from isonet2.physics.ctf import ContrastTransfer, CtfTreatment
from isonet2.physics.fourier import distinct_radii
from isonet2.physics.geometry import Geometry
from isonet2.physics.rotation import rotate_exact, rotate_free
from isonet2.physics.wedge import measured
from isonet2.training import assembly, objectives
from isonet2.training.assembly import Assembler
from isonet2.training.losses import LOSSES
from isonet2.training.objectives import METHODS, Recipe
from isonet2.training.sampling import Subtomograms

CPU, DEVICE = torch.device("cpu"), torch.device("meta")


class Waits(TorchDispatchMode):
    """Notes what would make the program wait for a GPU; `meta` stands for one.

    That is a copy that is not `non_blocking`, and a tensor that no operation made: one that
    torch copied there itself, from numbers in Python or a list that served as an index.
    """

    def __init__(self):
        super().__init__()
        self.found = []
        self.made = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        made = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        unknown = [x for x in given if x.is_meta and storage(x) not in self.made]
        copied = any(x.is_meta for x in made) and not all(x.is_meta for x in given if x.dim())
        asynchronous = kwargs.get("non_blocking") or any(x is True for x in args[2:3])
        if unknown or (copied and not asynchronous):
            self.found.append(str(func))
        self.made |= {storage(x): x for x in made}
        return result


def storage(x):
    return x.untyped_storage()._cdata


def batches_of(sources, **options):
    subtomograms = Subtomograms(sources, 16, seed=2, **options)
    return next(subtomograms.batches(0, 6))


def zeros(seeds, stream, shape, device):
    return torch.zeros(shape, device=device)


@pytest.fixture
def quiet(monkeypatch):
    """What torch cannot do without a device: random numbers. Filters kept from before are gone."""
    monkeypatch.setattr(objectives, "white_noise", zeros)
    for kept in (assembly._measured, objectives._edge, distinct_radii):
        kept.cache_clear()


WAITING = {
    "list as index": lambda x, y: x[[0, 2]],
    "tensor from numbers": lambda x, y: x[:2] * torch.tensor([[1.0], [2.0]], device=DEVICE),
    "blocking copy": lambda x, y: y.to(x),
    "another device": lambda x, y: x.copy_(y),
}


@pytest.mark.parametrize("what", sorted(WAITING))
def test_what_waits_is_noticed(what):
    with Waits() as noted:
        x, y = torch.zeros(4, 2, device=DEVICE), torch.zeros(4, 2)
        (y.to(x, non_blocking=True) + x[1, 0])[0] = 1.0
        assert not noted.found
        WAITING[what](x, y)
    assert noted.found


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("loss", ["L2", "FSC"])
def test_a_step_never_waits_for_the_device(source, quiet, method, loss):
    weighted = replace(source, weight=source.first.volume)
    samples = batches_of([weighted], random_rot_weight=0.5)
    assert 0 < sum(sample.draw.free for sample in samples) < len(samples)
    assemble = Assembler([weighted], CtfTreatment(mode="network"), DEVICE)
    recipe = Recipe(loss=LOSSES[loss], mw_weight=-1.0, fill_probability=0.5)
    with Waits() as noted:
        scale = torch.ones((), device=DEVICE, requires_grad=True)
        for _ in ("filters are made", "and kept"):
            noted.found.clear()
            batch = assemble(samples, 0.1)
            losses = METHODS[method].objective(lambda x: scale * x, lambda x: x, batch, recipe)
            losses.total.backward()
    assert noted.found == []


def test_masks_of_tomograms_with_different_tilts_are_their_own(source):
    three = ((-60.0, -20.0), (-5.0, 10.0), (30.0, 55.0))
    gaps = replace(source, geometry=replace(source.geometry, sectors=three))
    sources = [replace(source, count=3), replace(gaps, count=3)]
    samples = batches_of(sources, random_rot_weight=0.5)
    assert len({sample.draw.source for sample in samples}) == 2
    batch = Assembler(sources, CtfTreatment(), CPU)(samples)
    for row, sample in enumerate(samples):
        sectors = sources[sample.draw.source].geometry.sectors
        assert torch.equal(batch.measured[row, 0], measured((16,) * 3, sectors))
        turned = measured((16,) * 3, sectors, sample.draw.rotation)
        assert torch.equal(batch.turned[row, 0], turned)
    shape = batch.wide.first.shape[-3:]
    for place, row in enumerate(batch.wide.rows):
        sectors = sources[samples[row].draw.source].geometry.sectors
        assert torch.equal(batch.wide.measured[place, 0], measured(shape, sectors))


def test_weights_turn_as_the_cubes_do(source):
    """The weight is the very volume that the cubes are cut from."""
    raw = Half(source.first.volume, Statistics(0.0, -1.0))
    alike = replace(source, first=raw, second=raw, weight=raw.volume)
    samples = batches_of([alike], random_rot_weight=0.5)
    batch = Assembler([alike], CtfTreatment(), CPU)(samples)
    assert 0 < len(batch.wide.rows) < len(samples)
    steps = torch.arange(16) - 7.5
    radius = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).norm(dim=0)
    inside = radius < 7
    for row, rotation in enumerate(batch.rotation):
        if row not in batch.wide.rows:
            turned = rotate_exact(batch.first[row], rotation)
            assert torch.equal(batch.weight[row], turned)
            continue
        wide = batch.wide.first[batch.wide.rows.index(row)]
        turned = rotate_free(wide[None], rotation[None], 16)[0]
        torch.testing.assert_close(batch.weight[row][:, inside], turned[:, inside])


def kept_on_the_device(source, count):
    """Bytes that stay on a device when batches of different tomograms are gone."""
    for kept in (assembly._measured, assembly._curves, objectives._edge, distinct_radii):
        kept.cache_clear()
    geometries = (
        Geometry(((-60.0 + n / 10, 60.0),), ContrastTransfer(20000.0 + 100 * n), 10.0)
        for n in range(count)
    )
    sources = [replace(source, geometry=geometry, count=1) for geometry in geometries]
    assemble = Assembler(sources, CtfTreatment(mode="network"), DEVICE)
    drawn = Subtomograms(sources, 16, seed=0)
    for samples in drawn.batches(0, 1):
        assemble(samples)
    gc.collect()
    tensors = (thing for thing in gc.get_objects() if type(thing) is torch.Tensor)
    return sum(tensor.nbytes for tensor in tensors if tensor.device == DEVICE)


def test_what_stays_on_the_device_does_not_grow_with_the_number_of_tomograms(source):
    assert kept_on_the_device(source, 64) == kept_on_the_device(source, 16) > 0
