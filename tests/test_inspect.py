import json
import logging
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isonet2.checks.examination import examine
from isonet2.commands.inspect import inspect
from isonet2.data.blocks import read_star
from isonet2.data.progress import read_progress
from isonet2.data.star import TomogramTable, write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import InspectParameters
from isonet2.reports.page import Section, write_page


@pytest.fixture(autouse=True)
def tried(monkeypatch):
    """Cubes of 32 take a tenth of a second, and are not tried."""
    monkeypatch.setattr("isonet2.runs.cost.seconds_of_cube", lambda device, edge: 0.1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.fixture
def table(halves, tmp_path, monkeypatch):
    """Three rows: a healthy one, one of wrong tilts, one with a NaN at its border."""
    monkeypatch.chdir(tmp_path)
    broken = open_volume(halves[1]).read()
    write_volume(tmp_path / "bad.mrc", broken, voxel_size=10.0, label="test")
    raw = np.memmap(tmp_path / "bad.mrc", "f4", offset=1024, mode="r+", shape=broken.shape)
    raw[0, 1, 2] = np.nan
    raw.flush()
    frame = pd.DataFrame(
        {
            "rlnIndex": [1, 2, 3],
            "rlnTomoReconstructedTomogramHalf1": [halves[0]] * 3,
            "rlnTomoReconstructedTomogramHalf2": [halves[1], halves[1], tmp_path / "bad.mrc"],
            "rlnPixelSize": [10.0, None, 10.0],
            "rlnTiltMin": [-60, -40, -60],
            "rlnTiltMax": [60, 40, 60],
        }
    )
    write_table("tomograms.star", frame)
    return tmp_path / "tomograms.star"


def told(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("rows", "status"), [("1", 0), ("1,2", 1), ("3", 2), (None, 2)])
def test_the_status_is_that_of_the_gravest_finding(table, rows, status):
    assert inspect(InspectParameters(tomograms=table, tomo_idx=rows)) == status
    found = told(table.parent / "inspect")
    assert found["status"] == status
    assert len(found["tomograms"]) == (3 if rows is None else len(rows.split(",")))


def test_the_report_asks_for_nothing_and_shows_the_gravest_first(table, capsys):
    inspect(InspectParameters(tomograms=table, output_dir="seen"))
    page = (table.parent / "seen" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    verdicts = re.findall(r'<td><span class="badge (\w+)">', page)
    assert verdicts[:2] == ["refusal", "warning"]
    assert verdicts[2] in {"clean", "remark"}
    assert "refused" in capsys.readouterr().out.split("warning")[0]


def test_figures_are_those_of_the_tomogram(table):
    inspect(InspectParameters(tomograms=table, tomo_idx="2"))
    (found,) = told(table.parent / "inspect")["tomograms"]
    assert found["figures"]["voxels"] == [48, 56, 64]
    assert found["figures"]["tilts that are seen"] == pytest.approx([-60, 60], abs=2)
    assert found["figures"]["noise correlation of the halves"] < 0.05
    assert found["suggestions"] == {"cube_size": 48, "CTF_mode": "None"}
    assert found["figures"]["tilt about x (degrees)"] == pytest.approx(0, abs=2)
    assert found["figures"]["uncertainty of their ends (degrees)"] == pytest.approx(2, abs=0.5)
    assert found["figures"]["protein"] == "not bright"
    assert found["figures"]["restored"] is None
    assert len(found["shells"]["frequency"]) == len(found["shells"]["noise"]) > 20
    (finding,) = [f for f in found["findings"] if f["kind"] == "tilts: range"]
    assert finding["declared"] == [-40, 40]
    assert finding["measured"] == pytest.approx([-60, 60], abs=2)


def test_what_to_train_with_and_what_it_takes_is_said_everywhere(table, caplog):
    caplog.set_level(logging.INFO)
    inspect(InspectParameters(tomograms=table, tomo_idx="1,2"))
    folder = table.parent / "inspect"
    found = told(folder)
    cubes = sum(row.number_subtomos for row in TomogramTable.read(table).select("1,2"))
    epochs = max(10, round(150_000 / cubes))
    assert found["suggested"] == {
        "cube_size": 48, "CTF_mode": "None", "epochs": epochs, "cubes": cubes,
    }  # fmt: skip
    assert found["cost"]["training"] == pytest.approx(epochs * cubes * 0.1 * 1.5**3)
    assert found["cost"]["restoring"] > 1
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in (f"--cube_size 48 --CTF_mode None --epochs {epochs}", found["cost"]["words"]):
        assert words in caplog.text
        assert words in page
    methods = (folder / "methods.txt").read_text(encoding="utf-8")
    lowest = re.search(r"the lowest tilt is (-[\d.]+)", methods)[1]
    assert float(lowest) == pytest.approx(-60, abs=2)
    assert "defocus" not in re.findall(r"<tr>(.*?)</tr>", page)[0]


def test_a_picture_that_fails_is_a_warning(table, monkeypatch, caplog):
    monkeypatch.setenv("MPLBACKEND", "module://no_such_backend")
    inspect(InspectParameters(tomograms=table, tomo_idx="1"))
    page = table.parent / "inspect" / "report.html"
    assert "data:image/png" in page.read_text(encoding="utf-8")
    monkeypatch.setattr("isonet2.reports.spectra.figure", lambda *_: 1 / 0)
    assert inspect(InspectParameters(tomograms=table, tomo_idx="1")) == 0
    assert "TS_01: its picture was not drawn: division by zero" in caplog.text
    assert "data:image/png" not in page.read_text(encoding="utf-8")


def test_what_is_certain_is_written_into_the_table_after_a_copy(table, caplog):
    before = table.read_text(encoding="utf-8")
    assert inspect(InspectParameters(tomograms=table, fix=True)) == 2
    assert table.with_name("tomograms.star.1").read_text(encoding="utf-8") == before
    rows = read_star(table).blocks[""].to_dict("records")
    ends = [(float(row["rlnTiltMin"]), float(row["rlnTiltMax"])) for row in rows]
    assert ends[1] == pytest.approx((-60, 60), abs=2)
    assert ends[::2] == [(-60, 60), (-60, 60)]
    assert float(rows[1]["rlnPixelSize"]) == 10
    assert "rlnTiltMin was -40 and is" in caplog.text
    assert inspect(InspectParameters(tomograms=table, tomo_idx="2", fix=True)) == 0


def test_folders_and_volumes_are_taken_too(halves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EVN").mkdir()
    (tmp_path / "ODD").mkdir()
    for folder, path in (("EVN", halves[0]), ("ODD", halves[1])):
        (tmp_path / folder / path.name).symlink_to(path)
    for place, files in ((tmp_path, 2), (halves[0].parent, 2), (halves[0], 1)):
        if place == halves[0].parent:
            place = tmp_path / "flat"
            place.mkdir()
            for path in halves[:2]:
                (place / path.name).symlink_to(path)
        assert inspect(InspectParameters(tomograms=place, tilt_min=-60, tilt_max=60)) == 0
        (found,) = told(tmp_path / "inspect")["tomograms"]
        assert len(found["files"]) == files


def test_what_is_said_of_volumes_without_a_table_counts(halves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = InspectParameters(tomograms=halves[0], tilt_min=-40, tilt_max=40, pixel_size=5)
    assert inspect(wrong) == 1
    (found,) = told(tmp_path / "inspect")["tomograms"]
    assert {"tilts: range", "voxel size"} <= {f["kind"] for f in found["findings"]}


@pytest.mark.parametrize("option", [{"fix": True}, {"tomo_idx": "1"}])
def test_options_of_tables_are_refused_without_one(halves, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is no STAR table"):
        inspect(InspectParameters(tomograms=halves[0], **option))
    assert not list(tmp_path.iterdir())


def test_what_names_say_is_no_code_in_the_report(tmp_path):
    section = Section("<b>a</b>", "warning", [("warning", "x < y & z")], {"<i>": "<script>"})
    write_page(tmp_path / "a.html", "t", "<u>", ["name", "state"], [["<p>", "warning"]], [section])
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert not re.findall(r"<(?:b>a|script|u>|p><|i>)", page)
    assert "x &lt; y &amp; z" in page


@pytest.mark.slow
def test_other_processes_find_the_same(table, monkeypatch):
    """What they find comes back, and this process writes the report and the table."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    for folder, cluster in (("here", None), ("spread", "local")):
        asked = InspectParameters(tomograms=table, output_dir=folder, cluster=cluster)
        assert inspect(asked) == 2
    here, spread = (told(table.parent / folder)["tomograms"] for folder in ("here", "spread"))
    for one, other in zip(here, spread, strict=True):
        for name in ("name", "files", "verdict", "suggestions"):
            assert one[name] == other[name]
        for name in ("kind", "severity", "sentence"):
            assert [f[name] for f in one["findings"]] == [f[name] for f in other["findings"]]
        for name in one["figures"].keys() & {"voxels", "mean", "deviation", "tilts that are seen"}:
            assert one["figures"][name] == pytest.approx(other["figures"][name], rel=1e-3)
        assert one["figures"].keys() == other["figures"].keys()
    page = (table.parent / "spread/report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    progress = read_progress(table.parent / "spread")
    assert (progress.state, progress.tomogram, progress.workers) == ("succeeded", 3, 2)


def test_one_that_cannot_be_inspected_stops_no_other(table, monkeypatch):
    name = TomogramTable.read(table).tomograms[1].name
    failing = sys.modules[inspect.__module__]
    monkeypatch.setattr(failing, "examine", lambda one: examine(one) if one.name != name else 1 / 0)
    assert inspect(InspectParameters(tomograms=table)) == 2
    found = told(table.parent / "inspect")["tomograms"]
    assert [one["verdict"] for one in found][1] == "refused"
    assert found[1]["findings"][0]["sentence"] == f"{name}: could not be inspected"
    assert found[0]["figures"]["voxels"] == [48, 56, 64]
