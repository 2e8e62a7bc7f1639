from pathlib import Path

import numpy as np
import pytest

from isonet2.data.series import OtherContent
from isonet2.data.tilts import read_tilts, tilts_in_order
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

WARP = """<?xml version="1.0" encoding="utf-8"?>
<TiltSeries AreAnglesInverted="True" LevelAngleX="1.5" LevelAngleY="-6">
\t<Angles>40.5
0
-39.5
-42</Angles>
\t<UseTilt>True
True
True
False</UseTilt>
</TiltSeries>
"""

SERIALEM = """PixelSpacing = 1.97
[T = SerialEM: a microscope of 5 \u00e5ngstr\u00f6m]

[ZValue = 0]
TiltAngle = 0.01
Defocus = -3.2

[ZValue = 1]
TiltAngle = -3.5
[FrameSet = 0]
TiltAngle = 77
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
        ("b.tomostar", "data_\n\nloop_\n_wrpAngleTilt #1\n40\n-30\n", (-40, 30)),
        ("a.xml", WARP, (-34.5, 6, 45.5)),
        ("old.xml", WARP.replace(' LevelAngleY="-6"', ""), (-40.5, 0, 39.5)),
        ("a.mrc.mdoc", SERIALEM, (-3.5, 0.01)),
        ("a_TLT.txt", "   -3.00     2     3.10\n    0.00     1     3.10\n", (-3, 0)),
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
        ("a.mdoc", "TiltAngle = 3\n", "no TiltAngle of images"),
        (
            "a.mdoc",
            SERIALEM.replace("-3.5", "-3.5\u00b0"),
            "line 9: '-3.5\u00b0' is not a tilt angle",
        ),
        ("a.csv", "1\n2\n", r"unknown ending.*use one of \.tlt.*\.xml.*\.mdoc"),
        ("a_CTF.txt", "# CTF\n1 30000 31000 5 0 0.1 9\n", "table of 7 columns, no list of tilt"),
        ("a.xml", "<Movie />", "no <Angles>"),
        ("a.xml", WARP.replace("-39.5", "-39,5"), "<Angles> 3: '-39,5' is not a tilt angle"),
        ("a.xml", WARP.replace("False", ""), "<UseTilt> has 3 lines and <Angles> 4"),
        ("a.xml", WARP.replace("-6", "x"), "LevelAngleY: 'x' is not a number"),
        ("a.xml", WARP[:99], "not readable as XML"),
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


def test_angles_in_the_order_of_the_images(tmp_path):
    assert tilts_in_order(put(tmp_path, "a.tlt", "0\n3\n-3\n")) == (0, 3, -3)
    assert tilts_in_order(put(tmp_path, "a.xml", WARP)) == (-34.5, 6, 45.5)
    assert tilts_in_order(put(tmp_path, "a.mdoc", SERIALEM)) == (0.01, -3.5)


def test_a_turn_about_x_that_is_left_out_is_said(tmp_path, caplog):
    read_tilts(put(tmp_path, "a.xml", WARP))
    assert not caplog.text
    read_tilts(put(tmp_path, "b.xml", WARP.replace("1.5", "12")))
    assert "b.xml: LevelAngleX is 12 degrees" in caplog.text


def test_warps_xml_in_utf_16(tmp_path):
    text = WARP.replace("utf-8", "utf-16")
    (tmp_path / "a.xml").write_bytes(text.encode("utf-16"))
    assert read_tilts(tmp_path / "a.xml") == (-34.5, 6, 45.5)


@pytest.mark.parametrize(
    ("angle", "along_x", "along_z"),
    [
        (40.01, (58.5376, -826.5382), (-64.7732, 557.3002)),
        (0.02, (76.0012, -994.0100), (-17.4980, -104.6342)),
        (-39.98, (48.6567, -690.5331), (24.9080, -714.1607)),
    ],
)
def test_warps_tilts_are_those_that_warp_projects_with(tmp_path, angle, along_x, along_z):
    """Where Warp itself put points 500 angstrom before and behind the centre, along x and z.

    Tilts 1, 21 and 41 of TS_1.star beside TS_1.xml (PyPI warpylib 1.1.2, MIT).
    """
    text = WARP.replace("40.5", f"{angle}").replace('"-6"', '"-5.920115"')
    (tilt, *_) = tilts_in_order(put(tmp_path, "a.xml", text))
    axis = np.deg2rad(-85.60053)
    across = np.array([np.cos(axis), np.sin(axis)])
    assert np.rad2deg(np.arctan2(along_z @ across, along_x @ across)) == pytest.approx(
        tilt, abs=0.3
    )


def test_angles_in_one_line_are_angles(tmp_path):
    for name, text in (("a.tlt", "-60 -57 -54 -51 0 3\n"), ("a.txt", "60, 57, 54, 51, 0, -3")):
        (tmp_path / name).write_text(text)
        assert len(read_tilts(tmp_path / name)) == 6
    (tmp_path / "b.txt").write_text("1 25000 24000 35.2 0 0.13 4.2\n")
    with pytest.raises(InputError, match="table of 7 columns"):
        read_tilts(tmp_path / "b.txt")


def test_angles_that_are_all_zero_are_no_angles(tmp_path):
    (tmp_path / "a.tlt").write_text("0.00\n" * 41)
    with pytest.raises(OtherContent, match="needs two different angles, and here each of 41 is 0"):
        read_tilts(tmp_path / "a.tlt")
