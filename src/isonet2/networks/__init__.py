"""Architectures by name."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from isonet2.errors import InputError
from isonet2.networks.blocks import ConvBlock
from isonet2.networks.definition import build_definition, is_definition, read_definition
from isonet2.networks.hsformer import HSFormer
from isonet2.networks.passing import Passing
from isonet2.networks.scunet import SCUNet
from isonet2.networks.unet import UNet
from isonet2.networks.vtunet import VTUNet

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "unet-small": partial(UNet, filters=16),
    "unet-medium": partial(UNet, filters=32),
    "unet-large": partial(UNet, filters=64),
    "scunet-small": partial(SCUNet, filters=32, head_channels=16),
    "scunet-medium": partial(SCUNet, filters=48, head_channels=24),
    "scunet-large": partial(SCUNet, filters=80, head_channels=40),
    "scunet-fast": partial(SCUNet, filters=48, head_channels=24, levels=2, patch=2),
    "HSFormer": HSFormer,
    "vtunet": VTUNet,
}


BOTTLENECK = 6
"""Voxels that a cube's edge must at least have left at the bottom of a network."""


def depth(arch: str, cube_size: int) -> dict[str, int]:
    """Options that fit a network's depth to its training cubes.

    A bottleneck of three voxels is nearly all face, and what lies beyond the faces of cubes is
    no part of tomograms.

    Parameters
    ----------
    arch
        As for `build_network`; the depth of a network from YAML is its user's choice.
    cube_size
        Edge of the cubes, voxels.
    """
    if not arch.startswith("unet-"):
        return {}
    return {"levels": next(n for n in (4, 3, 2, 1) if cube_size >= BOTTLENECK * 2**n)}


def channels_last(network: nn.Module) -> nn.Module:
    """Lay a network's weights out with channels last, which its convolutions run fastest on."""
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def folded(network: nn.Module) -> nn.Module:
    """Copy a network for use alone: in evaluation mode, batch norms merged with convolutions."""
    network = copy.deepcopy(network).eval()
    for block in network.modules():
        if isinstance(block, ConvBlock):
            convolution, normalization = block[0], block[1]
            if isinstance(convolution, nn.Conv3d) and isinstance(normalization, nn.BatchNorm3d):
                block[0] = fuse_conv_bn_eval(convolution, normalization)
                block[1] = nn.Identity()
    return network


def edge_multiple(network: nn.Module) -> int:
    """Number that the edges of a network's cubes must be multiples of; 1 where it has none."""
    return int(str(getattr(network, "multiple", 1)))


def network_options(arch: str, **options: Any) -> dict[str, Any]:
    """Options that make `arch` again anywhere: those of a YAML file hold its definition.

    Parameters
    ----------
    arch
        A name in `NETWORKS`, or the path of a YAML file.
    options
        As for `build_network`.

    Returns
    -------
    dict
        Plain values; `build_network` makes the same network from them without the file.
    """
    if "definition" in options or not is_definition(arch):
        return options
    return {"definition": read_definition(Path(arch)), **options}


def build_network(arch: str, passing: int = 0, **options: Any) -> nn.Module:
    """Make a fresh network.

    Parameters
    ----------
    arch
        A name in `NETWORKS`, or the path of a YAML file that defines a network.
    passing
        Shells of a filter that carries a part of the input past the network (`Passing`); 0
        makes none.
    options
        Changes to that architecture's own parameters: `normalization` is common to all; the
        architectures with attention apply it to their convolutions. `definition` replaces the
        content of the YAML file, which then need not exist. What a definition itself says is
        not changed by options.

    Returns
    -------
    nn.Module
        Takes and returns (b, 1, z, y, x); `multiple` divides the cube sizes that it takes.

    Raises
    ------
    InputError
        For a name that is not there, or a definition that is not possible.
    """
    if passing:
        return Passing(build_network(arch, **options), passing)
    if is_definition(arch):
        return build_definition(where=arch, **network_options(arch, **options))
    if arch not in NETWORKS:
        raise InputError(
            f"arch {arch} is not known; choose one of {', '.join(NETWORKS)}, or give a YAML file"
        )
    return NETWORKS[arch](**options)
