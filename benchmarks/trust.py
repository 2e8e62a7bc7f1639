"""The measures of `isonet.py validate` against the truth, on simulated tomograms.

python benchmarks/trust.py OUT                   2 noise levels, 2 tilt ranges, 2 seeds
python benchmarks/trust.py OUT --size medium     the same with small volumes and networks
python benchmarks/trust.py OUT --size small      one of each, some minutes

Of each data set networks of two ages are trained, and of one of them a network with the wrong tilt
range; one copies its input. Each is judged with tilts held out as a network trained anew restores
them. OUT/scores.csv has a row for each band of each network: what was told, its error, and the
truth in the held-out directions and in the real wedge. What is there already is not made again.
"""

import argparse
import json
import math
import platform
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from isonet2 import (
    PrepareStarParameters,
    RefineParameters,
    SimulateParameters,
    ValidateParameters,
    prepare_star,
    refine,
    simulate,
    validate,
)
from isonet2.data.star import TomogramTable, update
from isonet2.networks import build_network
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.reports.table import show_table
from isonet2.trust.held_out import RESOLUTIONS

SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "shape": (64, 96, 96), "noise": (4.0,), "ranges": (60,), "seeds": (1,),
        "arch": None, "cube": 32, "ages": (15, 105), "count": 1,
    },
    "medium": {
        "shape": (64, 96, 96), "noise": (0.5, 4.0), "ranges": (60, 45), "seeds": (0, 1),
        "arch": None, "cube": 32, "ages": (40, 320), "count": 1,
    },
    "large": {
        "shape": (96, 160, 160), "noise": (0.1, 0.5), "ranges": (60, 45), "seeds": (0, 1),
        "arch": "unet-small", "cube": 48, "ages": (100, 800), "count": 2,
    },
}  # fmt: skip
WRONG = 20
"""Degrees by which the wrong range is too narrow at both ends."""
SMALL_NETWORK = "family: unet\nfilters: 8\nlevels: 3\nconvolutions: 2\n"
PIXEL = 10.0


def data_set(out: Path, size: dict[str, Any], noise: float, tilt: int, seed: int) -> Path:
    """Simulate tomograms, and list them with their truth."""
    folder = out / f"snr{noise:g}_tilt{tilt}_seed{seed}"
    table = folder / "tomograms.star"
    if table.exists():
        return table
    simulate(
        SimulateParameters(
            output_dir=folder, shape=size["shape"], count=size["count"], snr=noise, seed=seed,
            density=0.15, defocus=None, tilt_min=-tilt, tilt_max=tilt, pixel_size=PIXEL,
        )
    )  # fmt: skip
    prepare_star(
        PrepareStarParameters(
            even=folder / "EVN",
            odd=folder / "ODD",
            tilt_file=folder / "tilts.tlt",
            star_name=table,
        )
    )
    for row in TomogramTable.read(table).tomograms:
        update(table, row.index, {"rlnGroundTruth": folder / "truth" / f"{row.name}.mrc"})
    return table


def trained(table: Path, name: str, steps: int, size: dict[str, Any], gpu: str | None) -> Path:
    """Train a network for some steps of two cubes."""
    folder = table.parent / name
    found = list(folder.glob("network_*_full.pt"))
    if found:
        return found[0]
    first = size["ages"][0]
    rows = TomogramTable.read(table).tomograms
    for row in rows:
        update(table, row.index, {"rlnNumberSubtomo": max(1, 2 * first // len(rows))})
    arch = size["arch"]
    if arch is None:
        arch = str(table.parent / "small.yaml")
        Path(arch).write_text(SMALL_NETWORK)
    (path,) = refine(
        RefineParameters(
            star_file=table, output_dir=folder, arch=arch, cube_size=size["cube"],
            epochs=steps // first,
            mw_weight=20.0, with_preview=False, validation=False, gpuID=gpu,
        )
    )  # fmt: skip
    return path


def wrong_range(table: Path, tilt: int) -> Path:
    """The same table with a tilt range too narrow."""
    path = table.with_name("wrong.star")
    if not path.exists():
        path.write_text(table.read_text())
        for row in TomogramTable.read(path).tomograms:
            ends = {"rlnTiltMin": WRONG - tilt, "rlnTiltMax": tilt - WRONG, "rlnTiltFile": None}
            update(path, row.index, ends)
    return path


def copying(like: Path) -> Path:
    """A network that returns its input, as if another had been trained to."""
    path = like.with_name("network_copying.pt")
    told = Checkpoint.load(like)
    options = {"filters": 2, "levels": 2, "convolutions": 1, "add_input": True}
    network = build_network("unet-small", **options)
    with torch.no_grad():
        network.final.weight.zero_()
        network.final.bias.zero_()
    Checkpoint(
        method=told.method, reads_halves=True, fills_wedge=True, arch="unet-small",
        usage=told.usage, weights=network.state_dict(), network_options=options,
        pixel_size=told.pixel_size,
    ).save(path)  # fmt: skip
    return path


def judged(table: Path, network: Path, held_out: str, gpu: str | None) -> list[dict[str, Any]]:
    """Validate one network; return the results of all tomograms."""
    folder = network.parent / f"validate_{network.stem}_{held_out}"
    if not (folder / "report.json").exists():
        validate(
            ValidateParameters(
                star_file=table, models=(network,), output_dir=folder, held_out=held_out, gpuID=gpu
            )
        )
    return json.loads((folder / "report.json").read_text())["results"]


def rows_of(name: str, data: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each band."""
    told, truth = result["held-out tilts"], result["truth"]
    lights = {
        found["kind"]: found["severity"]
        for found in result["findings"]
        if found["measured"] is not None
    }
    common = {
        "data": data,
        "network": name,
        "lost": result["residual"]["signal lost where there is signal"]["value"],
        "through": result["residual"]["noise let through without signal"]["value"],
        "imprint": result["imprint"]["wedge out of noise"],
        "spread_rank": result["spread ranks true errors in the wedge by"],
        "flagged": any(
            lights.get(kind) in ("warning", "refusal")
            for kind in ("signal left in the residual", "noise let through", "wedge out of noise")
        ),
    }

    def true(part: str, resolution: float) -> float:
        value = truth[f"{part}, in bands"][RESOLUTIONS.index(resolution)]
        return math.nan if value is None else value

    return [
        {
            **common,
            "resolution": resolution,
            "told": told["network"]["value"][place],
            "error": told["network"]["error"][place],
            "positivity": told["positivity"]["value"][place],
            "nothing": told["nothing filled"]["value"][place],
            "true_held_out": true("held out", resolution),
            "true_wedge": true("wedge", resolution),
        }
        for place, resolution in enumerate(told["resolutions (A)"])
    ] or [common]


def summary(scores: pd.DataFrame) -> list[list[str]]:
    """What is to be known of all rows together."""
    told = scores.dropna(subset=["told"])
    told = told[told.resolution >= 40]
    off = told.told - told.true_held_out
    ranks = [
        float(one.told.corr(one.true_held_out, method="spearman"))
        for _, one in told.groupby(["data", "resolution"])
        if len(one) > 2
    ]
    return [
        ["rows", f"{len(told)}"],
        ["told minus truth in the held-out directions, mean", f"{off.mean():+.3f}"],
        ["largest", f"{off.abs().max():.3f}"],
        ["within 0.04", f"{(off.abs() <= 0.04).mean():.2f}"],
        ["truth within the jackknife error", f"{(off.abs() <= told.error).mean():.2f}"],
        ["told minus truth in the real wedge", f"{(told.told - told.true_wedge).mean():+.3f} "
                                               f"+- {(told.told - told.true_wedge).std():.3f}"],
        ["rank correlation with the truth", f"{np.mean(ranks) if ranks else math.nan:.2f}"],
        ["spread ranks true errors by, least", f"{scores.spread_rank.min():.2f}"],
        *(
            [f"flagged: {name}", f"{one.flagged.mean():.2f}"]
            for name, one in scores.groupby("network")
        ),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="large", choices=SIZES)
    parser.add_argument("--held_out", default="full", choices=("quick", "full"))
    parser.add_argument("--gpuID", default=None)
    asked = parser.parse_args()
    size = SIZES[asked.size]
    asked.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    sets = list(product(size["noise"], size["ranges"], size["seeds"]))
    for number, (noise, tilt, seed) in enumerate(sets):
        table = data_set(asked.out, size, noise, tilt, seed)
        networks = {
            f"{steps} steps": trained(table, f"steps_{steps}", steps, size, asked.gpuID)
            for steps in size["ages"]
        }
        oldest = networks[f"{size['ages'][-1]} steps"]
        how = dict.fromkeys(networks, asked.held_out)
        if number == 0:
            wrong = trained(
                wrong_range(table, tilt), "wrong_range", size["ages"][-1], size, asked.gpuID
            )
            networks |= {"wrong range": wrong, "copying": copying(oldest)}
            how |= {"wrong range": asked.held_out, "copying": "quick"}
        for name, network in networks.items():
            for result in judged(table, network, how[name], asked.gpuID):
                data = f"{table.parent.name} {result['tomogram']}"
                rows += rows_of(name, data, result)
            pd.DataFrame(rows).to_csv(asked.out / "scores.csv", index=False)
    scores = pd.DataFrame(rows)
    show_table("bands", list(scores), scores.round(3).astype(str).to_numpy().tolist())
    show_table(f"on {platform.machine()}", ["", ""], summary(scores))


if __name__ == "__main__":
    main()
