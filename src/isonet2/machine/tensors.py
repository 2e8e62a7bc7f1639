"""Files of tensors and plain values, read without running code."""

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isonet2.data.files import atomic_path, refuse_dangling
from isonet2.errors import InputError, few


def _plain_dict(*_: object) -> dict[Any, Any]:
    """Stand in for `defaultdict`, which torch does not fill while it refuses code."""
    return {}


_SCALAR, _ARRAY = np.float64(0).__reduce__()[0], np.zeros(()).__reduce__()[0]
PLAIN: list[Any] = [
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_ARRAY, "numpy._core.multiarray._reconstruct"),
    (_ARRAY, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    (_plain_dict, "collections.defaultdict"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")),
    *(OrderedDict, list, dict, float),
]
"""What the files may hold besides tensors; numpy 1 named the module of its values differently."""


def save_tensors(path: Path, record: dict[str, Any]) -> None:
    """Write a dictionary of tensors and plain values, whole or not at all."""
    with atomic_path(path) as temporary:
        try:
            torch.save(record, temporary)
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be written; is the disk full?") from error


def _found_beside(path: Path) -> str:
    """What may have been meant by the name of a file that is not there."""
    networks = sorted(found.name for found in path.parent.glob("network_*.pt"))
    if networks:
        return f"{path.parent} holds {few(networks)}"
    if any(path.parent.glob("training_state*.pt")):
        return (
            f"the training in {path.parent} was stopped before its first network: go on with "
            "--resume True"
        )
    return "check the path"


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
        refuse_dangling(path)
        raise InputError(f"{path}: there is no such file; {_found_beside(path)}")
    try:
        with torch.serialization.safe_globals(PLAIN), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    except Exception as error:
        old = path.suffix == ".h5"
        kind = "is an IsoNet1 (Keras) model" if old else "is damaged, or no file of this program"
        raise InputError(f"{path}: {kind}; {remedy}") from error
    if not isinstance(record, dict):
        raise InputError(f"{path}: holds no model; {remedy}")
    return record
