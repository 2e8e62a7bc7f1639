"""Settings of jobs, and folders outside the project, as a person meets them on the pages."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gui_app import named, until, visit
from job_helpers import offer, python

from isonet2.data.star import TomogramTable, update
from isonet2.data.volumes import open_volume, write_volume
from isonet2.gui import open_in
from isonet2.gui.components import run_settings
from isonet2.gui.components.browser import Browser
from isonet2.gui.pages.view import find
from isonet2.gui.project import OutsideError, Project
from isonet2.jobs import Jobs, gpus, lanes, start
from isonet2.jobs.settings import Settings, settings_of


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project, and nobody's settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    offer(monkeypatch, tmp_path / "locks", "a,b")
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    yield Project.at(tmp_path / "project")
    gpus.visible.cache_clear()


def marked(user, marker):
    return next(iter(user.find(marker=marker).elements))


def test_the_program_of_the_jobs_is_tried_kept_and_shown_again(place, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".conda").mkdir()
    (tmp_path / "env" / "bin").mkdir(parents=True)
    own = tmp_path / "env" / "bin" / "python"
    own.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    own.chmod(0o755)
    (tmp_path / run_settings.ENVIRONMENTS).write_text(f"{tmp_path / 'env'}\n/gone\n\n")

    async def steps(user):
        await user.open("/settings")
        box = marked(user, "program")
        assert list(box.options) == ["", str(tmp_path / "env")]
        box.set_options({**box.options, "no_such_program x": ""}, value="no_such_program x")
        user.find(marker="save-program").click()
        await until(lambda: box.error)
        assert "cannot be run" in box.error
        assert settings_of(place.folder) == Settings()
        box.set_value(str(tmp_path / "env"))
        user.find(marker="save-program").click()
        await user.should_see("isonet2 2.")
        assert box.error is None
        await user.open("/settings")
        assert marked(user, "program").value == str(tmp_path / "env")

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "src"))
    visit(place, steps)
    assert settings_of(place.folder).program == (str(tmp_path / "env"),)


def test_offered_gpus_and_the_notification_are_kept_side_by_side(place, tmp_path):
    told = tmp_path / "told.txt"
    code = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"

    async def steps(user):
        await user.open("/settings")
        marked(user, "gpus").set_value(["1"])
        await user.should_see("Saved")
        box = marked(user, "notify")
        box.set_value("no_such_program {name}")
        user.find(marker="save-notify").click()
        await until(lambda: box.error)
        box.set_value(f"{sys.executable} -c {code!r} {told} '{{status}} of {{name}}'")
        user.find(marker="save-notify").click()
        await until(told.exists)
        await until(lambda: settings_of(place.folder).notify)
        await user.open("/settings")
        assert marked(user, "gpus").value == ["1"]

    visit(place, steps)
    chosen = settings_of(place.folder)
    assert chosen.gpus == ("1",)
    assert chosen.notify == (*python(code, told), "{status} of {name}")
    assert told.read_text() == "succeeded of Trial of the notification"


def test_programs_that_show_volumes_are_chosen_and_a_missing_one_is_said(place, tmp_path):
    (tmp_path / "my view").write_text("#!/bin/sh\n")
    (tmp_path / "my view").chmod(0o755)
    own = f"'{tmp_path}/my view' --in={{file}} {{file}} -x"
    write_volume("a.mrc", np.zeros((8, 8, 8)), voxel_size=10.0, label="test")

    async def steps(user):
        await user.open("/view?path=a.mrc")
        await user.should_see("Open in 3dmod")
        await user.open("/settings")
        await user.should_see("chimerax is not on the path of this server")
        await user.should_see("Not offered.")
        box = marked(user, "viewer-own")
        box.set_value("my_view")
        user.find(marker="save-viewers").click()
        await until(lambda: box.error)
        assert "write {file} where" in box.error
        box.set_value("my_view '{file}")
        user.find(marker="save-viewers").click()
        await until(lambda: box.error and "quotes" in box.error)
        assert place.user.get("viewers") is None
        box.set_value(own)
        marked(user, "viewer-3dmod").set_value("")
        user.find(marker="save-viewers").click()
        await until(lambda: place.user.get("viewers"))
        assert box.error is None
        await user.should_see(f"{tmp_path}/my view")
        await user.open("/settings")
        assert marked(user, "viewer-own").value == own
        await user.open("/view?path=a.mrc")
        await user.should_see("Open in my view")
        await user.should_see("Open in napari")
        await user.should_not_see("Open in 3dmod")
        user.find("Open in my view").click()
        await user.should_see(f"--in={place.folder}/a.mrc {place.folder}/a.mrc -x")

    visit(place, steps)
    assert place.user.get("viewers") == {"3dmod": "", "own": own}
    words = open_in.offered(place.user)["my view"]
    paths = [place.folder / "a b.mrc", place.folder / "$(c).mrc"]
    assert open_in.command(words, paths) == [
        f"{tmp_path}/my view", *(f"--in={path}" for path in paths), *map(str, paths), "-x",
    ]  # fmt: skip
    place.user.put("viewers", {"napari": "napari 'x", "own": ["no text"], "3dmod": 7})
    assert list(open_in.offered(place.user)) == ["ChimeraX"]


def test_files_that_a_table_names_outside_are_shown_once_their_folder_is_confirmed(star, place):
    """By absolute paths; what is linked into the project needs nothing."""
    place = Project.at(star.parent)
    row = TomogramTable.read(star).tomograms[0]
    data = row.half1.parent
    write_volume("own.mrc", open_volume(row.half1).read(), voxel_size=10.0, label="test")
    update(star, 1, {"rlnTomoName": "own.mrc"})
    found = find(place, "", "", str(star), 1)
    assert list(found.shown.volumes) == [Path("own.mrc")]
    assert found.outside == (data,)

    async def look(user):
        await user.open("/view?star=tomograms.star&index=1")
        await user.should_see(f"There are files to show in {data}")
        await user.should_not_see("Confirm this folder")

    visit(place, look, "reader")

    async def steps(user):
        await user.open(f"/view?path={row.half1}")
        await user.should_see(f"There are files to show in {data}")
        await user.should_see("Nothing to show")
        user.find(marker="confirm").click()
        await until(lambda: str(data) in place.settings.get("roots", ()))
        await user.open(f"/view?path={row.half1}")
        await user.should_not_see("outside the project")
        await user.should_see(row.half1.name)

    visit(place, steps)
    assert len(find(place, "", "", str(star), 1).shown.volumes) == 4


def test_a_confirmed_folder_may_be_a_link_and_data_linked_into_the_project_need_no_word(
    place, tmp_path
):
    disk = tmp_path / "disk"
    (disk / "data").mkdir(parents=True)
    (tmp_path / "short").symlink_to(disk / "data")
    (place.folder / "linked").symlink_to(disk / "data")
    assert place.allowed("linked/a.mrc") == place.folder / "linked" / "a.mrc"
    with pytest.raises(OutsideError) as caught:
        place.allowed(tmp_path / "short" / "a.mrc")
    assert caught.value.folder == tmp_path / "short"
    place.confirm(caught.value.folder)
    place.confirm(caught.value.folder)
    assert place.settings.get("roots") == [str(tmp_path / "short")]
    assert place.allowed(tmp_path / "short" / "a.mrc") == tmp_path / "short" / "a.mrc"
    assert place.allowed(disk / "data" / "a.mrc") == disk / "data" / "a.mrc"
    with pytest.raises(OutsideError):
        place.allowed(disk / "a.mrc")


def test_the_browser_leads_out_of_the_project_by_confirmation_only(place, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.star").write_text("")

    async def steps(user):
        await user.open("/prepare")
        with user:
            window = Browser(place, "", False, ())
            window.open()
        await user.should_see("Nothing here.")
        await window._up()
        await user.should_see(f"There are files to show in {tmp_path}")
        await user.should_not_see("secret.star")
        user.find(marker="confirm").click()
        await user.should_see("secret.star")

    visit(place, steps)


def test_results_that_a_job_wrote_elsewhere_are_asked_for(place, tmp_path):
    job = Jobs(place.folder).submit_program(["true"], kind="refine")
    told = (job.folder / "job.json").read_text()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "report.html").write_text("<p>all is well</p>")
    (job.folder / "job.json").write_text(told.replace('"results": "refine/job001"',
                                                      f'"results": "{elsewhere}"'))  # fmt: skip

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see(f"There are files to show in {elsewhere}")
        user.find(marker="confirm").click()
        await user.should_see("report.html in a page of its own")
        frame = next(e for e in user.client.elements.values() if e.tag == "iframe")
        assert frame._props["sandbox"] == "allow-scripts"
        answer = await user.http_client.get(frame._props["src"])
        assert answer.text == "<p>all is well</p>"
        sealed = answer.headers["content-security-policy"]
        assert "sandbox allow-scripts; default-src 'none'" in sealed
        assert (await user.http_client.get(f"/api/file?path={elsewhere}/report.html")).is_error

    visit(place, steps)


def test_inspect_has_a_form_for_tables_folders_and_volumes(place):
    (place.folder / "tomograms.star").write_text(
        "data_\n\nloop_\n_rlnIndex #1\n_rlnTomoName #2\n1\ta.mrc\n"
    )

    async def steps(user):
        await user.open("/inspect")
        assert named(user, "tomograms").value == "tomograms.star"
        await user.should_see("isonet.py inspect tomograms.star")
        user.find("Submit (In Queue)").click()
        await user.should_see("inspect/job001")
        await user.should_see(marker="act-clone")

    visit(place, steps)
    job = Jobs(place.folder).show(1)
    assert job.argv[1] == "inspect"
    assert job.results == place.folder / "inspect" / "job001"


def test_a_lane_is_made_tried_changed_and_removed(place, monkeypatch):
    given = []

    def run(words, input, **options):
        given.append(words[:2])
        said = "" if "squeue" in words[0] else "Job 5 to start at noon <b>"
        return subprocess.CompletedProcess(words, 0, "", said)

    monkeypatch.setattr(lanes.subprocess, "run", run)
    path = place.folder / ".isonet" / "lanes" / "big.yaml"

    async def steps(user):
        await user.open("/settings")
        text = marked(user, "lane-text")
        text.set_value("like: moon")
        marked(user, "lane-name").set_value("big")
        user.find(marker="lane-save").click()
        await until(lambda: text.error)
        assert "big.yaml: like moon names no scheduler" in text.error
        assert not path.exists()
        text.set_value("like: slurm\nrequest: {partition: a100}")
        user.find(marker="lane-try").click()
        await user.should_see("would take this script: Job 5 to start at noon <b>")
        await user.should_see("#SBATCH --partition=a100")
        assert given == [["sbatch", "--test-only"]]
        assert not path.exists()
        user.find(marker="lane-save").click()
        await until(path.exists)
        await until(lambda: marked(user, "lane-choice").value == "big")
        assert lanes.load("big", place.folder).request["partition"] == "a100"
        text.set_value("like: pbs")
        user.find(marker="lane-try").click()
        await user.should_see("qsub has no way to look at a script without taking it")
        marked(user, "lane-choice").set_value("")
        marked(user, "lane-name").set_value("../x")
        user.find(marker="lane-save").click()
        await until(lambda: text.error)
        assert "give a name of letters" in text.error
        await user.open("/deconv")
        assert "big" in next(e for e in user.find("Lane").elements).options
        await user.open("/settings")
        marked(user, "lane-choice").set_value("big")
        await until(lambda: marked(user, "lane-text").value.endswith("{partition: a100}\n"))
        user.find(marker="lane-remove").click()
        await user.should_see("Remove the file of lane big?")
        user.find(marker="yes").click()
        await until(lambda: not path.exists())

    visit(place, steps)


def test_a_guest_sees_no_lanes_to_change(place):
    async def steps(user):
        await user.open("/settings")
        await user.should_not_see(marker="lane-text")

    visit(place, steps, "reader")
