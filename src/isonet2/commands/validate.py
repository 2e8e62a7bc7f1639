"""`validate`: restored tomograms judged, before anyone believes what fills their wedge."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from string import ascii_uppercase

import torch

from isonet2.checks.findings import Finding, Findings
from isonet2.checks.opened import opened_findings
from isonet2.data.files import make_folder
from isonet2.data.progress import ProgressFile
from isonet2.data.star import Tomogram, TomogramTable, update
from isonet2.errors import InputError, counted
from isonet2.machine.devices import choose_devices
from isonet2.machine.threads import use_threads
from isonet2.parameters import ValidateParameters, package_version
from isonet2.parameters.record import FILE_NAME
from isonet2.reports.json_file import write_figures
from isonet2.reports.methods import write_methods
from isonet2.reports.page import Cells, Picture, Section, Slides, write_page
from isonet2.reports.table import show_table
from isonet2.runs.candidate import UNLIKE, Candidate, Store
from isonet2.runs.each import Work, begin, outcomes
from isonet2.runs.figures_of import figures_of, power_rows, restored_at
from isonet2.runs.judged import JudgedTomogram, judge
from isonet2.runs.judgement import HOW, Judged, draw_curves, three_sentences
from isonet2.runs.retraining import refuse_without_recipe, without_held_out
from isonet2.runs.subject import Subject, subject_of
from isonet2.trust.held_out import RESOLUTIONS
from isonet2.trust.verdict import FILL, IMPRINT, LIMIT, LOST, THROUGH

log = logging.getLogger(__name__)

REPORT, FIGURES = "report.html", "report.json"
WORK = "work"
LIGHTS = {"clean": "green", "remark": "green", "warning": "yellow", "refusal": "red"}
CURVES = (
    "Kept signal: agreement of a restored half with the signal, judged by the other half as it was "
    "measured; a curve above that of the half as measured means that noise was taken away, below "
    "it that signal was. Where a part was held out of training, it is judged apart. "
    "Residual: 1 is the noise that is known from the halves. Shaded: error by jackknife over slabs."
)
SHARE = (
    "1 is all of the specimen in these directions, 0 nothing; errors by jackknife. A share that "
    "positivity alone reaches too is no merit of the network."
)
CONES = (
    "Mean power at 100 to 40 A within 20 degrees of an axis over that of all directions: 1 each "
    "where a specimen looks the same from all sides. Only with the held-out tilts does it say "
    "whether a fill is true."
)
COLUMNS = (
    "tomogram and network", "verdict", "agrees with the data to", "signal lost",
    "noise let through",
    *(f"held-out tilts, {resolution:g} A" for resolution in RESOLUTIONS),
    "wedge out of noise",
)  # fmt: skip


def validate(parameters: ValidateParameters) -> int:
    """Judge what networks make of the tomograms of a table, and write a report.

    Parameters
    ----------
    parameters
        The tomograms, the networks, and where the report goes.

    Returns
    -------
    int
        Exit status: 0 where all lights are green, 1 where one is yellow, 2 where one is red.

    Raises
    ------
    InputError
        For tomograms or networks that cannot be judged, before any work.
    """
    table = TomogramTable.read(parameters.star_file)
    if parameters.cluster is None:
        choose_devices(parameters.gpuID)
    candidates = _candidates(parameters, [torch.device("cpu")])
    tomograms = table.select(parameters.tomo_idx)
    subjects = [subject_of(row) for row in tomograms]
    said = _checked(candidates, subjects, parameters)
    folder = parameters.output_dir
    begin(parameters, table.path, folder, tomograms)
    make_folder(folder / WORK)
    said.tell()
    with ProgressFile(folder, parameters.command, FILE_NAME) as progress:
        anew = _trained_anew(candidates, subjects, parameters)
        judged = _judged(parameters, table.path, tomograms, anew, progress, said)
        found = _report(folder, parameters, judged, said)
    log.info("the report is %s", folder / REPORT)
    return found.status


def _labels(paths: Sequence[Path]) -> list[str]:
    """How networks are called: by their file, and by a letter where there are several."""
    if len(paths) == 1:
        return [paths[0].stem]
    return [
        f"{ascii_uppercase[n % 26]}: {path.parent.name}/{path.stem}" for n, path in enumerate(paths)
    ]


def _checked(
    candidates: Sequence[Candidate], subjects: Sequence[Subject], parameters: ValidateParameters
) -> Findings:
    """What is to be said of networks and tomograms; InputError for what cannot be judged."""
    found = Findings()
    for candidate in candidates:
        checkpoint = candidate.checkpoint
        if parameters.held_out == "full":
            refuse_without_recipe(checkpoint, candidate.path)
        for subject in subjects:
            geometry = candidate.geometry(subject)
            trained = checkpoint.pixel_size
            if trained and not 1 / UNLIKE < geometry.pixel_size / trained < UNLIKE:
                raise InputError(
                    f"{candidate.path}: was trained on voxels of {trained:g} A, and "
                    f"{subject.name} has {geometry.pixel_size:g} A; resize it "
                    "first, or choose others with tomo_idx"
                )
        if not checkpoint.reads_halves:
            found.add(
                [
                    Finding(
                        "full",
                        "remark",
                        f"{candidate.path}: was trained on full tomograms; each half is restored "
                        f"alone here, which is noisier than what it has learned from",
                    )
                ]
            )
    for subject in subjects:
        geometry = candidates[0].geometry(subject)
        needs = any(candidate.checkpoint.usage.treatment.needs_ctf for candidate in candidates)
        found.add(opened_findings(subject.halves, geometry, ctf=needs, name=subject.name))
    if found.refused:
        found.tell()
    return found


def _trained_anew(
    candidates: Sequence[Candidate], subjects: Sequence[Subject], parameters: ValidateParameters
) -> list[Path | None]:
    """Networks without the held-out tilts, trained here where they are asked for and not there."""
    p = parameters
    if p.held_out != "full":
        return [None for _ in candidates]
    kept = [subject.kept(p.held_out_share) for subject in subjects]
    folder = p.output_dir / WORK
    return [
        without_held_out(
            candidate, subjects, kept, folder, epochs=p.epochs, gpuID=p.gpuID, ncpus=p.ncpus
        )
        for candidate in candidates
    ]


def prepare(parameters: ValidateParameters, anew: Sequence[Path | None]) -> Work[Tomogram]:
    """Make ready what judges a tomogram, in the process that does it: networks on devices."""
    devices = choose_devices(parameters.gpuID)
    use_threads(parameters.ncpus)
    candidates = _candidates(parameters, devices)
    retrained = [
        None
        if path is None
        else Candidate.load(path, candidate.label, devices, parameters.mixed_precision)
        for candidate, path in zip(candidates, anew, strict=True)
    ]
    store = Store(parameters.output_dir / WORK)

    def work(tomogram: Tomogram, label: str) -> dict[str, object]:
        return {"kept": judge(subject_of(tomogram), candidates, retrained, store, parameters)}

    return work


def _candidates(parameters: ValidateParameters, devices: Sequence[torch.device]) -> list[Candidate]:
    """The networks on devices."""
    return [
        Candidate.load(path, label, devices, parameters.mixed_precision)
        for path, label in zip(parameters.models, _labels(parameters.models), strict=True)
    ]


def _judged(
    parameters: ValidateParameters,
    table: Path,
    tomograms: Sequence[Tomogram],
    anew: Sequence[Path | None],
    progress: ProgressFile,
    said: Findings,
) -> list[JudgedTomogram]:
    """What became of all tomograms, in their order; those that failed are said to have."""
    found: dict[int, JudgedTomogram] = {}
    ready = partial(prepare, anew=anew)
    for tomogram, outcome in outcomes(parameters, tomograms, ready, "judged", progress):
        if outcome.columns is None:
            said.refuse(f"{tomogram.name}: {outcome.said.splitlines()[0]}")
            continue
        kept = outcome.columns["kept"]
        assert isinstance(kept, JudgedTomogram)
        found[tomogram.index] = kept
        update(table, tomogram.index, {"rlnSpreadTomoName": kept.spread})
    if not found:
        raise InputError("none of the tomograms could be judged (see above)")
    return [found[tomogram.index] for tomogram in tomograms if tomogram.index in found]


def _report(
    folder: Path,
    parameters: ValidateParameters,
    tomograms: Sequence[JudgedTomogram],
    said: Findings,
) -> Findings:
    """Write the page, the figures and the paragraph for a paper; return all that was found."""
    found = Findings(list(said.all))
    judged = [one for tomogram in tomograms for one in tomogram.results]
    for one in judged:
        found.add(one.findings().all)
    models = list(dict.fromkeys(one.model for one in judged))
    lead = [
        " ".join(three_sentences([one for one in judged if one.model == model])) for model in models
    ]
    rows = [_cells(one) for one in judged]
    write_page(
        folder / REPORT,
        "Validation of restored tomograms",
        f"{parameters.star_file}: {counted(len({one.tomogram for one in judged}), 'tomogram')}, "
        f"{counted(len(models), 'network')}",
        COLUMNS,
        rows,
        [
            _section(one, tomogram.slides if one is tomogram.results[0] else None)
            for tomogram in tomograms
            for one in tomogram.results
        ],
        lead=[*(text for text in said.grouped("refusal")), *lead],
        note=LIMIT,
        words=LIGHTS,
    )
    write_figures(
        folder / FIGURES,
        {
            "status": found.status,
            "version": package_version(),
            "sentences": lead,
            "limit": LIMIT,
            "lights": {light.name: light.limits for light in (LOST, THROUGH, FILL, IMPRINT)},
            "results": [figures_of(one) for one in judged],
        },
    )
    write_methods(folder, parameters.command, [*methods(parameters), *lead, LIMIT])
    show_table(f"{parameters.star_file}: {counted(len(judged), 'result')}", COLUMNS, rows)
    for severity in ("refusal", "warning"):
        for text, names in Findings(found.all).grouped(severity).items():
            told = f" ({', '.join(names)})" if names else ""
            log.warning("%s%s", text, told)
    return found


def _cells(one: Judged) -> list[str]:
    m, at = one.measured, restored_at(one).get("network", {})
    end = m.kept.resolution(one.pixel_size)
    return [
        f"{one.tomogram}, {one.model}",
        LIGHTS[one.findings().worst or "clean"],
        f"{end:.0f} A" if end else "nowhere",
        f"{100 * float(m.residual.signal_lost.value):.0f} %",
        f"{100 * float(m.residual.noise_through.value):.0f} %",
        *(at.get(resolution, "-") for resolution in RESOLUTIONS),
        f"{100 * m.imprint.noise:.0f} %",
    ]


def _section(one: Judged, slides: Slides | None) -> Section:
    """What is said of one result; the slides of all of its tomogram stand with the first."""
    findings = one.findings()
    parts: list[Slides | Picture | Cells] = [] if slides is None else [slides]
    parts.append(Picture(draw_curves(one), CURVES))
    at = restored_at(one)
    if at:
        rows = [[name, *told.values()] for name, told in at.items()]
        columns = ["share restored", *(f"{resolution:g} A" for resolution in RESOLUTIONS)]
        parts.append(Cells(columns, rows, f"Held-out tilts, {HOW[one.held_out]}. {SHARE}"))
    parts.append(Cells(["power along", "x", "y", "z"], power_rows(one), CONES))
    return Section(
        f"{one.tomogram}, {one.model}",
        findings.worst or "clean",
        [(_state(finding), finding.text) for finding in findings.all],
        {light.name: light.limits for light in (LOST, THROUGH, FILL, IMPRINT)},
        parts,
    )


def _state(finding: Finding) -> str:
    """How a finding is marked: a light that is green is no mere note."""
    is_light = finding.severity == "remark" and finding.measured is not None
    return "clean" if is_light else finding.severity


def methods(parameters: ValidateParameters) -> list[str]:
    """How tomograms were judged, in sentences for a paper."""
    p = parameters
    how = {
        "none": "Tilts were not held out.",
        "quick": "Tilts held out at the test had been seen by the network in training.",
        "full": "Networks for this test were trained anew on data without the held-out tilts"
        + (f", for {counted(p.epochs, 'epoch')}" if p.epochs else "")
        + ".",
    }[p.held_out]
    share = f"The outermost {100 * p.held_out_share:g} % of the tilts on either side were held out."
    return [
        "Restored tomograms were judged from the two halves of each tomogram.",
        "Agreement with the measured signal is the Fourier shell correlation, in the measured "
        "region, of one restored half with the other half as measured, over the square root of "
        "that of the two halves.",
        *([share] if p.held_out != "none" else []),
        how,
        "Errors are by jackknife over slabs of the tomogram.",
    ]
