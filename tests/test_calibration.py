"""The measures on trained networks, against the truth: benchmarks/trust.py, very small."""

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location(
    "benchmark_trust", Path(__file__).parents[1] / "benchmarks" / "trust.py"
)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)

SIZE = benchmark.SMALL | {"shape": (48, 72, 72), "ages": (8, 48)}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """What was told and what is true, by network, of one simulated tomogram."""
    table = benchmark.data_set(tmp_path_factory.mktemp("trust"), SIZE, 4.0, 60, 1)
    young, old = (
        benchmark.trained(table, f"steps_{steps}", steps, SIZE, "cpu") for steps in SIZE["ages"]
    )
    networks = {
        "young": young,
        "old": old,
        "wrong": benchmark.trained(
            benchmark.wrong_range(table, 60), "wrong", SIZE["ages"][-1], SIZE, "cpu"
        ),
    }
    found = {}
    for name, network in networks.items():
        (result,) = benchmark.judged(table, network, "quick", "cpu")
        found[name] = benchmark.rows_of(name, "data", result)
    return found


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_network_of_a_wrong_range_is_flagged(rows):
    assert rows["wrong"][0]["flagged"]
    assert rows["old"][0]["through"] < 0.15


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_held_out_tilts_tell_the_truth_and_rank_networks_by_it(rows):
    by_network = {name: {row["resolution"]: row for row in rows[name]} for name in ("young", "old")}
    common = sorted(set(by_network["young"]) & set(by_network["old"]))
    assert common
    for resolution in common:
        pair = [by_network[name][resolution] for name in ("young", "old")]
        for row in pair:
            assert abs(row["told"] - row["true_held_out"]) < max(0.1, 3 * row["error"])
        apart = pair[1]["true_held_out"] - pair[0]["true_held_out"]
        if abs(apart) > 0.05:
            assert (pair[1]["told"] - pair[0]["told"]) * apart > 0


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_spread_ranks_the_true_errors_in_the_wedge(rows):
    """After these few steps by 0.25; docs/trust.md has what longer trainings reached."""
    assert rows["old"][0]["spread_rank"] > 0.2
