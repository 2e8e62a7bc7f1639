"""Jobs drawn as a graph: which follows which."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from gui_app import visit
from nicegui import ui

from isonet2.data.run_folder import TABLE
from isonet2.gui import graph, overview
from isonet2.gui.graph import drawn, family, places
from isonet2.gui.overview import chain, follows
from isonet2.gui.project import Project
from isonet2.gui.through_tables import HALVES, columns_read
from isonet2.jobs import Jobs, start
from isonet2.jobs.records import job_of

PROJECT = Path("/p")
SVG = "{http://www.w3.org/2000/svg}"


def job(number, after=(), reads=(), **more):
    folder = PROJECT / "refine" / f"job{number:03}"
    record = {
        "number": number, "kind": "refine", "project": str(PROJECT), "argv": ["true"],
        "results": str(folder.relative_to(PROJECT)), "after": list(after), "submitted": 1.0,
        "inputs": [str(PROJECT / path) for path in reads], **more,
    }  # fmt: skip
    return job_of(record, folder)


def seven():
    """1 -> 2 -> 4, 1 -> 3 -> 4 by what is waited for and read; 5 -> 6 by itself; 7 alone."""
    return [
        job(1),
        job(2, after=[1]),
        job(3, reads=["refine/job001/network.pt", "t.star"]),
        job(4, after=[2, 9], reads=["refine/job003/deep/a.mrc", "refine/job003/b.mrc"]),
        job(5),
        job(6, reads=["refine/job005"]),
        job(7, reads=["refine/job00", "refine/job007/own.pt", "t.star"]),
    ]


def test_jobs_follow_what_they_wait_for_and_what_made_their_input():
    jobs = seven()
    assert follows(jobs) == {1: set(), 2: {1}, 3: {1}, 4: {2, 3}, 5: set(), 6: {5}, 7: set()}
    before, after = chain(jobs[2], jobs, follows(jobs))
    assert ([one.number for one in before], [one.number for one in after]) == ([1], [4])


TABLE_TEXT = """data_

loop_
_rlnIndex #1
_rlnTomoName #2
_rlnTomoReconstructedTomogramHalf1 #3
_rlnTomoReconstructedTomogramHalf2 #4
_rlnDenoisedTomoName #5
_rlnMaskName #6
1 a.mrc e.mrc o.mrc predict/job001/TS_1.mrc {folder}/make_mask/job002/TS_1.mrc
2 b.mrc f.mrc p.mrc None "make_mask/job003/TS 2.mrc"
"""


def of_table(folder, number, kind, parameters=(), table=TABLE_TEXT):
    """A job that kept the table that it ran on, unless there is none."""
    place = folder / kind / f"job{number:03}"
    place.mkdir(parents=True)
    if table:
        (place / TABLE).write_text(table.format(folder=folder))
    record = {
        "number": number, "kind": kind, "project": str(folder), "argv": ["isonet.py", kind],
        "results": f"{kind}/job{number:03}", "submitted": 1.0,
        "parameters": {"star_file": "tomograms.star", **dict(parameters)},
    }  # fmt: skip
    return job_of(record, place)


def test_jobs_follow_what_wrote_the_columns_that_they_read(tmp_path):
    denoised = {"input_column": "rlnDenoisedTomoName"}
    jobs = [
        of_table(tmp_path, 1, "predict"),
        of_table(tmp_path, 2, "make_mask", denoised),
        of_table(tmp_path, 3, "make_mask", denoised, table=""),
        of_table(tmp_path, 4, "deconv", {"input_column": "rlnTomoName"}),
        of_table(tmp_path, 5, "refine", {"with_mask": True}),
        of_table(tmp_path, 6, "refine"),
        of_table(tmp_path, 7, "predict", {"model": "m.pt", **denoised}, "no table"),
        of_table(tmp_path, 8, "inspect"),
    ]
    links = {1: set(), 2: {1}, 3: set(), 4: set(), 5: {2, 3}, 6: set(), 7: set(), 8: set()}
    assert follows(jobs) == links
    (jobs[4].folder / TABLE).write_text(TABLE_TEXT.replace("make_mask/job003", "elsewhere"))
    assert follows(jobs)[5] == set()


@pytest.mark.parametrize(
    ("kind", "parameters", "columns"),
    [
        ("deconv", {}, ["rlnTomoName"]),
        ("make_mask", {}, ["rlnDeconvTomoName"]),
        ("denoise", {"with_mask": True}, [*HALVES, "rlnMaskName"]),
        ("refine", {"method": "isonet2-n2n"}, list(HALVES)),
        ("refine", {"method": "isonet2"}, [*HALVES, "rlnDeconvTomoName", "rlnTomoName"]),
        ("refine", {"input_column": "rlnTomoName"}, ["rlnTomoName"]),
        ("validate", {}, list(HALVES)),
        ("true", {}, []),
    ],
)
def test_the_parameters_tell_which_columns_are_read(tmp_path, kind, parameters, columns):
    assert list(columns_read(of_table(tmp_path, 1, kind, parameters))) == columns


def test_only_tables_of_the_latest_jobs_are_read(tmp_path, monkeypatch):
    jobs = [
        of_table(tmp_path, 1, "predict"),
        of_table(tmp_path, 2, "make_mask", {"input_column": "rlnDenoisedTomoName"}),
    ]
    assert follows(jobs) == {1: set(), 2: {1}}
    monkeypatch.setattr(overview, "MOST_TABLES", 1)
    assert follows([*jobs, of_table(tmp_path, 3, "deconv")]) == {1: set(), 2: set(), 3: set()}


def test_a_family_is_all_that_hangs_together(monkeypatch):
    jobs = seven()
    for number in (1, 2, 3, 4):
        assert [one.number for one in family(jobs[number - 1], jobs, follows(jobs))] == [1, 2, 3, 4]
    assert [one.number for one in family(jobs[5], jobs, follows(jobs))] == [5, 6]
    assert [one.number for one in family(jobs[6], jobs, follows(jobs))] == [7]
    monkeypatch.setattr(graph, "MOST", 3)
    line = [job(1), *(job(n, after=[n - 1]) for n in range(2, 10))]
    assert [one.number for one in family(line[4], line, follows(line))] == [4, 5, 6]


def test_every_job_stands_right_of_those_that_it_follows_and_alone_in_its_place():
    jobs = seven()
    at = places(jobs, follows(jobs))
    for later, earlier in follows(jobs).items():
        assert all(at[number][0] < at[later][0] for number in earlier)
    assert len(set(at.values())) == len(jobs)
    assert [at[number] for number in (1, 2, 3, 4)] == [(0, 0), (1, 0), (1, 1), (2, 0)]


def test_the_drawing_is_sound_whatever_a_name_holds():
    name = "<script>alert(1)</script>\"'&"
    jobs = [job(1, name=name), job(2, after=[1], name="x" * 30)]
    root = ElementTree.fromstring(
        drawn(jobs, follows(jobs), 2, lambda path: f"/base{path}").replace(
            "<svg", f'<svg xmlns="{SVG[1:-1]}"'
        )
    )
    links = root.findall(f"{SVG}a")
    assert [link.get("href") for link in links] == ["/base/jobs?job=1", "/base/jobs?job=2"]
    assert [link.get("aria-current") for link in links] == [None, "true"]
    assert name in links[0].get("aria-label")
    kinds = ("svg", "path", "a", "title", "rect", "text")
    assert {one.tag for one in root.iter()} == {f"{SVG}{kind}" for kind in kinds}
    assert len(root.findall(f"{SVG}path")) == 2
    texts = [link.find(f"{SVG}text").text for link in links]
    assert all(len(text) <= graph.LETTERS for text in texts)
    assert texts[0].startswith("<script>")
    wide, high = (float(root.get(side)) for side in ("width", "height"))
    for box in root.iter(f"{SVG}rect"):
        x, y, width, height = (float(box.get(one)) for one in ("x", "y", "width", "height"))
        assert 0 <= x < x + width <= wide
        assert 0 <= y < y + height <= high


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_the_page_draws_the_family_of_a_job(tmp_path, monkeypatch, role):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    jobs = Jobs(tmp_path)
    jobs.submit_program(["true"], name="<b>first</b>")
    jobs.submit_program(["true"], after=(1,))
    jobs.submit_program(["true"], name="alone")

    async def steps(user):
        await user.open("/jobs?job=2")
        await user.should_see("Which job follows which")
        (picture,) = user.find(kind=ui.html).elements
        assert re.findall(r"/jobs\?job=(\d)", picture.content) == ["1", "2"]
        assert "<b>" not in picture.content
        await user.open("/jobs?job=3")
        await user.should_see("run/job003")
        await user.should_not_see("Which job follows which")

    visit(Project.at(tmp_path), steps, role)
