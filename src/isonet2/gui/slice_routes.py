"""The volumes that pages show, over HTTP: what a file is, slices, power spectrum, films.

Every route is a plain function, which the server runs in a thread: no file is read on the event
loop. Pictures go out as they are: to compress noise takes longer than to send it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import StreamingResponse

from isonet2.errors import InputError, sentence
from isonet2.gui.film import Film, Movie
from isonet2.gui.slices import Axis, Bytes
from isonet2.gui.volume_store import Look, VolumeStore

PREFIX = "/api/volumes"
Check = Callable[[str], Path]
"""Takes a path as a page names it; returns the file, or raises InputError."""


def slice_routes(store: VolumeStore, check: Check) -> APIRouter:
    """Routes under `PREFIX`.

    Parameters
    ----------
    store
        Reads the files.
    check
        Refuses what lies outside the project and the folders that the user confirmed.
    """
    router = APIRouter(prefix=PREFIX)

    @router.get("/about")
    def about(path: str, mask: bool = False) -> dict[str, Any]:
        return _look(store, check, path, mask).about()

    @router.get("/slice")
    def plane(
        path: str,
        version: str,
        axis: Axis,
        index: int,
        bin: Annotated[int, Query(ge=1, le=16)] = 1,
        mask: bool = False,
    ) -> Response:
        seen = _look(store, check, path, mask, version)
        try:
            made = store.plane(seen, axis, index, bin)
        except IndexError as error:
            raise HTTPException(404, str(error)) from None
        except (InputError, OSError, ValueError) as error:
            raise HTTPException(400, f"{path}: cannot be read any more ({error})") from None
        return picture(made.pixels, made.factor)

    @router.get("/spectrum")
    def spectrum(path: str, version: str) -> Response:
        return picture(store.spectrum(_look(store, check, path, False, version)), 1)

    @router.get("/film")
    def film(asked: Annotated[Film, Query()]) -> StreamingResponse:
        looks = [_look(store, check, asked.path, False, asked.version)]
        if asked.second:
            looks.append(_look(store, check, asked.second, False, asked.second_version))
        try:
            movie = Movie(store, asked, *looks)
            expected = movie.expected()
        except (InputError, OSError, ValueError) as error:
            raise HTTPException(400, str(error)) from None
        told = {"X-Frames": str(len(movie.frames)), "X-Bytes": str(expected)}
        size = "{},{}".format(*movie.size)
        headers = {
            **told,
            "X-Size": size,
            "Content-Encoding": "identity",
            "Cache-Control": "no-store",
        }
        return StreamingResponse(movie.stream(), media_type="image/gif", headers=headers)

    return router


def _look(
    store: VolumeStore, check: Check, path: str, mask: bool, version: str | None = None
) -> Look:
    """What is known of a file, or the answer that says why it is not shown."""
    try:
        allowed = check(path)
    except InputError as error:
        raise HTTPException(403, str(error)) from None
    try:
        found = store.look(allowed, mask=mask)
    except InputError as error:
        raise HTTPException(400, str(error)) from None
    except OSError as error:
        raise HTTPException(400, sentence(error) or f"{path}: {error.strerror}") from None
    if version is not None and version != found.version:
        raise HTTPException(409, f"{path}: the file was replaced; open it again")
    return found


def picture(pixels: Bytes, factor: int) -> Response:
    """Bytes with their number of rows and columns, and the voxels along the edge of each."""
    rows, columns = pixels.shape
    return Response(
        pixels.tobytes(),
        media_type="application/octet-stream",
        headers={
            "Content-Encoding": "identity",
            "Cache-Control": "private, max-age=3600",
            "X-Shape": f"{rows},{columns}",
            "X-Bin": str(factor),
        },
    )
