import math
from pathlib import Path

import pytest

from isonet2.data.defoci import read_ctf, read_defocus
from isonet2.data.series import OtherContent
from isonet2.errors import InputError

CTFFIND = """# Output from CTFFind version 4.1.14
# Columns: #1 - micrograph number; #2 - defocus 1 [Angstroms]; #3 - defocus 2; #4 - azimuth
1.000000 41000.000000 39000.000000 75.000012 0.000000 0.001071 12.144508
2.000000 31000.000000 30000.000000 75.000012 0.000000 0.021071 inf
3.000000 36000.000000 35000.000000 75.000012 0.000000 0.011071 9.144508
"""
ARETOMO = """# Columns: #1 micrograph number; #2 - defocus 1 [A]; #3 - defocus 2; #8 - dfHand
   1   41000.00  39000.00     52.00     1.5708    0.1125    9.6156   -1
   2   31000.00  30000.00     52.00     1.5708    0.1098    8.7609   -1
   3   36000.00  35000.00     83.00     1.5708    0.1293    8.4783   -1
"""
ARETOMO_IN_IMODS_FORMAT = """1  0  0.0  0.0  0.0  3
   1     1   -3.00   -3.00   4000.00   4100.00    10.00
   2     2    0.50    0.50   3000.00   3100.00    11.00
   3     3    3.50    3.50   3500.00   3600.00    12.00
"""
IMOD_2 = "1\t1\t-50.99\t-50.99\t  3083   2\n2\t2\t 0.01\t 0.01\t  3323\n3\t3\t9.0\t9.0\t  3257\n"
IMOD_RANGES = "1 5 -12 -4 3083 2\n4 8 -6 6 3100\n7 11 2 14 3200\n"
IMOD_3 = """1\t0\t0.0\t0.0\t0.0\t3
1\t1\t-2.00\t-2.00\t 3366.0\t 3129.0\t -14.00
2\t2\t 1.00\t 1.00\t 3350.0\t 3093.0\t -13.00
"""
GCTF = """data_

loop_
_rlnMicrographName #1
_rlnDefocusU #2
_rlnDefocusV #3
_rlnPhaseShift #4
split.mrc.01 41000.0 39000.0 90.0
split.mrc.02 31000.0 30000.0 92.0
split.mrc.03 36000.0 35000.0 94.0
"""
RELION = """data_TS_01

loop_
_rlnTomoNominalStageTiltAngle #1
_rlnTomoYTilt #2
_rlnDefocusU #3
_rlnDefocusV #4
0.0 9.0 40000 39000
-9.0 0.1 31000 30000
-12.0 -3.0 36000 35000
"""
WARP = """<?xml version="1.0" encoding="utf-8"?>
<TiltSeries LevelAngleY="-6">
	<Angles>9
6.5
0</Angles>
	<UseTilt>True
False
True</UseTilt>
	<CTF><Param Name="Defocus" Value="1.0" /></CTF>
	<GridCTF Width="1" Height="1" Depth="3">
		<Node X="0" Y="0" Z="0" Value="2.75" />
		<Node X="0" Y="0" Z="1" Value="9" />
		<Node X="0" Y="0" Z="2" Value="3.5" />
	</GridCTF>
	<GridCTFPhase Width="1" Height="1" Depth="1"><Node X="0" Y="0" Z="0" Value="0" /></GridCTFPhase>
</TiltSeries>
"""
WARP_COARSE = WARP.replace("False", "True").replace(
    '<Node X="0" Y="0" Z="1" Value="9" />', '<Node X="1" Y="0" Z="0" Value="2.25" />'
)
UNFITTED = WARP.replace("2.75", "0").replace('"9"', '"0"').replace("3.5", "0")


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "tilts", "defocus"),
    [
        ("a.mrc_ctf.txt", CTFFIND, (-3, 0, 3), 30500),
        ("a.txt", CTFFIND, (0, -3, 3), 40000),
        ("a.txt", CTFFIND, None, 35500),
        ("a.txt", CTFFIND, (-3, 0), 35500),
        ("a_CTF.TXT", ARETOMO, (-3, 2, 1), 35500),
        ("a_CTF.txt", ARETOMO.replace("-1\n", "\n"), (5, 6, 7), 40000),
        ("a_CTF_Imod.txt", ARETOMO_IN_IMODS_FORMAT, (0, 3, 6), 30500),
        ("a.defocus", IMOD_2, None, 33230),
        ("a.defocus", IMOD_2.replace("3083   2", "3083"), None, 33230),
        ("a.defocus", IMOD_RANGES, None, 31000),
        ("a.defocus", IMOD_3, None, 32215),
        ("a.star", GCTF, (4, 5, 3), 35500),
        ("a.star", GCTF, None, 35500),
        ("a.star", RELION, (0, 1, 2), 30500),
        ("a.star", RELION.replace("YTilt", "XTilt"), None, 39500),
        ("a.xml", WARP, None, 27500),
        ("a.xml", WARP.replace(' LevelAngleY="-6"', ""), None, 35000),
        ("a.xml", WARP.replace("False", "True"), None, 90000),
        ("a.xml", WARP_COARSE, None, (25000 + 35000) / 2),
    ],
)
def test_the_image_with_the_tilt_nearest_to_zero_counts(tmp_path, name, text, tilts, defocus):
    assert read_defocus(put(tmp_path, name, text), tilts) == pytest.approx(defocus)


def test_angles_that_are_none_are_not_used(tmp_path):
    """AreTomo 3 writes the defocus where the tilt belongs when there is a phase shift."""
    rows = (f"{i} {i} {d} {d} {d / 10} {d / 10} 5 90" for i, d in ((1, 41000), (2, 30500)))
    path = put(tmp_path, "a_CTF_Imod.txt", "5 0 0.0 0.0 0.0 3\n" + "\n".join(rows))
    assert read_ctf(path) == ((41000 + 30500) / 2, 90)
    assert read_ctf(path, (9, 1)) == (30500, 90)


@pytest.mark.parametrize(
    ("name", "text", "degrees"),
    [
        ("a.txt", ARETOMO, 90),
        ("a.star", GCTF, 92),
        ("a.xml", WARP.replace('Z="0" Value="0"', 'Z="0" Value="0.5"'), 90),
        ("a.defocus", "4 0 0 0 0 3\n1 1 -3 -3 3083 85\n2 2 0 0 3100 90\n", 90),
        ("a.defocus", f"13 0 0 0 0 3\n1 1 0 0 3083 3100 5 {math.pi / 2}\n", 90),
        ("a.defocus", "37 0 0 0 0 3\n1 1 0 0 3083 3100 5 45 0.02\n", 45),
        ("a.txt", CTFFIND, 0),
    ],
)
def test_phase_shifts_are_in_degrees(tmp_path, name, text, degrees):
    assert read_ctf(put(tmp_path, name, text)).phase_shift == pytest.approx(degrees, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "1", r"not a defocus file \(unknown ending\); use one of \.xml, \.star"),
        ("a.txt", CTFFIND.replace("41000.0", "41000,0"), "line 3: '41000,000000' is not a number"),
        ("a.defocus", IMOD_2.replace("3323", "x"), "line 2: 'x' is not a number"),
        (
            "a.defocus",
            IMOD_3.replace("\t 3093.0\t -13.00", ""),
            "line 3: has 5 numbers instead of 6",
        ),
        ("a.defocus", IMOD_2.replace("3323", "33230"), "its defocus 332300 .* did you mean 33230"),
        ("a.txt", CTFFIND.replace("000.000000", "e-1"), "did you mean 35500"),
        ("a.star", RELION.replace("31000 30000", "-31000 -30000"), "did you mean 30500"),
        ("a.star", RELION.replace("31000", "None"), "row 2: 'None' is not a number"),
        ("a.star", GCTF + RELION, "lists the defoci of 2 tilt series; give one file per tomogram"),
        ("a.star", "nothing", "not a STAR table"),
        ("a.xml", WARP.replace("2.75", "2,75"), "<GridCTF> Value: '2,75' is not a number"),
        ("a.xml", WARP.replace(' Value="2.75"', ""), "<GridCTF> Value: '' is not a number"),
        ("a.xml", "<TiltSeries>", "not readable as XML"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        read_defocus(put(tmp_path, name, text))
    assert str(tmp_path / name) in str(caught.value)
    assert not isinstance(caught.value, OtherContent)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.txt", "-3.00 1 3.1\n0.00 2 3.1\n", "no table of CTFFIND or AreTomo"),
        ("a_avrot.txt", "0 " * 200 + "\n", "no table of CTFFIND or AreTomo"),
        ("a.txt", "# nothing\n", "no table of CTFFIND or AreTomo"),
        ("a.defocus", "", "holds no defocus"),
        ("a.star", RELION.replace("rlnDefocusV", "rlnDefocus"), "no columns rlnDefocusU and"),
        ("a.xml", "<Movie />", "no <Angles>"),
        ("a.xml", UNFITTED, r"no fitted defocus \(GridCTF\)"),
        ("a.xml", WARP.replace("GridCTF", "Grid"), r"no fitted defocus \(GridCTF\)"),
        ("a.xml", WARP.replace("True", "False"), "holds no defocus"),
    ],
)
def test_files_of_something_else_are_known_as_such(tmp_path, name, text, sentence):
    with pytest.raises(OtherContent, match=sentence):
        read_defocus(put(tmp_path, name, text))


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(InputError, match=r"gone\.defocus: no such defocus file"):
        read_defocus(tmp_path / "gone.defocus")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_defocus(tmp_path / "a.txt")
