import itertools

import pytest
import torch

from isonet2.physics.rotation import (
    cube_rotations,
    is_exact,
    moves_wedge,
    random_rotations,
    rotate_exact,
    rotate_free,
    source_size,
)


def test_there_are_24_proper_rotations_that_form_a_group():
    turns = cube_rotations()
    keys = {tuple(t.flatten().tolist()) for t in turns}
    assert len(keys) == 24
    assert torch.allclose(torch.linalg.det(turns), torch.ones(24))
    products = {tuple((a @ b).flatten().tolist()) for a, b in itertools.product(turns, turns)}
    assert products == keys


def test_four_rotations_leave_the_wedge_in_place():
    turns = cube_rotations()
    still = turns[~moves_wedge(turns)]
    assert len(still) == 4
    assert all(t[0, 0].abs() == 1 and t[1, 1].abs() == 1 for t in still)


def test_voxels_go_where_the_matrix_sends_them():
    cube = torch.zeros(3, 3, 3)
    cube[2, 1, 1] = 1.0
    for matrix in cube_rotations():
        position = matrix @ torch.tensor([1.0, 0.0, 0.0]) + 1
        z, y, x = (int(p) for p in position)
        turned = rotate_exact(cube, matrix)
        assert turned[z, y, x] == 1
        assert turned.sum() == 1


def test_a_turn_and_its_inverse_are_nothing():
    cube = torch.randn(2, 1, 6, 6, 6)
    for matrix in cube_rotations():
        assert torch.equal(rotate_exact(rotate_exact(cube, matrix), matrix.T), cube)


@pytest.mark.parametrize("n", [16, 15])
def test_interpolated_quarter_turns_equal_exact_ones(n):
    s = source_size(n) // 2 * 2 + n % 2
    cube = torch.randn(1, 1, s, s, s)
    low = (s - n) // 2
    for matrix in cube_rotations():
        exact = rotate_exact(cube, matrix)[..., low:low+n, low:low+n, low:low+n]  # fmt: skip
        torch.testing.assert_close(rotate_free(cube, matrix[None], n), exact, atol=1e-4, rtol=0)


def test_free_rotation_of_a_linear_ramp_is_exact():
    n = 12
    s = source_size(n)
    axis = torch.arange(s, dtype=torch.float32) - (s - 1) / 2
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    slope = torch.tensor([0.3, -1.2, 0.7])
    ramp = torch.einsum("i,izyx->zyx", slope, grid)[None, None]
    matrix = random_rotations(1, torch.Generator().manual_seed(3))
    low = (s - n) // 2
    middle = grid[:, low : low + n, low : low + n, low : low + n]
    expected = torch.einsum("i,izyx->zyx", matrix[0] @ slope, middle)
    torch.testing.assert_close(rotate_free(ramp, matrix, n)[0, 0], expected, atol=1e-3, rtol=0)


def test_the_source_holds_every_corner():
    for n in (15, 16, 48, 96):
        assert source_size(n) >= 3**0.5 * (n - 1) + 1
    matrix = random_rotations(200, torch.Generator().manual_seed(0))
    corner = torch.tensor(list(itertools.product((-1, 1), repeat=3))).float() * (48 - 1) / 2
    reach = torch.einsum("bij,cj->bci", matrix, corner).abs().max()
    assert reach <= (source_size(48) - 1) / 2


def test_random_rotations_are_rotations_spread_evenly():
    turns = random_rotations(4000, torch.Generator().manual_seed(0))
    eye = torch.eye(3).expand(4000, 3, 3)
    torch.testing.assert_close(turns @ turns.mT, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(4000))
    assert turns.mean(0).abs().max() < 0.05
    assert (turns.square().mean(0) - 1 / 3).abs().max() < 0.03
    assert not is_exact(turns[0])
    assert all(is_exact(t) for t in cube_rotations())
