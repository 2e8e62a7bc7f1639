"""Every architecture by name, small ones of each family in action, and networks from YAML."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from isonet2.errors import InputError
from isonet2.networks import (
    NETWORKS,
    build_network,
    channels_last,
    depth,
    edge_multiple,
    network_options,
)
from isonet2.networks.blocks import NORMALIZATIONS, ConvBlock, ConvStack, Upsampling
from isonet2.networks.custom import CustomNet
from isonet2.networks.hsformer import HSFormer
from isonet2.networks.scunet import SCUNet
from isonet2.networks.unet import UNet
from isonet2.networks.vtunet import VTUNet
from isonet2.parameters import ARCHITECTURES
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.lattice import lattice
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.usage import Usage

EXAMPLE = Path(__file__).parents[1] / "examples" / "network.yaml"
SMALL = {
    "unet": lambda **o: UNet(filters=8, levels=2, **o),
    "unet-plain": lambda **o: UNet(filters=8, levels=2, residual=False, **o),
    "scunet": lambda **o: SCUNet(filters=16, levels=1, head_channels=8, **o),
    "scunet-halved": lambda **o: SCUNet(filters=16, levels=1, head_channels=8, patch=2, **o),
    "hsformer": lambda **o: HSFormer(filters=16, levels=1, head_channels=8, **o),
    "vtunet": lambda **o: VTUNet(filters=16, levels=2, head_channels=8, **o),
    "custom": lambda **o: CustomNet([["conv"], ["swin_conv", "attention", "residual"]], **o),
}
small = pytest.mark.parametrize("name", SMALL)


def make(name, **options):
    torch.manual_seed(0)
    return channels_last(SMALL[name](**options))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_and_networks_name_the_same_architectures():
    assert tuple(NETWORKS) == ARCHITECTURES


@pytest.mark.parametrize(
    ("arch", "millions"),
    [
        ("unet-small", 8.09),
        ("unet-medium", 23.3),
        ("unet-large", 43.6),
        ("scunet-small", 4.37),
        ("scunet-medium", 9.80),
        ("scunet-large", 27.2),
        ("scunet-fast", 2.45),
        ("HSFormer", 5.95),
        ("vtunet", 6.25),
    ],
)
def test_sizes_of_the_networks(arch, millions):
    with torch.device("meta"):
        assert count(build_network(arch)) / 1e6 == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize("arch", [*ARCHITECTURES, str(EXAMPLE)])
def test_every_cube_size_that_training_allows_fits_every_architecture(arch):
    with torch.device("meta"):
        network = build_network(arch, normalization="batch")
        assert 16 % edge_multiple(network) == 0
        for edge in (32, 48, 96):
            x = torch.empty(2, 1, edge, edge, edge)
            assert network(x).shape == x.shape


@pytest.mark.parametrize("arch", ["scunet-fast", "vtunet"])
def test_whole_networks_predict(arch):
    torch.manual_seed(0)
    network = channels_last(build_network(arch)).eval()
    x = torch.randn(1, 1, 32, 16, 16)
    with torch.no_grad():
        y = network(x)
    assert y.shape == x.shape
    assert y.isfinite().all()


@small
def test_cubes_and_other_boxes_keep_their_shape(name):
    network = make(name).eval()
    with torch.no_grad():
        for shape in ((2, 1, 16, 16, 16), (1, 1, 24, 8, 16)):
            assert network(torch.randn(shape)).shape == shape


@small
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_every_parameter_learns_whatever_the_normalization(name, normalization):
    network = make(name, normalization=normalization)
    x = torch.randn(2, 1, 16, 8, 8)
    (network(x) * torch.randn_like(x)).sum().backward()
    still = [k for k, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@small
def test_the_chosen_normalization_is_the_one_in_the_convolutions(name, normalization):
    kinds = {"batch": nn.BatchNorm3d, "instance": nn.InstanceNorm3d, "group": nn.GroupNorm}
    network = make(name, normalization=normalization)
    for kind, layer in kinds.items():
        present = any(isinstance(module, layer) for module in network.modules())
        assert present == (kind == normalization)


@small
def test_a_small_step_downhill_lowers_the_loss(name):
    network = make(name)
    x, wanted = torch.randn(2, 2, 1, 16, 16, 16)
    loss = (network(x) - wanted).square().mean()
    loss.backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    steepness = sum(float(gradient.square().sum()) for gradient in gradients)
    with torch.no_grad():
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter -= 0.01 * loss / steepness * gradient
        lowered = (network(x) - wanted).square().mean()
    assert 0.985 * loss < lowered < 0.995 * loss


@small
def test_bfloat16_and_channels_last_change_little(name):
    network = make(name).eval()
    x = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        plain = network(x)
        last = network(x.contiguous(memory_format=torch.channels_last_3d))
        with torch.autocast("cpu", torch.bfloat16):
            brief = network(x)
    torch.testing.assert_close(last, plain, atol=1e-5, rtol=1e-5)
    assert (brief - plain).norm() < 0.03 * (plain - x).norm()


@small
def test_the_samples_of_a_batch_are_independent_in_evaluation(name):
    network = make(name).eval()
    x = torch.randn(3, 1, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-5, rtol=1e-5)


@small
def test_a_state_dict_carries_the_whole_network(name):
    network = make(name)
    network(torch.randn(2, 1, 8, 8, 8))
    other = SMALL[name]()
    other.load_state_dict(network.state_dict())
    x = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(x), network.eval()(x))


def test_only_networks_that_are_asked_to_add_their_input():
    published = UNet(filters=8, levels=2, add_input=True)
    networks = [(make(name), False) for name in SMALL] + [(published, True)]
    for network, adds in networks:
        nn.init.zeros_(network.final.weight)
        nn.init.zeros_(network.final.bias)
        x = torch.randn(1, 1, 8, 8, 8)
        with torch.no_grad():
            assert torch.equal(network.eval()(x), x * adds)


def test_the_unet_moves_with_its_input_by_whole_multiples():
    torch.manual_seed(0)
    network = UNet(filters=8, levels=2, convolutions=1).eval()
    step, margin = network.multiple, 20
    x = torch.randn(1, 1, 48, 48, 48)
    with torch.no_grad():
        here, moved = network(x), network(x.roll((step, 2 * step, -step), (2, 3, 4)))
    inside = (..., *(slice(margin, 48 - margin),) * 3)
    back = moved.roll((-step, -2 * step, step), (2, 3, 4))
    torch.testing.assert_close(back[inside], here[inside], atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        aside = network(x.roll(1, 4)).roll(-1, 4)
    assert not torch.allclose(aside[inside], here[inside], atol=1e-3)


def test_upsampling_draws_straight_lines():
    layer = Upsampling(2, 1)
    nn.init.ones_(layer.mix.weight)
    nn.init.zeros_(layer.mix.bias)
    z, y, x = torch.meshgrid(*(torch.arange(n).double() for n in (3, 4, 5)), indexing="ij")
    planes = torch.stack([z - 2 * y, 3 * x + 1])[None]
    drawn = layer.double()(planes)[0, 0]
    z, y, x = torch.meshgrid(*(torch.arange(2 * n) / 2 - 0.25 for n in (3, 4, 5)), indexing="ij")
    wanted = (z - 2 * y + 3 * x + 1).double()
    inside = (slice(1, -1),) * 3
    assert drawn.shape == wanted.shape
    torch.testing.assert_close(drawn[inside], wanted[inside])


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_what_lies_beyond_the_faces_of_deep_levels(padding):
    torch.manual_seed(0)
    stack = ConvStack(3, 3, 2, padding=padding).eval()
    even = torch.ones(1, 3, 8, 8, 8)
    with torch.no_grad():
        y = stack(even)
    spread = float(y.std(dim=(2, 3, 4)).max())
    assert (spread < 1e-6) == (padding == "replicate")


@pytest.mark.parametrize("upsampling", ["linear", "transposed"])
def test_linear_upsampling_prints_no_lattice_on_noise(upsampling):
    torch.manual_seed(1)
    network = UNet(filters=8, levels=2, convolutions=1, upsampling=upsampling)
    x = 1 + 0.3 * torch.randn(1, 1, 64, 64, 64)
    with torch.no_grad():
        network(x)
        found = lattice(network.eval()(x)[0, 0])
    assert (found.highest < 25) == (upsampling == "linear")


def test_bottlenecks_of_named_unets_hold_six_voxels():
    for arch in ("unet-small", "unet-medium", "unet-large"):
        levels = {size: depth(arch, size)["levels"] for size in (32, 48, 64, 80, 96, 128)}
        assert levels == {32: 2, 48: 3, 64: 3, 80: 3, 96: 4, 128: 4}
        for size in levels:
            assert size % edge_multiple(build_network(arch, **depth(arch, size))) == 0
    assert depth("scunet-fast", 48) == {}
    assert depth(str(EXAMPLE), 48) == {}


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="arch resnet is not known; choose one of unet-small"):
        build_network("resnet")


def written(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
    return str(path)


def test_the_example_is_the_network_that_it_describes():
    network = build_network(str(EXAMPLE), normalization="batch")
    assert isinstance(network, CustomNet)
    assert any(isinstance(module, nn.GroupNorm) for module in network.modules())
    assert not any(isinstance(module, nn.BatchNorm3d) for module in network.modules())


@pytest.mark.parametrize(
    ("definition", "same"),
    [
        ({"family": "unet", "filters": 8, "residual": False}, UNet(filters=8, residual=False)),
        ({"family": "scunet", "filters": 16, "head_channels": 8},
         SCUNet(filters=16, head_channels=8)),
        ({"family": "hsformer", "filters": 24, "levels": 1}, HSFormer(filters=24, levels=1)),
        ({"family": "vtunet", "filters": 24, "window": 2}, VTUNet(filters=24, window=2)),
    ],
)  # fmt: skip
def test_a_family_takes_the_parameters_of_its_class(tmp_path, definition, same):
    network = build_network(written(tmp_path, definition), normalization="batch")
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    assert shapes == {name: value.shape for name, value in same.state_dict().items()}


def test_options_fill_what_a_definition_leaves_open(tmp_path):
    path = written(tmp_path, {"family": "unet", "filters": 8, "levels": 1})
    network = build_network(path, normalization="instance")
    assert any(isinstance(module, nn.InstanceNorm3d) for module in network.modules())


def test_a_checkpoint_of_a_defined_network_needs_no_file(tmp_path):
    arch = written(tmp_path, {"family": "custom", "filters": 16, "head_channels": 8,
                              "blocks": [["conv"], ["attention"]]})  # fmt: skip
    options = network_options(arch, normalization="group")
    network = build_network(arch, **options)
    path = tmp_path / "network.pt"
    Checkpoint(
        method="n2n",
        reads_halves=True,
        fills_wedge=False,
        arch=arch,
        usage=Usage(32, CtfTreatment("None")),
        weights=network.state_dict(),
        network_options=options,
    ).save(path)
    Path(arch).unlink()
    x = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(Checkpoint.load(path).network()(x), network.eval()(x))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2", "is not valid YAML"),
        ("- unet", "must hold lines such as `family: unet`"),
        ("filters: 8", "names no family; write `family:` and one of unet, scunet"),
        ("family: resnet", "family = resnet is not known"),
        ("family: unet\nfilter: 8", "filter is not a parameter of unet, which takes filters"),
        ("family: unet\nfilters: eight", "filters = 'eight': input should be a valid integer"),
        ("family: unet\nfilters: 12", "filters = 12: input should be a multiple of 8"),
        ("family: unet\nkernel: 4", "kernel = 4: input should be 1, 3, 5 or 7"),
        ("family: unet\nlevels: 0\nfilters: 4", "filters = 4: .*; levels = 0: "),
        ("family: vtunet\nnormalization: layer", "normalization = 'layer': input"),
        ("family: custom", "custom needs blocks"),
        ("family: custom\nblocks: [[conv]]", "blocks = "),
        ("family: custom\nblocks: [[conv], [pool]]", "blocks.1.0 = 'pool'"),
        ("family: custom\nblocks: [[conv], [attention]]\nfilters: 8\nhead_channels: 24",
         "mine.yaml: head_channels 24: does not divide the 16 channels"),
    ],
)  # fmt: skip
def test_a_bad_definition_is_one_sentence(tmp_path, text, says):
    arch = written(tmp_path, text)
    with pytest.raises(InputError, match=says) as caught:
        build_network(arch)
    assert str(caught.value).startswith(f"arch {arch}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_definition_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yml: cannot be read"):
        network_options(str(tmp_path / "none.yml"))


@pytest.mark.parametrize("edge", [1, 2, 3])
def test_weight_gradients_of_tiny_volumes_are_right_in_bfloat16(edge):
    torch.manual_seed(0)
    block = ConvBlock(32, 32, normalization="none")
    x = torch.randn(2, 32, edge, edge, edge)
    block(x).square().sum().backward()
    expected = block[0].weight.grad.clone()
    block.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        y = block(x)
    y.float().square().sum().backward()
    assert (block[0].weight.grad - expected).norm() < 0.02 * expected.norm()
