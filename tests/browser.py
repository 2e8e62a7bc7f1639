"""A server of its own and a real browser, for tests of pages."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager

import httpx
import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def served(folder, *options):
    """The pages of a folder from a process of their own; yields the address and a client."""
    words = [sys.executable, "-m", "isonet2.gui.server", str(folder), "--no-browser", *options]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(words, env={**os.environ, "XDG_CONFIG_HOME": home}, **quiet) as server,
    ):
        try:
            said = ""
            while "Ctrl-C" not in said:
                line = server.stdout.readline()
                assert line, f"the server ended: {said}"
                said += line
            address, token = re.search(r"(http://\S+)/\?token=(\S+)", said).groups()
            with httpx.Client(follow_redirects=True, timeout=60) as client:
                client.get(f"{address}/", params={"token": token}).raise_for_status()
                yield address, client
        finally:
            server.terminate()


@contextmanager
def browsing(client, address, path, width=1280, height=900):
    """A page of a fresh browser that has the client's cookies; it fails on errors in scripts.

    Where there is no Chromium, or no playwright, the test is left out.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver, tempfile.TemporaryDirectory() as user:
        browser = driver.chromium.launch_persistent_context(
            user,
            executable_path=CHROMIUM,
            args=list(FLAGS),
            headless=True,
            viewport={"width": width, "height": height},
        )
        try:
            browser.add_cookies(
                [
                    {"name": one.name, "value": one.value, "url": address}
                    for one in client.cookies.jar
                ]
            )
            page = browser.pages[0]
            errors = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"{address}{path}")
            yield page
            assert not errors
        finally:
            browser.close()
