"""How a network goes over a tomogram: tiles, ways round, filters, threads."""

import numpy as np
import pytest
import torch
from trained import OPTIONS, checkpoint, go

from isonet2.data.volumes import open_volume, write_volume
from isonet2.data.voxels import statistics
from isonet2.networks import build_network, folded
from isonet2.opening.halves import Half
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.fourier import apply_filter
from isonet2.physics.geometry import Geometry
from isonet2.physics.wedge import measured
from isonet2.prediction.orientations import orientations
from isonet2.prediction.replicas import Replicas
from isonet2.prediction.restoring import restore
from isonet2.prediction.tiles import fitted_tiles, training_tiles
from isonet2.prediction.usage import Usage


def test_tiles_fit_each_axis_and_overlap_as_training_cubes_do():
    shape = (96, 160, 1024)
    small = fitted_tiles(shape, 48, 1.5, 16)
    assert [(p.tile, p.count) for p in small] == [(112, 1), (96, 2), (112, 11)]
    assert all(p.tile - p.stride >= 16 for p in small)
    large = fitted_tiles(shape, 128, 2.0, 16)
    assert [(p.tile, p.count) for p in large] == [(112, 2), (128, 3), (128, 16)]
    cubes = training_tiles(shape, 96, 1.5)
    assert [(p.tile, p.count) for p in cubes] == [(96, 2), (96, 3), (96, 16)]


def test_every_architecture_takes_tiles_that_are_no_cubes():
    for arch in ("unet-small", "scunet-fast", "HSFormer", "vtunet"):
        network = build_network(arch).eval()
        replicas = Replicas([network], [torch.device("cpu")], torch.float32)
        plans = fitted_tiles((20, 50, 70), 32, 1.5, replicas.multiple)
        cubes = torch.randn(1, 2, *(p.tile for p in plans))
        turns = orientations(((-60.0, 60.0),), 2, 1)
        assert replicas(cubes, replicas.filters(None, None), turns).shape == (
            1,
            1,
            *cubes.shape[1:],
        )
        assert not all(a.tile == plans[0].tile for a in plans)


def test_a_folded_network_says_the_same():
    network = build_network("unet-small", filters=8)
    x = torch.randn(2, 1, 32, 32, 32)
    for _ in range(3):
        network(2 * x + 1)
    network.eval()
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for m in folded(network).modules())
    torch.testing.assert_close(folded(network)(x), network(x), atol=1e-4, rtol=1e-4)
    assert any(isinstance(m, torch.nn.BatchNorm3d) for m in network.modules())


def test_output_hardly_depends_on_where_tiles_lie(star, tmp_path):
    torch.manual_seed(0)
    network = build_network("unet-small", **OPTIONS)
    path = tmp_path / "m.pt"
    checkpoint(network).save(path)
    go(star, path)
    go(star, path, padding_factor=2.0, output_dir="b")
    a, b = (open_volume(tmp_path / d / "TS_01.mrc").read() for d in ("corrected_tomos", "b"))
    assert np.abs(a - b).std() < 0.1 * a.std()


def test_ways_round_keep_the_wedge_and_differ_between_halves():
    grid = (16, 16, 16)
    for sectors, number in ((((-60.0, 60.0),), 4), (((-40.0, 62.0),), 2)):
        turns = orientations(sectors, 2, 4)
        assert len(turns) == number
        for turn in turns:
            for half in turn:
                assert torch.equal(measured(grid, sectors, half), measured(grid, sectors))
    one = orientations(((-60.0, 60.0),), 2, 1)[0]
    assert torch.equal(one, torch.eye(3).expand(2, 3, 3))
    keys = {tuple(h.flatten().tolist()) for t in orientations(((-60.0, 60.0),), 2, 2) for h in t}
    assert len(keys) == 4


def test_ways_round_are_averaged(star, tmp_path):
    torch.manual_seed(0)
    network = build_network("unet-small", **OPTIONS)
    path = tmp_path / "m.pt"
    checkpoint(network).save(path)
    found = {}
    for ways in (1, 2, 4):
        go(star, path, orientations=ways, output_dir=f"w{ways}")
        found[ways] = open_volume(tmp_path / f"w{ways}" / "TS_01.mrc").read()
    assert np.abs(found[1] - found[4]).max() > 0
    assert (found[2] - found[4]).std() < (found[1] - found[4]).std()


def test_filters_are_brought_to_a_device_once_for_a_tomogram(source, monkeypatch):
    used = []

    def noted(x, weight):
        used.append(weight)
        return apply_filter(x, weight)

    network = build_network("unet-small", filters=2, levels=2, convolutions=1).eval()
    replicas = Replicas([network], [torch.device("cpu")], torch.float32)
    monkeypatch.setattr("isonet2.prediction.replicas.apply_filter", noted)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda x, *a, to=torch.Tensor.to, **k: to(x, *a, **k).clone()
    )
    restore(
        replicas,
        [source.first, source.second],
        source.geometry,
        Usage(32, CtfTreatment(), in_ball=True),
        lambda region, block: None,
        training_tiles(source.first.volume.shape, 32, 1.5),
    )
    assert len(used) > 4
    assert len({id(weight) for weight in used}) == 2


class Unchanged(torch.nn.Module):
    """A network that says what it is given."""

    multiple = 1

    def forward(self, x):
        return x


@pytest.fixture
def in_wedge_free(tmp_path):
    """A half whose missing wedge is empty, with its standardised voxels."""
    shape = (64, 64, 64)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    x = apply_filter(x, measured(shape, SECTORS))
    write_volume(tmp_path / "x.mrc", -x.numpy(), voxel_size=10.0, label="test")
    volume = open_volume(tmp_path / "x.mrc")
    return Half(volume, statistics(volume)), x / x.std()


SECTORS = ((-60.0, 60.0),)


def through(half, usage, tile, networks=1):
    """What comes of one half twice through networks that change nothing."""
    result = np.empty((networks, *half.volume.shape), np.float32)

    def write(region, block):
        result[:, *region] = block

    plans = training_tiles(half.volume.shape, tile, 1.5)
    replicas = Replicas([Unchanged()] * networks, [torch.device("cpu")], torch.float32)
    geometry = Geometry(SECTORS, None, 10.0)
    restore(replicas, [half, half], geometry, usage, write, plans)
    return torch.from_numpy(result)


def test_emptying_a_wedge_that_is_empty_changes_little_whatever_the_tile(in_wedge_free):
    half, x = in_wedge_free
    for tile in (24, 48):
        y = through(half, Usage(tile, CtfTreatment()), tile)[0]
        assert (y - x).std() < 0.17


def test_the_mean_of_halves_gets_its_amplitude_back_but_not_two_networks(in_wedge_free):
    half, x = in_wedge_free
    usage = Usage(32, CtfTreatment(), apply_mw_x1=False, gain=(1.5,) * 17)
    torch.testing.assert_close(through(half, usage, 32)[0], 1.5 * x, atol=0.01, rtol=0)
    both = through(half, usage, 32, networks=2)
    torch.testing.assert_close(both[1], x, atol=0.01, rtol=0)
