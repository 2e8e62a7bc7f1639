"""Requests as an attacker, a proxy or a colleague would send them, one row of the table each."""

import asyncio
from contextlib import nullcontext

import httpx
import pytest
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.errors import ServerErrorMiddleware

from isonet2.gui.guard import HEADERS, ROLE, SECONDS, TRIES, Access, Guard

TOKEN, READER = "T0ken-of-the-owner", "T0ken-of-the-guest"
HOME = {"host": "localhost:8765"}
OWN = HOME | {"origin": "http://localhost:8765"}


async def application(scope, receive, send):
    """What is guarded: it says who asks for which path."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    body = f"{scope[ROLE]} {scope.get('root_path', '')} {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def guarded(**access):
    return Guard(application, Access(TOKEN, READER, **access))


def ask(guard, path="/", method="GET", headers=HOME, cookie=None, **more):
    """The answer to one request."""

    async def once():
        cookies = {} if cookie is None else {cookie[0]: cookie[1]}
        transport = httpx.ASGITransport(guard)
        base = "http://localhost:8765"
        async with httpx.AsyncClient(transport=transport, base_url=base, cookies=cookies) as client:
            return await client.request(method, path, headers=headers, **more)

    return asyncio.run(once())


def cookie_of(guard, token=TOKEN):
    answer = ask(guard, f"/?token={token}")
    assert answer.status_code == 303
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    return name, value


def connect(guard, headers, path="/_nicegui_ws/socket.io/", cookie=None):
    """Whether a websocket was opened, and if not, the code that it was closed with."""
    said = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        said.append(message)

    told = headers | ({"cookie": f"{cookie[0]}={cookie[1]}"} if cookie else {})
    raw = [(key.encode(), value.encode()) for key, value in told.items()]
    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": raw}
    asyncio.run(guard(scope, receive, send))
    return said[0]["type"] == "websocket.accept"


async def passed_on(request, call_next):
    return await call_next(request)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_browser_that_leaves_before_the_answer_is_no_error(leaves):
    """Where it stays, a fault of the application is raised as ever."""

    async def application(scope, receive, send):
        assert (await receive())["type"] == ("http.disconnect" if leaves else "http.request")

    async def receive():
        return {"type": "http.disconnect" if leaves else "http.request"}

    async def send(message):
        assert message.get("status", 500) == 500

    scope = {
        "type": "http", "method": "GET", "path": "/file", "query_string": b"",
        "headers": [(b"host", b"localhost:8765"), (b"authorization", f"Bearer {TOKEN}".encode())],
    }  # fmt: skip
    stack = ServerErrorMiddleware(BaseHTTPMiddleware(application, passed_on))
    guard = Guard(stack, Access(TOKEN))
    with nullcontext() if leaves else pytest.raises(RuntimeError, match="No response"):
        asyncio.run(guard(scope, receive, send))


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/api/slices", "/_nicegui/x.js"])
def test_nothing_is_served_without_login(path):
    answer = ask(guarded(), path)
    assert answer.status_code == 401
    assert answer.text == "Log in first."


def test_a_person_without_login_sees_the_page_that_asks_for_the_token():
    answer = ask(guarded(), "/jobs", headers=HOME | {"accept": "text/html"})
    assert answer.status_code == 401
    assert "Paste the token" in answer.text


def test_a_token_in_the_address_is_taken_out_of_it_and_kept_in_a_strict_cookie():
    answer = ask(guarded(), f"/jobs/5?epoch=3&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "./5?epoch=3")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    assert TOKEN not in answer.headers["set-cookie"]


def test_the_login_form_takes_the_token():
    answer = ask(guarded(), "/jobs?login=", "POST", OWN, data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "./jobs")
    wrong = ask(guarded(), "/jobs?login=", "POST", OWN, data={"token": "guess"})
    assert wrong.status_code == 401
    assert "not the token" in wrong.text


def test_the_cookie_opens_the_pages_and_outlives_a_restart_of_the_server():
    cookie = cookie_of(guarded())
    assert ask(guarded(), "/jobs", cookie=cookie).text == "writer  /jobs"


@pytest.mark.parametrize("forged", ["", "x", "0" * 64])
def test_a_forged_cookie_opens_nothing(forged):
    name, _ = cookie_of(guarded())
    assert ask(guarded(), cookie=(name, forged)).status_code == 401


def test_the_cookie_of_another_project_opens_nothing():
    other = Guard(application, Access("another token", READER))
    assert ask(other, cookie=cookie_of(guarded())).status_code == 401


def test_an_empty_reader_token_opens_nothing():
    guard = Guard(application, Access(TOKEN))
    assert ask(guard, "/?token=").status_code == 401


def test_programs_log_in_by_a_header():
    headers = HOME | {"authorization": f"Bearer {TOKEN}"}
    assert ask(guarded(), "/x", headers=headers).text == "writer  /x"
    assert ask(guarded(), "/x", headers=HOME | {"authorization": "Bearer no"}).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.nip.io", "evil.example:8765", "", "localhost.evil.example"]
)
def test_a_foreign_name_of_the_server_is_refused(host):
    guard = guarded()
    answer = ask(guard, headers={"host": host}, cookie=cookie_of(guard))
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST"])
def test_every_name_of_loopback_and_every_port_of_a_tunnel_is_fine(host):
    guard = guarded()
    assert ask(guard, headers={"host": host}, cookie=cookie_of(guard)).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:9999", "null", "http://localhost"]
)
def test_a_foreign_origin_may_neither_post_nor_open_a_socket(origin):
    guard = guarded()
    cookie = cookie_of(guard)
    headers = HOME | {"origin": origin}
    assert ask(guard, "/api", "POST", headers, cookie).status_code == 403
    assert not connect(guard, headers, cookie=cookie)


def test_a_post_without_origin_is_refused():
    guard = guarded()
    assert ask(guard, "/api", "POST", HOME, cookie_of(guard)).status_code == 403
    assert not connect(guard, HOME, cookie=cookie_of(guard))


def test_our_own_page_opens_the_socket_and_a_stranger_does_not():
    guard = guarded()
    assert connect(guard, OWN, cookie=cookie_of(guard))
    assert not connect(guard, OWN)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_script_of_a_foreign_page_reads_nothing(site):
    guard = guarded()
    headers = HOME | {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
    assert ask(guard, "/api/slices", headers=headers, cookie=cookie_of(guard)).status_code == 403


def test_wrong_tokens_are_limited_in_the_address_the_form_and_the_header_together():
    now = [0.0]
    guard = Guard(application, Access(TOKEN, READER), lambda: now[0])
    cookie = cookie_of(guard)
    for attempt in range(TRIES):
        if attempt % 3 == 0:
            ask(guard, "/?token=guess")
        elif attempt % 3 == 1:
            ask(guard, "/?login=", "POST", OWN, data={"token": "guess"})
        else:
            ask(guard, "/", headers=HOME | {"authorization": "Bearer guess"})
    assert ask(guard, f"/?token={TOKEN}").status_code == 429
    assert ask(guard, headers=HOME | {"authorization": f"Bearer {TOKEN}"}).status_code == 401
    assert ask(guard, cookie=cookie).status_code == 200
    now[0] = SECONDS + 1
    assert ask(guard, f"/?token={TOKEN}").status_code == 303


def test_a_guest_may_look_and_not_act():
    guard = guarded()
    cookie = cookie_of(guard, READER)
    assert ask(guard, "/jobs", cookie=cookie).text == "reader  /jobs"
    assert ask(guard, "/api", "POST", OWN, cookie).status_code == 403
    assert ask(guard, "/api", "DELETE", OWN, cookie).status_code == 403
    assert connect(guard, OWN, cookie=cookie)


@pytest.mark.parametrize("path", ["/node/gpu3/8765/jobs", "/jobs"])
def test_a_proxy_may_keep_its_prefix_in_the_path_or_take_it_out(path):
    guard = guarded(base_path="/node/gpu3/8765", hosts=frozenset({"portal.example"}))
    headers = {"host": "portal.example"}
    cookie = cookie_of(guard)
    text = ask(guard, path, headers=headers, cookie=cookie).text
    assert text == "writer /node/gpu3/8765 /node/gpu3/8765/jobs"


def test_behind_a_proxy_the_cookie_is_for_its_prefix_and_redirects_are_relative():
    answer = ask(guarded(base_path="/proxy/8765"), f"/proxy/8765/jobs?token={TOKEN}")
    assert answer.headers["location"] == "./jobs"
    assert "Path=/proxy/8765;" in answer.headers["set-cookie"]


def test_a_name_that_a_proxy_forwards_counts_only_where_it_was_allowed():
    guard = guarded(hosts=frozenset({"portal.example"}))
    cookie = cookie_of(guard)
    for name, opened in (("portal.example", True), ("evil.example", False)):
        headers = HOME | {"x-forwarded-host": name, "origin": f"https://{name}"}
        assert connect(guard, headers, cookie=cookie) is opened


def test_answers_keep_foreign_content_out():
    guard = guarded()
    answer = ask(guard, cookie=cookie_of(guard))
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "http" not in answer.headers["content-security-policy"].replace("https", "")


def test_what_a_stranger_writes_is_shown_as_text():
    answer = ask(guarded(), "/?token=<script>alert(1)</script>", headers=HOME)
    assert "<script>" not in answer.text
