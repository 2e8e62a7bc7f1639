"""Window attention against attention written out for all pairs of voxels."""

import itertools

import pytest
import torch

from isonet2.errors import InputError
from isonet2.networks.attention import (
    AttentionBlock,
    GatedMLP,
    WindowAttention,
    Windows,
    relative_places,
)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("grid", [(4, 8, 12), (5, 4, 7), (1, 2, 3)])
def test_joining_undoes_cutting(grid, shifted):
    windows = Windows(grid, 4, shifted)
    x = torch.randn(2, *grid, 3)
    cut = windows.cut(x)
    nz, ny, nx = windows.counts
    assert cut.shape == (2 * nz * ny * nx, 64, 3)
    assert torch.equal(windows.join(cut), x)


def test_a_window_holds_a_cube_of_neighbours():
    x = torch.arange(4**3.0).view(1, 4, 4, 4, 1)
    first = Windows((4, 4, 4), 2).cut(x)[0, :, 0].tolist()
    assert first == [0, 1, 4, 5, 16, 17, 20, 21]
    shifted = Windows((4, 4, 4), 2, shifted=True).cut(x)[0, :, 0].tolist()
    assert shifted == [value + 1 + 4 + 16 for value in first]


def test_equal_displacements_have_equal_numbers():
    numbers = relative_places(2)
    places = list(itertools.product((0, 1), repeat=3))
    seen = {}
    for (i, a), (j, b) in itertools.product(enumerate(places), repeat=2):
        apart = tuple(p - q for p, q in zip(a, b, strict=True))
        assert seen.setdefault(apart, int(numbers[i, j])) == int(numbers[i, j])
    assert len(set(seen.values())) == 27
    assert set(seen.values()) == set(range(27))


def dense(attention, x, context):
    """The same by a matrix of all voxels of one volume: no padding, no roll, no seam."""
    grid = x.shape[1:4]
    places = torch.tensor(list(itertools.product(*(range(size) for size in grid))))
    counts = torch.tensor([-(-size // attention.window) for size in grid])
    shift = (counts > 1) * (attention.window // 2 if attention.shifted else 0)
    home = torch.div(places - shift, attention.window, rounding_mode="floor")
    together = (home[:, None] == home[None, :]).all(-1)
    apart = (places[:, None] - places[None, :]).clamp(1 - attention.window, attention.window - 1)
    edge = 2 * attention.window - 1
    apart = apart + attention.window - 1
    number = (apart[..., 0] * edge + apart[..., 1]) * edge + apart[..., 2]
    c = x.shape[-1]
    query = attention.query(x.reshape(-1, c))
    key, value = attention.key_value(context.reshape(-1, c)).chunk(2, -1)
    found = []
    for head, part in enumerate(torch.arange(c).chunk(attention.heads)):
        scores = query[:, part] @ key[:, part].T / len(part) ** 0.5 + attention.bias[number, head]
        scores = scores.masked_fill(~together, -torch.inf)
        found.append(scores.softmax(-1) @ value[:, part])
    return attention.output(torch.cat(found, -1)).view(x.shape)


@pytest.mark.parametrize("crossing", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("grid", [(4, 8, 4), (6, 3, 9)])
def test_windows_roll_and_padding_give_plain_masked_attention(grid, shifted, crossing):
    torch.manual_seed(1)
    attention = WindowAttention(16, 8, 4, shifted)
    torch.nn.init.normal_(attention.bias)
    x, context = torch.randn(2, 1, *grid, 16)
    with torch.no_grad():
        got = attention(x, context if crossing else None)
        wanted = dense(attention, x, context if crossing else x)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def test_many_windows_are_attended_to_in_parts(monkeypatch):
    torch.manual_seed(2)
    attention = WindowAttention(8, 8, 2, shifted=True)
    x = torch.randn(3, 4, 4, 6, 8)
    with torch.no_grad():
        whole = attention(x)
        monkeypatch.setattr("isonet2.networks.attention.LARGEST_BATCH", 7)
        torch.testing.assert_close(attention(x), whole)


def test_seams_stay_closed_in_bfloat16():
    torch.manual_seed(3)
    attention = WindowAttention(8, 8, 4, shifted=True)
    x = torch.randn(1, 8, 4, 4, 8)
    changed = x.clone()
    changed[:, :2] += 5
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(attention(x)[:, 2:], attention(changed)[:, 2:])


def test_heads_must_divide_the_channels():
    with pytest.raises(InputError, match="head_channels 16: does not divide the 24 channels"):
        AttentionBlock(24, 16, 4, shifted=False)


def test_a_closed_gate_lets_nothing_through():
    mlp = GatedMLP(4)
    with torch.no_grad():
        mlp.inputs.bias[8:] = -1e4
        assert torch.equal(mlp(torch.randn(3, 4)), mlp.output.bias.expand(3, 4))
