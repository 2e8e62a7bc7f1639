"""Architectures by name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from isonet2.errors import InputError
from isonet2.networks.unet import UNet

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "unet-small": partial(UNet, filters=16),
    "unet-medium": partial(UNet, filters=32),
    "unet-large": partial(UNet, filters=64),
}


def channels_last(network: nn.Module) -> nn.Module:
    """Lay a network's weights out with channels last, which its convolutions run fastest on."""
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def edge_multiple(network: nn.Module) -> int:
    """Number that the edges of a network's cubes must be multiples of."""
    return int(str(network.multiple))


def build_network(arch: str, **options: Any) -> nn.Module:
    """Make a fresh network.

    Parameters
    ----------
    arch
        A name in `NETWORKS`.
    options
        Changes to that architecture's own parameters, such as `normalization`.

    Returns
    -------
    nn.Module
        Takes and returns (b, 1, z, y, x); `multiple` divides the cube sizes that it takes.

    Raises
    ------
    InputError
        For a name that is not there.
    """
    if arch not in NETWORKS:
        raise InputError(f"arch {arch} is not known; choose one of {', '.join(NETWORKS)}")
    return NETWORKS[arch](**options)
