"""Checkpoints: weights with all that is needed to use them, and the state to go on from."""

import warnings
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from isonet2.data.files import atomic_path
from isonet2.errors import InputError
from isonet2.networks import build_network
from isonet2.networks.published import is_published, translate
from isonet2.physics.ctf import CtfTreatment, WienerSettings
from isonet2.training.objectives import METHODS

FORMAT = 3
"""1 was of networks that added their input to their output, 2 of U-Nets without residual blocks."""
PUBLISHED = "published IsoNet2"
STATE_FILE = "training_state.pt"


def _plain_dict(*_: object) -> dict[Any, Any]:
    """Stand in for `defaultdict`, which torch does not fill while it refuses code."""
    return {}


_SCALAR = type(np.float64(0)).__reduce__(np.float64(0))[0]
PLAIN: list[Any] = [
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_plain_dict, "collections.defaultdict"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")),
    *(OrderedDict, list, dict, float),
]
"""What the files may hold besides tensors; numpy 1 named the module of its scalars differently."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained network and how to use it.

    Parameters
    ----------
    method
        `n2n`, `isonet2` or `isonet2-n2n`.
    arch, network_options
        What `build_network` made it from; of a network from YAML the options hold the definition.
    cube_size
        Edge of its training cubes, voxels.
    treatment
        How the CTF of its data was treated.
    apply_mw_x1
        Whether its inputs were freed of what lies in the missing wedge.
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
    """

    method: str
    arch: str
    cube_size: int
    treatment: CtfTreatment
    weights: dict[str, Tensor]
    network_options: dict[str, Any] = field(default_factory=dict)
    apply_mw_x1: bool = True
    epoch: int = 0
    version: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    pixel_size: float | None = None
    part: str = "full"

    @property
    def is_published(self) -> bool:
        """Whether the published IsoNet2 trained it, which predicts in its own way."""
        return self.version == PUBLISHED

    @property
    def in_ball(self) -> bool:
        """Whether no data taught it what lies beyond Nyquist, so that nothing of that is kept."""
        return METHODS[self.method].fills_wedge and not self.is_published

    def network(self) -> nn.Module:
        """Build the network with its weights, in evaluation mode."""
        network = build_network(self.arch, **self.network_options)
        network.load_state_dict(self.weights)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        record: dict[str, Any] = {"format": FORMAT}
        record |= {name: getattr(self, name) for name in self.__slots__ if name != "weights"}
        record["treatment"] = asdict(self.treatment)
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
        if record.get("method", "n2n") not in METHODS:
            raise InputError(
                f"{path}: was trained by method {record['method']}, which is not known here; give "
                f"a network of {', '.join(METHODS)}"
            )
        if is_published(record):
            return _published(path, record)
        form = record.pop("format", None)
        if form in range(1, FORMAT):
            raise InputError(f"{path}: its network is of an older kind; train it again")
        if form != FORMAT:
            raise InputError(f"{path}: not a checkpoint of this program; give a network_*.pt file")
        treatment = dict(record.pop("treatment"))
        treatment["wiener"] = WienerSettings(**treatment["wiener"])
        weights = record.pop("state_dict")
        return cls(treatment=CtfTreatment(**treatment), weights=weights, **record)


def _published(path: Path, record: dict[str, Any]) -> Checkpoint:
    arch, options, weights = translate(path, record)
    mode = record.get("CTF_mode") or "None"
    return Checkpoint(
        method=str(record["method"]),
        arch=arch,
        cube_size=int(record["cube_size"]),
        treatment=CtfTreatment(
            mode=str(mode), do_phaseflip_input=bool(record.get("do_phaseflip_input", True))
        ),
        weights=weights,
        network_options=options,
        version=PUBLISHED,
    )


def save_tensors(path: Path, record: dict[str, Any]) -> None:
    """Write a dictionary of tensors and plain values, whole or not at all."""
    with atomic_path(path) as temporary:
        try:
            torch.save(record, temporary)
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be written; is the disk full?") from error


def load_tensors(path: Path, remedy: str = "give a network_*.pt file") -> dict[str, Any]:
    """Read a dictionary of tensors and plain values; anything that would run code is refused.

    Raises
    ------
    InputError
        When the file is missing, is not such a dictionary, or is cut off.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; {remedy}")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path")
    try:
        with torch.serialization.safe_globals(PLAIN), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        old = path.suffix == ".h5"
        kind = "is an IsoNet1 (Keras) model" if old else "is damaged, or no file of this program"
        raise InputError(f"{path}: {kind}; {remedy}") from error
    if not isinstance(record, dict):
        raise InputError(f"{path}: holds no model; {remedy}")
    return record
