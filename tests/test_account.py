from pathlib import Path

from isonet2.checks.advice import Advice
from isonet2.checks.examination import Declared
from isonet2.checks.findings import Finding, Findings
from isonet2.data.pairing import TomogramFiles
from isonet2.parameters import package_version
from isonet2.reports.methods import write_methods
from isonet2.runs.account import sentences_of
from isonet2.runs.inspected import Inspected


def inspected(name, low, agree, *said):
    figures = {"tilts that are seen": [low, 60.0], "halves agree to (A)": agree}
    declared = Declared(TomogramFiles(name, full=Path(f"{name}.mrc")))
    return Inspected(declared, Findings(list(said)), figures, pixel_size=10.0)


def test_the_sentences_hold_the_figures(tmp_path):
    wrong = Finding("tilts: range", "warning", "told")
    both = [inspected("a", -60.0, 30.0), inspected("b", -52.0, 40.0, wrong)]
    told = " ".join(sentences_of(both, Advice(96, "network", 50, 3000)))
    assert "specimen of 2 tomograms with voxels of 10 A were examined" in told
    assert "the lowest tilt is -60 to -52 degrees, the highest 60." in told
    assert "to a median of 35 A (30 to 40 A)" in told
    assert "Tomograms warned of: 1 (tilts: range)." in told
    assert "--cube_size 96 --CTF_mode network --epochs 50" in told
    path = write_methods(tmp_path, "inspect", [told])
    paragraph, cited = path.read_text(encoding="utf-8").split("\n\n")
    assert paragraph.startswith(told)
    assert f"IsoNet2 {package_version()} (command inspect; Python 3." in paragraph
    assert paragraph.endswith("[1].")
    assert cited.startswith("[1] Liu, Y.-T.")


def test_nothing_is_told_of_what_was_not_found():
    found = Inspected(Declared(TomogramFiles("a", full=Path("a.mrc"))), Findings(), {})
    assert len(sentences_of([found], None)) == 1
