"""Networks of the published IsoNet2 2.x: its U-Net state dicts in this program's names."""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from isonet2.errors import InputError

KEYS = {"method", "arch", "cube_size", "model_state_dict"}

_LEVEL = {"encoder.conv_stack": "encoder.{n}", "decoder.conv_stack": "decoder.{n}",
          "encoder.stride_conv": "down.{n}", "decoder.deconv": "up.{n}"}  # fmt: skip
_ARCHITECTURE = {16: "unet-small", 32: "unet-medium", 64: "unet-large"}
_NAME = re.compile(
    r"^(?P<side>encoder|decoder)\.module_dict\.(?P<part>[a-z_]+?)(?:_(?P<n>\d+))?"
    r"(?:\.net\.(?P<m>\d+))?\.(?P<leaf>[a-z_]+)$"
)


def is_published(record: dict[str, Any]) -> bool:
    """Tell whether a loaded file is a checkpoint of the published program."""
    return record.keys() >= KEYS


def _rename(name: str) -> str | None:
    if name.startswith("final."):
        return name
    found = _NAME.match(name)
    if found is None:
        return None
    side, part, level = found["side"], found["part"], found["n"]
    leaf, place = found["leaf"], found["m"]
    if part == "first_conv":
        return f"first.{leaf}"
    if part == "bottleneck" and place is not None:
        return f"bottom.blocks.{int(place) // 3}.{int(place) % 3}.{leaf}"
    target = _LEVEL.get(f"{side}.{part}")
    if target is None or level is None:
        return None
    target = target.format(n=level)
    if part == "deconv":
        return f"{target}.{leaf}"
    if place is None:
        return None
    if part == "stride_conv":
        return f"{target}.{int(place) % 3}.{leaf}"
    return f"{target}.blocks.{int(place) // 3}.{int(place) % 3}.{leaf}"


def translate(path: Path, record: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Turn a published record into architecture, its options, and a state dict.

    Parameters
    ----------
    path
        The file, for messages.
    record
        With `arch` and `model_state_dict`.

    Returns
    -------
    tuple
        Architecture's name, options for `build_network`, state dict.

    Raises
    ------
    InputError
        For an architecture that is not a U-Net, or names that do not fit.
    """
    weights: dict[str, Tensor] = {}
    for name, value in record["model_state_dict"].items():
        plain = name.removeprefix("module.").removeprefix("_orig_mod.")
        renamed = _rename(plain)
        if renamed is None:
            raise InputError(
                f"{path}: its network {record['arch']} has a part named {name} that this program "
                f"does not know; only the published U-Nets can be read"
            )
        weights[renamed] = value
    filters = int(weights["first.weight"].shape[0])
    arch = _ARCHITECTURE.get(filters, "unet-medium")
    normalization = "batch" if any(name.endswith("running_mean") for name in weights) else "none"
    return arch, {"filters": filters, "normalization": normalization}, weights
