"""What surrounds every page: bar, navigation, colours; and who looks at it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from isonet2.errors import InputError, sentence
from isonet2.gui.components.notifier import Notifier
from isonet2.gui.guard import ROLE
from isonet2.gui.project import Project
from isonet2.gui.words import LANGUAGES, language, speak, t

SECTIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "data": (
        ("start", "/", "home"),
        ("prepare", "/prepare", "table_chart"),
        ("inspect", "/inspect", "fact_check"),
    ),
    "steps": (
        ("denoise", "/denoise", "auto_fix_high"),
        ("deconv", "/deconv", "blur_on"),
        ("make_mask", "/make_mask", "layers"),
        ("refine", "/refine", "model_training"),
        ("predict", "/predict", "auto_awesome"),
        ("validate", "/validate", "verified"),
    ),
    "work": (
        ("jobs", "/jobs", "list_alt"),
        ("view", "/view", "view_in_ar"),
        ("settings", "/settings", "settings"),
        ("documents", "/documents", "menu_book"),
    ),
}
"""Pages by section: key of its name, address, icon."""
THEMES: dict[str, bool | None] = {"auto": None, "light": False, "dark": True}


def may_act() -> bool:
    """Whether who looks at this page may change and start things, as the guard found."""
    request = ui.context.client.request
    return request is not None and request.scope.get(ROLE) == "writer"


def address(path: str) -> str:
    """An address of this server as the browser must ask for it, behind a proxy too."""
    request = ui.context.client.request
    return (request.scope.get("root_path", "") if request is not None else "") + path


@contextmanager
def frame(project: Project, here: str, title: str = "") -> Iterator[None]:
    """Draw bar and navigation; what is made inside the block becomes the page's content.

    Parameters
    ----------
    project
        The folder that is shown.
    here
        Key of the page in `SECTIONS`.
    title
        Heading; the page's name where it is empty.
    """
    heading = title or t(f"page.{here}")
    _say_what_goes_wrong()
    ui.page_title(" - ".join(dict.fromkeys((heading, project.folder.name, "IsoNet2"))))
    ui.add_head_html(f'<link rel="stylesheet" href="{address("/static/style.css")}">')
    ui.add_head_html(f"<script>document.documentElement.lang = '{language()}'</script>")
    ui.colors(primary="#17609f", secondary="#3f6f8f", accent="#935500", positive="#1f7a4d",
              negative="#b3261e", info="#17609f", warning="#9a6200", dark_page="#10171e",
              dark="#19232d")  # fmt: skip
    theme = ui.dark_mode(THEMES.get(project.user.get("theme", "auto")))
    with ui.header(elevated=False).classes("isonet-bar items-center no-wrap"):
        menu = ui.button(icon="menu").props(f'flat round aria-label="{t("shell.menu")}"')
        ui.link("IsoNet2", "/").classes("isonet-brand")
        ui.label(str(project.folder)).classes("isonet-folder ellipsis")
        ui.space()
        if may_act():
            _languages(project)
        else:
            ui.badge(t("shell.reader"), color="accent").props("outline")
        _themes(project, theme)
    with (
        ui.left_drawer(value=True, bordered=False)
        .classes("isonet-nav")
        .props("width=216 breakpoint=900") as drawer,
        ui.element("nav").props(f'aria-label="{t("shell.menu")}"'),
    ):
        for section, pages in SECTIONS.items():
            ui.label(t(f"section.{section}")).classes("isonet-section")
            for key, target, icon in pages:
                _entry(key, target, icon, key == here)
    menu.on_click(drawer.toggle)
    if project.user.get("notify"):
        Notifier(project)
    with ui.element("div").classes("isonet-main"):
        yield


def _say_what_goes_wrong() -> None:
    """Tell on the page what nothing else on it tells: a full disk, a folder that is gone."""
    last = ""

    def say(error: Exception) -> None:
        nonlocal last
        told = sentence(error) or str(error) if isinstance(error, OSError) else str(error)
        words = told if isinstance(error, InputError | OSError) else t("shell.fault")
        if words != last:  # what is tried again and again is said once
            last = words
            refuse(words)

    ui.on_exception(say)


def refuse(text: str) -> None:
    """Say what cannot be done, until it is closed."""
    ui.notify(
        text, type="negative", multi_line=True, close_button=t("viewer.close"), timeout=0
    )  # fmt: skip


def heading(text: str, explained: str = "") -> None:
    """The page's one heading, and a sentence on what it is for."""
    with ui.column().classes("gap-0"):
        with ui.element("h1"):
            ui.label(text)
        if explained:
            ui.label(explained).classes("isonet-lead")


def _entry(key: str, target: str, icon: str, active: bool) -> None:
    with ui.link(target=target).classes("isonet-entry" + " active" * active) as entry:
        if active:
            entry.props("aria-current=page")
        ui.icon(icon).props("aria-hidden=true")
        ui.label(t(f"page.{key}"))


def _languages(project: Project) -> None:
    async def choose(code: str) -> None:
        speak(code)
        ui.navigate.reload()
        await asyncio.to_thread(project.user.put, "language", code)

    with (
        ui.button(icon="translate").props(f'flat round aria-label="{t("shell.language")}"'),
        ui.menu(),
    ):
        for code, name in LANGUAGES.items():
            item = ui.menu_item(name, lambda code=code: choose(code))
            item.props("active" if code == language() else "")


def _themes(project: Project, theme: ui.dark_mode) -> None:
    async def choose(name: str) -> None:
        theme.value = THEMES[name]
        if may_act():
            await asyncio.to_thread(project.user.put, "theme", name)

    with ui.button(icon="contrast").props(f'flat round aria-label="{t("shell.theme")}"'), ui.menu():
        for name in THEMES:
            ui.menu_item(t(f"theme.{name}"), lambda name=name: choose(name))
