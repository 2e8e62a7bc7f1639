"""Checkpoints: the weights of a network with all that is needed to use them."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isonet2.data.labels import Restoration, Wedge
from isonet2.errors import InputError
from isonet2.machine.tensors import load_tensors, save_tensors
from isonet2.networks import build_network
from isonet2.networks.published import is_published, translate
from isonet2.parameters import package_version
from isonet2.physics.ctf import CtfTreatment, WienerSettings
from isonet2.prediction.usage import Usage

FORMAT = 5
"""1 was of networks that added their input to their output, 2 of U-Nets without residual blocks, 3
did not say what its method reads and fills, 4 upsampled by transposed convolutions."""
DIGITS = 8
"""Of the sum that tells a network from others."""
OWN = "own "
"""How the names of architectures begin that only their users can build."""
PUBLISHED = "published IsoNet2"
PUBLISHED_METHODS = ("n2n", "isonet2", "isonet2-n2n")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained network and how to use it.

    Parameters
    ----------
    method
        Name of the method that trained it.
    reads_halves
        Whether that takes the two halves, and not the full tomogram.
    fills_wedge
        Whether it fills the missing wedge, or takes noise away only.
    arch, network_options
        What `build_network` made it from; of a network from YAML the options hold the definition.
    usage
        What its inputs and results go through.
    weights
        State dict.
    epoch
        Epochs trained.
    version
        Of the program that wrote it.
    parameters
        The whole record of the run.
    metrics
        The last row of its history.
    pixel_size
        Of the tomograms it was trained on, angstrom; None where it is not known.
    part
        Of each tomogram that it was trained on: `full`, `top` or `bottom`.
    seen
        Tomograms that it was trained on, by the names of their files, and the voxels along y, first
        and behind the last, that were held out of each; None for nothing. Empty where not known.
    """

    method: str
    reads_halves: bool
    fills_wedge: bool
    arch: str
    usage: Usage
    weights: dict[str, Tensor]
    network_options: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    version: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    pixel_size: float | None = None
    part: str = "full"
    seen: dict[str, tuple[int, int] | None] = field(default_factory=dict)

    @property
    def is_published(self) -> bool:
        """Whether the published IsoNet2 trained it, which predicts in its own way."""
        return self.version == PUBLISHED

    @property
    def digest(self) -> str:
        """First digits of the SHA-256 of its weights, which tell it from other networks."""
        told = hashlib.sha256()
        for name, weight in sorted(self.weights.items()):
            told.update(name.encode())
            told.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return told.hexdigest()[:DIGITS]

    def restoration(self, *, fill: bool = True, others: Sequence["Checkpoint"] = ()) -> Restoration:
        """What it makes of a tomogram, alone or together with others of its kind.

        Parameters
        ----------
        fill
            Whether what it puts into the missing wedge stays there.
        others
            Networks whose results are averaged with its own.
        """
        levels = self.parameters.get("noise_level") or 0
        noisy = any(levels) if isinstance(levels, list | tuple) else bool(levels)
        wedge: Wedge = "empty" if not fill else "filled" if self.fills_wedge else "kept"
        digests = "".join(network.digest for network in (self, *others))
        return Restoration(
            denoised=self.reads_halves or noisy,
            wedge=wedge,
            ctf=self.usage.treatment.mode,
            network=digests,
            version=package_version(),
        )

    def network(self, own: nn.Module | None = None) -> nn.Module:
        """Build the network with its weights, in evaluation mode.

        Parameters
        ----------
        own
            Takes the weights of a network whose architecture is its user's own.

        Raises
        ------
        InputError
            When there is no way to build it, or `own` is another one.
        """
        if own is None and self.arch.startswith(OWN):
            raise InputError(
                f"the network is its user's own {self.arch[len(OWN) :]}; load it from Python: "
                f"isonet2.Model.load(path, network=...)"
            )
        network = build_network(self.arch, **self.network_options) if own is None else own
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise InputError(f"network: has other weights than a {self.arch} has") from error
        return network.eval()

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        record: dict[str, Any] = {"format": FORMAT}
        record |= {name: getattr(self, name) for name in self.__slots__ if name != "weights"}
        record["usage"] = asdict(self.usage)
        save_tensors(path, record | {"state_dict": self.weights})

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint of this program or of the published IsoNet2 2.x.

        No code in the file is run.

        Raises
        ------
        InputError
            When the file is missing, broken or of another kind.
        """
        record = load_tensors(path)
        if is_published(record):
            return _published(path, record)
        form = record.pop("format", None)
        if form in range(1, FORMAT):
            raise InputError(f"{path}: its network is of an older kind; train it again")
        if form != FORMAT:
            raise InputError(f"{path}: not a checkpoint of this program; give a network_*.pt file")
        usage = dict(record.pop("usage"))
        treatment = dict(usage.pop("treatment"))
        treatment["wiener"] = WienerSettings(**treatment["wiener"])
        usage["treatment"] = CtfTreatment(**treatment)
        return cls(usage=Usage(**usage), weights=record.pop("state_dict"), **record)


def _published(path: Path, record: dict[str, Any]) -> Checkpoint:
    method = str(record["method"])
    if method not in PUBLISHED_METHODS:
        raise InputError(
            f"{path}: was trained by method {method}, which is not known here; give a network of "
            f"{', '.join(PUBLISHED_METHODS)}"
        )
    arch, options, weights = translate(path, record)
    mode = str(record.get("CTF_mode") or "None")
    flips = bool(record.get("do_phaseflip_input", True))
    size = int(record["cube_size"])
    treatment = CtfTreatment(mode=mode, do_phaseflip_input=flips, sign_scale=(size - 1) / size)
    return Checkpoint(
        method=method,
        reads_halves=method != "isonet2",
        fills_wedge=method != "n2n",
        arch=arch,
        usage=Usage(cube_size=size, treatment=treatment),
        weights=weights,
        network_options=options,
        version=PUBLISHED,
    )
