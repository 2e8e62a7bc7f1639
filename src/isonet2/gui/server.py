"""The server of the pages: how it is started, where it listens, and what it prints."""

import argparse
import logging
import os
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from isonet2.data.run_folder import HIDDEN
from isonet2.errors import InputError
from isonet2.gui.guard import Access, Guard
from isonet2.gui.project import Project, Remembered

FIRST_PORT = 8765
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the server listens.

    Attributes
    ----------
    socket
        Bound already, so that nothing is said before it is true.
    path
        Of a Unix socket; None for a port.
    port
        Of a port; 0 for a Unix socket.
    """

    socket: socket.socket
    path: Path | None
    port: int


def main(argv: Sequence[str] | None = None) -> int:
    """Start the pages for the working folder, and stay until Ctrl-C.

    Parameters
    ----------
    argv
        Words after the program's name; those of the process where None.

    Returns
    -------
    int
        Exit status: 0 ended, 2 a mistake in what was asked for.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args([word for word in words if word.lstrip("-") != "no-sandbox"])
    try:
        _serve(options)
    except InputError as error:
        sys.stderr.write(f"isonet.py gui: {error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="isonet.py gui",
        description="Show the working folder as a project in the browser.",
        epilog="-no-sandbox is accepted as the earlier program had it; nothing here needs it.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), help="the project; default: here"
    )
    parser.add_argument("--port", type=int, help=f"port; default: a free one from {FIRST_PORT} on")
    parser.add_argument(
        "--host", default=LOOPBACK, help="address to listen on (default %(default)s)"
    )
    parser.add_argument(
        "--uds", type=Path, metavar="PATH",
        help="listen on a Unix socket in a folder that only you may enter, not on a port",
    )  # fmt: skip
    parser.add_argument(
        "--base-path",
        default="",
        metavar="/PREFIX",
        help="prefix under which a proxy offers the pages",
    )
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="name by which a proxy or portal asks for the pages; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--root", action="append", default=[], type=Path, metavar="FOLDER",
        help="folder outside the project whose files may be opened; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    parser.add_argument("--new-token", action="store_true", help="make the old addresses worthless")
    return parser


def _serve(options: argparse.Namespace) -> None:
    folder = options.folder.resolve()
    if not folder.is_dir():
        raise InputError(f"{options.folder}: no such folder; make it first, or go to another.")
    os.chdir(folder)
    os.environ["NICEGUI_STORAGE_PATH"] = tempfile.mkdtemp(prefix="isonet2_gui_")
    try:
        import uvicorn

        from isonet2.gui.application import build
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("isonet2"):
            raise
        raise InputError(
            f"the pages need the package {error.name}: install it with pip install 'isonet2[gui]'."
        ) from error
    try:
        place = listen(options.host, options.port, options.uds)
        access = access_of(folder, options, place)
        guard = Guard(build(Project.at(folder, options.root)), access)
        config = uvicorn.Config(guard, log_level="warning", ws_max_size=64 << 20)
        lines = announcement(access, place, options.host)
        logging.getLogger("isonet2").setLevel(logging.INFO)
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        if not options.no_browser and place.path is None and _has_display():
            webbrowser.open(lines[1].strip())
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[place.socket])
        if place.path is not None:
            place.path.unlink(missing_ok=True)
    finally:
        shutil.rmtree(os.environ["NICEGUI_STORAGE_PATH"], ignore_errors=True)


def listen(host: str, port: int | None, uds: Path | None) -> Listener:
    """Bind the place to listen at.

    Raises
    ------
    InputError
        When it is taken, or others may enter the folder of a Unix socket.
    """
    if uds is not None:
        return _listen_on_path(uds.expanduser().absolute())
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(FIRST_PORT, FIRST_PORT + 100) if port is None else (port,):
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, candidate))
            bound.listen(128)
        except (OSError, OverflowError) as error:
            bound.close()
            reason = getattr(error, "strerror", None) or str(error)
            if port is not None:
                raise InputError(
                    f"--port {port} at {host} cannot be used ({reason}): "
                    "leave it out to take a free one."
                ) from error
            continue
        return Listener(bound, None, bound.getsockname()[1])
    raise InputError(
        f"no port from {FIRST_PORT} to {FIRST_PORT + 99} is free at {host}: give one with --port."
    )


def _listen_on_path(path: Path) -> Listener:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = path.parent.stat()
    if state.st_uid != os.getuid() or state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            f"--uds {path}: others may enter its folder; choose a new one, "
            f"or chmod 700 {path.parent}."
        )
    if path.exists() and not path.is_socket():
        raise InputError(f"--uds {path}: a file is there already; choose another name.")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if path.exists():
        if bound.connect_ex(str(path)) == 0:
            bound.close()
            raise InputError(f"--uds {path}: another server listens there; choose another name.")
        path.unlink()
    try:
        bound.bind(str(path))
    except OSError as error:
        raise InputError(
            f"--uds {path}: cannot be made ({error.strerror or error}); choose a shorter name."
        ) from error
    bound.listen(128)
    return Listener(bound, path, 0)


def access_of(folder: Path, options: argparse.Namespace, place: Listener) -> Access:
    """Tokens of a project, kept in it for its owner alone, so that open pages outlive a restart."""
    kept = Remembered(folder / HIDDEN / "gui_access.json")
    if options.new_token or not kept.get("token") or not kept.get("reader"):
        kept.put("token", secrets.token_urlsafe(24))
        kept.put("reader", secrets.token_urlsafe(24))
    values = kept.read()
    prefix = "/" + options.base_path.strip("/") if options.base_path.strip("/") else ""
    names = {name.strip().lower() for name in options.allow_host}
    if options.host not in ("", "0.0.0.0", "::", LOOPBACK):
        names.add(f"[{options.host}]" if ":" in options.host else options.host.lower())
    return Access(values["token"], values["reader"], frozenset(names), prefix)


def announcement(access: Access, place: Listener, host: str) -> list[str]:
    """What the terminal shows: the address, how to reach it from elsewhere, and who may do what."""
    here = f"{getuser()}@{socket.gethostname()}"
    port = place.port or FIRST_PORT
    name = "localhost" if host in (LOOPBACK, "0.0.0.0", "::", "::1") else host
    address = f"http://{name}:{port}{access.base_path}/"
    far = str(place.path) if place.path is not None else f"localhost:{port}"
    first = (
        "Open in your browser, once the tunnel below stands:"
        if place.path
        else "Open in your browser:"
    )
    return [
        first,
        f"  {address}?token={access.token}",
        "From another computer, first run there:",
        f"  ssh -N -L {port}:{far} {here}",
        "To let others look without letting them change anything:",
        f"  {address}?token={access.reader}",
        "Ctrl-C ends the pages; jobs go on.",
    ]


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
