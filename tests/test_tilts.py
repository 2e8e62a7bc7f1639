from pathlib import Path

import pytest

from isonet2.data.tilts import read_tilts
from isonet2.errors import InputError

ARETOMO = """# AreTomo Alignment / Priims bprmMn
# RawSize = 4096 4096 6
# NumPatches = 4
# DarkFrame =     0    0   -68.00
# DarkFrame =     5    5    60.00
# AlphaOffset =    12.30
# BetaOffset =     0.00
# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT
    1    84.4445    1.00000     13.382     21.802     1.00     1.00     1.00     0.00    -27.71
    3    84.4445    1.00000     11.101     10.454     1.00     1.00     1.00     0.00     23.71
    2    84.4445    1.00000      1.680     -5.046     1.00     1.00     1.00     0.00     -2.50
# Local Alignment
   0   0  -558.42   -802.00   -100.07     24.43   1.0
"""

RELION = """data_TS_01

loop_
_rlnMicrographName #1
_rlnTomoNominalStageTiltAngle #2
_rlnTomoYTilt #3
a.mrc 3.0 2.6
b.mrc -3.0 -3.4
"""


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.tlt", "  -57.12\n -2\n\n  60.1\n", (-57.12, -2, 60.1)),
        ("a.TLT", "3\r\n-3\r\n", (-3, 3)),
        ("a.b.rawtlt", "0 0\n3.0 1\n-3.0 2\n", (-3, 0, 3)),
        ("a.txt", "# tilt\n1\n2\n2\n", (1, 2, 2)),
        ("bom.tlt", "\ufeff1\n-2\n", (-2, 1)),
        ("a.aln", ARETOMO, (-27.71, -2.5, 23.71)),
        ("a.star", RELION, (-3.4, 2.6)),
        ("b.star", RELION.replace("_rlnTomoYTilt", "_rlnTomoXTilt"), (-3, 3)),
        ("a.tomostar", RELION.replace("_rlnTomoYTilt", "_wrpAngleTilt"), (-3, 3)),
        ("c.star", RELION.replace("2.6", "None"), (-3, 3)),
    ],
)
def test_angles_are_read_and_sorted(tmp_path, name, text, expected):
    assert read_tilts(put(tmp_path, name, text)) == expected


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.tlt", "1\n-60,5\n", r"line 2: '-60,5' is not a tilt angle"),
        ("a.tlt", "1\n95\n", "95 lies beyond 90"),
        ("a.tlt", "1\nnan\n", "beyond 90"),
        ("a.tlt", "", "two different angles"),
        ("a.rawtlt", "3\n3\n", "two different angles"),
        ("a.xtilt", "0\n0.1\n", "about the x axis"),
        ("a.mdoc", "TiltAngle = 3\n", r"use one of \.tlt"),
        ("a.aln", "1 2 3\n", "no TILT column"),
        ("a.star", RELION.replace("Tilt", "Till"), "no column of tilt angles"),
        ("a.star", "nothing", "not a STAR table"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        read_tilts(put(tmp_path, name, text))
    assert name in str(caught.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(InputError, match=r"gone\.tlt: no such tilt file"):
        read_tilts(tmp_path / "gone.tlt")
    (tmp_path / "a.tlt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_tilts(tmp_path / "a.tlt")
