"""What is shown where an address leads to no page, or says something that no page understands."""

from fastapi import Request, Response
from fastapi.exception_handlers import (
    http_exception_handler,
    request_validation_exception_handler,
)
from fastapi.exceptions import RequestValidationError
from nicegui import Client, app, ui
from starlette.exceptions import HTTPException

from isonet2.gui.project import Project
from isonet2.gui.shell import frame, heading
from isonet2.gui.words import t


def register(project: Project) -> None:
    """Make it known; scripts and programs are answered in their own way."""

    def page(request: Request, status: int, said: str) -> Response:
        with Client(ui.page(""), request=request) as client, frame(project, "", t("lost.title")):
            heading(t("lost.title"), t("lost.lead"))
            with ui.element("div").classes("isonet-empty"):
                ui.label(said).classes("isonet-mono")
                ui.button(t("lost.home"), icon="home", on_click=lambda: ui.navigate.to("/")).props(
                    "no-caps"
                )
        return client.build_response(request, status)

    @app.exception_handler(404)
    async def nowhere(request: Request, error: HTTPException) -> Response:
        if _by_script(request):
            return await http_exception_handler(request, error)
        return page(request, 404, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def misunderstood(request: Request, error: RequestValidationError) -> Response:
        if _by_script(request):
            return await request_validation_exception_handler(request, error)
        wrong = [f"{one['loc'][-1]}={one['input']}" for one in error.errors()]
        return page(request, 422, f"{request.url.path}?{'&'.join(wrong)}")


def _by_script(request: Request) -> bool:
    return "text/html" not in request.headers.get("accept", "")
