"""A stand-in of the published network, written from its layout alone, and files that hold it."""

import pickle
import zipfile
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from isonet2.errors import InputError
from isonet2.networks import build_network
from isonet2.networks.published import translate
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.geometry import Geometry
from isonet2.prediction.checkpoint import Checkpoint

FILTERS, LEVELS, CONVOLUTIONS = 8, 2, 3


class Net(nn.Module):
    def __init__(self, inputs, outputs, count, kernel=3, stride=1):
        super().__init__()
        layers = []
        for number in range(count):
            wide = inputs if number == 0 else outputs
            padding = 1 if stride == 1 else 0
            layers += [
                nn.Conv3d(wide, outputs, kernel, stride, padding, bias=False),
                nn.BatchNorm3d(outputs),
                nn.LeakyReLU(),
            ]
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        return self.net(x)


class Side(nn.Module):
    def __init__(self, parts):
        super().__init__()
        self.module_dict = nn.ModuleDict(parts)


class Published(nn.Module):
    """`upwards` numbers the decoder from the bottom; `bias` is that of the plain convolutions."""

    def __init__(self, upwards=False, bias=True):
        super().__init__()
        widths = [FILTERS * 2**n for n in range(LEVELS + 1)]
        encoder = {"first_conv": nn.Conv3d(1, FILTERS, 3, padding=1, bias=bias)}
        decoder = {}
        self.numbers = [LEVELS - 1 - n if upwards else n for n in range(LEVELS)]
        for n in range(LEVELS):
            encoder[f"conv_stack_{n}"] = Net(widths[n], widths[n], CONVOLUTIONS)
            encoder[f"stride_conv_{n}"] = Net(widths[n], widths[n + 1], 1, 2, 2)
            deconv = nn.ConvTranspose3d(widths[n + 1], widths[n], 2, 2, bias=bias)
            decoder[f"deconv_{self.numbers[n]}"] = deconv
            decoder[f"activation_{self.numbers[n]}"] = nn.LeakyReLU()
            stack = Net(2 * widths[n], widths[n], CONVOLUTIONS)
            decoder[f"conv_stack_{self.numbers[n]}"] = stack
        encoder["bottleneck"] = Net(widths[-1], widths[-1], CONVOLUTIONS - 1)
        self.encoder, self.decoder = Side(encoder), Side(decoder)
        self.final = nn.Conv3d(FILTERS, 1, 3, padding=1)

    def forward(self, x):
        down, up = self.encoder.module_dict, self.decoder.module_dict
        h, skips = down["first_conv"](x), []
        for n in range(LEVELS):
            h = down[f"conv_stack_{n}"](h)
            skips.append(h)
            h = down[f"stride_conv_{n}"](h)
        h = down["bottleneck"](h)
        for n in reversed(range(LEVELS)):
            number = self.numbers[n]
            h = torch.cat([skips[n], up[f"deconv_{number}"](h)], 1)
            h = up[f"conv_stack_{number}"](up[f"activation_{number}"](h))
        return x + self.final(h)


def published(seed=0, **kind):
    """A network whose normalisations have seen data, so that nothing in it is a default."""
    torch.manual_seed(seed)
    network = Published(**kind)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def record(network, prefix=""):
    zero_d = torch.tensor(0.5).numpy()
    metrics = {"average_loss": [zero_d, zero_d], "inside_loss": [zero_d], "outside_loss": [zero_d]}
    return {
        "method": "isonet2-n2n",
        "arch": "unet-medium",
        "cube_size": 96,
        "CTF_mode": "network",
        "do_phaseflip_input": True,
        "metrics": metrics,
        "model_state_dict": {f"{prefix}{k}": v for k, v in network.state_dict().items()},
    }


@pytest.mark.parametrize("upwards", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_a_translated_network_computes_what_the_published_one_does(tmp_path, upwards, bias, prefix):
    theirs = published(upwards=upwards, bias=bias)
    arch, options, weights = translate(tmp_path, record(theirs, prefix))
    ours = build_network(arch, **options)
    ours.load_state_dict(weights)
    x = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), theirs(x))


def test_a_published_file_becomes_a_checkpoint(tmp_path):
    theirs, path = published(), tmp_path / "network_isonet2-n2n_unet-medium_96_full.pt"
    torch.save(record(theirs), path)
    checkpoint = Checkpoint.load(path)
    assert (checkpoint.method, checkpoint.usage.cube_size) == ("isonet2-n2n", 96)
    assert (checkpoint.usage.treatment.mode, checkpoint.usage.treatment.do_phaseflip_input) == (
        "network",
        True,
    )
    x = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.network()(x), theirs(x))


@pytest.mark.parametrize(("filters", "arch"), [(16, "unet-small"), (32, "unet-medium")])
def test_the_width_says_which_architecture_it_is(tmp_path, filters, arch, monkeypatch):
    monkeypatch.setitem(globals(), "FILTERS", filters)
    assert translate(tmp_path, record(Published()))[0] == arch


def others():
    """Losses as other versions kept them."""
    metrics = defaultdict(list)
    metrics["average_loss"] = [np.float64(0.5), 0.25, np.array([0.5, 0.25]), np.array(3)]
    metrics["outside_loss"] = [np.float32(0.125)]
    return metrics


@pytest.mark.parametrize("metrics", [None, others()])
@pytest.mark.parametrize("numpy_1", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_losses_are_read_as_any_numpy_wrote_them(tmp_path, metrics, numpy_1, zipped):
    """Losses are 0-d arrays; numpy 1 called the module that they are made by differently."""
    path = tmp_path / "network.pt"
    content = record(published())
    content["metrics"] = metrics or content["metrics"]
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    if numpy_1 and not zipped:
        raw = path.read_bytes()
        assert b"numpy._core.multiarray" in raw
        path.write_bytes(raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    elif numpy_1:
        as_numpy_1(path)
    assert Checkpoint.load(path).method == "isonet2-n2n"


def as_numpy_1(path):
    """Write the pickle in a zipped file anew with the module's old name."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, raw in parts.items():
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in raw
                raw = raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            new.writestr(name, raw)


@pytest.mark.parametrize("size", [48, 96])
def test_the_sign_of_the_ctf_is_taken_where_the_published_program_takes_it(tmp_path, size):
    """A curve of n points from 0 to (n - 1) / 2n, laid from 0 to Nyquist and interpolated."""
    path = tmp_path / "network.pt"
    torch.save(record(published()) | {"cube_size": size}, path)
    ctf, pixel_size = ContrastTransfer(defocus=42_000.0), 10.0
    usage = Checkpoint.load(path).usage
    sectors = ((-60.0, 60.0),)
    ours = Geometry(sectors, ctf, pixel_size).slots(usage.treatment, (size,) * 3).input
    curve = ctf.curve(torch.arange(size, dtype=torch.float64) / (2 * size * pixel_size)).numpy()
    axis = np.arange(-(size // 2), size - size // 2) / (size / 2)
    r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    shifted = np.interp(np.minimum(r, 1), np.linspace(0, 1, size), curve)
    theirs = np.sign(np.fft.ifftshift(shifted))[..., : size // 2 + 1]
    assert (ours.numpy() == theirs).mean() > 0.98
    plain = replace(usage.treatment, sign_scale=1.0)
    where_they_are = Geometry(sectors, ctf, pixel_size).slots(plain, (size,) * 3).input
    assert (where_they_are.numpy() == theirs).mean() < 0.95


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_file_with_code_is_refused_and_the_code_not_run(tmp_path):
    sprung, path = tmp_path / "sprung", tmp_path / "network.pt"
    torch.save(record(published()) | {"metrics": Trap(sprung)}, path)
    with pytest.raises(InputError, match=r"network\.pt"):
        Checkpoint.load(path)
    bare = tmp_path / "bare.pt"
    bare.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(InputError, match=r"bare\.pt"):
        Checkpoint.load(bare)
    assert not sprung.exists()


def changed(change):
    content = record(published())
    change(content["model_state_dict"])
    return content


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.update({"layers.0.weight": torch.zeros(1)}), "part named layers.0.weight"),
        (lambda w: w.pop("final.weight"), "final.weight has shape None"),
        (lambda w: w.update({"final.weight": torch.zeros(1, 9, 3, 3, 3)}), "final.weight"),
        (lambda w: w.pop("encoder.module_dict.first_conv.weight"), "first.weight has shape None"),
        (lambda w: w.clear(), "holds no weights"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(tmp_path, change, says):
    path = tmp_path / "other.pt"
    with pytest.raises(InputError, match=says):
        translate(path, changed(change))


def test_a_method_that_the_published_program_does_not_have_is_refused(tmp_path):
    torch.save(record(published()) | {"method": "regular"}, tmp_path / "m.pt")
    with pytest.raises(InputError, match="method regular, which is not known here"):
        Checkpoint.load(tmp_path / "m.pt")


def test_what_is_no_model_is_said_in_one_line(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"data_")
    with pytest.raises(InputError, match="is damaged, or no file of this program") as caught:
        Checkpoint.load(path)
    assert "weights_only" not in str(caught.value)
    with pytest.raises(InputError, match="is a folder"):
        Checkpoint.load(tmp_path)
