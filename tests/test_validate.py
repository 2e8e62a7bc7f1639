import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from job_helpers import offer
from quick import QUICK
from scipy.ndimage import uniform_filter
from star_files import HALVES
from trained import OPTIONS, checkpoint, save_model

from isonet2 import cli
from isonet2.commands import validate as module
from isonet2.commands.refine import refine
from isonet2.commands.validate import validate
from isonet2.data.blocks import read_star
from isonet2.data.progress import read_progress
from isonet2.data.star import TomogramTable, update, write_table
from isonet2.data.tomograms import resolve
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.networks import build_network
from isonet2.opening.halves import halves_of
from isonet2.parameters import RefineParameters, ValidateParameters
from isonet2.parameters.command_line import parse, words_of
from isonet2.physics.ctf import CtfTreatment
from isonet2.physics.fourier import spectrum
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.usage import Usage
from isonet2.runs.candidate import Candidate
from isonet2.runs.judged import judge as judge_one
from isonet2.runs.retraining import without_held_out
from isonet2.runs.spread_volume import pool_spreads
from isonet2.runs.subject import subject_of
from isonet2.trust.regions import held_out_part, measured_part
from isonet2.trust.sums import correlation, products

PAIRS = [("e", "o"), ("e", "e"), ("o", "o")]
CPU = {"gpuID": "cpu", "ncpus": 1, "mixed_precision": False}


def told(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def lights(result):
    return {found["kind"]: found["severity"] for found in result["findings"]}


@pytest.fixture
def copying(tmp_path):
    """A network that returns its input."""
    return save_model(tmp_path / "copy.pt")


@pytest.fixture(scope="module")
def project(halves, tmp_path_factory):
    """Two networks that copy, judged on a pair of halves: status and folder."""
    folder = tmp_path_factory.mktemp("project")
    frame = pd.DataFrame(
        {
            "rlnIndex": [1],
            "rlnTomoReconstructedTomogramHalf1": [halves[0]],
            "rlnTomoReconstructedTomogramHalf2": [halves[1]],
            "rlnPixelSize": [10.0],
        }
    )
    write_table(folder / "tomograms.star", frame)
    held = {"TS_01_EVN.mrc and TS_01_ODD.mrc": (24, 56)}
    models = (
        save_model(folder / "copy.pt"),
        save_model(folder / "shifted.pt", shift=0.5, seen=held),
    )
    return judge(folder, *models), folder


def judge(folder, *models):
    return validate(
        ValidateParameters(
            star_file=folder / "tomograms.star", models=models, output_dir=folder / "seen", **CPU
        )
    )


def test_a_network_that_copies_is_red_for_the_noise_it_lets_through(project):
    status, folder = project
    assert status == 2
    result, _ = told(folder / "seen")["results"]
    assert lights(result)["noise let through"] == "refusal"
    through = result["residual"]["noise let through without signal"]["value"]
    assert through == pytest.approx(1, abs=0.05)
    gain = np.array(result["kept signal"]["gain"]["value"][2:6], float)
    assert gain == pytest.approx(1, abs=0.15)


def test_what_was_held_out_of_training_is_judged_apart(project, halves):
    _, folder = project
    found = told(folder / "seen")
    unknown, parted = found["results"]
    assert unknown["kept signal where it was not trained"] is None
    assert "in what it has seen in training" in found["sentences"][0]
    apart = parted["kept signal where it was not trained"]
    assert np.array(apart["gain"]["value"][2:6], float) == pytest.approx(1, abs=0.15)
    parts = [torch.from_numpy(open_volume(half).read()[:, 24:56]) for half in halves[:2]]
    region = {"measured": measured_part(parts[0].shape, ((-60.0, 60.0),))}
    sums = products(dict(zip("eo", parts, strict=True)), PAIRS, region)
    shared = correlation(*(sums[first, second, "measured"].sum(0) for first, second in PAIRS))
    np.testing.assert_allclose(apart["halves"]["value"][2:20], shared[2:20], atol=0.02)
    assert "in what was held out of training" in found["sentences"][1]


def test_a_network_knows_what_it_was_trained_on(tmp_path, halves, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {}
    for half, column in zip(halves[:2], HALVES, strict=True):
        long = np.tile(open_volume(half).read(), (1, 2, 1))
        columns[column] = Path(f"long_{half.stem[-3:]}.mrc")
        write_volume(columns[column], long, voxel_size=10.0, label="test")
    frame = {"rlnIndex": 1, "rlnPixelSize": 10.0, "rlnNumberSubtomo": 1, **columns}
    write_table(Path("long.star"), pd.DataFrame([frame]))
    Path("tiny.yaml").write_text("family: unet\nfilters: 8\nlevels: 2\nconvolutions: 1\n")
    options = QUICK | {"arch": "tiny.yaml", "epochs": 1, "star_file": "long.star"}
    subject = subject_of(TomogramTable.read("long.star").tomograms[0])
    shutil.copy(columns[HALVES[0]], "other.mrc")
    other = replace(subject, halves=halves_of([Path("other.mrc"), columns[HALVES[1]]]))
    for validation, apart in ((True, slice(80, 112)), (False, None)):
        run = options | {"validation": validation, "output_dir": f"run_{validation}"}
        (path,) = refine(RefineParameters(**run))
        candidate = Candidate.load(path, "A", [torch.device("cpu")], mixed_precision=False)
        assert candidate.has_seen(subject)
        part = candidate.unseen(subject)
        assert (None if part is None else part.block[1]) == apart
        assert not candidate.has_seen(other)
        assert candidate.unseen(other) is None


def test_of_full_tomograms_halves_do_not_tell_what_was_seen(star, tmp_path):
    model = save_model(tmp_path / "full.pt", "isonet2", seen={"TS_09.mrc": None})
    candidate = Candidate.load(model, "A", [torch.device("cpu")], mixed_precision=False)
    assert candidate.has_seen(subject_of(TomogramTable.read(star).tomograms[0]))


def test_networks_stand_side_by_side_above_the_limit(project):
    _, folder = project
    found = told(folder / "seen")
    page = (folder / "seen/report.html").read_text(encoding="utf-8")
    assert [result["model"][0] for result in found["results"]] == ["A", "B"]
    assert page.count('type="range"') == 1
    assert page.count("data:image/png;base64,") == 5 + 2
    assert all(lead.count(". ") == 2 and html.escape(lead) in page for lead in found["sentences"])
    assert len(found["sentences"]) == 2
    assert page.index(found["sentences"][0][:40]) < page.index(found["limit"][:40])
    assert page.index(found["limit"][:40]) < page.index("<section")


def test_the_page_asks_for_nothing(project):
    _, folder = project
    page = (folder / "seen/report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)


def test_the_spread_of_a_network_that_copies_is_that_of_the_halves(project, halves):
    _, folder = project
    row = read_star(folder / "tomograms.star").blocks[""].to_dict("records")[0]
    path = folder / "seen/TS_01_spread.mrc"
    both = folder / "seen/TS_01_spread_networks.mrc"
    assert resolve(str(row["rlnSpreadTomoName"]), folder / "tomograms.star") == both
    first, second = (open_volume(half).read() for half in halves[:2])
    inside = (slice(8, -8),) * 3
    expected = np.sqrt(np.mean((first - second)[inside] ** 2) / 4)
    spread = open_volume(path).read()[inside]
    assert np.sqrt(np.mean(spread**2)) == pytest.approx(expected, rel=0.15)


def test_the_spread_over_networks_is_that_within_and_between_them(tmp_path, monkeypatch):
    monkeypatch.setattr("isonet2.data.volumes.CHUNK_VOXELS", 16 * 12 * 10)
    rng = np.random.default_rng(3)
    within = rng.uniform(1, 2, (2, 70, 12, 10)).astype(np.float32)
    means = rng.normal(0, 3, (2, 70, 12, 10)).astype(np.float32)
    files = [[tmp_path / f"{kind}{n}.mrc" for n in range(2)] for kind in ("spread", "mean")]
    for paths, volumes in zip(files, (within, means), strict=True):
        for path, voxels in zip(paths, volumes, strict=True):
            write_volume(path, voxels, voxel_size=10.0, label="test")
    pool_spreads(*files, tmp_path / "both.mrc")
    between = uniform_filter((means[0] - means[1]) ** 2 / 2, 3, mode="nearest")
    expected = np.sqrt((within**2).mean(0) + between)
    np.testing.assert_allclose(open_volume(tmp_path / "both.mrc").read(), expected, rtol=1e-4)


def test_what_was_computed_is_not_computed_again(project, monkeypatch):
    _, folder = project
    before = told(folder / "seen")["results"][0]

    def never(*_, **__):
        raise AssertionError("the network was applied again")

    monkeypatch.setattr("isonet2.runs.candidate.restore", never)
    monkeypatch.setattr("isonet2.runs.spread_volume.restore", never)
    words = [
        "validate",
        "tomograms.star",
        "copy.pt",
        "-o",
        "seen",
        "--gpuID",
        "cpu",
        "--ncpus",
        "1",
    ]
    monkeypatch.chdir(folder)
    assert cli.main([*words, "--mixed_precision", "False"]) == 2
    (after,) = told(folder / "seen")["results"]
    assert after | {"model": ""} == before | {"model": ""}
    assert "IsoNet2" in (folder / "seen/methods.txt").read_text(encoding="utf-8")


def other_voxels(star, copying):
    loaded = Checkpoint.load(copying)
    network = loaded.network()
    checkpoint(network, pixel_size=5.0).save(copying)


def other_ctf(star, copying):
    network = build_network("unet-small", **OPTIONS)
    usage = Usage(32, CtfTreatment(mode="network"))
    Checkpoint("isonet2-n2n", True, True, "unet-small", usage, network.state_dict(), OPTIONS).save(
        copying
    )
    update(star, 1, {"rlnDefocus": None})


def without_halves(star, copying):
    frame = pd.DataFrame({"rlnIndex": [1], "rlnTomoName": [star.parent / "x.mrc"]})
    write_table(star, frame)


BAD = {
    "no network": ({}, lambda star, model: model.unlink(), "copy.pt"),
    "no halves": ({}, without_halves, "lists no two halves"),
    "voxels": ({}, other_voxels, "was trained on voxels of 5 A"),
    "ctf": ({}, other_ctf, "rlnDefocus is empty"),
    "no recipe": ({"held_out": "full"}, lambda star, model: None, "no recipe"),
    "no such tomogram": ({"tomo_idx": "7"}, lambda star, model: None, "tomo_idx 7"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_judged_is_said_before_any_work(case, star, copying, monkeypatch):
    options, spoil, words = BAD[case]
    spoil(star, copying)
    parameters = ValidateParameters(star_file=star, models=(copying,), **CPU, **options)
    with pytest.raises(InputError, match=words) as caught:
        validate(parameters)
    assert len(str(caught.value).splitlines()) == 1
    assert not (star.parent / "validate").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["t.star"], "models"),
        (["t.star", "a.pt", "a.pt"], "twice"),
        (["t.star", "a.pt", "--epochs", "3"], "held_out full"),
        (["t.star", "a.pt", "--held_out_share", "0.9"], "held_out_share"),
    ],
)
def test_bad_words_are_refused(words, said):
    with pytest.raises(InputError, match=said):
        parse(words, ValidateParameters)


def test_networks_are_named_one_after_the_other():
    words = ["t.star", "my net.pt", "b.pt", "--gpuID", "cpu"]
    parameters = parse(words, ValidateParameters)
    assert [path.name for path in parameters.models] == ["my net.pt", "b.pt"]
    assert parse(words_of(parameters)[1:], ValidateParameters) == parameters
    for words in (
        ["t.star", "--models", "my net.pt", "b.pt"],
        ["t.star", "--models=[my net.pt,b.pt]"],
    ):
        assert parse([*words, "--gpuID", "cpu"], ValidateParameters) == parameters


def test_smaller_tiles_follow_where_memory_runs_out(copying):
    candidate = Candidate.load(copying, "A", [torch.device("cpu")], mixed_precision=False)
    tried = []

    def work(tiles):
        tried.append(tiles[0].tile)
        if len(tried) == 1:
            raise torch.OutOfMemoryError

    def fails(tiles):
        raise torch.OutOfMemoryError

    candidate.with_tiles((160, 160, 160), work)
    assert tried[0] > tried[1] == 32
    with pytest.raises(InputError, match="does not fit"):
        candidate.with_tiles((160, 160, 160), fails)


@pytest.fixture
def two(star, halves):
    """The same halves listed as two tomograms, judged from the working folder."""
    rows = []
    for number in (1, 2):
        pair = [shutil.copy(half, f"TS_0{number}_{half.stem[-3:]}.mrc") for half in halves[:2]]
        columns = dict(zip(HALVES, pair, strict=True))
        rows.append({"rlnIndex": number, "rlnPixelSize": 10.0, **columns})
    write_table(star, pd.DataFrame(rows))
    return ["validate", str(star), "copy.pt", "--gpuID", "cpu", "--ncpus", "1"]


def test_one_that_fails_stops_no_other(two, copying, monkeypatch, caplog):
    for half in Path().glob("TS_02_*.mrc"):
        voxels = open_volume(half).read()
        voxels[20:25, 30:35, 40:45] -= 60
        write_volume(half, voxels, voxel_size=10.0, label="test")

    def fails_once(subject, *others):
        if subject.name == "TS_01":
            raise InputError("TS_01: is broken")
        return judge_one(subject, *others)

    monkeypatch.setattr(module, "judge", fails_once)
    assert cli.main([*two, "--held_out", "none"]) == 2
    assert "TS_01: is broken" in caplog.text
    (result,) = told(Path("validate"))["results"]
    assert result["tomogram"] == "TS_02"
    assert result["gold"]["middles (x, y, z)"] == [pytest.approx((42, 32, 22), abs=0.4)]
    (said,) = (found["sentence"] for found in result["findings"] if found["kind"] == "gold")
    assert "holds 1 gold bead, or bodies as dense (x, y, z: 42, 32, 22)" in said
    assert "TS_01: is broken" in Path("validate/report.html").read_text(encoding="utf-8")
    progress = read_progress(Path("validate"))
    assert (progress.state, progress.tomogram, progress.tomograms) == ("succeeded", 2, 2)
    noted = [
        row.get("rlnSpreadTomoName") for row in read_star(two[1]).blocks[""].to_dict("records")
    ]
    assert noted == ["None", "validate/TS_02_spread.mrc"]


@pytest.mark.slow
def test_processes_here_judge_as_one_does(project, two, copying, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    offer(monkeypatch, tmp_path / "locks", "")
    words = [*two, "--mixed_precision", "False", "--cluster", "local"]
    assert cli.main(words) == 2
    found = told(Path("validate"))["results"]
    assert [result["tomogram"] for result in found] == ["TS_01", "TS_02"]
    one = told(project[1] / "seen")["results"][0]
    for result in found:
        same = result | {name: one[name] for name in ("tomogram", "model", "findings")}
        assert json.dumps(same) == json.dumps(one)
    assert Path("validate/TS_02_spread.mrc").exists()


@pytest.mark.slow
def test_held_out_tilts_are_learned_without_them(star, monkeypatch):
    update(star, 1, {"rlnNumberSubtomo": 2})
    (path,) = refine(RefineParameters(star_file=star, epochs=1, mw_weight=20, **QUICK))
    candidate = Candidate.load(path, "A", [torch.device("cpu")], mixed_precision=False)
    subject = subject_of(TomogramTable.read(star).tomograms[0])
    kept = subject.kept(0.3)
    assert kept == ((-42.0, 42.0),)

    def train_anew(epochs):
        return without_held_out(
            candidate, [subject], [kept], star.parent, epochs=epochs, gpuID="cpu", ncpus=1
        )

    network = train_anew(2)
    told = Checkpoint.load(network)
    assert told.epoch == 2
    assert told.parameters["mw_weight"] == 20
    assert told.parameters["cube_size"] == 32
    (row,) = TomogramTable.read(network.parents[1] / "tomograms.star").tomograms
    assert (row.tilt_min, row.tilt_max) == (-42, 42)
    part = held_out_part((48, 56, 64), ((-60.0, 60.0),), kept, 40)[:, None]
    for given, left in zip(
        (subject.tomogram.half1, subject.tomogram.half2), (row.half1, row.half2), strict=True
    ):
        before, after = (
            spectrum(torch.from_numpy(open_volume(file).read())).abs().square()
            for file in (given, left)
        )
        shown = part.expand(before.shape)
        share = after[shown].sum() / after.sum(), before[shown].sum() / before.sum()
        assert share[0] < 1e-6 * share[1]
    monkeypatch.setattr("isonet2.runs.retraining.train", None)
    assert train_anew(2) == network
    assert train_anew(1) == network
