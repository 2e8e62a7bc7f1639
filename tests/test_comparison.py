"""Two jobs side by side: which volumes belong together, and the page that shows them."""

import shutil

import numpy as np
import pytest
from gui_app import until, visit
from star_files import pairs as table_of_pairs

from isonet2.data.run_folder import TABLE
from isonet2.data.volumes import write_volume
from isonet2.gui.comparison import pairs, shown_by
from isonet2.gui.viewer import VolumeViewer
from isonet2.jobs import Jobs
from isonet2.parameters import PredictParameters, RefineParameters


def made(job, *names, picture=False):
    job.results.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_volume(job.results / name, np.zeros((8, 8, 8)), voxel_size=10.0, label="test")
        if picture:
            (job.results / name).with_suffix(".png").write_bytes(b"")


@pytest.fixture
def jobs(place, quiet):
    """Two trainings and a program; nothing runs."""
    table_of_pairs(place.folder)
    jobs = Jobs(place.folder)
    for epochs in (5, 6):
        jobs.submit(RefineParameters(star_file="tomograms.star", epochs=epochs))
    jobs.submit_program(["true"], kind="other")
    return jobs


def test_volumes_are_paired_by_the_tomograms_of_the_tables(jobs, place):
    first, second, other = (jobs.show(number) for number in (1, 2, 3))
    name = "TS_01"
    assert pairs(first, second) == []
    made(first, f"{name}_epoch2.mrc", f"{name}_epoch10.mrc", picture=True)
    made(second, f"{name}_epoch4.mrc", picture=True)
    made(other, f"{name}.mrc", "unlike.mrc")
    assert [path.name for path in shown_by(first)] == [f"{name}_epoch10.mrc"]
    for job in (first, second):
        shutil.copy("tomograms.star", job.folder / TABLE)
    (pair,) = pairs(first, second)
    assert (pair.first.name, pair.second.name) == (f"{name}_epoch10.mrc", f"{name}_epoch4.mrc")
    assert pair.tomogram.pixel_size == 5.4
    (pair,) = pairs(other, first)
    assert (pair.first.name, pair.second.name) == (f"{name}.mrc", f"{name}_epoch10.mrc")


def test_without_tables_names_of_files_tell(jobs, place):
    other = jobs.show(3)
    fourth = jobs.submit_program(["true"], kind="other")
    made(other, "TS_1_deconv.mrc", "TS_12.mrc")
    made(fourth, "TS_1_deconv.mrc", "TS_2.mrc")
    assert [pair.name for pair in pairs(other, fourth)] == ["TS_1_deconv"]


def test_the_page_shows_slices_curves_and_differences_of_two_jobs(jobs, place):
    for number, loss in ((1, 0.5), (2, 0.25)):
        job = jobs.show(number)
        made(job, "TS_1.mrc", "TS_2.mrc")
        (job.results / "history.csv").write_text(f"epoch,loss\n1,{loss}\n2,{loss}\n")

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see("Lay it beside another job")
        await user.open("/compare?first=1")
        viewer = next(e for e in user.client.elements.values() if isinstance(e, VolumeViewer))
        spec = viewer._props["spec"]
        assert spec["beside"]
        assert spec["first"] == str(jobs.show(1).results / "TS_1.mrc")
        assert spec["second"] == str(jobs.show(2).results / "TS_1.mrc")
        assert len(spec["volumes"]) == 4
        table = next(e for e in user.client.elements.values() if e.tag == "nicegui-table")
        await until(lambda: table.rows)
        assert [row["name"] for row in table.rows] == ["epochs", "output_dir"]
        assert [table.rows[0][f"value{side}"] for side in (0, 1)] == ["5", "6"]
        chart = next(iter(user.find(marker="curves").elements))
        await until(lambda: len(chart.options["series"]) == 2)
        await user.open("/compare?first=1&second=2&name=TS_2")
        viewer = next(e for e in user.client.elements.values() if isinstance(e, VolumeViewer))
        assert viewer._props["spec"]["second"].endswith("TS_2.mrc")
        await user.open("/compare?first=1&second=3")
        await user.should_see("no tomogram of which both")
        await user.open("/compare?first=7")
        await user.should_see("Choose two jobs")

    visit(place, steps, "reader")


def test_results_outside_the_project_are_asked_for(jobs, place, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    told = PredictParameters(star_file="tomograms.star", model="m.pt", output_dir=elsewhere)
    (place.folder / "m.pt").write_bytes(b"")
    number = jobs.submit(told).number

    async def steps(user):
        await user.open(f"/compare?first=1&second={number}")
        await user.should_see(f"There are files to show in {elsewhere}")

    visit(place, steps)
