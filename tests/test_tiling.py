import threading
import time
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from isonet2.physics.tiling import AxisTiling, map_tiles, padded


def run(function, x, outputs=1, *, tile, core, **options):
    result = np.full((outputs, *x.shape[1:]), np.nan, np.float32)
    times = np.zeros(x.shape[1:], int)

    def write(region, block):
        result[:, *region] = block
        times[region] += 1

    plans = [AxisTiling.plan(length, tile, core) for length in x.shape[1:]]
    map_tiles(function, lambda region: x[:, *region], write, plans, **options)
    assert (times == 1).all()
    return result


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    shape=st.tuples(*[st.integers(3, 40)] * 3),
    tile=st.integers(4, 24),
    fraction=st.floats(0.3, 1.0),
    batch=st.integers(1, 5),
)
def test_identity_in_identity_out(shape, tile, fraction, batch):
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    core = max(1, int(tile * fraction))
    out = run(lambda t: t, x, 2, tile=tile, core=core, batch=batch)
    np.testing.assert_allclose(out, x, atol=1e-5)


def test_a_local_operator_gives_the_answer_of_the_whole_volume():
    x = np.random.default_rng(0).normal(size=(1, 40, 30, 50)).astype(np.float32)

    def blur(t):
        return F.avg_pool3d(t, 3, 1, 1, count_include_pad=False)

    whole = blur(torch.from_numpy(x)[None])[0].numpy()
    tiled = run(blur, x, tile=24, core=16, batch=2)
    inner = (slice(None), slice(2, -2), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(tiled[inner], whole[inner], atol=1e-5)


def test_a_margin_shows_a_function_what_lies_around_a_tile():
    x = np.random.default_rng(0).normal(size=(1, 40, 30, 50)).astype(np.float32)

    def blur(t):
        assert t.shape[2:] == (26, 26, 26)
        return F.avg_pool3d(t, 3, 1)

    whole = F.avg_pool3d(torch.from_numpy(x)[None], 3, 1)[0].numpy()
    tiled = run(blur, x, tile=24, core=24, margin=1)
    np.testing.assert_allclose(tiled[:, 1:-1, 1:-1, 1:-1], whole, atol=1e-5)


def test_memory_holds_less_than_one_slab_of_results():
    plans = [AxisTiling.plan(length, 24, 18) for length in (200, 200, 240)]
    tile = np.zeros((1, 24, 24, 24), np.float32)
    slab = 24 * 200 * 200 * tile.itemsize

    def read(region):
        return tile[:, *(slice(part.stop - part.start) for part in region)]

    tracemalloc.start()
    map_tiles(lambda x: x, read, lambda region, block: None, plans)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.75 * slab


def test_what_a_tile_says_at_its_rim_is_not_heard():
    x = np.zeros((1, 40, 40, 40), np.float32)

    def lie(t):
        t = t.clone()
        for axis in (2, 3, 4):
            t.narrow(axis, 0, 2).fill_(1e6)
            t.narrow(axis, 22, 2).fill_(1e6)
        return t

    assert np.abs(run(lie, x, tile=24, core=16)[:, 1:-1, 1:-1, 1:-1]).max() == 0


@pytest.mark.parametrize(
    ("length", "tile", "core", "starts"),
    [(32, 16, 16, [0, 16]), (40, 24, 16, [-6, 8, 22]), (10, 16, 12, [-3])],
)
def test_tiles_are_spread_evenly(length, tile, core, starts):
    plan = AxisTiling.plan(length, tile, core)
    assert [plan.start(i) for i in range(plan.count)] == starts


def test_windows_add_up_to_one():
    plan = AxisTiling.plan(100, 48, 30)
    total = np.zeros(100)
    for i in range(plan.count):
        inside, own = plan.inside(i)
        total[inside] += plan.window(i)[own]
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_beyond_the_volume_lies_its_mirror_image():
    x = np.arange(4.0)[None, None, None, :]
    block = padded(lambda r: x[:, *r], (slice(0, 1), slice(0, 1), slice(-2, 6)), (1, 1, 4))
    assert block[0, 0, 0].tolist() == [1, 0, 0, 1, 2, 3, 3, 2]


def test_progress_counts_every_cube():
    seen = []
    x = np.zeros((1, 20, 20, 20), np.float32)
    run(lambda t: t, x, tile=12, core=10, batch=3, progress=lambda *a: seen.append(a))
    assert seen[-1] == (8, 8)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_error_while_writing_is_raised_and_nothing_is_written_after_it(error):
    x, written = np.zeros((1, 8, 8, 60), np.float32), []

    def write(region, block):
        written.append(region)
        raise error

    plans = [AxisTiling.plan(length, 8, 6) for length in x.shape[1:]]
    called = []

    def function(t):
        called.append(len(t))
        return t

    with pytest.raises(type(error)):
        map_tiles(function, lambda region: x[:, *region], write, plans)
    assert len(written) == 1
    tiles_of_a_slab = plans[0].count * plans[1].count
    assert len(called) <= tiles_of_a_slab + 2


@pytest.mark.parametrize("error", [RuntimeError("no memory"), KeyboardInterrupt()])
def test_an_error_of_the_function_is_raised_when_the_last_writing_is_over(error):
    x, events = np.zeros((1, 8, 8, 60), np.float32), []

    def write(region, block):
        time.sleep(0.2)
        events.append("written")

    plans = [AxisTiling.plan(8, 8, 8), AxisTiling.plan(8, 8, 8), AxisTiling.plan(60, 8, 6)]
    calls = iter([None, error])

    def function(t):
        if (failure := next(calls)) is not None:
            raise failure
        return t

    with pytest.raises(type(error)):
        map_tiles(function, lambda region: x[:, *region], write, plans)
    events.append("raised")
    assert events == ["written", "raised"]


def test_one_other_thread_writes_while_the_function_works():
    x, threads = np.zeros((1, 8, 8, 60), np.float32), []
    wrote = threading.Event()

    def write(region, block):
        threads.append(threading.get_ident())
        wrote.set()

    plans = [AxisTiling.plan(8, 8, 8), AxisTiling.plan(8, 8, 8), AxisTiling.plan(60, 8, 6)]
    calls = []

    def function(t):
        calls.append(len(calls) == 0 or wrote.wait(10))
        return t

    map_tiles(function, lambda region: x[:, *region], write, plans)
    assert all(calls)
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads
