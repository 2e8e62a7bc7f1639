"""What goes wrong around open pages: each time they go on, and say what happened."""

import os
import re
import shutil
import subprocess
from contextlib import ExitStack, contextmanager, suppress

import pytest
from browser import browsing, far_away, started
from star_files import OURS, put

from isonet2.data.star import TomogramTable
from isonet2.jobs import Jobs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PATIENCE = 60_000


@pytest.fixture
def folder(tmp_path):
    """A project with a table of two tomograms."""
    folder = tmp_path / "project"
    folder.mkdir()
    put(folder / "tomograms.star", OURS)
    return folder


@contextmanager
def seen(folder, path, *options):
    """A page of a project in a browser, and the process behind it."""
    with started(folder, *options) as (server, address, client):
        with browsing(client, address, path) as page:
            page.set_default_timeout(PATIENCE)
            yield server, page
        server.terminate()
        assert "Traceback" not in server.stdout.read()


def cell(page, row, column="rlnDefocus"):
    return page.locator(f'.ag-row[row-index="{row}"] [col-id="{column}"]')


def type_into(page, row, text, end=None):
    """Begin to write into a cell of the table; `end` is the key that ends it."""
    cell(page, row).dblclick()
    page.keyboard.press("Control+a")
    page.keyboard.type(text)
    if end:
        page.keyboard.press(end)


def defoci(folder):
    return [row.defocus for row in TomogramTable.read(folder / "tomograms.star").tomograms]


def test_a_server_that_is_killed_and_started_again_goes_on_with_the_open_page(folder):
    with started(folder) as (server, address, client), browsing(client, address, "/jobs") as page:
        page.get_by_text("No jobs here.").wait_for()
        server.kill()
        page.get_by_text("Connection lost").wait_for(timeout=PATIENCE)
        with started(folder, "--port", address.rsplit(":", 1)[1]):
            Jobs(folder).submit_program(["true"], name="after the restart")
            page.get_by_text("after the restart").first.wait_for(timeout=PATIENCE)
            page.locator(".isonet-chip.succeeded").first.wait_for(timeout=PATIENCE)


def test_a_tunnel_that_drops_and_comes_back_goes_on_with_the_open_page(folder):
    with started(folder) as (_, address, client), ExitStack() as tunnel:
        far = tunnel.enter_context(far_away(address, 0.0))
        with browsing(client, far, "/jobs") as page:
            page.get_by_text("No jobs here.").wait_for()
            tunnel.close()
            page.get_by_text("Connection lost").wait_for(timeout=PATIENCE)
            Jobs(folder).submit_program(["true"], name="meanwhile")
            with far_away(address, 0.0, int(far.rsplit(":", 1)[1])):
                page.get_by_text("meanwhile").first.wait_for(timeout=PATIENCE)


def test_a_job_folder_that_is_deleted_by_hand_is_said_and_the_page_goes_on(folder):
    jobs = Jobs(folder)
    job = jobs.submit_program(["true"], name="doomed")
    with seen(folder, "/jobs?job=1") as (_, page):
        page.locator(".isonet-jobview .isonet-chip.succeeded").wait_for()
        shutil.rmtree(job.folder)
        page.get_by_text("folder removed").wait_for()
        page.get_by_text("No jobs here.").wait_for()
        jobs.submit_program(["true"], name="the next")
        page.get_by_text("the next").first.click()
        page.locator(".isonet-jobview h2", has_text="the next").wait_for()


def test_two_pages_edit_one_table_and_neither_overwrites_the_other(folder):
    with seen(folder, "/prepare") as (_, first):
        second = first.context.new_page()
        second.set_default_timeout(PATIENCE)
        second.goto(first.url)
        cell(second, 1).wait_for()
        type_into(second, 0, "52000")
        first.bring_to_front()
        type_into(first, 0, "41000", "Enter")
        first.get_by_text("Saved").first.wait_for()
        first.wait_for_timeout(4000)  # longer than the pages take to notice a change
        second.bring_to_front()
        second.keyboard.press("Enter")
        second.get_by_text("was changed to 41000 meanwhile").wait_for()
        cell(second, 0).filter(has_text="41000").wait_for()
        type_into(second, 1, "52000", "Enter")
        second.get_by_text("Saved").first.wait_for()
        cell(first, 1).filter(has_text="52000").wait_for()
        assert defoci(folder) == [41000, 52000]


def test_a_browser_that_is_closed_in_the_middle_of_typing_leaves_all_as_it_was(folder):
    before = (folder / "tomograms.star").read_bytes()
    with started(folder) as (server, address, client):
        with browsing(client, address, "/prepare") as page:
            type_into(page, 0, "4100")
        with browsing(client, address, "/refine") as page:
            page.locator("[data-name=epochs]").type("12")
        assert (folder / "tomograms.star").read_bytes() == before
        with browsing(client, address, "/prepare") as page:
            type_into(page, 0, "41000", "Enter")
            page.get_by_text("Saved").first.wait_for()
        server.terminate()
        assert "Traceback" not in server.stdout.read()
    assert defoci(folder)[0] == 41000


SCRIPT = "<img/src=x/onerror=window.hacked=1>"
LEAVING = 'a" src=x onerror="window.hacked=1'
"""What ends the attribute that it is written into, where it is not written as a value."""


def test_a_script_in_a_name_a_cell_a_file_name_or_a_log_is_shown_and_not_run(folder):
    put(folder / "tomograms.star", OURS.replace("007", SCRIPT).replace("m/03.mrc", SCRIPT))
    job = Jobs(folder).submit_program(
        ["sh", "-c", 'echo "$0"; exit 3', SCRIPT], kind="refine", name=SCRIPT
    )
    for name in (f"{LEAVING}_epoch1.png", f"{LEAVING}.png", f"{LEAVING}.html", f"{SCRIPT[:4]}.mrc"):
        (job.folder / name).write_text(SCRIPT)
    (job.folder / "history.csv").write_text(f"epoch,loss,{SCRIPT}\n1,0.5,{SCRIPT}\n")
    with seen(folder, "/jobs?job=1") as (_, page):
        page.locator(".isonet-failure", has_text=SCRIPT).wait_for()
        page.locator("h2", has_text=SCRIPT).wait_for()
        page.locator(f".isonet-picture[alt^='{LEAVING}']").wait_for()
        page.get_by_label("Notes").fill(SCRIPT)
        home = page.url.removesuffix("/jobs?job=1")
        for path in ("/", "/jobs", "/prepare", "/predict", "/view", "/documents?page=<b>"):
            page.wait_for_timeout(1500)
            assert page.evaluate("window.hacked") is None, page.url
            page.goto(f"{home}{path}")
            page.locator("h1").first.wait_for()
        page.wait_for_timeout(1500)
        assert page.evaluate("window.hacked") is None, page.url


@pytest.fixture
def small_disk(folder):
    """Mount a disk of a megabyte at the project's folder."""
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("a disk of its own may not be mounted here")
    put(folder / "tomograms.star", OURS)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Leave no room on the disk of a folder."""
    filling = os.open(folder / "filling", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(filling, bytes(4096))
    os.close(filling)


def test_a_full_disk_is_said_and_what_was_there_stays(small_disk):
    said = re.compile("no space left", re.IGNORECASE)
    with seen(small_disk, "/prepare") as (_, page):
        before = (small_disk / "tomograms.star").read_bytes()
        cell(page, 0).wait_for()
        fill(small_disk)
        type_into(page, 0, "41000", "Enter")
        page.locator(".q-notification", has_text=said).first.wait_for()
        cell(page, 0).filter(has_text="39057").wait_for()
        page.goto(page.url.replace("/prepare", "/inspect"))
        page.get_by_role("button", name="Submit (In Queue)").click()
        page.get_by_role("alert").filter(has_text=said).first.wait_for()
        assert (small_disk / "tomograms.star").read_bytes() == before
        assert not Jobs(small_disk).list()
        (small_disk / "filling").unlink()
        page.goto(page.url.replace("/inspect", "/prepare"))
        type_into(page, 0, "41000", "Enter")
        page.get_by_text("Saved").first.wait_for()
        assert defoci(small_disk)[0] == 41000
