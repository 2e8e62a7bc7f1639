"""Every page for everybody: axe finds nothing serious, keys alone suffice, small windows do."""

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from browser import browsing, served

from isonet2.data.star import write_table
from isonet2.data.volumes import write_volume
from isonet2.gui.shell import SECTIONS
from isonet2.jobs import Jobs, start

pytestmark = pytest.mark.slow
PAGES = sorted({address for entries in SECTIONS.values() for _, address, _ in entries})
JOB, TWO, FILM = "/jobs?job=1", "/compare?first=1&second=2", "/view?path=noise.mrc"
FOCUSED = """() => {
  const one = document.activeElement;
  one.dataset.visited = "1";
  return one === document.body;
}"""
LEFT = """() => [...document.querySelectorAll(
    "a[href], button, input, select, textarea, [tabindex='0']")]
  .filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0
    && !one.closest(".ag-root, [aria-hidden=true], .q-tab-panel, .disabled"))
  .filter((one) => !one.dataset.visited)
  .map((one) => one.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    noise = np.random.default_rng(0).standard_normal((24, 40, 56))
    write_volume(folder / "noise.mrc", noise, voxel_size=10.0, label="test")
    columns = {"rlnIndex": [1], "rlnTomoName": ["noise.mrc"], "rlnDefocus": [30000.0]}
    write_table(folder / "tomograms.star", pd.DataFrame(columns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "dispatcher", lambda project: None)
        Jobs(folder).submit_program(["true"], name="the first")
        Jobs(folder).submit_program(["true"], after=(1,))
        Jobs(folder).edit(1, starred=True, tags=["good", "old"])
        for job in Jobs(folder).list():
            write_volume(job.results / "noise.mrc", noise, voxel_size=10.0, label="test")
    with served(folder) as (address, client):
        yield address, client


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_lies_beside_a_small_window(server, scheme):
    package = pytest.importorskip("axe_playwright_python")
    axe = files(package).joinpath("axe.min.js").read_text(encoding="utf-8")
    address, client = server
    found = {}
    with browsing(client, address, "/", width=1024, height=768, scheme=scheme) as page:
        for one in (*PAGES, JOB, TWO, FILM):
            page.goto(f"{address}{one}")
            page.locator("h1").first.wait_for()
            page.wait_for_timeout(1500)
            if one == JOB:
                page.get_by_text("Which job follows which").click()
                page.locator(".isonet-graph").wait_for()
            if one in (TWO, FILM):
                page.wait_for_function("window.__viewer?.about")
            if one == FILM:
                page.get_by_role("button", name="Film", exact=True).click()
            page.evaluate(axe)
            answer = page.evaluate("axe.run()")
            bad = [
                (rule["id"], rule["nodes"][0]["html"][:150])
                for rule in answer["violations"]
                if rule["impact"] in ("serious", "critical")
            ]
            width = page.evaluate("document.documentElement.scrollWidth")
            if bad or width > 1024:
                found[one] = (bad, width)
    assert not found


@pytest.mark.parametrize("one", ["/view", "/deconv"])
def test_the_tabulator_key_reaches_everything(server, one):
    address, client = server
    with browsing(client, address, one) as page:
        page.locator("h1").first.wait_for()
        page.wait_for_timeout(2000)
        for _ in range(150):
            page.keyboard.press("Tab")
            if page.evaluate(FOCUSED):
                break
        assert page.evaluate(LEFT) == []
