import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from preparing import MANUAL_COLUMNS, SHAPE, halves, refused, run, volume

from isonet2.commands import prepare_star as module
from isonet2.data.labels import RESTORED_LABEL, Restoration
from isonet2.data.progress import read_progress
from isonet2.data.star import TomogramTable
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.jobs.descendants import MARK


def test_the_manuals_line(project, capsys, caplog):
    """The example of the manual: own pixel size, a defocus each, the average."""
    rows = halves(create_average=True, pixel_size=5.4, defocus="[39057,14817]")
    assert list(rows[0]) == MANUAL_COLUMNS
    files = "averaged_tomos/TS_03.mrc EVN/TS_03_EVN.mrc ODD/TS_03_ODD.mrc"
    assert " ".join(rows[1].values()) == (
        f"2 {files} 5.4 14817 300 2.7 0.1 None None None -60 60 None 1500 None None"
    )
    assert rows[0]["rlnDefocus"] == "39057"
    for text in ("tilt_min = -60", "tilt_max = 60", "pixel_size 5.4 A is used"):
        assert text in caplog.text
    assert "defocus" not in caplog.text
    shown = capsys.readouterr().out
    assert "39057" in shown
    assert "rlnDeconvTomoName" not in shown
    told = read_progress(Path("averaged_tomos"))
    assert (told.command, told.state, told.tomogram) == ("prepare_star", "succeeded", 2)
    tomogram = TomogramTable.read("tomograms.star").tomograms[1]
    assert (tomogram.name, tomogram.defocus, tomogram.number_subtomos) == ("TS_03", 14817, 1500)


def test_the_average_is_the_mean_and_keeps_the_header(project):
    raw = bytearray(Path("EVN/TS_01_EVN.mrc").read_bytes())
    struct.pack_into("<3i", raw, 16, 5, 6, 7)
    struct.pack_into("<3f", raw, 196, -1, -2, -3)
    Path("EVN/TS_01_EVN.mrc").write_bytes(raw)
    halves(create_average=True, defocus=20000)
    one, two = open_volume("EVN/TS_01_EVN.mrc"), open_volume("ODD/TS_01_ODD.mrc")
    with mrcfile.open("averaged_tomos/TS_01.mrc") as file:
        assert file.header.mode == 2
        np.testing.assert_allclose(file.data, (one.read() + two.read()) / 2, rtol=1e-6)
        assert file.voxel_size.tolist() == pytest.approx((10, 10, 10))
        assert file.header.origin.tolist() == (-1, -2, -3)
        assert (file.header.nxstart, file.header.nystart, file.header.nzstart) == (5, 6, 7)
        assert b"mean of the even" in file.header.label[1]


def test_tomograms_that_were_restored_already_are_said(project, caplog):
    made = Restoration(True, "filled", "network", "0a1b2c3d", "2.1.0")
    plain = open_volume(volume(Path("tomos/a.mrc"), 7))
    label = f"IsoNet2: {RESTORED_LABEL}\n{made.label}"
    write_volume("tomos/b.mrc", plain.read(), like=plain, label=label)
    run(full="tomos")
    assert (
        "tomos/b.mrc was restored already (denoised, wedge filled, CTF network, by network "
        "0a1b2c3d of IsoNet2 2.1.0); give the tomogram as reconstructed"
    ) in caplog.text
    assert "tomos/a.mrc was restored" not in caplog.text


def test_averages_lie_beside_the_table(project):
    rows = halves(create_average=True, star_name="sub/all.star")
    assert rows[0]["rlnTomoName"] == "sub/averaged_tomos/TS_01.mrc"
    assert Path("sub/averaged_tomos/TS_03.mrc").exists()
    assert TomogramTable.read("sub/all.star").tomograms[0].half1 == Path("EVN/TS_01_EVN.mrc")


def test_full_tomograms(project):
    volume(Path("tomos/b.1_10.00Apx.mrc"), 7)
    volume(Path("tomos/a b.rec"), 8)
    Path("tomos/notes.txt").write_text("stray, but no volume")
    rows = run(full="tomos", number_subtomos=800, defocus=20000)
    assert [row["rlnTomoName"] for row in rows] == ["tomos/a b.rec", "tomos/b.1_10.00Apx.mrc"]
    assert [row["rlnTomoReconstructedTomogramHalf1"] for row in rows] == ["None", "None"]
    assert [row["rlnNumberSubtomo"] for row in rows] == ["800", "800"]
    names = [tomogram.name for tomogram in TomogramTable.read("tomograms.star").tomograms]
    assert names == ["a b", "b.1_10.00Apx"]


def test_halves_without_average_have_no_full_tomogram(project):
    assert {row["rlnTomoName"] for row in halves()} == {"None"}


def test_an_old_table_is_kept(project, caplog):
    halves(defocus=20000)
    first = Path("tomograms.star").read_bytes()
    halves(defocus=30000)
    second = Path("tomograms.star").read_bytes()
    halves(defocus=40000)
    assert Path("tomograms.star.1").read_bytes() == first
    assert Path("tomograms.star.2").read_bytes() == second
    assert "the old table is now tomograms.star.2" in caplog.text


def test_names_that_no_table_can_carry(project):
    volume(Path("EVN/O'Brien_EVN.mrc"), 40)
    volume(Path("ODD/O'Brien_ODD.mrc"), 41)
    refused("rename")


@pytest.mark.parametrize("name", ["1.mrc", "TS 1.2.mrc", "Å_断层.rec", "-x.map", "a.mrc.mrc"])
def test_free_names(project, name):
    stem = Path(name).stem
    for seed, token in enumerate(("EVN", "ODD")):
        volume(Path(f"n/{token}/{stem}_{token}{Path(name).suffix}"), seed)
    run(even="n/EVN", odd="n/ODD", create_average=True)
    (tomogram,) = TomogramTable.read("tomograms.star").tomograms
    for path in (tomogram.full, tomogram.half1, tomogram.half2):
        assert path is not None
        assert open_volume(path).shape == SHAPE


def test_a_failing_average_leaves_the_old_table(project, monkeypatch):
    halves(defocus=20000)
    before = Path("tomograms.star").read_bytes()

    def fails(*_):
        raise InputError("no room")

    monkeypatch.setattr(module, "_average", fails)
    with pytest.raises(InputError, match="no room"):
        halves(create_average=True)
    assert Path("tomograms.star").read_bytes() == before
    assert not Path("tomograms.star.1").exists()
    told = read_progress(Path("averaged_tomos"))
    assert (told.state, told.message) == ("failed", "no room")


def test_a_job_tells_in_its_own_folder_how_far_averages_are(project, monkeypatch, tmp_path):
    monkeypatch.setenv(MARK, str(tmp_path))
    halves(create_average=True, defocus=20000)
    assert read_progress(tmp_path).tomogram == 2
    assert read_progress(Path("averaged_tomos")) is None


def test_no_average_is_made_beside_full_tomograms(project, caplog):
    Path("full").mkdir()
    for path in Path("EVN").glob("*.mrc"):
        Path("full", path.name.replace("_EVN", "")).symlink_to(path.resolve())
    rows = halves(full="full", create_average=True)
    assert "create_average is not needed" in caplog.text
    assert not Path("averaged_tomos").exists()
    assert [row["rlnTomoName"] for row in rows] == ["full/TS_01.mrc", "full/TS_03.mrc"]


def test_averages_are_made_once_and_replace_nothing(project, caplog):
    path = Path("averaged_tomos/TS_01.mrc")
    halves(create_average=True)
    made = path.stat().st_mtime_ns
    halves(create_average=True)
    assert path.stat().st_mtime_ns == made
    volume(Path("EVN/TS_01_EVN.mrc"), 7)
    before = path.read_bytes()
    halves(create_average=True)
    assert (
        "averaged_tomos/TS_01.mrc existed; the old average, which was made of other files, is now"
        in caplog.text
    )
    assert Path("averaged_tomos/TS_01.mrc.1").read_bytes() == before
