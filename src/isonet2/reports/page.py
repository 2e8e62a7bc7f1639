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
details { margin-top: .6rem; } a { color: inherit; } p.lead { max-width: 62rem; }
figure { margin: .3rem 0; } figcaption { opacity: .75; } .slider { display: block; }
input[type=range] { width: 20rem; vertical-align: middle; }
"""
SLIDE = (
    "[...this.closest('div').querySelectorAll('figure')]"
    ".forEach((one, place) => {one.hidden = place != this.value})"
)
"""What a slider does: shows one of the figures beside it."""
WORDS = {"refusal": "refused", "warning": "warning", "remark": "good", "clean": "good"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, and what it shows."""

    png: bytes
    caption: str

    def html(self) -> str:
        """As part of a page."""
        return f"{_image(self.png, self.caption)}{_caption(self.caption)}"


@dataclass(frozen=True, slots=True)
class Slides:
    """Pictures of one kind, each with a name, of which a slider shows one; and what they show."""

    pictures: Sequence[tuple[str, bytes]]
    caption: str

    def html(self) -> str:
        """As part of a page."""
        middle = len(self.pictures) // 2
        slides = "".join(
            f"<figure{'' if number == middle else ' hidden'}>{_image(png, name)}"
            f"<figcaption>{html.escape(name)}</figcaption></figure>"
            for number, (name, png) in enumerate(self.pictures)
        )
        slider = (
            f'<label class="slider">through the tomogram <input type="range" min="0" '
            f'max="{len(self.pictures) - 1}" value="{middle}" oninput="{SLIDE}"></label>'
        )
        return f"<div>{slider}{slides}</div>{_caption(self.caption)}"


@dataclass(frozen=True, slots=True)
class Cells:
    """A table, and what it shows; the first column names the rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str

    def html(self) -> str:
        """As part of a page."""
        head = "".join(f"<th>{html.escape(column)}</th>" for column in self.columns)
        body = "".join(
            f"<tr><th>{html.escape(row[0])}</th>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        table = f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
        return f"{table}{_caption(self.caption)}"


Part = Picture | Slides | Cells


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
    parts
        Pictures and tables, in order.
    """

    title: str
    state: str
    said: Sequence[tuple[str, str]]
    figures: Mapping[str, str]
    parts: Sequence[Part] = ()


def write_page(
    path: Path,
    title: str,
    about: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    sections: Sequence[Section],
    *,
    lead: Sequence[str] = (),
    note: str = "",
    words: Mapping[str, str] = WORDS,
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
    lead
        Sentences above the table.
    note
        A sentence below it.
    words
        What the states of sections are called.
    """
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        _row(number, section.state, row)
        for number, (section, row) in enumerate(zip(sections, rows, strict=True))
    )
    parts = "".join(_section(number, section, words) for number, section in enumerate(sections))
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f'<p class="sub">{html.escape(about)}</p>{"".join(map(_paragraph, lead))}'
        f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
        f"{_paragraph(note) if note else ''}{parts}</body></html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _row(number: int, state: str, cells: Sequence[str]) -> str:
    first, verdict, *rest = cells
    link = f'<td><a href="#s{number}">{html.escape(first)}</a></td>'
    badge = f'<td><span class="badge {state}">{html.escape(verdict)}</span></td>'
    return f"<tr>{link}{badge}" + "".join(f"<td>{html.escape(c)}</td>" for c in rest) + "</tr>"


def _section(number: int, section: Section, words: Mapping[str, str]) -> str:
    said = "".join(
        f'<li><span class="badge {state}">{_said(state, words)}</span> {html.escape(text)}</li>'
        for state, text in section.said
    )
    figures = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in section.figures.items()
    )
    return (
        f'<section id="s{number}"><header><h2>{html.escape(section.title)}</h2>'
        f'<span class="badge {section.state}">{words[section.state]}</span></header>'
        f"<ul>{said}</ul>{''.join(part.html() for part in section.parts)}"
        f"<details><summary>all figures</summary><table>{figures}</table></details></section>"
    )


def _said(state: str, words: Mapping[str, str]) -> str:
    """What a sentence is called: what is merely good to know is a note."""
    return "note" if state == "remark" else words[state]


def _paragraph(text: str) -> str:
    return f'<p class="lead">{html.escape(text)}</p>'


def _caption(text: str) -> str:
    return f'<p class="sub">{html.escape(text)}</p>'


def _image(png: bytes, alt: str) -> str:
    code = base64.b64encode(png).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{code}">'
