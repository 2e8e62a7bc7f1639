"""Jobs as a small graph: which follows which, drawn as SVG."""

from collections import deque
from collections.abc import Callable, Sequence
from html import escape

from isonet2.gui.overview import Links
from isonet2.gui.words import dictionary, language, t
from isonet2.jobs import Job

MOST = 40
"""Jobs that are drawn; of more, those nearest to the one that is looked at."""
WIDTH, HEIGHT, ACROSS, DOWN = 168, 46, 46, 14
"""Of a box, and between boxes, in pixels."""
LETTERS = 20
"""Of a name that fit into a box."""


def family(job: Job, jobs: Sequence[Job], links: Links) -> list[Job]:
    """A job with all that it follows and that follow it, and theirs, by number."""
    known = {one.number: one for one in jobs}
    near: dict[int, set[int]] = {number: set() for number in known}
    for later, earlier in links.items():
        for number in earlier:
            near[later].add(number)
            near[number].add(later)
    found, waiting = {job.number}, deque([job.number])
    while waiting and len(found) < MOST:
        for number in sorted(near.get(waiting.popleft(), ())):
            if number not in found and len(found) < MOST:
                found.add(number)
                waiting.append(number)
    return [known[number] for number in sorted(found) if number in known]


def places(jobs: Sequence[Job], links: Links) -> dict[int, tuple[int, int]]:
    """Column and row of each job, by number: a column right of all that it follows.

    In its column a job stands as near to the row of those as there is room.
    """
    found: dict[int, tuple[int, int]] = {}
    taken: dict[int, set[int]] = {}
    for job in jobs:
        before = [found[number] for number in links[job.number] if number in found]
        column = 1 + max((column for column, _ in before), default=-1)
        row = min((row for _, row in before), default=0)
        while row in taken.setdefault(column, set()):
            row += 1
        taken[column].add(row)
        found[job.number] = column, row
    return found


def drawn(jobs: Sequence[Job], links: Links, chosen: int, address: Callable[[str], str]) -> str:
    """The jobs as boxes with links, and an arrow to each from those that it follows.

    Parameters
    ----------
    jobs
        By number.
    links
        Which follows which; of those that are not among the jobs nothing is drawn.
    chosen
        Number of the one that is looked at.
    address
        Makes the address of a page for the browser.
    """
    at = places(jobs, links)
    corner = {
        number: (column * (WIDTH + ACROSS) + 2, row * (HEIGHT + DOWN) + 2)
        for number, (column, row) in at.items()
    }
    width = max(x for x, _ in corner.values()) + WIDTH + 2
    height = max(y for _, y in corner.values()) + HEIGHT + 2
    arrows = [
        _arrow(corner[earlier], corner[later])
        for later in corner
        for earlier in sorted(links[later] & corner.keys())
    ]
    boxes = [
        _box(job, corner[job.number], address(f"/jobs?job={job.number}"), job.number == chosen)
        for job in jobs
    ]
    return (
        f'<svg class="isonet-graph" role="group" aria-label="{escape(t("graph.title"))}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f"{''.join(arrows)}{''.join(boxes)}</svg>"
    )


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x, y = start[0] + WIDTH, start[1] + HEIGHT // 2
    to_x, to_y = end[0], end[1] + HEIGHT // 2
    middle = (to_x - ACROSS + to_x) // 2
    return (
        f'<path d="M{x} {y} H{to_x - ACROSS} C{middle} {y} {middle} {to_y} {to_x - 7} {to_y}"/>'
        f'<path class="head" d="M{to_x - 8} {to_y - 4} L{to_x} {to_y} L{to_x - 8} {to_y + 4} Z"/>'
    )


def _box(job: Job, corner: tuple[int, int], target: str, chosen: bool) -> str:
    x, y = corner
    title = job.name or dictionary(language()).get(f"page.{job.kind}", job.kind)
    short = title if len(title) <= LETTERS else f"{title[: LETTERS - 1]}…"
    status = t(f"status.{job.status}")
    said = escape(f"{job.place} {title}: {status}", quote=True)
    current = ' aria-current="true"' if chosen else ""
    return (
        f'<a href="{escape(target, quote=True)}" aria-label="{said}"{current} '
        f'class="{escape(job.status, quote=True)}"><title>{said}</title>'
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7"/>'
        f'<text x="{x + 11}" y="{y + 19}" class="name">{escape(short)}</text>'
        f'<text x="{x + 11}" y="{y + 36}">{escape(job.place)} · {escape(status)}</text></a>'
    )
