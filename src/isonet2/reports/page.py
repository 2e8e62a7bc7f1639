"""A report as one HTML file that asks for nothing from anywhere: tables, sentences, pictures."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isonet2.data.files import atomic_path

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c0392b; --warn: #b9770e;
--good: #1e8449; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem;
padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 0; }
p.sub { margin: 0 0 1rem; opacity: .75; }
section { border-top: 1px solid var(--line); margin-top: 1.6rem; padding-top: 1rem; }
header { display: flex; gap: .8rem; align-items: baseline; }
table { border-collapse: collapse; } td, th { padding: .2rem .7rem .2rem 0; text-align: left;
vertical-align: top; border-bottom: 1px solid var(--line); } th { font-weight: 600; }
.wide { overflow-x: auto; } .badge { border-radius: .3rem; padding: .05rem .5rem; color: #fff;
white-space: nowrap; } .refusal { background: var(--bad); } .warning { background: var(--warn); }
.remark, .clean { background: var(--good); } ul { padding-left: 1.1rem; } li { margin: .25rem 0; }
li b { font-weight: 600; } img { max-width: 100%; background: #fff; }
details { margin-top: .6rem; } a { color: inherit; }
"""
WORDS = {"refusal": "refused", "warning": "warning", "remark": "good", "clean": "good"}


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report.

    Attributes
    ----------
    title
        Its heading.
    state
        "refusal", "warning", "remark" or "clean".
    said
        Sentences, each with a state of its own.
    figures
        Numbers and words by name.
    picture
        PNG, or None.
    caption
        What it shows.
    """

    title: str
    state: str
    said: Sequence[tuple[str, str]]
    figures: Mapping[str, str]
    picture: bytes | None = None
    caption: str = ""


def write_page(
    path: Path,
    title: str,
    about: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    sections: Sequence[Section],
) -> None:
    """Write a report.

    Parameters
    ----------
    path
        HTML file.
    title, about
        Heading, and the sentence below it.
    columns, rows
        Table at the top, a row for each section.
    sections
        In order.
    """
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        _row(number, section.state, row)
        for number, (section, row) in enumerate(zip(sections, rows, strict=True))
    )
    parts = "".join(_section(number, section) for number, section in enumerate(sections))
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f'<p class="sub">{html.escape(about)}</p><div class="wide"><table><tr>{head}</tr>{body}'
        f"</table></div>{parts}</body></html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _row(number: int, state: str, cells: Sequence[str]) -> str:
    first, verdict, *rest = cells
    link = f'<td><a href="#s{number}">{html.escape(first)}</a></td>'
    badge = f'<td><span class="badge {state}">{html.escape(verdict)}</span></td>'
    return f"<tr>{link}{badge}" + "".join(f"<td>{html.escape(c)}</td>" for c in rest) + "</tr>"


def _section(number: int, section: Section) -> str:
    said = "".join(
        f'<li><span class="badge {state}">{WORDS[state] if state != "remark" else "note"}</span> '
        f"{html.escape(text)}</li>"
        for state, text in section.said
    )
    figures = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in section.figures.items()
    )
    picture = ""
    if section.picture is not None:
        code = base64.b64encode(section.picture).decode()
        picture = f'<img alt="{html.escape(section.caption)}" src="data:image/png;base64,{code}">'
        picture += f'<p class="sub">{html.escape(section.caption)}</p>'
    return (
        f'<section id="s{number}"><header><h2>{html.escape(section.title)}</h2>'
        f'<span class="badge {section.state}">{WORDS[section.state]}</span></header>'
        f"<ul>{said}</ul>{picture}<details><summary>all figures</summary>"
        f"<table>{figures}</table></details></section>"
    )
