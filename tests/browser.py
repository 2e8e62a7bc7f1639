"""A server of its own and a real browser, for tests of pages."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress

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
def started(folder, *options):
    """The pages of a folder from a process of their own; yields it, the address and a client."""
    words = [sys.executable, "-m", "isonet2.gui.server", str(folder), "--no-browser", *options]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(words, env=_plain(home), **quiet) as server,
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
                yield server, address, client
        finally:
            server.terminate()


def _plain(home):
    """The environment of a user; the toolkit does without compression where it sees pytest."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return plain | {"XDG_CONFIG_HOME": home}


@contextmanager
def served(folder, *options):
    """As `started`, without the process."""
    with started(folder, *options) as (_, address, client):
        yield address, client


@contextmanager
def far_away(address, seconds, listening=0):
    """The same server at the end of a line where each way takes `seconds`; yields its address.

    It listens at a port, or at any; all that came over it breaks off when it ends.
    """
    loop = asyncio.new_event_loop()

    async def carry(reader, writer):
        late = asyncio.Queue()

        async def take():
            with suppress(ConnectionError):  # a browser that leaves in the middle of a request
                while data := await reader.read(65536):
                    late.put_nowait((loop.time() + seconds, data))
            late.put_nowait((loop.time() + seconds, b""))

        taking = asyncio.create_task(take())
        try:
            while True:
                due, data = await late.get()
                await asyncio.sleep(max(0, due - loop.time()))
                if not data:
                    break
                writer.write(data)
            await taking
        finally:
            writer.close()

    async def meet(reader, writer):
        with suppress(ConnectionError):
            to_reader, to_writer = await asyncio.open_connection("localhost", port)
            await asyncio.gather(carry(reader, to_writer), carry(to_reader, writer))

    async def end():
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # for sockets to close

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    port = int(address.rsplit(":", 1)[1])
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = run(asyncio.start_server(meet, "127.0.0.1", listening))
    try:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        run(end())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def browsing(client, address, path, width=1280, height=900, scheme="light"):
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
            color_scheme=scheme,
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
