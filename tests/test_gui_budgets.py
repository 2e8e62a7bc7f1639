"""What the pages may cost, with room for a busy machine; benchmarks/pages.py has the budgets."""

import time
from pathlib import Path

import pytest
from browser import browsing, served, started
from job_helpers import many
from star_files import OURS, put

from isonet2.gui.pace import LONGEST, SHARE, pause_after
from isonet2.jobs import Jobs

pytestmark = pytest.mark.slow
FIRST_PAGE = 1_000_000
LINES = 20_000
LAST = """() => {
  const rows = [...document.querySelectorAll(".isonet-log .xterm-rows > div")];
  return rows.map((row) => row.textContent).join("\\n");
}"""


def seconds_of(server):
    """Seconds of a processor that a process has used."""
    words = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


def test_the_first_page_is_small_and_asks_no_other_host(tmp_path):
    sizes, hosts = [], set()
    with served(tmp_path) as (address, client), browsing(client, address, "/") as page:
        page.goto("about:blank")
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        page.goto(f"{address}/", wait_until="networkidle")
        page.locator("h1").first.wait_for()
    assert 100_000 < sum(sizes) < FIRST_PAGE
    assert hosts == {address.split("/")[2]}


def find(page, words, said, *shown):
    """Look for words in the log, and see what it says and scrolls to."""
    page.get_by_label("Find in the log").fill(words)
    see(page, said, *shown)


def see(page, said, *shown):
    page.get_by_text(said, exact=True).wait_for(timeout=20_000)
    for text in shown:
        page.wait_for_function(f"({LAST})().includes({text!r})", timeout=20_000)


def test_a_log_of_20000_lines_is_shown_without_strain(tmp_path):
    job = Jobs(tmp_path).submit_program(["true"])
    lines = (f"epoch {n // 100} step {n % 100} loss {1 / (n + 1):.6f}" for n in range(LINES))
    with (
        started(tmp_path) as (server, address, client),
        browsing(client, address, "/settings") as page,
    ):
        while not Jobs(tmp_path).show(job.number).has_ended:
            page.wait_for_timeout(100)
        job.log.write_text("\n".join(lines) + "\nthe last line, in \N{GREEK SMALL LETTER MU}m\n")
        before, began = seconds_of(server), time.monotonic()
        page.goto(f"{address}/jobs?job={job.number}")
        page.wait_for_function(
            f"({LAST})().includes('the last line, in \N{GREEK SMALL LETTER MU}m')", timeout=60_000
        )
        took, used = time.monotonic() - began, seconds_of(server) - before
        find(page, "Step 7 loss", f"1 of {LINES // 100}", "epoch 0 step 7 ")
        page.keyboard.press("Shift+Enter")
        see(page, f"{LINES // 100} of {LINES // 100}", f"epoch {LINES // 100 - 1} step 7 ")
        page.get_by_role("button", name="Next").click()
        see(page, f"1 of {LINES // 100}", "epoch 0 step 7 ")
        find(page, "'); alert(1); ('", "not found")
        page.get_by_role("button", name="Name and priority").click(timeout=10_000)
    assert took < 30, f"shown after {took:.1f} s"
    assert used < 4, f"the server computed for {used:.1f} s"


def test_idle_pages_cost_less_than_2_percent_of_a_core_each(tmp_path):
    """In a project of a thousand jobs."""
    many(Jobs(tmp_path), 1000)
    put(tmp_path / "tomograms.star", OURS)
    others = ("/", "/refine", "/prepare")
    with (
        started(tmp_path) as (server, address, client),
        browsing(client, address, "/jobs?job=1") as page,
    ):
        page.locator(".isonet-jobview .isonet-chip.succeeded").wait_for(timeout=60_000)
        for path in others:
            other = page.context.new_page()
            other.goto(f"{address}{path}")
            other.locator("h1").first.wait_for()
        page.wait_for_timeout(3000)
        before = seconds_of(server)
        page.wait_for_timeout(10_000)
        used = (seconds_of(server) - before) / 10 / (1 + len(others))
    assert used < 0.02, f"{used:.1%} of a core"


def test_where_looks_are_dear_there_are_fewer():
    assert pause_after(cost=0.001, seconds=2.0) == 2.0
    assert pause_after(cost=0.1, seconds=2.0) == 0.1 / SHARE
    assert pause_after(cost=5.0, seconds=2.0) == LONGEST
