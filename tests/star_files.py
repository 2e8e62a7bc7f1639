"""Tables of tomograms as this program and RELION write them."""

from pathlib import Path

HALVES = ("rlnTomoReconstructedTomogramHalf1", "rlnTomoReconstructedTomogramHalf2")
OURS = """# made by hand

data_

loop_
_rlnIndex #1
_rlnTomoName #2
_rlnTomoReconstructedTomogramHalf1 #3
_rlnTomoReconstructedTomogramHalf2 #4
_rlnPixelSize #5
_rlnDefocus #6
_rlnVoltage #7
_rlnSphericalAberration #8
_rlnAmplitudeContrast #9
_rlnMaskName #10
_rlnTiltMin #11
_rlnTiltMax #12
_rlnNumberSubtomo #13
_lab0Note #14
1\tavg/TS_01_EVN_full.mrc\tEVN/TS_01_EVN.mrc\tODD/TS_01_ODD.mrc\t5.400000\t39057\t300\t2.7\t0.1\tNone\t-60\t60\t600.000000\t007
2\tNone\t"my EVN/TS 03_EVN.mrc"\t"my ODD/TS 03_ODD.mrc"\t5.400000\tNone\t300\t2.7\t0.1\tm/03.mrc\t-50\t60\t600\t0x1A
"""  # noqa: E501

RELION = """
# version 50001

data_global

loop_ 
_rlnTomoName #1 
_rlnVoltage #2 
_rlnSphericalAberration #3 
_rlnAmplitudeContrast #4 
_rlnTomoTiltSeriesPixelSize #5 
_rlnTomoTiltSeriesStarFile #6 
_rlnTomoTomogramBinning #7 
_rlnTomoReconstructedTomogramHalf1 #8 
_rlnTomoReconstructedTomogramHalf2 #9 
     TS_01   200.000000     2.700000     0.070000     1.350000 tilt_series/TS_01.star     7.407407 rec/TS_01_half1.mrc rec/TS_01_half2.mrc 
     TS_1e5   300.000000     2.700000     0.100000     1.350000 tilt_series/gone.star     7.407407 rec/TS_1e5_half1.mrc rec/TS_1e5_half2.mrc 

# version 50001

data_other

_rlnSomething    0.500000
_rlnWord         "two words"   
"""  # noqa: E501, W291

SERIES = """data_TS_01

loop_
_rlnTomoNominalStageTiltAngle #1
_rlnDefocusU #2
_rlnDefocusV #3
_rlnTomoYTilt #4
-3.0 40000 41000 -2.9
0.0 30000 31000 0.1
45.0 35000 36000 45.2
"""


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def pairs(folder):
    """A table of the two pairs of halves of the fixture `project`."""
    text = OURS.replace("avg/TS_01_EVN_full.mrc", "None").replace('"', "")
    for half in ("EVN", "ODD"):
        text = text.replace(f"my {half}/TS 03", f"{half}/TS_03")
    return put(folder / "tomograms.star", text)
