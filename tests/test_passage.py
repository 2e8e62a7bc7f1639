from types import SimpleNamespace

import pytest
import torch
from lightning_fabric import Fabric

from isonet2.data.volumes import open_volume, write_volume
from isonet2.data.voxels import statistics
from isonet2.networks import build_network
from isonet2.networks.passing import Passing
from isonet2.opening.halves import Half
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.fourier import apply_filter, radius
from isonet2.physics.geometry import Geometry
from isonet2.prediction.usage import Usage
from isonet2.runs.passing import Passages
from isonet2.training.assembly import Assembler, Cubes
from isonet2.training.passage import SEEN, measure
from isonet2.training.sampling import Subtomograms
from isonet2.training.tomogram import Source

SIZE = 32
EDGE = 64


def cubes_of(folder, amplitude):
    """Halves of unit noise that share white signal below 0.25 cycles per voxel."""
    generator = torch.Generator().manual_seed(0)
    low = (radius((EDGE,) * 3) < 0.25).float()
    signal, *noises = torch.randn(3, EDGE, EDGE, EDGE, generator=generator)
    signal = amplitude * apply_filter(signal, low)
    halves = []
    for name, noise in zip(("EVN", "ODD"), noises, strict=True):
        path = folder / f"TS_01_{name}.mrc"
        write_volume(path, -(signal + noise).numpy(), voxel_size=10.0, label="test")
        volume = open_volume(path)
        halves.append(Half(volume, statistics(volume)))
    source = Source("TS_01", *halves, Geometry(((-60.0, 60.0),), None, 10.0), 24)
    drawn = Subtomograms([source], SIZE, seed=0)
    return Cubes(drawn, Assembler([source], CtfTreatment(), torch.device("cpu")))


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    """Halves that share 4 parts of signal to 1 of noise."""
    return cubes_of(tmp_path_factory.mktemp("shared"), 2.0)


def test_what_halves_share_is_their_signal(cubes):
    shared = measure(cubes, apply_mw_x1=True).shared
    torch.testing.assert_close(
        shared[3:7].mean(), torch.tensor(0.8, dtype=torch.float64), atol=0.03, rtol=0
    )
    assert shared[10:].max() < 0.1


def test_a_linear_network_is_seen_through(cubes):
    low = slice(3, 7)
    half = measure(cubes, apply_mw_x1=True, network=lambda x: 0.5 * x)
    torch.testing.assert_close(half.passed[low], torch.full((4,), 0.5, dtype=torch.float64))
    whole = measure(cubes, apply_mw_x1=True, network=lambda x: 0.8 * x)
    expected = 2 * whole.shared / (1 + whole.shared) / 0.8
    torch.testing.assert_close(whole.gain[:4], expected[:4], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(whole.gain[4:7], expected[4:7], atol=0.03, rtol=0)
    assert whole.gain[11:].max() < 0.3


def test_what_a_network_holds_back_is_said(cubes):
    found = measure(cubes, apply_mw_x1=True, network=lambda x: 0.1 * x)
    assert found.held_back[:8] == list(range(1, 9))
    noise = torch.Generator().manual_seed(1)
    lost = measure(cubes, apply_mw_x1=True, network=lambda x: torch.randn(x.shape, generator=noise))
    assert lost.gain[3:].max() < 0.2
    assert lost.held_back[:8] == list(range(1, 9))


def test_nothing_is_held_back_where_halves_agree_by_chance(tmp_path):
    found = measure(cubes_of(tmp_path, 0.0), apply_mw_x1=True, network=torch.zeros_like, most=2)
    assert (found.shared[1:] > SEEN).any()
    assert found.held_back == []
    spread = found.shared[6:].square().mean().sqrt() / found.chance[6:].mean()
    assert 0.4 < spread < 1.1  # half of all correlations are below zero, and cut off there


def test_a_wiener_filter_holds_nothing_back(cubes):
    network = Passing(build_network("unet-small", filters=8, levels=1), SIZE // 2 + 1).eval()
    network.gains.copy_(measure(cubes, apply_mw_x1=True).shared)
    with torch.no_grad():
        found = measure(cubes, apply_mw_x1=True, network=network)
    kept = 2 * found.shared / (1 + found.shared)
    reached = (found.passed * found.gain / kept)[1:7]
    assert reached.min() > 0.85
    assert found.held_back == []


def test_what_is_held_back_is_said_until_it_comes(cubes, caplog):
    caplog.set_level("INFO", "isonet2")
    usage = Usage(SIZE, CtfTreatment())
    passages = Passages(cubes, usage, Fabric(accelerator="cpu", devices=1), "N")

    def said(epoch, network, *, last=False):
        caplog.clear()
        gain = passages.look(SimpleNamespace(epoch=epoch, average=network), last=last)
        assert len(gain) == SIZE // 2 + 1
        return caplog.text

    early = said(1, torch.zeros_like)
    assert "after the first epoch less than half of what the halves share comes through" in early
    assert "at 320, 160, 107, 80, 64, 53, 46, 40" in early
    assert said(2, torch.zeros_like) == ""
    assert "comes through the network now, at 320, 160" in said(3, lambda x: x)
    assert said(4, lambda x: x, last=True) == ""
    assert "in the end less than half" in said(5, torch.zeros_like, last=True)


def test_the_same_cubes_are_looked_at_again(cubes):
    first, second = (measure(cubes, apply_mw_x1=False, most=3).shared for _ in range(2))
    assert torch.equal(first, second)


def test_a_passing_network_begins_with_its_filter_and_learns_all_the_same():
    torch.manual_seed(0)
    network = Passing(build_network("unet-small", filters=8, levels=1), 17)
    network.gains.copy_(torch.linspace(1, 0, 17))
    n = 48
    x = torch.cos(2 * torch.pi * torch.arange(n) * 6 / n).expand(1, 1, n, n, n)
    y = network(x)
    inside = (..., *(slice(12, -12),) * 3)
    torch.testing.assert_close(y[inside], 0.75 * x[inside], atol=0.01, rtol=0)
    y.square().mean().backward()
    gradient = network.get_submodule("network.final").weight.grad
    assert gradient is not None
    assert gradient.any()


def test_what_passes_does_not_depend_on_the_tile():
    network = Passing(build_network("unet-small", filters=8, levels=1), 17).eval()
    network.gains[:5] = torch.tensor([1.0, 0.9, 0.6, 0.3, 0.1])
    x = torch.randn(1, 1, 64, 64, 64, generator=torch.Generator().manual_seed(0))
    middle = (..., *(slice(24, 40),) * 3)
    tile = (..., *(slice(8, 56),) * 3)
    within = (..., *(slice(16, 32),) * 3)
    whole, part = network.passed(x)[middle], network.passed(x[tile])[within]
    assert (whole - part).std() < 0.02 * whole.std()
