"""The page with the slice viewer, and what it needs of the server: `/view?path=...`."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlencode

from nicegui import app as pages
from nicegui import run, ui

from isonet2.data.formats import BY_SUFFIX
from isonet2.data.star import Tomogram, TomogramTable
from isonet2.errors import InputError
from isonet2.gui import open_in
from isonet2.gui.choices import tables
from isonet2.gui.components.browser import browse_button
from isonet2.gui.components.outside import ask_to_confirm
from isonet2.gui.live import PAINTER
from isonet2.gui.project import OutsideError, Project
from isonet2.gui.shell import frame, heading, may_act
from isonet2.gui.slice_routes import slice_routes
from isonet2.gui.viewer import Volumes, VolumeViewer, shown_of, volumes_of
from isonet2.gui.volume_store import VolumeStore
from isonet2.gui.words import t

_TABLES = 12


@dataclass(frozen=True, slots=True)
class Found:
    """What a page shows.

    Attributes
    ----------
    shown
        The volumes.
    table, index
        The table that names them, and the rlnIndex of their tomogram; None where none does.
    names
        The tomograms of that table by rlnIndex.
    outside
        Folders to confirm, so that the other files of the tomogram may be seen.
    """

    shown: Volumes = field(default_factory=Volumes)
    table: Path | None = None
    index: int | None = None
    names: dict[int, str] = field(default_factory=dict)
    outside: tuple[Path, ...] = ()


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
            folders = (error.folder,) if isinstance(error, OutsideError) else ()
            _draw(project, Found(outside=folders), "" if folders else str(error))
        else:
            _draw(project, found or Found(), "")


def view_address(path: Path | str, second: Path | str = "", star: Path | str = "") -> str:
    """Address of the page for a volume, compared with a second, of a table; behind no proxy."""
    given = {"path": path, "second": second, "star": star}
    return "/view?" + urlencode({name: str(value) for name, value in given.items() if str(value)})


def find(project: Project, path: str, second: str, star: str, index: int) -> Found:
    """What an address asks for: a volume, with its tomogram's files where a table names it.

    Parameters
    ----------
    project
        The folder that is shown.
    path, second
        Volumes, or nothing; from the project's folder.
    star, index
        Table and rlnIndex of the tomogram. No table: the newest of the project that names `path`;
        no index: the tomogram that has `path`; neither: the first tomogram.

    Raises
    ------
    InputError
        When a file lies outside the project, or a table cannot be read.
    """
    first = project.allowed(path) if path else None
    other = project.allowed(second) if second else None
    for table in [project.allowed(star)] if star else tables(project)[:_TABLES]:
        try:
            rows = TomogramTable.read(table).tomograms
        except InputError:
            if star:
                raise
            continue
        for row in rows:
            if row.index == index if index else first is None or _names(row, first):
                names = {one.index: one.name for one in rows}
                shown, folders = _confirmed(project, shown_of(row, first, other))
                return Found(shown, table, row.index, names, folders)
    if star and first is None:
        raise InputError(f"{star}: there is no tomogram {index} in it; look at the table.")
    volumes = {one: project.told(one) for one in (first, other) if one is not None}
    return Found(Volumes(volumes, first, other))


def _confirmed(project: Project, shown: Volumes) -> tuple[Volumes, tuple[Path, ...]]:
    """What may be read of what a table names, and the folders of the rest."""
    volumes = {path: name for path, name in shown.volumes.items() if not project.outside([path])}
    left = shown.first if shown.first in volumes else next(iter(volumes), None)
    right = shown.second if shown.second in volumes and shown.second != left else None
    mask = shown.mask if shown.mask is not None and not project.outside([shown.mask]) else None
    named = [*shown.volumes, *([shown.mask] if shown.mask is not None else [])]
    own = replace(shown, volumes=volumes, first=left, second=right, mask=mask)
    return own, project.outside(named)


def _names(tomogram: Tomogram, path: Path) -> bool:
    """Whether a tomogram's row names a file."""
    whole = path.resolve()
    return any(one.resolve() == whole for one in volumes_of(tomogram))


def _draw(project: Project, found: Found, problem: str) -> None:
    shown = found.shown
    title = "" if shown.first is None else shown.first.name
    with frame(project, "view", title):
        heading(title or t("page.view"), t("view.lead"))
        if problem:
            ui.label(problem).classes("text-negative").props("role=alert")
        ask_to_confirm(project, found.outside, ui.navigate.reload)
        with ui.row().classes("w-full items-start gap-4"):
            _choose(project, found)
        if shown.first is None:
            with ui.element("div").classes("isonet-empty"):
                ui.label(t("view.nothing")).classes("text-lg")
                ui.label(t("view.nothing_help"))
            return
        VolumeViewer(shown)
        chosen = [path for path in (shown.first, shown.second) if path is not None]
        with ui.row().classes("gap-2"):
            for program, words in open_in.offered(project.user).items():
                _open_in(program, words, [project.allowed(path) for path in chosen])


def _choose(project: Project, found: Found) -> None:
    """The tomograms of the table, and any other volume, to go to."""
    look = "outlined dense options-dense stack-label"
    if found.table is not None:
        table = project.told(found.table)
        options = {index: f"{index}: {name}" for index, name in found.names.items()}
        choice = ui.select(options, label=t("view.tomogram", table=table), value=found.index)
        choice.props(look).classes("isonet-choice")
        choice.on_value_change(
            lambda event: ui.navigate.to(
                f"/view?{urlencode({'star': table, 'index': event.value})}"
            )
        )
    volume = ui.input(t("view.choose")).props(f"{look} autocomplete=off spellcheck=false")
    volume.classes("isonet-choice")
    with volume.add_slot("append"):
        browse_button(project, volume, folders=False, suffixes=tuple(BY_SUFFIX))

    async def go(*, typed: bool) -> None:
        path = str(volume.value or "").strip()
        if path and (typed or await run.io_bound(_is_volume, project, path)):
            ui.navigate.to(view_address(path))

    volume.on("keydown.enter", lambda: go(typed=True))
    volume.on_value_change(lambda: go(typed=False))


def _is_volume(project: Project, path: str) -> bool:
    """Whether a path is that of a file by the ending of a volume."""
    try:
        return Path(path).suffix.lower() in BY_SUFFIX and project.allowed(path).exists()
    except InputError:
        return False


def _open_in(program: str, words: tuple[str, ...], paths: list[Path]) -> None:
    """A button with the command that opens volumes in another program."""
    text = open_in.as_text(open_in.command(words, paths))
    with ui.dialog() as dialog, ui.card().classes("isonet-paste"):
        ui.label(t("view.open_in", program=program)).classes("isonet-title")
        ui.label(text).classes("isonet-command")
        if program == "napari":
            ui.label(t("view.plugin")).classes("isonet-soft")
        reason = open_in.obstacle(words)
        if reason is not None:
            ui.label(t(reason, program=words[0])).classes("isonet-soft")
        with ui.row().classes("w-full justify-end gap-2"):
            ui.button(t("command.cancel"), on_click=dialog.close).props("flat")
            ui.button(t("command.copy"), icon="content_copy", on_click=lambda: _copy(text))
            if reason is None and may_act():

                async def start() -> None:
                    await run.io_bound(open_in.start, words, paths)
                    dialog.close()
                    ui.notify(t("view.started", program=program))

                ui.button(t("view.start"), icon="open_in_new", on_click=start)
    label = t("view.open_in", program=program)
    ui.button(label, icon="open_in_new", on_click=dialog.open).props("outline no-caps")


def _copy(words: str) -> None:
    ui.clipboard.write(words)
    ui.notify(t("command.copied"))
