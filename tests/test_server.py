import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from isonet2.cli import main as command_line
from isonet2.errors import InputError
from isonet2.gui.guard import Access
from isonet2.gui.server import FIRST_PORT, Listener, access_of, announcement, listen, main


def options(**given):
    class Options:
        host, new_token, base_path, allow_host = "127.0.0.1", False, "", ()

    for name, value in given.items():
        setattr(Options, name, value)
    return Options


def test_a_free_port_on_loopback_is_found_beside_one_that_is_taken():
    with listen("127.0.0.1", None, None).socket as first:
        place = listen("127.0.0.1", None, None)
        with place.socket as second:
            assert first.getsockname()[0] == second.getsockname()[0] == "127.0.0.1"
            assert first.getsockname()[1] != second.getsockname()[1] >= FIRST_PORT


def test_a_port_that_is_taken_is_said_before_anything_starts():
    with listen("127.0.0.1", None, None).socket as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}.*leave it out"):
            listen("127.0.0.1", port, None)
    with pytest.raises(InputError, match="--port 70000"):
        listen("127.0.0.1", 70000, None)


def test_a_unix_socket_lies_in_a_folder_that_only_its_owner_may_enter(tmp_path):
    path = tmp_path / "own" / "gui.sock"
    with listen("", None, path).socket:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        with pytest.raises(InputError, match="another server"):
            listen("", None, path)
    with listen("", None, path).socket as again:
        assert again.family == socket.AF_UNIX
    path.parent.chmod(0o755)
    with pytest.raises(InputError, match="others may enter"):
        listen("", None, path)
    path.parent.chmod(0o700)
    (path.parent / "file").write_text("")
    with pytest.raises(InputError, match="a file is there"):
        listen("", None, path.parent / "file")


def test_tokens_are_kept_for_their_owner_alone_and_renewed_when_asked(tmp_path):
    place = Listener(socket.socket(), None, 8765)
    with place.socket:
        first = access_of(tmp_path, options(), place)
        assert access_of(tmp_path, options(), place) == first
        other = access_of(tmp_path, options(new_token=True), place)
    assert len({first.token, first.reader, other.token, other.reader}) == 4
    kept = tmp_path / ".isonet" / "gui_access.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_options_for_proxies_become_names_and_a_prefix(tmp_path):
    with socket.socket() as unbound:
        given = options(base_path="node/gpu3/1/", allow_host=["Portal.example"], host="10.0.0.3")
        access = access_of(tmp_path, given, Listener(unbound, None, 1))
    assert access.base_path == "/node/gpu3/1"
    assert access.hosts == {"portal.example", "10.0.0.3"}


def test_the_terminal_shows_an_address_with_a_token_and_a_tunnel():
    with socket.socket() as unbound:
        lines = announcement(Access("secret", "look"), Listener(unbound, None, 8799), "127.0.0.1")
    assert "  http://localhost:8799/?token=secret" in lines
    assert any("ssh -N -L 8799:localhost:8799 " in line for line in lines)
    assert "  http://localhost:8799/?token=look" in lines


def test_a_folder_that_is_not_there_is_a_mistake_said_in_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_isonet_gui_and_the_old_option_lead_here(tmp_path, capsys):
    assert command_line(["gui", "-no-sandbox", str(tmp_path / "missing")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_started_server_serves_its_pages_to_who_has_the_token(tmp_path):
    words = [sys.executable, "-m", "isonet2.gui.server", "-no-sandbox", "--no-browser"]
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    start = time.monotonic()
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            lines = [server.stdout.readline() for _ in range(2)]
            took = time.monotonic() - start
            address = re.search(r"http://localhost:\d+/\?token=\S+", lines[1]).group()
            opener = build_opener(HTTPCookieProcessor())
            page = opener.open(address, timeout=20).read().decode()
            assert str(tmp_path) in page
            assert "token=" not in page
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(20) == 0
    assert took < 15, f"started after {took:.1f} s"
