"""The pages as a user meets them, without a browser."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
from gui_app import named, until, visit
from nicegui import ui
from preparing import volume
from star_files import OURS, put

from isonet2.data.processes import Process
from isonet2.gui.application import MODULES
from isonet2.gui.project import Project
from isonet2.gui.shell import SECTIONS
from isonet2.gui.table import load
from isonet2.jobs import Jobs, gpus, start
from isonet2.parameters import (
    DeconvParameters,
    DenoiseParameters,
    PredictParameters,
    PrepareStarParameters,
)


@pytest.fixture
def place(project, monkeypatch):
    """A project with two pairs of halves, and nobody's settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project / "config"))
    return Project.at(project)


@pytest.fixture
def quiet(monkeypatch):
    """Jobs are made and never begin."""
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    monkeypatch.setattr(start, "runner", lambda folder: None)


def table(place):
    """A table of the two pairs."""
    text = OURS.replace("avg/TS_01_EVN_full.mrc", "None").replace('"', "")
    for half in ("EVN", "ODD"):
        text = text.replace(f"my {half}/TS 03", f"{half}/TS_03")
    return put(place.folder / "tomograms.star", text)


ADDRESSES = [address for pages in SECTIONS.values() for _, address, _ in pages]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("role", ["writer", "reader"])
def test_every_page_opens_in_every_language_for_everybody(place, language, role, caplog):
    table(place)
    place.user.put("language", language)

    async def steps(user):
        for address in ADDRESSES:
            await user.open(address)
            await user.should_see("IsoNet2")

    visit(place, steps, role)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors


def test_every_page_is_registered_and_in_the_navigation():
    assert len(ADDRESSES) == len(set(ADDRESSES))
    assert len(MODULES) == len(set(MODULES))


def test_the_command_follows_the_form_and_errors_stand_beside_the_fields(place):
    table(place)

    async def steps(user):
        await user.open("/refine")
        named(user, "cube_size").set_value("100")
        named(user, "epochs").set_value("x")
        await user.should_see("2 fields need your attention")
        assert "at least 32, a multiple of 16" in named(user, "cube_size").error
        assert not next(iter(user.find("Submit (In Queue)").elements)).enabled
        named(user, "cube_size").set_value("64")
        named(user, "epochs").set_value("12")
        await user.should_see("isonet.py refine tomograms.star --cube_size 64 --epochs 12")
        assert named(user, "cube_size").error is None
        assert next(iter(user.find("Submit (In Queue)").elements)).enabled
        await user.should_not_see("B-factor")
        named(user, "CTF_mode").set_value("network")
        await user.should_see("B-factor")

    visit(place, steps)


def test_submitting_makes_a_job_and_the_form_remembers(place, quiet):
    table(place)

    async def steps(user):
        await user.open("/denoise")
        named(user, "epochs").set_value("7")
        user.find("Submit (In Queue)").click()
        await user.should_see("denoise/job001")
        await user.open("/denoise")
        assert named(user, "epochs").value == "7"

    visit(place, steps)
    job = Jobs(place.folder).show(1)
    assert (job.kind, job.parameters["epochs"], job.now) == ("denoise", 7, False)


def test_what_a_job_cannot_do_is_said_on_the_page_and_makes_none(place, quiet):
    table(place)

    async def steps(user):
        await user.open("/predict")
        named(user, "model").set_value("gone.pt")
        user.find("Submit (Run Immediately)").click()
        await user.should_see("there is no such file or folder")

    visit(place, steps)
    assert not Jobs(place.folder).list()


def test_predict_offers_the_network_that_is_still_being_trained(place, quiet):
    table(place)
    Jobs(place.folder).submit(DenoiseParameters(star_file="tomograms.star"), name="first")

    async def steps(user):
        await user.open("/predict?model_of=1")
        widget = named(user, "model")
        assert widget.value == "denoise/job001/network_n2n_unet-medium_96_full.pt"
        assert "still training" in widget.options[widget.value]
        user.find("Submit (In Queue)").click()
        await user.should_see("waits for denoise/job001")

    visit(place, steps)
    assert Jobs(place.folder).show(2).after == (1,)


def test_validate_takes_the_newest_network(place, quiet):
    table(place)
    for name in ("first", "second"):
        Jobs(place.folder).submit(DenoiseParameters(star_file="tomograms.star"), name=name)

    async def steps(user):
        await user.open("/validate")
        assert named(user, "models").value == "denoise/job002/network_n2n_unet-medium_96_full.pt"
        user.find("Submit (In Queue)").click()
        await user.should_see("waits for denoise/job002")

    visit(place, steps)
    job = Jobs(place.folder).show(3)
    assert (job.kind, job.after) == ("validate", (2,))


def test_a_job_is_copied_into_the_form(place, quiet):
    table(place)
    parameters = DenoiseParameters(star_file="tomograms.star", epochs=9, CTF_mode="network")
    Jobs(place.folder).submit(parameters)

    async def steps(user):
        await user.open("/denoise?clone=1")
        assert named(user, "epochs").value == "9"
        await user.should_see("--epochs 9 --CTF_mode network")
        await user.should_not_see("denoise/job001")

    visit(place, steps)


def test_a_guest_sees_everything_and_can_do_nothing(place, quiet):
    table(place)
    Jobs(place.folder).submit(DeconvParameters(star_file="tomograms.star"))

    async def steps(user):
        await user.open("/jobs")
        await user.should_see("deconv/job001")
        for word in ("Cancel", "Name and priority", "Hold the queue"):
            await user.should_not_see(word)
        await user.open("/deconv")
        await user.should_not_see("Submit (In Queue)")
        await user.open("/settings")
        await user.should_not_see("Empty the trash")
        await user.open("/prepare")
        await user.should_not_see("Fill column")

    visit(place, steps, "reader")


def written(folder):
    """All files of a folder with their bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def press(client):
    """Send a click to all that takes one, shown or not, as a guest may who writes the messages."""
    for element in list(client.elements.values()):
        for listener in list(element._event_listeners.values()):
            if listener.type == "click" and not element.is_ignoring_events:
                client.handle_event(
                    {"id": element.id, "listener_id": listener.id, "args": ["null"]}
                )


def test_a_guest_who_writes_clicks_of_hidden_buttons_changes_nothing(place, quiet, caplog):
    table(place)
    Jobs(place.folder).submit(DeconvParameters(star_file="tomograms.star"))
    before = written(place.folder)
    caplog.set_level(logging.CRITICAL)

    async def steps(user):
        for address in (*ADDRESSES, "/jobs?job=1"):
            await user.open(address)
            await asyncio.sleep(0.3)
            press(user.client)
            await asyncio.sleep(0.3)
            assert written(place.folder) == before, address

    visit(place, steps, "reader")


def test_a_run_outside_the_project_is_not_shown(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "log.txt").write_text("secret")
    (place.folder / ".isonet").mkdir(exist_ok=True)

    async def steps(user):
        for folder in (f"../{other.name}", str(other), ".isonet"):
            await user.open(f"/jobs?job=run:{folder}@0")
            await user.should_not_see(marker="log")
            await user.should_see("outside" if "other" in folder else "the program's own")

    visit(place, steps)


def test_a_failed_job_says_why_and_what_helps(place, quiet):
    table(place)
    job = Jobs(place.folder).submit(DeconvParameters(star_file="tomograms.star"))
    state = {
        "status": "failed", "reason": "exit status 1: CUDA out of memory", "exit_code": 1,
        "process": {"host": "h", "boot": "b", "pid": 1, "ticks": 1}, "attempt": 1, "devices": [],
        "started": time.time(), "ended": time.time(), "heartbeat": time.time(),
        "last_lines": ["<script>alert(1)</script>", "torch.OutOfMemoryError: CUDA out of memory"],
    }  # fmt: skip
    (job.folder / "state.json").write_text(json.dumps(state))

    async def steps(user):
        await user.open("/jobs")
        await user.should_see("failed")
        await user.should_see("CUDA out of memory")
        await user.should_see("smaller batch size")
        await user.should_see("Run again")
        await user.should_not_see(marker="act-cancel")

    visit(place, steps)


HOLDING = "held = b'x' * (200 << 20); print(flush=True); __import__('sys').stdin.read()"


def test_a_running_job_says_what_memory_it_takes(place, quiet):
    table(place)
    job = Jobs(place.folder).submit(DenoiseParameters(star_file="tomograms.star"))
    own = asdict(Process.of(os.getpid()))
    now = time.time()
    state = {"status": "running", "process": own, "attempt": 1, "started": now, "heartbeat": now}
    (job.folder / "state.json").write_text(json.dumps(state))
    told = {"command": "denoise", "process": own, "started": now, "updated": now}
    told |= {"device_memory": 9_000_000_000}
    (job.folder / "progress.json").write_text(json.dumps(told))

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see("GPU memory 9 GB at most")
        said = " ".join(label.text for label in user.find(kind=ui.label).elements)
        assert 210 <= int(re.search(r"\bmemory (\d+) MB", said)[1]) < 260

    with subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        visit(place, steps)
        child.stdin.close()


def test_a_job_is_renamed_noted_cancelled_and_removed(place, quiet):
    table(place)
    jobs = Jobs(place.folder)
    jobs.submit(DeconvParameters(star_file="tomograms.star"))

    async def steps(user):
        await user.open("/jobs")
        await user.should_see(marker="act-rename")
        user.find(marker="act-rename").click()
        await user.should_see("Priority")
        next(iter(user.find("Priority").elements)).set_value(7)
        next(iter(user.find("Job name").elements)).set_value("the first")
        user.find(marker="yes").click()
        await user.should_see("priority 7")
        assert (jobs.show(1).name, jobs.show(1).priority) == ("the first", 7)
        user.find(marker="act-cancel").click()
        await user.should_see("Cancel deconv/job001?")
        user.find(marker="yes").click()
        await user.should_see("cancelled")
        await user.should_see(marker="act-remove")
        user.find(marker="act-remove").click()
        await user.should_see("to the trash")
        user.find(marker="yes").click()
        await user.should_see("No jobs here.")

    visit(place, steps)
    assert not jobs.list()
    assert (place.folder / ".isonet" / "trash" / "deconv" / "job001").is_dir()


def test_jobs_have_stars_and_tags_that_the_list_shows_and_finds(place, quiet):
    table(place)
    jobs = Jobs(place.folder)
    for name in ("first", "second"):
        jobs.submit(DeconvParameters(star_file="tomograms.star"), name=name)

    def listed(user):
        return [row["title"] for row in next(iter(user.find(marker="jobs").elements)).rows]

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see(marker="act-star")
        user.find(marker="act-star").click()
        await user.should_see("Remove star")
        tags = next(iter(user.find(marker="tags").elements))
        tags.set_value(["  best  one ", "", "best one", "<b>", 50 * "x"])
        await until(lambda: jobs.show(1).tags)
        assert jobs.show(1).tags == ("best one", "<b>", 40 * "x")
        await user.open("/jobs?job=2")
        await until(lambda: listed(user) == ["second", "first"])
        row = next(iter(user.find(marker="jobs").elements)).rows[1]
        assert (row["starred"], row["tags"]) == (True, ("best one", "<b>", 40 * "x"))
        user.find(marker="starred").click()
        await until(lambda: listed(user) == ["first"])
        user.find(marker="starred").click()
        next(iter(user.find("Search jobs").elements)).set_value("BEST o")
        await until(lambda: listed(user) == ["first"])

    visit(place, steps)
    first, second = jobs.list()
    assert (first.starred, second.starred, second.tags) == (True, False, ())
    assert (first.name, first.notes) == ("first", "")
    jobs.edit(1, starred=False, tags=[])
    assert (jobs.show(1).starred, jobs.show(1).tags, jobs.show(1).name) == (False, (), "first")


def test_a_guest_sees_stars_and_tags_and_changes_none(place, quiet):
    table(place)
    jobs = Jobs(place.folder)
    jobs.submit(DeconvParameters(star_file="tomograms.star"))
    jobs.edit(1, tags=["kept"])

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see(marker="tags")
        await user.should_not_see(marker="act-star")
        next(iter(user.find(marker="tags").elements)).set_value(["other"])
        await asyncio.sleep(0.3)

    visit(place, steps, "reader")
    assert jobs.show(1).tags == ("kept",)


def test_jobs_lead_to_those_before_and_after_them(place, quiet):
    table(place)
    jobs = Jobs(place.folder)
    jobs.submit(DenoiseParameters(star_file="tomograms.star"))
    network = "denoise/job001/network_n2n_unet-medium_96_full.pt"
    jobs.submit(PredictParameters(star_file="tomograms.star", model=network))
    jobs.submit(DeconvParameters(star_file="tomograms.star"))

    def links(user):
        return {
            link.text: link.props["href"]
            for link in user.find(kind=ui.link).elements
            if link.text and "/job00" in link.text
        }

    async def steps(user):
        await user.open("/jobs?job=2")
        await user.should_see("Follows")
        assert links(user)["denoise/job001"] == "/jobs?job=1"
        await user.open("/jobs?job=1")
        await user.should_see("Followed by")
        assert links(user)["predict/job002"] == "/jobs?job=2"

    visit(place, steps)


def test_gpus_are_listed_with_who_has_them(place, monkeypatch, tmp_path):
    monkeypatch.setenv(gpus.OFFERED, "A,B")
    monkeypatch.setenv(gpus.LOCKS, str(tmp_path))
    gpus.visible.cache_clear()
    held = gpus.hold(gpus.visible()[1:], "refine/job007 of ann")

    async def steps(user):
        await user.open("/jobs")
        await user.should_see("GPU 0: GPU A · free")
        await user.should_see("GPU 1: GPU B · refine/job007 of ann")

    try:
        visit(place, steps)
    finally:
        for descriptor in held:
            os.close(descriptor)
        gpus.visible.cache_clear()


def test_pairs_and_problems_are_shown_before_a_table_is_made(place, quiet):
    volume(place.folder / "EVN" / "TS_07_EVN.mrc", 9)

    async def steps(user):
        await user.open("/prepare")
        named(user, "even").set_value("EVN")
        named(user, "odd").set_value("ODD")
        user.find("Look at the files").click()
        await user.should_see("2 tomograms found")
        await user.should_see("no file called TS_07")
        user.find(kind=ui.button, content="Run").click()
        await user.should_see("no file called TS_07")

    visit(place, steps)
    assert not Jobs(place.folder).list()


def test_a_job_that_made_a_table_is_copied_into_its_form(place, quiet):
    table(place)
    jobs = Jobs(place.folder)
    jobs.submit(PrepareStarParameters(full="EVN", pixel_size=7.5, star_name="other.star"))
    jobs.submit(PrepareStarParameters(even="EVN", odd="ODD"))

    async def steps(user):
        await user.open("/jobs?job=1")
        await user.should_see(marker="act-clone")
        await user.open("/prepare?clone=1")
        await user.should_see("isonet.py prepare_star EVN --star_name other.star --pixel_size 7.5")
        await user.open("/prepare?clone=2")
        await user.should_see("isonet.py prepare_star --even EVN --odd ODD")
        await user.open("/prepare?clone=9")
        await user.should_see("job 9")

    visit(place, steps)


def test_running_prepare_makes_a_job_that_runs_at_once(place, quiet):
    async def steps(user):
        await user.open("/prepare")
        named(user, "even").set_value("EVN")
        named(user, "odd").set_value("ODD")
        user.find(kind=ui.button, content="Run").click()
        await user.should_see("prepare_star/job001")

    visit(place, steps)
    job = Jobs(place.folder).show(1)
    assert job.now
    assert job.argv[1] == PrepareStarParameters.command


def test_the_table_is_edited_in_the_grid(place):
    path = table(place)

    async def steps(user):
        await user.open("/prepare")
        grid = next(iter(user.find(marker="table").elements))
        await until(lambda: grid.options["rowData"])
        row = {"@index": 1} | dict(load(path).rows[0])
        change = {"data": row, "colId": "rlnDefocus", "newValue": "41000", "oldValue": "39057"}
        user.find(marker="table").trigger("cellValueChanged", change)
        await user.should_see("Saved")
        assert grid.options["rowData"][0]["rlnDefocus"] == "41000"
        change["newValue"] = "abc"
        user.find(marker="table").trigger("cellValueChanged", change)
        await user.should_see("is not a number")
        assert grid.options["rowData"][0]["rlnDefocus"] == "41000"
        user.find("Undo").click()
        await until(lambda: load(path).rows[0]["rlnDefocus"] == "39057")
        assert load(path).rows[0]["rlnDefocus"] == "39057"

    visit(place, steps)


def test_a_table_with_missing_files_says_which_and_one_that_is_gone_is_seen_when_it_is_back(place):
    path = table(place)
    text = path.read_text()

    async def steps(user):
        await user.open("/prepare")
        await user.should_see("files that are not there")
        path.unlink()
        await user.should_see("no such file")
        path.write_text("a diary\n")
        await user.should_see("is not a STAR table")
        path.write_text(text)
        await user.should_see("2 tomograms")

    visit(place, steps)


def test_what_an_address_asks_for_and_is_not_there_is_said(place):
    table(place)

    async def steps(user):
        await user.open("/refine?clone=77")
        await user.should_see("77")
        assert named(user, "star_file").value == "tomograms.star"
        for address in ("/nowhere", "/refine?clone=seven"):
            answer = await user.http_client.get(address, headers={"accept": "text/html"})
            assert answer.status_code == (404 if address == "/nowhere" else 422)
            assert "There is no such page" in answer.text
        answer = await user.http_client.get("/nowhere")
        assert answer.json() == {"detail": "Not Found"}

    visit(place, steps)


def test_start_says_the_next_step(place, quiet):
    async def steps(user):
        await user.open("/")
        await user.should_see("List your tomograms in a table.")
        table(place)
        await user.open("/")
        await user.should_see("Train the network that fills")
        await user.should_see("1 of 2")

    visit(place, steps)


def test_settings_keep_data_folders_and_refuse_what_is_none(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")

    async def steps(user):
        await user.open("/settings")
        text = next(iter(user.find(marker="roots").elements))
        text.set_value("/nowhere/at/all")
        user.find(marker="save-roots").click()
        await asyncio.sleep(0.2)
        assert "not a folder" in text.error
        text.set_value(str(other))
        user.find(marker="save-roots").click()
        await user.should_see("Saved")

    visit(place, steps)
    assert place.allowed(other / "x.mrc") == other / "x.mrc"
