import pytest
import torch
from pydantic import ValidationError
from torch import nn

from isonet2.commands import check as module
from isonet2.commands.check import attempt, check
from isonet2.networks import build_network
from isonet2.parameters import ARCHITECTURES, CheckParameters


class Tiny(nn.Module):
    """One convolution, which may fail."""

    multiple = 16

    def __init__(self, problem: Exception | None = None) -> None:
        super().__init__()
        self.layer = nn.Conv3d(1, 1, 3, padding=1)
        self.problem = problem

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.problem:
            raise self.problem
        self.ballast = torch.zeros(2**26).add_(1)
        return self.layer(x)


def test_a_trial_tells_speed_weights_and_memory(monkeypatch, capsys):
    monkeypatch.setattr(module, "build_network", lambda arch: Tiny())
    assert check(CheckParameters(gpuID="cpu", cube_size=32)) == 0
    shown = capsys.readouterr().out
    assert torch.__version__.split("+")[0] in shown
    row = shown[shown.index("unet-small") :].replace("│", " ").split()
    assert float(row[3]) > 0
    assert float(row[4]) > 0.2
    assert row[5] == "works"


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit"),
        (RuntimeError("no kernel image is available\nmore"), "no kernel image is available"),
    ],
)
def test_what_fails_is_told_and_the_rest_goes_on(monkeypatch, capsys, caplog, problem, words):
    networks = {"unet-small": Tiny(problem), "unet-medium": Tiny()}
    monkeypatch.setattr(module, "build_network", networks.get)
    p = CheckParameters(arch="unet-small,unet-medium", cube_size=32, gpuID="cpu")
    assert check(p) == 1
    assert words in caplog.text
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "works" in shown


def test_a_real_network_trains(monkeypatch):
    monkeypatch.setattr(module, "build_network", lambda arch: build_network(arch, filters=4))
    p = CheckParameters(steps=1, gpuID="cpu", mixed_precision=False)
    trial = attempt(p, torch.device("cpu"), "unet-small", 32)
    assert trial.problem == ""
    assert trial.cubes > 0
    assert trial.parameters > 1e4


def test_steps_batches_and_precision_are_as_asked_for(monkeypatch):
    seen = []

    class Watched(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((len(x), torch.is_autocast_enabled("cpu")))
            return self.layer(x)

    monkeypatch.setattr(module, "build_network", lambda arch: Watched())
    monkeypatch.setattr(
        module, "autocast_type", lambda device, mixed: torch.bfloat16 if mixed else torch.float32
    )
    for mixed in (True, False):
        p = CheckParameters(steps=3, batch_size=2, mixed_precision=mixed)
        assert attempt(p, torch.device("cpu"), "unet-small", 32).problem == ""
    assert seen == [(2, True)] * 4 + [(2, False)] * 4


def test_cube_sizes_that_a_network_refuses_are_said(monkeypatch):
    monkeypatch.setattr(module, "build_network", lambda arch: Tiny())
    monkeypatch.setattr(Tiny, "multiple", 64)
    trial = attempt(CheckParameters(), torch.device("cpu"), "unet-small", 96)
    assert "multiple of 64" in trial.problem


def test_lists_are_read_as_people_write_them():
    p = CheckParameters(arch="unet_small, unet-medium", cube_size="[64,96]")
    assert p.arch == ("unet-small", "unet-medium")
    assert p.cube_size == (64, 96)
    assert CheckParameters(arch="all").arch == ARCHITECTURES
    for bad in ({"cube_size": "50"}, {"arch": "unet-tiny"}, {"cube_size": ""}):
        with pytest.raises(ValidationError):
            CheckParameters.model_validate(bad)
