"""What stays of a job for a paper."""

import sys

import pytest
from gui_app import visit
from job_helpers import ended, offer
from nicegui import ui
from star_files import pairs, put

from isonet2.gui.project import Project
from isonet2.jobs import Jobs, gpus, start
from isonet2.jobs.methods import keep_table, methods_of, write_methods
from isonet2.jobs.settings import Settings, keep_settings
from isonet2.parameters import (
    DeconvParameters,
    DenoiseParameters,
    PredictParameters,
    PrepareStarParameters,
    package_version,
    write_parameters,
)
from isonet2.parameters.record import CITED


@pytest.fixture
def jobs(project, monkeypatch):
    """Jobs of a project with a table of two tomograms in halves."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project / "config"))
    offer(monkeypatch, project / "locks", "")
    table = pairs(project)
    put(table, table.read_text().replace("m/03.mrc", "None"))
    yield Jobs(project)
    gpus.visible.cache_clear()


def test_a_job_keeps_its_table_and_leaves_a_paragraph(jobs):
    keep_settings(jobs.project, Settings(program=(sys.executable, "-c", "pass")))
    table = jobs.project / "tomograms.star"
    text = table.read_bytes()
    jobs.submit(DeconvParameters(star_file=table.name, snrfalloff=0.7, tomo_idx="1"), now=True)
    (job,) = ended(jobs, 1)
    for process in start._started:
        process.wait(30)
    assert job.status == "succeeded"
    table.write_text("changed")
    assert (job.folder / "input_table.star").read_bytes() == text
    assert (job.folder / "methods.txt").read_text() == (
        "The contrast transfer function of 1 tomogram was deconvolved with IsoNet2 "
        f"{package_version()} (command deconv) [1]. Parameters: snrfalloff 0.7; all others had "
        f"their defaults.\n\n[1] {CITED}\n"
    )


def test_the_paragraph_says_what_was_chosen_and_by_which_version(jobs, quiet):
    jobs.submit(
        DenoiseParameters(star_file="tomograms.star", epochs=70, CTF_mode="network", gpuID="cpu")
    )
    job = jobs.show(1)
    write_parameters(DenoiseParameters(star_file="tomograms.star"), job.results)
    record = job.results / "params.yaml"
    record.write_text(record.read_text().replace(package_version(), "9.9"))
    said = methods_of(job)
    assert "trained on 2 tomograms with IsoNet2 9.9 (command denoise)" in said
    assert "Parameters: epochs 70, CTF_mode network; all others" in said
    jobs.submit(PredictParameters(star_file="tomograms.star", model=job.results / "a.pt"))
    assert "Parameters: model a.pt; all others" in methods_of(jobs.show(2))
    jobs.submit(PrepareStarParameters(even="EVN", odd="ODD"))
    assert methods_of(jobs.show(3)).startswith("A table of tomograms was made")
    jobs.submit(DeconvParameters(star_file="tomograms.star"))
    assert ". All parameters had their defaults." in methods_of(jobs.show(4))


def test_what_the_command_wrote_itself_counts_and_other_programs_have_none(jobs, quiet):
    jobs.submit(DeconvParameters(star_file="tomograms.star"))
    jobs.submit_program(["true"])
    (jobs.show(1).results / "methods.txt").write_text("By the command.")
    assert methods_of(jobs.show(1)) == "By the command."
    other = jobs.show(2)
    keep_table(other)
    write_methods(other)
    assert {path.name for path in other.folder.iterdir()} == {"job.json"}


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_the_page_shows_it(jobs, quiet, role):
    jobs.submit(DeconvParameters(star_file="tomograms.star", snrfalloff=0.5))
    keep_table(jobs.show(1))

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see("Methods for a paper")
        panels = user.find(kind=ui.expansion).elements
        next(one for one in panels if one.text == "Methods for a paper").set_value(True)
        await user.should_see("function of 2 tomograms was deconvolved")
        await user.should_see("The table that it ran on")
        table = jobs.show(1).folder / "input_table.star"
        answer = await user.http_client.get(f"/api/file?path={table}")
        assert answer.content == table.read_bytes()
        assert answer.headers["content-type"].startswith("text/plain")

    visit(Project.at(jobs.project), steps, role)
