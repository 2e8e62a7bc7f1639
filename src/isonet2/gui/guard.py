"""Who may ask what of the server: a layer around the whole application, websockets included."""

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Role = Literal["writer", "reader"]

ROLE = "isonet2.role"
"""Key of the scope under which the application finds the role of who asks."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
SOCKET = "/_nicegui_ws/"
TRIES, SECONDS = 10, 60.0
LARGEST_FORM = 4096
HEADERS = {
    "content-security-policy": (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
        "connect-src 'self' ws: wss:; frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What opens the door.

    Attributes
    ----------
    token
        Opens everything.
    reader
        Opens the pages to look at, with nothing on them that writes or starts; empty for none.
    hosts
        Host names, without port, by which the server may be asked besides those of loopback.
    base_path
        Path under which a proxy offers the server, such as `/node/gpu3/8765`; empty for none.
    """

    token: str
    reader: str = ""
    hosts: frozenset[str] = frozenset()
    base_path: str = ""


@dataclass(slots=True)
class Guard:
    """Let through who has a token, came by a known name, and asks from our own pages.

    Browsers add cookies to requests that foreign pages make, and resolve any name to loopback;
    so the names of host and origin count, on pages, files and websockets alike.

    Attributes
    ----------
    app
        What is guarded.
    access
        What opens the door.
    clock
        Seconds that never run backwards.
    """

    app: App
    access: Access
    clock: Callable[[], float] = time.monotonic
    _failures: deque[float] = field(default_factory=deque)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1")
                   for key, value in scope["headers"]}  # fmt: skip
        self._set_prefix(scope)
        refusal = self._refusal(scope, headers)
        if refusal:
            await _refuse(scope, receive, send, 403, refusal)
            return
        if scope["type"] == "http" and await self._login(scope, headers, receive, send):
            return
        role = self._role(headers)
        if role is None:
            if scope["type"] == "http" and _wants_page(scope, headers):
                await _respond(
                    send, 401, _login_page(), (("content-type", "text/html; charset=utf-8"),)
                )
            else:
                await _refuse(scope, receive, send, 401, "Log in first.")
            return
        if role == "reader" and scope["type"] == "http" and not _harmless(scope, self.access):
            await _refuse(scope, receive, send, 403, "This token opens the pages for reading only.")
            return
        scope[ROLE] = role
        await _hand_on(self.app, scope, receive, _with_headers(send))

    def _set_prefix(self, scope: Scope) -> None:
        """Say where the application stands, whether or not the proxy kept the prefix."""
        prefix = self.access.base_path
        if not prefix:
            return
        scope["root_path"] = prefix
        path = scope["path"]
        if path != prefix and not path.startswith(f"{prefix}/"):
            scope["path"] = prefix + path
            if scope.get("raw_path") is not None:
                scope["raw_path"] = prefix.encode() + scope["raw_path"]

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> str:
        """Why a request is turned away whoever asks; empty when it is not."""
        host = headers.get("host", "")
        names = LOOPBACK | self.access.hosts
        if _name(host) not in names:
            return f"This server is not called {host}; start it with --allow-host {_name(host)}."
        forwarded = headers.get("x-forwarded-host", "").split(",")[0].strip()
        known = {host} | ({forwarded} if _name(forwarded) in self.access.hosts else set())
        origin = headers.get("origin")
        asks_to_act = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if (origin is not None or asks_to_act) and urlsplit(origin or "").netloc not in known:
            return "The request came from a foreign page."
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            return "The request came from a foreign page."
        return ""

    async def _login(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> bool:
        """Take a token out of the address or the login form; whether that answered the request."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for key, value in query if key == "token"]
        if scope["method"] == "POST" and ("login", "") in query:
            given = [await _form_token(receive)]
        if not given:
            return False
        if self._exhausted():
            await _respond(
                send, 429, _login_page("Too many wrong tokens. Wait a minute, then try again."),
                (("content-type", "text/html; charset=utf-8"), ("retry-after", "60")),
            )  # fmt: skip
            return True
        role = self._role_of(given[0])
        if role is None:
            self._failures.append(self.clock())
            await _respond(
                send, 401, _login_page("This is not the token that the terminal printed."),
                (("content-type", "text/html; charset=utf-8"),),
            )  # fmt: skip
            return True
        rest = urlencode([(key, value) for key, value in query if key not in ("token", "login")])
        target = f"{_here(scope['path'])}{'?' + rest if rest else ''}"
        secure = "; Secure" if headers.get("x-forwarded-proto") == "https" else ""
        cookie = (
            f"{self._cookie_name()}={self._cookie(role)}; Path={self.access.base_path or '/'}; "
            f"HttpOnly; SameSite=Strict{secure}"
        )
        await _respond(send, 303, "", (("location", target), ("set-cookie", cookie)))
        return True

    def _exhausted(self) -> bool:
        """Whether so many wrong tokens came lately that no more are looked at."""
        while self._failures and self.clock() - self._failures[0] > SECONDS:
            self._failures.popleft()
        return len(self._failures) >= TRIES

    def _role_of(self, token: str) -> Role | None:
        given = token.strip().encode()
        writer = hmac.compare_digest(given, self.access.token.encode())
        reader = hmac.compare_digest(given, self.access.reader.encode())
        if writer:
            return "writer"
        return "reader" if reader and self.access.reader else None

    def _cookie_name(self) -> str:
        """Name of the cookie: browsers send those of one host to all of its ports."""
        return "isonet2_" + hashlib.sha256(self.access.token.encode()).hexdigest()[:12]

    def _cookie(self, role: Role) -> str:
        """Value of the cookie, made from the token so that it outlives a restart of the server."""
        key = self.access.token if role == "writer" else self.access.reader
        return hmac.new(key.encode(), f"isonet2 {role}".encode(), "sha256").hexdigest()

    def _role(self, headers: Mapping[str, str]) -> Role | None:
        """Role of who sends this cookie, or this token in the header `authorization`."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() in ("bearer", "token") and not self._exhausted():
            role = self._role_of(token)
            if role is None:
                self._failures.append(self.clock())
            return role
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        morsel = cookies.get(self._cookie_name())
        if morsel is None:
            return None
        roles: Iterable[Role] = ("writer", "reader") if self.access.reader else ("writer",)
        value = morsel.value.encode()
        return next(
            (role for role in roles if hmac.compare_digest(value, self._cookie(role).encode())),
            None,
        )


def _name(host: str) -> str:
    """Name in a Host header, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def _here(path: str) -> str:
    """The page itself, as an address relative to it: a proxy may have put a prefix before it."""
    last = path.rsplit("/", 1)[-1]
    return f"./{last}"


def _wants_page(scope: Scope, headers: Mapping[str, str]) -> bool:
    return scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", "")


def _harmless(scope: Scope, access: Access) -> bool:
    """Whether a request changes nothing by itself; the socket carries what pages offer."""
    path = scope["path"].removeprefix(access.base_path)
    return scope["method"] in ("GET", "HEAD") or path.startswith(SOCKET)


async def _form_token(receive: Receive) -> str:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > LARGEST_FORM:
            break
    return dict(parse_qsl(body[:LARGEST_FORM].decode("latin-1"))).get("token", "")


def _login_page(problem: str = "") -> str:
    """The page that asks for the token; it stands alone, since nothing else is served yet."""
    page = files("isonet2.gui").joinpath("static/login.html").read_text(encoding="utf-8")
    return page.replace("{{problem}}", escape(problem))


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    await _respond(send, status, why, (("content-type", "text/plain; charset=utf-8"),))


async def _respond(send: Send, status: int, text: str, headers: Iterable[tuple[str, str]]) -> None:
    body = text.encode()
    told = {
        **HEADERS,
        **dict(headers),
        "content-length": str(len(body)),
        "cache-control": "no-store",
    }
    raw = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _hand_on(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the application answer; a browser that left before that is no error.

    Starlette stops a file that nobody waits for any more, and its middlewares then miss a response.
    """
    left, answered = False, False

    async def receiving() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left = left or message["type"] == "http.disconnect"
        return message

    async def sending(message: MutableMapping[str, Any]) -> None:
        nonlocal answered
        answered = answered or not left
        await send(message)

    try:
        await app(scope, receiving, sending)
    except RuntimeError:
        if answered or not left:
            raise


def _with_headers(send: Send) -> Send:
    """Add to each answer what browsers need to know to keep foreign content out."""
    extra = [(key.encode(), value.encode()) for key, value in HEADERS.items()]

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return sending
