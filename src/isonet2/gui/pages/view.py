"""The page with the slice viewer, and what it needs of the server: `/view?path=...`."""

from pathlib import Path
from urllib.parse import urlencode

from nicegui import app as pages
from nicegui import run, ui

from isonet2.data.star import Tomogram, TomogramTable
from isonet2.errors import InputError
from isonet2.gui import open_in
from isonet2.gui.live import PAINTER
from isonet2.gui.project import Project
from isonet2.gui.shell import frame, heading, may_act
from isonet2.gui.slice_routes import slice_routes
from isonet2.gui.viewer import Shown, VolumeViewer, files_of, shown_of
from isonet2.gui.volume_store import VolumeStore
from isonet2.gui.words import t

_TABLES = 12


def register(project: Project) -> None:
    """Make the page and the routes of slices known."""
    store = VolumeStore()

    def allowed(path: str) -> Path:
        return Path(path) if PAINTER.owns(path) else project.allowed(path)

    pages.include_router(slice_routes(store, allowed))
    pages.on_shutdown(store.close)
    pages.on_shutdown(PAINTER.close)

    @ui.page("/view")
    async def page(path: str = "", second: str = "", star: str = "", index: int = 0) -> None:
        try:
            found = await run.io_bound(find, project, path, second, star, index)
        except InputError as error:
            _draw(project, Shown(), str(error))
        else:
            _draw(project, found or Shown(), "")


def view_address(path: Path | str, second: Path | str = "", star: Path | str = "") -> str:
    """Address of the page for a volume, compared with a second, of a table; behind no proxy."""
    given = {"path": path, "second": second, "star": star}
    return "/view?" + urlencode({name: str(value) for name, value in given.items() if str(value)})


def find(project: Project, path: str, second: str, star: str, index: int) -> Shown:
    """What a page of an address shows: a volume, with its tomogram's files where a table has it.

    Parameters
    ----------
    project
        The folder that is shown.
    path, second
        Volumes, or nothing; from the project's folder.
    star, index
        Table and rlnIndex of the tomogram; nothing and 0 look for a table that names `path`.

    Raises
    ------
    InputError
        When a file lies outside the project, or a table cannot be read.
    """
    first = project.allowed(path) if path else None
    other = project.allowed(second) if second else None
    if star:
        tomograms = TomogramTable.read(project.allowed(star)).tomograms
        for tomogram in tomograms:
            if tomogram.index == index or (not index and first and _names(tomogram, first)):
                return shown_of(tomogram, first, other)
        if first is None:
            raise InputError(f"{star}: there is no tomogram {index} in it; look at the table.")
    found = None if first is None else _tomogram_of(project, first)
    if found is not None:
        return shown_of(found, first, other)
    volumes = {one: project.told(one) for one in (first, other) if one is not None}
    return Shown(volumes, first, other)


def _tomogram_of(project: Project, path: Path) -> Tomogram | None:
    """The row of one of the project's tables that names a file; None where there is none."""
    tables = sorted(project.folder.glob("*.star"), key=lambda one: -one.stat().st_mtime)
    for table in tables[:_TABLES]:
        try:
            rows = TomogramTable.read(table).tomograms
        except InputError:
            continue
        for tomogram in rows:
            if _names(tomogram, path):
                return tomogram
    return None


def _names(tomogram: Tomogram, path: Path) -> bool:
    """Whether a tomogram's row names a file."""
    whole = path.resolve()
    return any(one.resolve() == whole for one in files_of(tomogram))


def _draw(project: Project, shown: Shown, problem: str) -> None:
    title = "" if shown.first is None else shown.first.name
    with frame(project, "view", title):
        heading(title or t("page.view"), t("view.lead"))
        if problem:
            ui.label(problem).classes("text-negative").props("role=alert")
        if shown.first is None:
            with ui.element("div").classes("isonet-empty"):
                ui.label(t("view.nothing")).classes("text-lg")
                ui.label(t("view.nothing_help"))
            return
        VolumeViewer(shown)
        chosen = [path for path in (shown.first, shown.second) if path is not None]
        with ui.row().classes("gap-2"):
            for program in open_in.PROGRAMS:
                _open_in(program, [project.allowed(path) for path in chosen])


def _open_in(program: str, paths: list[Path]) -> None:
    """A button with the command that opens volumes in another program."""
    words = open_in.as_text(open_in.command(program, paths))
    with ui.dialog() as dialog, ui.card().classes("isonet-paste"):
        ui.label(t("view.open_in", program=program)).classes("isonet-title")
        ui.label(words).classes("isonet-command")
        if program == "napari":
            ui.label(t("view.plugin")).classes("isonet-soft")
        reason = open_in.obstacle(program)
        if reason is not None:
            ui.label(t(reason, program=program)).classes("isonet-soft")
        with ui.row().classes("w-full justify-end gap-2"):
            ui.button(t("command.cancel"), on_click=dialog.close).props("flat")
            ui.button(t("command.copy"), icon="content_copy", on_click=lambda: _copy(words))
            if reason is None and may_act():

                async def start() -> None:
                    await run.io_bound(open_in.start, program, paths)
                    dialog.close()
                    ui.notify(t("view.started", program=program))

                ui.button(t("view.start"), icon="open_in_new", on_click=start)
    label = t("view.open_in", program=program)
    ui.button(label, icon="open_in_new", on_click=dialog.open).props("outline no-caps")


def _copy(words: str) -> None:
    ui.clipboard.write(words)
    ui.notify(t("command.copied"))
