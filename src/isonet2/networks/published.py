"""Networks of the published IsoNet2 2.x: its U-Net state dicts in this program's names."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isonet2.errors import InputError
from isonet2.networks.unet import UNet

KEYS = {"method", "arch", "cube_size", "model_state_dict"}

_LEVEL = {"encoder.conv_stack": "encoder.{n}", "decoder.conv_stack": "decoder.{n}",
          "encoder.stride_conv": "down.{n}", "decoder.deconv": "up.{n}"}  # fmt: skip
_ARCHITECTURE = {16: "unet-small", 32: "unet-medium", 64: "unet-large"}
_NAME = re.compile(
    r"^(?P<side>encoder|decoder)\.module_dict\.(?P<part>[a-z_]+?)(?:_(?P<n>\d+))?"
    r"(?:\.net\.(?P<m>\d+))?\.(?P<leaf>[a-z_]+)$"
)
_DECONV = re.compile(r"decoder\.module_dict\.deconv_(\d+)\.weight")


def is_published(record: dict[str, Any]) -> bool:
    """Tell whether a loaded file is a checkpoint of the published program."""
    return record.keys() >= KEYS


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
        For an architecture that is not a U-Net, or names or sizes that do not fit.
    """
    if not record["model_state_dict"]:
        raise InputError(f"{path}: holds no weights; get the file again")
    given = {_plain(name): value for name, value in record["model_state_dict"].items()}
    levels = _decoder_levels(given)
    weights: dict[str, Tensor] = {}
    for name, value in given.items():
        renamed = _rename(name, levels)
        if renamed is None:
            raise InputError(
                f"{path}: its network {record['arch']} has a part named {name} that this program "
                f"does not know; only the published U-Nets can be read"
            )
        weights[renamed] = value
    options = _options(weights)
    _complete(path, weights, options)
    arch = _ARCHITECTURE.get(options["filters"], "unet-medium")
    return arch, options, weights


def _plain(name: str) -> str:
    """Name of a parameter without what wrappers of the network put before it."""
    return re.sub(r"^(module\.|_orig_mod\.)+", "", name)


def _decoder_levels(given: dict[str, Tensor]) -> dict[int, int]:
    """Level, from the top, of each number in the decoder: some count from the bottom up."""
    widths = {
        int(found[1]): value.shape[1]
        for name, value in given.items()
        if (found := _DECONV.fullmatch(name))
    }
    numbers = sorted(widths)
    if numbers and widths[numbers[0]] > widths[numbers[-1]]:
        numbers.reverse()
    return {number: level for level, number in enumerate(numbers)}


def _rename(name: str, levels: dict[int, int]) -> str | None:
    if name.startswith("final."):
        return name
    found = _NAME.match(name)
    if found is None:
        return None
    side, part, leaf, place = found["side"], found["part"], found["leaf"], found["m"]
    if part == "first_conv":
        return f"first.{leaf}"
    if part == "bottleneck" and place is not None:
        return f"bottom.blocks.{int(place) // 3}.{int(place) % 3}.{leaf}"
    target = _LEVEL.get(f"{side}.{part}")
    if target is None or found["n"] is None:
        return None
    number = int(found["n"])
    target = target.format(n=levels.get(number, number) if side == "decoder" else number)
    if part == "deconv":
        return f"{target}.{leaf}"
    if place is None:
        return None
    if part == "stride_conv":
        return f"{target}.{int(place) % 3}.{leaf}"
    return f"{target}.blocks.{int(place) // 3}.{int(place) % 3}.{leaf}"


def _options(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Parameters of the U-Net that has these weights."""
    first = weights.get("first.weight")
    normalized = any(name.endswith("running_mean") for name in weights)
    return {
        "filters": 0 if first is None else first.shape[0],
        "levels": sum(bool(re.fullmatch(r"up\.\d+\.weight", name)) for name in weights),
        "convolutions": sum(
            bool(re.fullmatch(r"encoder\.0\.blocks\.\d+\.0\.weight", name)) for name in weights
        ),
        "kernel": 3 if first is None else first.shape[-1],
        "normalization": "batch" if normalized else "none",
        "residual": False,
        "add_input": True,
        "padding": "zeros",
        "upsampling": "transposed",
    }


def _complete(path: Path, weights: dict[str, Tensor], options: dict[str, Any]) -> None:
    """Give convolutions without a bias a bias of zero, and see that all weights fit.

    Raises
    ------
    InputError
        When one is missing, is too much, or has another shape.
    """
    with torch.device("meta"):
        expected = UNet(**options | {"filters": options["filters"] or 8}).state_dict()
    for name, value in expected.items():
        if name.endswith(".bias") and value.ndim == 1 and f"{name[:-4]}weight" in weights:
            weights.setdefault(name, torch.zeros(value.shape))
    for name in sorted(expected.keys() | weights.keys()):
        wanted, found = expected.get(name), weights.get(name)
        if wanted is None or found is None or wanted.shape != found.shape:
            sizes = [None if value is None else tuple(value.shape) for value in (found, wanted)]
            raise InputError(
                f"{path}: its weight {name} has shape {sizes[0]} where the U-Net of this program "
                f"has {sizes[1]}; only the published U-Nets can be read"
            )
