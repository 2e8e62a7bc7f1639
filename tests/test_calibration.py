"""The measures on a trained network, against the truth: benchmarks/trust.py, very small."""

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location(
    "benchmark_trust", Path(__file__).parents[1] / "benchmarks" / "trust.py"
)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

SIZE = benchmark.SIZES["small"] | {"shape": (48, 72, 72), "ages": (8,)}
STEPS = 48


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """What was told and what is true of a network, by resolution, on one simulated tomogram."""
    table = benchmark.data_set(tmp_path_factory.mktemp("trust"), SIZE, 4.0, 60, 1)
    network = benchmark.trained(table, "network", STEPS, SIZE, "cpu")
    (result,) = benchmark.judged(table, network, "quick", "cpu")
    return benchmark.rows_of("network", "data", result)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_held_out_tilts_tell_the_truth(rows):
    assert rows
    for row in rows:
        assert abs(row["told"] - row["true_held_out"]) < max(0.1, 3 * row["error"])


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_hardly_any_noise_comes_through(rows):
    assert rows[0]["through"] < 0.15


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_spread_ranks_the_true_errors_in_the_wedge(rows):
    """After these few steps by 0.25; docs/trust.md has what longer trainings reached."""
    assert rows[0]["spread_rank"] > 0.2
