"""`inspect`: tomograms asked whether they are what is said of them, before a GPU is touched."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from isonet2.checks.advice import Advice, advice
from isonet2.checks.examination import Declared, examine
from isonet2.checks.findings import SEVERITIES, Findings
from isonet2.checks.halves import mixed_up
from isonet2.data.files import keep_old, make_folder
from isonet2.data.names import half, tomogram_name
from isonet2.data.pairing import TomogramFiles, find_sources
from isonet2.data.progress import ProgressFile
from isonet2.data.star import Tomogram, TomogramTable, update
from isonet2.data.tomograms import SUBTOMOGRAMS
from isonet2.data.volumes import open_volume
from isonet2.errors import InputError, counted
from isonet2.machine.threads import use_threads
from isonet2.opening.rows import ctf_of, sectors_of
from isonet2.parameters import InspectParameters, write_parameters
from isonet2.parameters.record import FILE_NAME
from isonet2.physics.wedge import Sectors
from isonet2.reports.json_file import write_figures
from isonet2.reports.methods import write_methods
from isonet2.reports.page import Picture, Section, write_page
from isonet2.reports.progress import followed
from isonet2.reports.table import show_table
from isonet2.runs.account import sentences_of
from isonet2.runs.cost import Cost, cost_of
from isonet2.runs.each import Outcome, Work, outcomes
from isonet2.runs.inspected import Inspected, failed, inspected

log = logging.getLogger(__name__)

REPORT, FIGURES = "report.html", "report.json"
TITLE = "Inspection of tomograms"
VERDICTS = {None: "good", "remark": "good", "warning": "warning", "refusal": "refused"}
COLUMNS = (
    "tomogram", "verdict", "voxels", "A/voxel", "tilts declared", "tilts seen", "defocus declared",
    "defocus seen", "halves of", "agree to (A)", "what",
)  # fmt: skip
EVEN, ODD = ("evn", "even"), ("odd",)
LONGEST = 90
CAPTION = (
    "Slices of the tomogram (of its first half where there are two); its x-z spectrum with the "
    "declared (full) and the measured (dashed) ends of the tilt range; power."
)


def inspect(parameters: InspectParameters) -> int:
    """Look at tomograms and write a report about them.

    Parameters
    ----------
    parameters
        What to look at, and where the report goes.

    Returns
    -------
    int
        Exit status: 0 where all is well, 1 where something is probably wrong, 2 where something
        refuses.

    Raises
    ------
    InputError
        When there is nothing to look at, or `fix` is asked for without a table.
    """
    place = parameters.tomograms
    table = TomogramTable.read(place) if place.suffix.lower() == ".star" else None
    if table is None and parameters.fix:
        raise InputError(f"fix True: {place} is no STAR table that could be corrected")
    if table is None and parameters.tomo_idx is not None:
        raise InputError(f"tomo_idx: {place} is no STAR table; leave it out")
    rows = () if table is None else table.select(parameters.tomo_idx)
    declared = _listed(parameters) if table is None else [_declared(row) for row in rows]
    make_folder(parameters.output_dir)
    write_parameters(parameters, parameters.output_dir)
    found = _inspected(parameters, declared)
    _compare(found)
    if table is not None and parameters.fix:
        _fix(table.path, rows, found)
    advised = advice(
        [one.suggestion for one in found if one.suggestion and not one.findings.refused],
        sum(row.number_subtomos for row in rows) or SUBTOMOGRAMS,
    )
    cost = None if advised is None else _cost(found, advised)
    notes = []
    if advised is not None and cost is not None:
        notes = [f"Suggested: refine {advised.words}.", f"{cost.words}."]
    number = counted(len(found), "tomogram")
    ordered = sorted(found, key=_gravity, reverse=True)
    columns, cells = _filled(COLUMNS, [_cells(one) for one in ordered])
    write_page(
        parameters.output_dir / REPORT,
        TITLE,
        f"{place}: {number}, the gravest first",
        columns,
        cells,
        [_section(one) for one in ordered],
        lead=notes,
    )
    _write_json(parameters.output_dir / FIGURES, found, advised, cost)
    write_methods(parameters.output_dir, parameters.command, sentences_of(found, advised))
    shown = [[*row[:-1], _short(row[-1])] for row in cells]
    show_table(f"{place}: {number}", columns, shown)
    for severity in ("refusal", "warning"):
        for text, names in _all(found).grouped(severity).items():
            told = f" ({', '.join(names)})" if names else ""
            log.log(logging.WARNING if severity == "warning" else logging.ERROR, text + told)
    for note in notes:
        log.info("%s", note)
    log.info("the report is %s", parameters.output_dir / REPORT)
    return _all(found).status


def _inspected(parameters: InspectParameters, declared: Sequence[Declared]) -> list[Inspected]:
    """All tomograms in their order, here or on a cluster."""
    with ProgressFile(parameters.output_dir, parameters.command, FILE_NAME) as progress:
        coming = outcomes(parameters, declared, prepare, "inspected", progress)
        if parameters.cluster is None:
            coming = followed("inspecting", coming, len(declared))
        kept = {id(one): _kept(one, outcome) for one, outcome in coming}
    return [kept[id(one)] for one in declared]


def prepare(parameters: InspectParameters) -> Work[Declared]:
    """Make ready what inspects a tomogram, in the process that does it."""
    use_threads(None)

    def work(declared: Declared, label: str) -> dict[str, object]:
        return {"kept": inspected(examine(declared))}

    return work


def _kept(declared: Declared, outcome: Outcome) -> Inspected:
    """What became of a tomogram; a refusal where it could not be inspected."""
    if outcome.columns is None:
        return failed(declared, outcome.said.splitlines()[0])
    kept = outcome.columns["kept"]
    assert isinstance(kept, Inspected)
    return kept


def _cost(found: Sequence[Inspected], advised: Advice) -> Cost:
    """What training and restoring those that can be used will take here."""
    usable = [one for one in found if not one.findings.refused]
    shapes = [one.shape for one in usable if one.shape is not None]
    return cost_of(advised, shapes, halves=any(one.paired for one in usable))


def _all(found: Sequence[Inspected]) -> Findings:
    return Findings([finding for one in found for finding in one.findings.all])


def _declared(row: Tomogram) -> Declared:
    """What a row of the table says."""
    told = {"rlnTiltMin", "rlnTiltMax"} <= {
        column for column, text in row.cells.items() if text not in ("None", "")
    }
    return Declared(
        TomogramFiles(row.name, row.full if row.half1 is None else None, row.half1, row.half2),
        sectors_of(row) if told or row.tilts is not None else None,
        row.pixel_size,
        ctf_of(row),
        correctable=row.cells.get("rlnTiltFile", "None") in ("None", ""),
    )


def _listed(parameters: InspectParameters) -> list[Declared]:
    """Tomograms of a folder, or one volume, as far as the parameters describe them."""
    low, high = parameters.tilt_min, parameters.tilt_max
    sectors: Sectors | None = None
    if low is not None or high is not None:
        sectors = ((-60.0 if low is None else low, 60.0 if high is None else high),)
    return [
        Declared(source, sectors, parameters.pixel_size)
        for source in _sources(parameters.tomograms)
    ]


def _sources(place: Path) -> list[TomogramFiles]:
    """Tomograms of a folder, in halves where it holds halves; or one volume."""
    if not place.is_dir() or place.suffix.lower() == ".zarr":
        return [TomogramFiles(tomogram_name(place), full=place)]
    folders = {path.name.lower(): path for path in place.iterdir() if path.is_dir()}
    even, odd = (
        next((folders[name] for name in names if name in folders), None) for names in (EVEN, ODD)
    )
    if even is None or odd is None:
        named = {half(path) for path in place.iterdir()}
        even = odd = place if {1, 2} <= named else None
    full = place if even is None else None
    sources, problems = find_sources(full, even, odd)
    if problems:
        raise InputError("\n".join(problems))
    return sources


def _compare(found: Sequence[Inspected]) -> None:
    """Say which halves look like another tomogram's."""
    pairs = []
    for one in found:
        first, second = one.declared.source.half1, one.declared.source.half2
        if one.paired and first is not None and second is not None:
            pairs.append((one, (open_volume(first), open_volume(second))))
    said = mixed_up([pair for _, pair in pairs])
    for finding in said:
        for one, pair in pairs:
            if finding.sentence.startswith(f"{pair[0].path}:"):
                one.findings.add([finding])


def _gravity(one: Inspected) -> tuple[int, int]:
    """How grave the gravest finding is, and how many are as grave."""
    worst = one.findings.worst
    if worst is None:
        return -1, 0
    return SEVERITIES.index(worst), len(one.findings.grouped(worst))


def _cells(one: Inspected) -> list[str]:
    """The tomogram's row of the table."""
    figures, declared = one.figures, one.declared
    ends = declared.sectors and (declared.sectors[0][0], declared.sectors[-1][1])
    grave = [finding for finding in one.findings.all if finding.severity == one.findings.worst]
    return [
        one.name,
        VERDICTS[one.findings.worst],
        _words(figures.get("voxels"), " x "),
        _words(one.pixel_size),
        _words(ends, " to "),
        _seen(figures),
        _words(figures.get("defocus that is declared (A)")),
        _words(figures.get("defocus that is seen (A)")),
        _words(figures.get("halves of")),
        _words(figures.get("halves agree to (A)")),
        grave[0].text if grave else "",
    ]


def _filled(
    columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """Columns in which some row says something, and their cells; the last one stays."""
    last = len(columns) - 1
    kept = [place for place in range(last) if any(row[place] for row in rows)] + [last]
    return [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _seen(figures: Mapping[str, object]) -> str:
    """The measured tilt range, and how well it is known."""
    ends = _words(figures.get("tilts that are seen"), " to ", "{:.0f}")
    return ends and f"{ends} ± {_words(figures.get('uncertainty of their ends (degrees)'))}"


def _suggested(one: Inspected) -> dict[str, object]:
    return {} if one.suggestion is None else asdict(one.suggestion)


def _words(value: object, between: str = ", ", form: str = "{:g}") -> str:
    """A figure for people."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_words(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return between.join(_words(part, between, form) for part in value)
    return form.format(value) if isinstance(value, float) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _section(one: Inspected) -> Section:
    order = sorted(one.findings.all, key=lambda f: SEVERITIES.index(f.severity), reverse=True)
    figures = {name: _words(value) for name, value in {**one.figures, **_suggested(one)}.items()}
    return Section(
        title=one.name,
        state=one.findings.worst or "clean",
        said=list(dict.fromkeys((finding.severity, finding.text) for finding in order)),
        figures=figures,
        parts=[] if one.picture is None else [Picture(one.picture, CAPTION)],
    )


def _write_json(
    path: Path, found: Sequence[Inspected], advised: Advice | None, cost: Cost | None
) -> None:
    told = {
        "status": _all(found).status,
        "suggested": None if advised is None else asdict(advised),
        "cost": None if cost is None else asdict(cost),
        "tomograms": [
            {
                "name": one.name,
                "files": [str(file) for file in one.declared.source.files],
                "verdict": VERDICTS[one.findings.worst],
                "findings": [finding.record for finding in one.findings.all],
                "figures": one.figures,
                "suggestions": _suggested(one),
                "shells": one.shells,
            }
            for one in found
        ],
    }
    write_figures(path, told)


def _fix(table: Path, rows: Sequence[Tomogram], found: Sequence[Inspected]) -> None:
    """Write what is certain into the table."""
    changes = [
        (row, one.corrections) for row, one in zip(rows, found, strict=True) if one.corrections
    ]
    if not changes:
        log.info("fix True: nothing in %s is certain to be wrong", table)
        return
    keep_old(table, "table")
    for row, columns in changes:
        for column, value in columns.items():
            was = row.cells.get(column, "None")
            log.warning("%s: %s was %s and is %s now", row.name, column, was, value)
        update(table, row.index, columns)
