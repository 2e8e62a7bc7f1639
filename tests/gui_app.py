"""The pages of a project as tests ask for them: by a user without a browser, or over sockets."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager, contextmanager

import httpx
from nicegui import core, ui
from nicegui.functions.download import download
from nicegui.functions.navigate import Navigate
from nicegui.functions.notify import notify
from nicegui.testing import User
from nicegui.testing.general import nicegui_reset_globals, prepare_simulation

from isonet2.gui.application import register
from isonet2.gui.guard import ROLE
from isonet2.gui.words import speak


def seen_as(role, app=core.app):
    """The application as the guard hands requests on to it."""

    async def asking(scope, receive, send):
        await app({**scope, ROLE: role} if scope["type"] != "lifespan" else scope, receive, send)

    return asking


class Patient(User):
    """A user who waits for what threads bring about, on a busy machine too."""

    async def should_see(self, target=None, *, retries=100, **more):
        await super().should_see(target, retries=retries, **more)


@contextmanager
def modules_kept():
    """Keep the modules that pages are made in, which the toolkit forgets at the end of a test."""
    before = dict(sys.modules)
    try:
        yield
    finally:
        for name in before.keys() - sys.modules.keys():
            sys.modules[name] = before[name]


@asynccontextmanager
async def visiting(project, role="writer"):
    """A user of the pages of `project`, without a browser."""
    with modules_kept(), nicegui_reset_globals():
        os.environ["NICEGUI_USER_SIMULATION"] = "true"
        try:
            prepare_simulation()
            register(project)
            speak(project.user.get("language"))
            ui.run(storage_secret="simulated", show=False)
            async with core.app.router.lifespan_context(core.app):
                transport = httpx.ASGITransport(seen_as(role, core.app))
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    yield Patient(client)
        finally:
            del os.environ["NICEGUI_USER_SIMULATION"]
            ui.navigate, ui.notify, ui.download = Navigate(), notify, download
            speak("en")


def visit(place, steps, role="writer"):
    """Run the steps of a user on the pages of a project."""

    async def through():
        async with visiting(place, role) as user:
            await steps(user)

    asyncio.run(through())


async def until(true):
    """Wait for what threads bring about."""
    for _ in range(100):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came true")


def named(user, name):
    """The widget of a field."""
    return next(
        element
        for element in user.client.elements.values()
        if element._props.get("data-name") == name
    )
