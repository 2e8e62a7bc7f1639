"""The manual's walk through the pages, in a real browser, with tiny trainings on the processor.

Pictures of the pages are left in `.pictures` beside the tests, to be looked at. The second walk, at
the end of a slow line, is given at once what the jobs of the first one made.
"""

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import browsing, far_away, served

from isonet2.data.star import TomogramTable
from isonet2.gui.words import dictionary
from isonet2.jobs import Jobs
from isonet2.jobs.settings import Settings, keep_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PATIENCE = 600_000
DELAYS = {"": 0.0, "_far": 0.2}
"""Seconds to the server and back, and what their pictures' names end in."""
DRAWN = """() => [...document.images].every((image) => image.complete
  || image.getBoundingClientRect().top > innerHeight)"""
NETWORK = "family: unet\nfilters: 8\nlevels: 2\nconvolutions: 1\n"
TINY = {
    "cube_size": "32",
    "epochs": "2",
    "save_interval": "1",
    "gpuID": "cpu",
    "arch": "tiny.yaml",
}


class Tour:
    """Somebody who walks through the pages, and takes pictures."""

    def __init__(self, page, address, pictures, ending):
        self.page, self.address = page, address
        self.pictures, self.ending = pictures, ending

    def go(self, path):
        self.page.goto(self.address + path)
        self.page.locator("h1").first.wait_for()

    def picture(self, name):
        """Keep what is seen, once nothing moves any more, and no help stands over it."""
        self.page.mouse.move(640, 4)
        self.page.locator(".isonet-folder").evaluate(
            "(one) => { one.textContent = '~/my_project'; }"
        )
        self.page.wait_for_timeout(500)
        self.page.wait_for_function(DRAWN)
        self.page.screenshot(path=str(self.pictures / f"{name}{self.ending}.png"))

    def field(self, name):
        return self.page.locator(f"[data-name={name}]").first

    def fill(self, **values):
        for name, value in values.items():
            self.field(name).fill(value)
            self.page.keyboard.press("Enter")

    def choose(self, name, text):
        self.field(name).click()
        self.page.get_by_role("option", name=text).first.click()

    def turn(self, name):
        self.page.get_by_role("switch", name=name).click()

    def press(self, name, *, exact=False):
        self.page.get_by_role("button", name=name, exact=exact).first.click()

    def see(self, text):
        self.page.get_by_text(text).first.wait_for()

    def ended(self):
        """Wait until the job that is shown has succeeded, and give its number."""
        chip = self.page.locator(".isonet-jobview .isonet-chip")
        chip.filter(has_text=re.compile("succeeded|failed|lost|skipped")).wait_for(timeout=PATIENCE)
        assert chip.inner_text() == "succeeded", self.page.locator(".isonet-failure").inner_text()
        return int(re.search(r"job=(\d+)", self.page.url).group(1))


@pytest.fixture
def pictures(request):
    folder = request.config.rootpath / ".pictures"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder for what the jobs of the first walk make."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "tables").mkdir()
    return folder


@pytest.fixture
def phantom(tmp_path, kept):
    """A folder with two simulated tomograms in halves, and a network that is quick to train."""
    folder = tmp_path / "phantoms"
    if (kept / "project").exists():
        shutil.copytree(kept / "project" / "phantom", folder / "phantom")
        program = (sys.executable, str(Path(__file__).with_name("replay.py")), str(kept))
        keep_settings(folder, Settings(program=program))
    else:
        folder.mkdir()
        words = ["simulate", "phantom", "--shape", "40,64,64", "--density", "0.1", "--snr", "0.15"]
        subprocess.run([sys.executable, "-m", "isonet2", *words], cwd=folder, check=True)
    (folder / "tiny.yaml").write_text(NETWORK)
    return folder


@contextmanager
def touring(folder, pictures, ending):
    delay = DELAYS[ending]
    with (
        served(folder) as (address, client),
        far_away(address, delay / 2) as far,
        browsing(client, far if delay else address, "/") as page,
    ):
        page.set_default_timeout(60_000)
        yield Tour(page, far if delay else address, pictures, ending)


def prepare(tour, folder, ended):
    """From folders to a table with another defocus for each tomogram."""
    page = tour.page
    tour.go("/prepare")
    tour.fill(even="phantom/EVN", odd="phantom/ODD", number_subtomos="4")
    tour.turn("Create average")
    tour.press("Look at the files")
    tour.see("2 tomograms found")
    tour.picture("prepare")
    tour.press("Run")
    ended(1)
    tour.go("/prepare")
    page.locator('.ag-row[row-index="0"] [col-id="rlnDefocus"]').dblclick()
    page.keyboard.press("Control+a")
    page.keyboard.type("30000")
    page.keyboard.press("Enter")
    tour.see("Saved")
    tour.press("Fill column")
    page.get_by_label("Values").fill("3.0, 3.1")
    tour.press("Fill", exact=True)
    tour.press("Yes")
    page.locator('.ag-row[row-index="1"] [col-id="rlnDefocus"]', has_text="31000").wait_for()
    tour.picture("table")
    rows = TomogramTable.read(folder / "tomograms.star").tomograms
    assert [row.defocus for row in rows] == [30000, 31000]


def in_chinese(tour):
    """Look at some pages in the other language."""
    tour.go("/refine")
    tour.press("Language")
    tour.page.get_by_text("中文").click()
    for name in ("refine", "jobs", "prepare"):
        tour.see(dictionary("zh")[f"page.{name}"])
        tour.picture(f"{name}_zh")
        tour.go("/jobs" if name == "refine" else "/prepare")


@pytest.mark.parametrize("ending", DELAYS)
def test_the_manuals_walk_through_the_pages(phantom, kept, pictures, ending):
    with touring(phantom, pictures, ending) as tour:
        page = tour.page

        def ended(number):
            assert tour.ended() == number
            shutil.copy(phantom / "tomograms.star", kept / "tables" / f"job{number:03}.star")

        prepare(tour, phantom, ended)

        tour.go("/denoise")
        tour.fill(**TINY)
        tour.choose("CTF_mode", "network")
        tour.picture("denoise")
        tour.press("Submit (In Queue)")
        tour.see("denoise/job002")
        tour.go("/predict?model_of=2")
        tour.fill(gpuID="cpu")
        tour.picture("predict")
        tour.press("Submit (In Queue)")
        tour.see("predict/job003")
        ended(3)

        tour.go("/make_mask")
        tour.choose("input_column", "rlnDenoisedTomoName")
        tour.picture("make_mask")
        tour.press("Submit (In Queue)")
        ended(4)
        tour.picture("mask")

        tour.go("/refine")
        tour.fill(mw_weight="200", **TINY)
        tour.turn("Use masks")
        tour.picture("refine")
        tour.press("Submit (In Queue)")
        tour.see("refine/job005")
        page.locator(".isonet-picture").wait_for(timeout=PATIENCE)
        ended(5)
        page.locator('.isonet-picture[alt*="Epoch 2"]').wait_for()
        page.locator(".isonet-chart canvas").first.wait_for()
        tour.see("0 running")
        tour.picture("job")

        tour.press("Predict with this model")
        page.wait_for_url("**/predict?model_of=5")
        tour.fill(gpuID="cpu")
        tour.press("Submit (Run Immediately)")
        ended(6)

        tour.go("/deconv")
        tour.field("snrfalloff").fill("0.7")
        tour.see("--snrfalloff 0.7")
        tour.picture("deconv")
        tour.press("Submit (In Queue)")
        ended(7)
        tour.go("/inspect")
        tour.see("isonet.py inspect tomograms.star")
        tour.press("Submit (In Queue)")
        ended(8)
        report = page.frame_locator("iframe.isonet-report")
        report.get_by_role("heading", name="Inspection of tomograms").wait_for()
        tour.see("0 running")
        tour.picture("inspect")

        restored = TomogramTable.read(phantom / "tomograms.star").tomograms[0]
        for volume in (restored.corrected, restored.mask, restored.deconvolved):
            assert volume.is_file()
        tour.go(f"/view?star=tomograms.star&index=1&second={restored.corrected}")
        page.wait_for_function("window.__viewer && window.__viewer.about")
        page.evaluate("window.__viewer.ready()")
        tour.picture("viewer")
        tour.go("/compare?first=5&second=2")
        page.wait_for_function("window.__viewer && window.__viewer.about")
        assert page.evaluate("window.__viewer.ready()")["beside"]
        tour.picture("compare")
        tour.go("/")
        tour.see("Look at the restored tomograms")
        tour.picture("start")
        for name in ("settings", "documents"):
            tour.go(f"/{name}")
            tour.picture(name)
        if not DELAYS[ending]:
            in_chinese(tour)
    assert [job.status for job in Jobs(phantom).list()] == ["succeeded"] * 8
    if not (kept / "project").exists():
        shutil.copytree(phantom, kept / "project")
