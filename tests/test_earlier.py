import os
from pathlib import Path

from preparing import halves, volume

from isonet2.data.star import update


def test_masks_and_results_of_unchanged_tomograms_are_kept(project, caplog):
    halves(defocus=20000)
    for index in (1, 2):
        update("tomograms.star", index, {"rlnMaskName": Path(f"mask/{index}.mrc"), "mine": "x y"})
    update("tomograms.star", 2, {"rlnDenoisedTomoName": "d.mrc"})
    for seed, name in enumerate(("EVN/TS_02_EVN.mrc", "ODD/TS_02_ODD.mrc")):
        volume(Path(name), 50 + seed)
    with caplog.at_level("INFO"):
        rows = halves(defocus=25000)
    assert [row["rlnMaskName"] for row in rows] == ["mask/1.mrc", "None", "mask/2.mrc"]
    assert [row["rlnDenoisedTomoName"] for row in rows] == ["None", "None", "d.mrc"]
    assert [row["mine"] for row in rows] == ["x y", "None", "x y"]
    assert {row["rlnDefocus"] for row in rows} == {"25000"}
    assert "kept of the earlier tomograms.star: rlnMaskName (TS_01, TS_03)" in caplog.text


def test_what_is_given_or_changed_is_not_kept(project, caplog):
    halves(defocus=20000)
    for index in (1, 2):
        update("tomograms.star", index, {"rlnMaskName": "old.mrc"})
    changed = Path("ODD/TS_03_ODD.mrc")
    later = Path("tomograms.star").stat().st_mtime_ns + 10**9
    os.utime(changed, ns=(later, later))
    rows = halves()
    assert [row["rlnMaskName"] for row in rows] == ["old.mrc", "None"]
    assert {row["rlnDefocus"] for row in rows} == {"None"}
    assert "TS_03: written after the earlier tomograms.star" in caplog.text
    for name in ("TS_01", "TS_03"):
        volume(Path(f"masks/{name}.mrc"), 1)
    rows = halves(mask_folder="masks")
    assert [row["rlnMaskName"] for row in rows] == ["masks/TS_01.mrc", "masks/TS_03.mrc"]


def test_an_earlier_table_that_cannot_be_read_is_kept_aside(project):
    Path("tomograms.star").write_text("no table")
    assert len(halves()) == 2
    assert Path("tomograms.star.1").read_text() == "no table"
