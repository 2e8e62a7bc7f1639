"""The pages as a user meets them, without a browser."""

import asyncio
import logging

import pytest
from gui_app import named, until, visit
from nicegui import ui
from preparing import volume
from star_files import pairs

from isonet2.gui.application import MODULES
from isonet2.gui.shell import SECTIONS
from isonet2.gui.table import load
from isonet2.jobs import Jobs
from isonet2.parameters import (
    DeconvParameters,
    DenoiseParameters,
    PrepareStarParameters,
)

ADDRESSES = [address for pages in SECTIONS.values() for _, address, _ in pages]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("role", ["writer", "reader"])
def test_every_page_opens_in_every_language_for_everybody(place, language, role, caplog):
    pairs(place.folder)
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
    pairs(place.folder)

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
    pairs(place.folder)

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
    pairs(place.folder)

    async def steps(user):
        await user.open("/predict")
        named(user, "model").set_value("gone.pt")
        user.find("Submit (Run Immediately)").click()
        await user.should_see("there is no such file or folder")

    visit(place, steps)
    assert not Jobs(place.folder).list()


def test_predict_offers_the_network_that_is_still_being_trained(place, quiet):
    pairs(place.folder)
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
    pairs(place.folder)
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


def test_a_guest_sees_everything_and_can_do_nothing(place, quiet):
    pairs(place.folder)
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
    pairs(place.folder)
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
    pairs(place.folder)
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
    path = pairs(place.folder)

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
    path = pairs(place.folder)
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
    pairs(place.folder)

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
        pairs(place.folder)
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
