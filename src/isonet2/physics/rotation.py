"""Rotations about the centre: the cube's 24 exact ones and free ones, with their matrices.

A matrix acts on column vectors (z, y, x). Volume and matrix always mean the same turn:
`(R v)(r) = v(R^-1 r)`, so the spectrum of the turned volume at `k` is that of `v` at
`R^-1 k`.
"""

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional as F


def cube_rotations() -> Tensor:
    """The 24 proper rotations of a cube onto itself, (24, 3, 3); the first is the identity."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = torch.zeros(3, 3)
            for row, (column, sign) in enumerate(zip(order, signs, strict=True)):
                matrix[row, column] = sign
            if torch.linalg.det(matrix) > 0:
                found.append(matrix)
    return torch.stack(found)


def moves_wedge(matrix: Tensor) -> Tensor:
    """Tell which rotations (..., 3, 3) take beam (z) or tilt axis (y) off their lines."""
    beam, axis = matrix[..., 0, 0].abs(), matrix[..., 1, 1].abs()
    return (beam < 1 - 1e-4) | (axis < 1 - 1e-4)


def random_rotations(count: int, generator: torch.Generator) -> Tensor:
    """Uniformly random rotations of SO(3), (count, 3, 3), from unit quaternions (Shoemake 1992)."""
    q = torch.randn(count, 4, generator=generator, device=generator.device)
    w, x, y, z = (q / q.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, 1).reshape(count, 3, 3)


def is_exact(matrix: Tensor) -> bool:
    """Tell whether a rotation (3, 3) only exchanges and reverses axes."""
    return bool((matrix == matrix.round()).all())


def rotate_exact(volume: Tensor, matrix: Tensor) -> Tensor:
    """Turn cubes (..., n, n, n) by a rotation that only exchanges and reverses axes.

    Voxels are moved, never mixed. The turn is about the middle of the cube, which for even
    `n` lies between voxels; the spectrum turns about the zero frequency all the same.
    """
    lead = volume.dim() - 3
    order = matrix.abs().argmax(dim=1).tolist()
    turned = volume.permute(*range(lead), *(lead + axis for axis in order))
    reverse = [lead + row for row, axis in enumerate(order) if matrix[row, axis] < 0]
    return turned.flip(reverse) if reverse else turned


def source_size(size: int) -> int:
    """Edge of the cube that holds every turn of a cube of edge `size` and its interpolation."""
    return math.ceil(math.sqrt(3) * (size - 1)) // 2 * 2 + 4


def rotate_free(volume: Tensor, matrix: Tensor, size: int) -> Tensor:
    """Turn cubes by any rotation and cut the middle, by trilinear interpolation.

    Parameters
    ----------
    volume
        Cubes (b, c, n, n, n); with `n >= source_size(size)` no corner is invented.
    matrix
        Rotations (b, 3, 3).
    size
        Edge of the returned cubes.

    Returns
    -------
    Tensor
        (b, c, size, size, size).
    """
    n = volume.shape[-1]
    step = torch.arange(size, dtype=torch.float32, device=volume.device) - (size - 1) / 2
    target = torch.stack(torch.meshgrid(step, step, step, indexing="ij"), -1)
    inverse = matrix.to(target).transpose(-1, -2)
    source = torch.einsum("bij,zyxj->bzyxi", inverse, target) * (2 / (n - 1))
    return F.grid_sample(
        volume, source.flip(-1), mode="bilinear", padding_mode="border", align_corners=True
    )
