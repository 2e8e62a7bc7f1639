"""The log of a job as it grows, in a terminal that draws bars in place, and what is found in it."""

import asyncio
import json
import re
from codecs import getincrementaldecoder
from pathlib import Path

from nicegui import ui

from isonet2.gui.shell import address
from isonet2.gui.words import t

EVERY = 1.0
AT_ONCE = 512 << 10
FIRST = 4 << 20
"""Bytes of a long log that are shown at first: its end."""
_COLOURS = (
    (re.compile(rb"(?m)^((?:WARNING|WARN)\b[^\r\n]*)"), b"\x1b[33m\\1\x1b[0m"),
    (
        re.compile(rb"(?m)^((?:ERROR|CRITICAL|Traceback|isonet\.py:)[^\r\n]*)"),
        b"\x1b[91m\\1\x1b[0m",
    ),
    (re.compile(rb"(?m)^(\$ [^\r\n]*)"), b"\x1b[36m\\1\x1b[0m"),
)
_SHIFTED = "(event) => { if (event.shiftKey) emit(); }"
_UNSHIFTED = "(event) => { if (!event.shiftKey) emit(); }"


def read_on(path: Path, offset: int) -> tuple[bytes, int]:
    """Bytes of a file from an offset on, and where to go on; a file that shrank begins anew.

    Of a long file that nothing was read of, the end is given.
    """
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, 2)
            if size < offset:
                offset = 0
            if offset == 0 and size > FIRST:
                offset = size - FIRST
            handle.seek(offset)
            part = handle.read(FIRST if offset == size - FIRST else AT_ONCE)
    except OSError:
        return b"", offset
    return part, offset + len(part)


def coloured(part: bytes) -> bytes:
    """Warnings, errors and commands in colours."""
    for pattern, colour in _COLOURS:
        part = pattern.sub(colour, part)
    return part


class LogView:
    """A card with a log.

    Parameters
    ----------
    path
        The file; it need not be there yet.
    download
        Address of the whole file; empty for none.
    """

    def __init__(self, path: Path, download: str = "") -> None:
        self.path, self.offset, self.busy = path, 0, False
        self.decoder = getincrementaldecoder("utf-8")("replace")
        self.sought, self.number, self.cut = "", 0, False
        with ui.element("section").classes("isonet-card"):
            with ui.row().classes("items-center w-full"):
                ui.label(t("jobs.log")).classes("isonet-title")
                ui.label(path.name).classes("isonet-mono isonet-soft")
                ui.space()
                self._finder()
                if download:
                    ui.button(
                        t("jobs.download"), icon="download", on_click=lambda: ui.download(download)
                    ).props("flat dense no-caps size=sm")
            options = {
                "convertEol": True,
                "disableStdin": True,
                "scrollback": 50_000,
                "fontSize": 13,
                "fontFamily": "ui-monospace, 'DejaVu Sans Mono', monospace",
                "theme": {"background": "#10202e", "foreground": "#d7e7f3", "cursor": "#10202e"},
                "screenReaderMode": False,
            }
            self.terminal = ui.xterm(options).classes("isonet-log").mark("log")
        ui.timer(EVERY, self.read, immediate=True)
        ui.timer(0.3, self.terminal.fit, once=True)

    def _finder(self) -> None:
        """A field for words to look for, with the hit that is shown and the ways to the others."""
        self.field = ui.input(placeholder=t("jobs.find"), on_change=lambda: self.find(0))
        self.field.props(
            f'outlined dense clearable debounce=250 maxlength=200 aria-label="{t("jobs.find")}"'
        ).classes("isonet-find").mark("find")
        self.field.on("keydown.enter", lambda: self.find(1), js_handler=_UNSHIFTED)
        self.field.on("keydown.enter", lambda: self.find(-1), js_handler=_SHIFTED)
        self.found = ui.label().classes("isonet-soft isonet-small").props("role=status")
        for icon, key, step in (("expand_less", "previous", -1), ("expand_more", "next", 1)):
            ui.button(icon=icon, on_click=lambda step=step: self.find(step)).props(
                f'flat round dense size=sm aria-label="{t(f"jobs.{key}")}"'
            )

    async def find(self, step: int) -> None:
        """Show the hit so many after the one that is shown; the first one of other words."""
        words = str(self.field.value or "")
        self.number = self.number + step if words == self.sought else 0
        self.sought = words
        try:
            told = await ui.run_javascript(
                f"const found = await import({json.dumps(address('/static/find.js'))});"
                f"return found.find(getElement({self.terminal.id}).terminal,"
                f" {json.dumps(words)}, {self.number});",
                timeout=10.0,
            )
        except TimeoutError:
            return  # the browser is gone, or cut off
        self.number = int(told["number"])
        if not words:
            self.found.set_text("")
            return
        hit = t("jobs.hit", number=self.number + 1, count=told["count"])
        self.found.set_text((hit if told["count"] else t("jobs.no_hit")) + self._where())

    def _where(self) -> str:
        """What is to be said of a log whose beginning is not shown."""
        return f" {t('jobs.in_end')}" if self.cut else ""

    async def read(self) -> None:
        """Show what has come since."""
        if self.busy:
            return
        self.busy = True
        try:
            while True:
                before = self.offset
                part, self.offset = await asyncio.to_thread(read_on, self.path, before)
                self.cut = self.cut or (before == 0 and self.offset > len(part))
                if part:
                    self.terminal.write(self.decoder.decode(coloured(part)))
                if len(part) < AT_ONCE:
                    break
        finally:
            self.busy = False
