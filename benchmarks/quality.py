"""Quality against the truth over training time, for several recipes, as a table and curves.

python benchmarks/quality.py OUT                              own specimens, 100 to 800 steps
python benchmarks/quality.py OUT --data A B --recipes default plain --steps 200 800 --seeds 0 1

Each FOLDER of --data holds EVN, ODD, full, truth, tilts.tlt and meta.json, as `isonet.py simulate`
writes them. Without any, a dense, a sparse and a membranous specimen are made, at two levels of
noise each. A recipe is better when it is on the mean and nowhere worse by more than noise.
A step is four cubes, in batches of any size. What is in OUT/scores.csv already is not computed
again, so a run can be stopped and extended.
"""

import argparse
import json
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

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
from isonet2.data.star import Tomogram, TomogramTable, update
from isonet2.data.volumes import open_volume
from isonet2.opening.rows import sectors_of
from isonet2.physics.fourier import spectrum
from isonet2.physics.lattice import lattice
from isonet2.physics.metrics import compare, fourier_shell_correlation
from isonet2.physics.wedge import measured
from isonet2.reports.table import show_table
from isonet2.trust.controls import positive, shape_of, wiener_filtered

CUBES = 4
"""That count as one step, whatever a recipe's batches hold."""
HALVES = ("rlnTomoReconstructedTomogramHalf1", "rlnTomoReconstructedTomogramHalf2")
SCORES = ("fsc_measured", "fsc_wedge")
LATTICE = "lattice"
"""Highest peak of a lattice in the results that the inputs do not have; in noise it is about 11."""
SPECIMENS: dict[str, dict[str, Any]] = {
    "dense": {"density": 0.15, "membranes": 1, "seed": 12},
    "sparse": {"density": 0.05, "membranes": 2, "seed": 11},
    "membranes": {"density": 0.01, "membranes": 8, "seed": 13},
}  # fmt: skip
NOISE = (0.05, 0.1)
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


def read(path: Path) -> Tensor:
    """The voxels of a file."""
    return torch.from_numpy(open_volume(path).read())


def positivity(tomogram: Tomogram) -> Tensor:
    """What a fill by positivity alone makes of the halves, protein bright."""
    sectors = sectors_of(tomogram)
    first, second = (-read(tomogram.column(name)) for name in HALVES)
    shape = shape_of(first)
    waves = [spectrum(half - half.mean()) for half in (first, second)]
    shared, _ = fourier_shell_correlation(*waves, shape, measured(shape, sectors).bool())
    return positive(wiener_filtered((first + second) / 2, shared), sectors)


def denoised(tomogram: Tomogram) -> Tensor:
    """What denoise made of it."""
    return read(tomogram.column("rlnDenoisedTomoName"))


def corrected(tomogram: Tomogram) -> Tensor:
    """What refine made of it."""
    return read(tomogram.column("rlnCorrectedTomoName"))


CONTROLS: dict[str, Callable[[Tomogram], Tensor]] = {
    "input": lambda tomogram: read(tomogram.column("rlnTomoName")),
    "positivity": positivity,
}
"""What is scored beside the networks."""


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
                update(table, tomogram.index, {HALVES[1]: truth})
            paths = denoise(DenoiseParameters(**common, **COMMON, pairing="fixed", **options))
        else:
            paths = refine(RefineParameters(**common, **(REFINE | options)))
        found[count] = paths[0]
    return found


def minutes_of(network: Path, epochs: int) -> float:
    """Training time up to an epoch, from the history beside a network."""
    history = pd.read_csv(network.parent / "history.csv")
    return float(history["seconds"][:epochs].sum()) / 60


def own_specimens(out: Path) -> list[Path]:
    """Simulate the matrix of specimens and noise, where it is not there yet."""
    folders = []
    for name, options in SPECIMENS.items():
        for snr in NOISE:
            folders.append(out / f"{name}_{snr}")
            if not (folders[-1] / "meta.json").exists():
                simulate(
                    SimulateParameters(
                        output_dir=folders[-1], shape=(96, 160, 160), count=2, snr=snr, **options
                    )
                )
    return folders


def score(data: Path, table: Path, made: Callable[[Tomogram], Tensor]) -> dict[str, float]:
    """Mean scores of what is made of a table's tomograms, in the contrast that suits the truth."""
    found = []
    for tomogram in TomogramTable.read(table).tomograms:
        truth, volume = read(data / "truth" / f"{tomogram.name}.mrc"), made(tomogram)
        size = tomogram.pixel_size or 1.0
        scores = compare(volume, truth, size, sectors_of(tomogram), coarsest=200.0)
        sign = -1 if scores["cc_measured"] < 0 else 1
        peaks = lattice(volume).beyond(lattice(read(tomogram.column("rlnTomoName"))))
        found.append({name: sign * scores[name] for name in SCORES} | {LATTICE: peaks.highest})
    return {name: float(np.mean([one[name] for one in found])) for name in (*SCORES, LATTICE)}


def run(recipe: str, seed: int, data: Path, out: Path, steps: list[int]) -> list[dict[str, Any]]:
    """Train, predict and score one curve."""
    folder = out / data.name / f"{recipe}_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    networks = train(recipe, seed, data, folder, steps)
    rows = []
    for count, network in networks.items():
        restored = folder / f"restored_{count}"
        table = prepare(data, folder, 1)
        began = time.perf_counter()
        predict(PredictParameters(star_file=table, model=network, output_dir=restored))
        seconds = time.perf_counter() - began
        epochs = 1 if network.parent != folder else round(count / steps[0])
        rows.append(
            {
                "data": data.name, "recipe": recipe, "seed": seed, "steps": count,
                "minutes": minutes_of(network, epochs), "predict_seconds": seconds,
                **score(data, table, denoised if recipe == "supervised" else corrected),
            }
        )  # fmt: skip
    return rows


def picture(path: Path, rows: pd.DataFrame, levels: pd.DataFrame) -> None:
    """Curves of both scores over minutes, the mean of all specimens."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, name, title in zip(axes, SCORES, ("measured region", "missing wedge"), strict=True):
        for number, (recipe, lines) in enumerate(rows.groupby("recipe", sort=False)):
            for _, line in lines.groupby("seed"):
                ordered = line.sort_values("minutes")
                axis.plot(ordered["minutes"], ordered[name], "o-", color=f"C{number}")
            axis.plot([], [], "o-", color=f"C{number}", label=str(recipe))
        for style, control in zip((":", "--"), levels.index, strict=True):
            axis.axhline(levels.loc[control, name], color="grey", linestyle=style, label=control)
        axis.set(xscale="log", xlabel="minutes of training", ylabel="mean FSC", title=title)
    axes[0].legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, nargs="+")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=["default", "plain"])
    parser.add_argument("--steps", nargs="+", type=int, default=[100, 200, 400, 800])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    folders = options.data or own_specimens(out)
    scores = out / "scores.csv"
    rows = pd.read_csv(scores).to_dict("records") if scores.exists() else []
    for seed, data, recipe in product(options.seeds, folders, options.recipes):
        key = (data.name, recipe, seed)
        done = {r["steps"] for r in rows if (r["data"], r["recipe"], r["seed"]) == key}
        missing = [count for count in sorted(options.steps) if count not in done]
        if missing:
            rows += run(recipe, seed, data, out, missing)
            pd.DataFrame(rows).to_csv(scores, index=False)
    controls = pd.DataFrame(
        [
            {"data": d.name, "control": name} | score(d, prepare(d, out / d.name, 1), control)
            for (name, control), d in product(CONTROLS.items(), folders)
        ]
    )
    frame = pd.DataFrame(rows)
    mean = frame.groupby(["recipe", "seed", "steps"], sort=False).mean(numeric_only=True)
    levels = controls.groupby("control", sort=False).mean(numeric_only=True)
    picture(out / "curves.png", mean.reset_index(), levels)
    for title, table in (
        ("time to quality", frame),
        ("the mean of all specimens", mean.reset_index()),
        ("without a network", controls),
    ):
        digits = {"minutes": 1, "predict_seconds": 0, LATTICE: 0, **dict.fromkeys(SCORES, 3)}
        cells = table.round(digits).astype(str).to_numpy().tolist()
        show_table(title, list(table.columns), cells)


if __name__ == "__main__":
    main()
