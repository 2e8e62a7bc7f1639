"""Attention among the voxels of small cubic windows, and the gated perceptron that goes with it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from isonet2.errors import InputError
from isonet2.types import Shape

BARRIER = 100.0
"""How far a score is lowered where attention must not go; exp(-100) is nothing."""
LARGEST_BATCH = 32768
"""Windows handed to the attention kernel at once; CUDA grids end at 65535."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How a grid of voxels is cut into cubic windows.

    The grid is padded with zeros up to whole windows. Shifted windows lie half an edge further
    on; the grid is rolled back under them, so that the last ones hold voxels of both ends.

    Parameters
    ----------
    grid
        Voxels along z, y, x.
    edge
        Of a window, voxels.
    shifted
        Whether they lie half an edge further on; not along an axis that one window covers.
    """

    grid: Shape
    edge: int
    shifted: bool = False

    @property
    def counts(self) -> Shape:
        """Windows along z, y, x."""
        z, y, x = (-(-size // self.edge) for size in self.grid)
        return z, y, x

    @property
    def shifts(self) -> Shape:
        """Voxels that the grid is rolled back along z, y, x."""
        half = self.edge // 2 if self.shifted else 0
        z, y, x = (half if count > 1 else 0 for count in self.counts)
        return z, y, x

    @property
    def padding(self) -> Shape:
        """Zeros put behind the grid along z, y, x."""
        pairs = zip(self.counts, self.grid, strict=True)
        z, y, x = (count * self.edge - size for count, size in pairs)
        return z, y, x

    def cut(self, x: Tensor) -> Tensor:
        """(b, z, y, x, c) to (b * windows, edge ** 3, c)."""
        pad_z, pad_y, pad_x = self.padding
        if any(self.padding):
            x = functional.pad(x, (0, 0, 0, pad_x, 0, pad_y, 0, pad_z))
        if any(self.shifts):
            x = x.roll([-shift for shift in self.shifts], (1, 2, 3))
        return self._cut(x)

    def _cut(self, x: Tensor) -> Tensor:
        (nz, ny, nx), w = self.counts, self.edge
        x = x.reshape(x.shape[0], nz, w, ny, w, nx, w, x.shape[-1])
        return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, w**3, x.shape[-1])

    def join(self, x: Tensor) -> Tensor:
        """(b * windows, edge ** 3, c) to (b, z, y, x, c): undo `cut`."""
        (nz, ny, nx), w = self.counts, self.edge
        x = x.reshape(-1, nz, ny, nx, w, w, w, x.shape[-1])
        x = x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, nz * w, ny * w, nx * w, x.shape[-1])
        if any(self.shifts):
            x = x.roll(self.shifts, (1, 2, 3))
        size_z, size_y, size_x = self.grid
        return x[:, :size_z, :size_y, :size_x]

    def barriers(self, device: torch.device) -> tuple[Tensor, Tensor] | None:
        """Components that keep queries away from keys that only roll or padding put beside them.

        Appended to queries and keys, they add to a score 0 where both voxels are real and lie on
        the same side of the seam along every axis, and -1 for each axis that parts them and for
        a padded key. Unlike a mask, they cost no memory for pairs of voxels.

        Returns
        -------
        tuple or None
            Of queries and of keys, (windows, edge ** 3, 8); None where nothing must be kept away.
        """
        if not any(self.shifts) and not any(self.padding):
            return None
        wrapped, padded = [], []
        for axis in range(3):
            shape = [1, 1, 1]
            shape[axis] = -1
            place = torch.arange(self.counts[axis] * self.edge, device=device)
            place = place.roll(-self.shifts[axis]).view(shape)
            wrapped.append((place < self.shifts[axis]).float())
            padded.append(place >= self.grid[axis])
        empty = (padded[0] | padded[1] | padded[2]).float()
        one, zero = torch.ones_like(empty), torch.zeros_like(empty)
        sides = [side * one for side in wrapped]
        query = [component for side in sides for component in (side - 1, -side)] + [-one, zero]
        key = [component for side in sides for component in (side, 1 - side)] + [empty, zero]
        return self._cut(torch.stack(query, -1)[None]), self._cut(torch.stack(key, -1)[None])


def relative_places(edge: int) -> Tensor:
    """Number of the displacement between each two voxels of a window, (edge ** 3, edge ** 3).

    Displacements along each axis run from 1 - edge to edge - 1, so there are
    (2 edge - 1) ** 3 numbers.
    """
    line = torch.arange(edge)
    places = torch.cartesian_prod(line, line, line)
    apart = places[:, None] - places[None, :] + edge - 1
    steps = torch.tensor([(2 * edge - 1) ** 2, 2 * edge - 1, 1])
    return (apart * steps).sum(-1)


class WindowAttention(nn.Module):
    """Multi-head attention inside windows, with a learned bias for each displacement.

    Parameters
    ----------
    channels
        Of input and output.
    head_channels
        Of one head; must divide `channels`.
    window
        Edge of the windows, voxels.
    shifted
        Whether the windows lie half an edge further on.

    Raises
    ------
    InputError
        When the heads do not divide the channels.

    Notes
    -----
    The windows and their cyclic shift are those of Liu et al., Swin Transformer, ICCV 2021.
    """

    def __init__(self, channels: int, head_channels: int, window: int, shifted: bool) -> None:
        super().__init__()
        if channels % head_channels:
            raise InputError(
                f"head_channels {head_channels}: does not divide the {channels} channels that are "
                f"attended to; give a number that does"
            )
        self.heads = channels // head_channels
        self.window, self.shifted = window, shifted
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(channels, 2 * channels, bias=False)
        self.output = nn.Linear(channels, channels)
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 3, self.heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.places: Tensor
        self.register_buffer("places", relative_places(window), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(b, z, y, x, c) to the same; keys and values come from `context` where it is given."""
        z, y, w = x.shape[1:4]
        windows = Windows((z, y, w), self.window, self.shifted)
        key_value = self.key_value(x if context is None else context)
        query = self._heads(windows.cut(self.query(x)))
        key, value = (self._heads(part) for part in windows.cut(key_value).chunk(2, -1))
        scale = query.shape[-1] ** -0.5
        barriers = windows.barriers(x.device)
        if barriers is not None:
            query = self._extend(query, barriers[0] * (BARRIER / scale))
            key = self._extend(key, barriers[1])
        bias = self.bias[self.places].permute(2, 0, 1)[None].to(query.dtype)
        count = -(-query.shape[0] // LARGEST_BATCH)
        parts = zip(query.chunk(count), key.chunk(count), value.chunk(count), strict=True)
        attended = [
            functional.scaled_dot_product_attention(q, k, v, bias, scale=scale) for q, k, v in parts
        ]
        joined = attended[0] if len(attended) == 1 else torch.cat(attended)
        return self.output(windows.join(joined.transpose(1, 2).flatten(2)))

    def _heads(self, x: Tensor) -> Tensor:
        """(windows, voxels, c) to (windows, heads, voxels, c / heads)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _extend(self, x: Tensor, more: Tensor) -> Tensor:
        """Append the components `more` of (windows, voxels, 8) to each head."""
        repeats = x.shape[0] // more.shape[0]
        more = more.to(x.dtype).repeat(repeats, 1, 1)[:, None].expand(-1, self.heads, -1, -1)
        return torch.cat([x, more], -1)


class GatedMLP(nn.Module):
    """Two linear layers; half of the hidden components gate the other half.

    Parameters
    ----------
    channels
        Of input and output.
    ratio
        Hidden components after gating, for each channel.

    Notes
    -----
    Shazeer, GLU variants improve transformer, 2020.
    """

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__()
        self.inputs = nn.Linear(channels, 2 * ratio * channels)
        self.output = nn.Linear(ratio * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., c) to the same."""
        value, gate = self.inputs(x).chunk(2, -1)
        return self.output(value * functional.gelu(gate))


class AttentionBlock(nn.Module):
    """Window attention, then a gated perceptron, each normalised before and added to its input.

    Parameters
    ----------
    channels, head_channels, window, shifted
        As in `WindowAttention`.
    """

    def __init__(self, channels: int, head_channels: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, head_channels, window, shifted)
        self.mlp = nn.Sequential(nn.LayerNorm(channels), GatedMLP(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, z, y, x) to the same."""
        h = channels_behind(x)
        h = h + self.attention(self.norm(h))
        h = h + self.mlp(h)
        return channels_before(h)


def channels_behind(x: Tensor) -> Tensor:
    """(b, c, z, y, x) to (b, z, y, x, c)."""
    return x.permute(0, 2, 3, 4, 1)


def channels_before(x: Tensor) -> Tensor:
    """(b, z, y, x, c) to (b, c, z, y, x)."""
    return x.permute(0, 4, 1, 2, 3)
