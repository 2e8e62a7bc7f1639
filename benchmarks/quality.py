"""Quality against the truth over training time, for several recipes, as a table and curves.

python benchmarks/quality.py OUT                              own specimen, 100 to 800 steps
python benchmarks/quality.py OUT --data FOLDER --recipes default plain --steps 200 800 --seeds 0 1

FOLDER holds EVN, ODD, full, truth, tilts.tlt and meta.json, as `isonet.py simulate` writes them.
A step is four cubes, in batches of any size. What is in OUT/scores.csv already is not computed
again, so a run can be stopped and extended.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from isonet2 import (
    DenoiseParameters,
    PredictParameters,
    PrepareStarParameters,
    RefineParameters,
    SimulateParameters,
    denoise,
    predict,
    prepare_star,
    refine,
    simulate,
)
from isonet2.data.star import TomogramTable, update
from isonet2.data.volumes import open_volume
from isonet2.opening.rows import sectors_of
from isonet2.physics.metrics import compare
from isonet2.reports.table import show_table

CUBES = 4
"""That count as one step, whatever a recipe's batches hold."""
SCORES = ("fsc_measured", "fsc_wedge")
COMMON: dict[str, Any] = {
    "arch": "unet-small", "cube_size": 48, "with_preview": False,
}  # fmt: skip
REFINE: dict[str, Any] = {
    **COMMON, "method": "isonet2-n2n", "CTF_mode": "network", "mw_weight": 20.0,
}  # fmt: skip

PUBLISHED = str(Path(__file__).with_name("published.yaml"))
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "plain": {
        "arch": PUBLISHED, "batch_size": 4, "pairing": "both", "ema": 0.0, "warm_up": 0.0,
        "learning_rate": 3e-4, "learning_rate_min": 3e-4, "optimizer": "AdamW",
    },
    "batch-4": {"batch_size": 4},
    "no-fill": {"fill_probability": 0.0},
    "half-fill": {"fill_probability": 0.5},
    "no-average": {"ema": 0.0},
    "instance": {"normalization": "instance"},
    "adamw": {"optimizer": "AdamW", "learning_rate": 1e-3},
    "published-network": {"arch": PUBLISHED},
    "supervised": {},
}  # fmt: skip
"""`plain` is the published recipe and network at a constant rate: one run gives the whole curve.
`supervised` trains on the truth itself: a ceiling, not a method."""


def prepare(data: Path, out: Path, steps: int) -> Path:
    """Write a table whose epochs draw the cubes of so many steps."""
    meta = json.loads((data / "meta.json").read_text())
    defoci = [tomogram.get("defocus", tomogram.get("defocus_A")) for tomogram in meta["tomograms"]]
    return prepare_star(
        PrepareStarParameters(
            full=data / "full",
            even=data / "EVN",
            odd=data / "ODD",
            tilt_file=data / "tilts.tlt",
            defocus=tuple(defoci),
            number_subtomos=max(1, round(steps * CUBES / len(defoci))),
            star_name=out / "tomograms.star",
        )
    )


def train(recipe: str, seed: int, data: Path, out: Path, steps: list[int]) -> dict[int, Path]:
    """Networks after each number of steps: one run where the rate is constant, else one each."""
    options = RECIPES[recipe]
    if options.get("warm_up") == 0.0:
        table = prepare(data, out, steps[0])
        rounds = [round(count / steps[0]) for count in steps]
        refine(
            RefineParameters(
                star_file=table, output_dir=out, epochs=rounds[-1], save_interval=1, seed=seed,
                **(REFINE | options),
            )
        )  # fmt: skip
        stem = f"network_isonet2-n2n_{Path((COMMON | options)['arch']).stem}_{COMMON['cube_size']}"
        return {
            count: out / f"{stem}_epoch{number}_full.pt"
            for count, number in zip(steps, rounds, strict=True)
        }
    found = {}
    for count in steps:
        folder = out / str(count)
        folder.mkdir(exist_ok=True)
        table = prepare(data, folder, count)
        common: dict[str, Any] = {
            "star_file": table, "output_dir": folder, "epochs": 1, "seed": seed,
        }  # fmt: skip
        if recipe == "supervised":
            for tomogram in TomogramTable.read(table).tomograms:
                truth = data / "truth" / f"{tomogram.name}.mrc"
                update(table, tomogram.index, {"rlnTomoReconstructedTomogramHalf2": truth})
            paths = denoise(DenoiseParameters(**common, **COMMON, pairing="fixed", **options))
        else:
            paths = refine(RefineParameters(**common, **(REFINE | options)))
        found[count] = paths[0]
    return found


def minutes_of(network: Path, epochs: int) -> float:
    """Training time up to an epoch, from the history beside a network."""
    history = pd.read_csv(network.parent / "history.csv")
    return float(history["seconds"][:epochs].sum()) / 60


def score(data: Path, table: Path, column: str) -> dict[str, float]:
    """Mean scores of a table's tomograms, in the contrast that suits the truth."""
    found = []
    for tomogram in TomogramTable.read(table).tomograms:
        truth = torch.from_numpy(open_volume(data / "truth" / f"{tomogram.name}.mrc").read())
        volume = torch.from_numpy(open_volume(tomogram.column(column)).read())
        size = tomogram.pixel_size or 1.0
        scores = compare(volume, truth, size, sectors_of(tomogram), coarsest=200.0)
        sign = -1 if scores["cc_measured"] < 0 else 1
        found.append({name: sign * scores[name] for name in SCORES})
    return {name: float(np.mean([one[name] for one in found])) for name in SCORES}


def run(recipe: str, seed: int, data: Path, out: Path, steps: list[int]) -> list[dict[str, Any]]:
    """Train, predict and score one curve."""
    folder = out / f"{recipe}_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    networks = train(recipe, seed, data, folder, steps)
    rows = []
    for count, network in networks.items():
        restored = folder / f"restored_{count}"
        table = prepare(data, folder, 1)
        began = time.perf_counter()
        predict(PredictParameters(star_file=table, model=network, output_dir=restored))
        seconds = time.perf_counter() - began
        column = "rlnDenoisedTomoName" if recipe == "supervised" else "rlnCorrectedTomoName"
        epochs = 1 if network.parent != folder else round(count / steps[0])
        rows.append(
            {
                "recipe": recipe, "seed": seed, "steps": count,
                "minutes": minutes_of(network, epochs), "predict_seconds": seconds,
                **score(data, table, column),
            }
        )  # fmt: skip
    return rows


def picture(path: Path, rows: pd.DataFrame, control: dict[str, float]) -> None:
    """Curves of both scores over minutes."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, name, title in zip(axes, SCORES, ("measured region", "missing wedge"), strict=True):
        for number, (recipe, lines) in enumerate(rows.groupby("recipe", sort=False)):
            for _, line in lines.groupby("seed"):
                ordered = line.sort_values("minutes")
                axis.plot(ordered["minutes"], ordered[name], "o-", color=f"C{number}")
            axis.plot([], [], "o-", color=f"C{number}", label=str(recipe))
        axis.axhline(control[name], color="grey", linestyle=":", label="input")
        axis.set(xscale="log", xlabel="minutes of training", ylabel="mean FSC", title=title)
    axes[0].legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=["default", "plain"])
    parser.add_argument("--steps", nargs="+", type=int, default=[100, 200, 400, 800])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    out: Path = options.out
    data: Path = options.data or out / "data"
    if not (data / "meta.json").exists():
        simulate(SimulateParameters(output_dir=data, shape=(96, 160, 160), count=2))
    out.mkdir(parents=True, exist_ok=True)
    scores = out / "scores.csv"
    rows = pd.read_csv(scores).to_dict("records") if scores.exists() else []
    for seed in options.seeds:
        for recipe in options.recipes:
            done = {r["steps"] for r in rows if (r["recipe"], r["seed"]) == (recipe, seed)}
            missing = [count for count in sorted(options.steps) if count not in done]
            if not missing:
                continue
            rows += run(recipe, seed, data, out, missing)
            pd.DataFrame(rows).to_csv(scores, index=False)
    table = prepare(data, out, 1)
    control = score(data, table, "rlnTomoName")
    frame = pd.DataFrame(rows)
    picture(out / "curves.png", frame, control)
    cells = frame.round({"minutes": 1, "predict_seconds": 0, **dict.fromkeys(SCORES, 3)})
    show_table("time to quality", list(frame.columns), cells.astype(str).to_numpy().tolist())
    print("the input:", {name: round(value, 3) for name, value in control.items()})


if __name__ == "__main__":
    main()
