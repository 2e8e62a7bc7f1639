"""The manual's pages inside the program, without the internet."""

from fastapi import HTTPException
from fastapi.responses import FileResponse
from nicegui import app, ui

from isonet2.gui import documents
from isonet2.gui.project import Project
from isonet2.gui.shell import address, frame
from isonet2.gui.words import t


def register(project: Project) -> None:
    """Make the page known, and its pictures."""
    place = documents.folder()

    @app.get("/documents/pictures/{name}")
    def picture(name: str) -> FileResponse:
        path = None if place is None else place / "docs" / "pictures" / name
        if path is None or "/" in name or path.suffix not in (".png", ".jpg") or not path.is_file():
            raise HTTPException(404, "There is no such picture.")
        return FileResponse(path)

    @ui.page("/documents")
    def show(page: str = "README") -> None:
        with frame(project, "documents"):
            if place is None:
                ui.label(t("documents.missing"))
                return
            known = documents.pages(place)
            chosen = page if page in known else "README"
            with ui.element("div").classes("isonet-manual"):
                with ui.element("aside").classes("isonet-card"):
                    ui.label(t("documents.contents")).classes("isonet-title")
                    for name, path in known.items():
                        link = ui.link(documents.title(path), f"/documents?page={name}")
                        link.classes("isonet-contents" + " active" * (name == chosen))
                with ui.element("article").classes("isonet-card"):
                    text = documents.text(known[chosen], known, address(""))
                    ui.markdown(text, extras=["fenced-code-blocks", "tables", "header-ids"])
