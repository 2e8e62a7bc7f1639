from pathlib import Path

import numpy as np
import pytest
from preparing import SHAPE, halves, refused, run, volume

from isonet2.data.volumes import open_volume, write_volume


def test_full_and_halves_go_together_by_name(project):
    volume(Path("tomos/TS_03_full.mrc"), 9)
    volume(Path("tomos/TS_01_full.mrc"), 10)
    assert [row["rlnTomoName"] for row in halves(full="tomos")] == [
        "tomos/TS_01_full.mrc",
        "tomos/TS_03_full.mrc",
    ]


def test_halves_are_paired_by_name_in_folders_of_other_order(project):
    """Warp's names carry no half; AreTomo's carry it in the middle; here the order differs."""
    for seed, name in enumerate(("TS_1_10.00Apx.mrc", "TS_10_10.00Apx.mrc")):
        volume(Path("even") / name, seed)
        volume(Path("odd") / name, seed + 10)
    volume(Path("even/Z_Vol.rec"), 30)
    volume(Path("odd/Z.rec"), 31)
    rows = run(even="even", odd="odd")
    for row in rows[:2]:
        one, two = (Path(row[f"rlnTomoReconstructedTomogramHalf{half}"]) for half in (1, 2))
        assert (one.parent, two.parent, one.name) == (Path("even"), Path("odd"), two.name)
    assert rows[2]["rlnTomoReconstructedTomogramHalf2"] == "odd/Z.rec"


def test_both_halves_in_one_folder(project):
    for seed, name in enumerate(
        ("x_EVN_Vol.mrc", "x_ODD_Vol.mrc", "y_EVN_Vol.mrc", "y_ODD_Vol.mrc")
    ):
        volume(Path("all") / name, seed)
    rows = run(even="all", odd="all", create_average=True)
    assert [row["rlnTomoName"] for row in rows] == ["averaged_tomos/x.mrc", "averaged_tomos/y.mrc"]
    volume(Path("all/z.mrc"), 9)
    refused(r"all/z\.mrc: its name says neither even nor odd", even="all", odd="all")


def test_all_problems_are_told_at_once(project):
    volume(Path("EVN/TS_05_EVN.mrc"), 20)
    volume(Path("ODD/TS_07_ODD.mrc"), 21)
    volume(Path("EVN/TS_08_ODD.mrc"), 22)
    volume(Path("EVN/TS_01_EVN.rec"), 23)
    volume(Path("ODD/TS_03_ODD.mrc"), 24, shape=(20, 24, 30))
    said = refused("TS_05", defocus="[20000,30000,40000]", tilt_folder="gone")
    for text in (
        "EVN/TS_05_EVN.mrc: no file called TS_05 in --odd",
        "ODD/TS_07_ODD.mrc: no file called TS_07 in --even",
        "EVN/TS_08_ODD.mrc: is the other half",
        "both are tomogram TS_01",
        "EVN/TS_03_EVN.mrc has 20 x 24 x 28 voxels (z x y x x), ODD/TS_03_ODD.mrc 20 x 24 x 30",
        "defocus has 3 values, but there are 2 tomograms",
        "--tilt_folder gone: no such folder",
    ):
        assert text in said


def test_unequal_voxel_sizes(project):
    volume(Path("ODD/TS_01_ODD.mrc"), 1, voxel=5.0)
    refused(r"EVN/TS_01_EVN\.mrc has voxels of 10 A, ODD/TS_01_ODD\.mrc of 5 A")


@pytest.mark.parametrize("voxel", [None, 1.0])
def test_missing_voxel_size_asks_for_it(project, voxel):
    for seed, name in enumerate(("EVN/TS_01_EVN.mrc", "ODD/TS_01_ODD.mrc")):
        volume(Path(name), seed, voxel=voxel)
    refused(r"TS_01_EVN\.mrc: its header gives no voxel size \(0 or 1\.0\); add --pixel_size")
    assert halves(pixel_size=5.4)[0]["rlnPixelSize"] == "5.4"


def test_anisotropic_voxels(project):
    for seed, name in enumerate(("EVN/TS_01_EVN.mrc", "ODD/TS_01_ODD.mrc")):
        data = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
        write_volume(name, data, voxel_size=(10.0, 10.0, 10.2), label="test")
    refused(r"voxels of 10 x 10 x 10\.2 A \(z x y x x\) are no cubes")
    for seed, name in enumerate(("EVN/TS_01_EVN.mrc", "ODD/TS_01_ODD.mrc")):
        data = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
        write_volume(name, data, voxel_size=(13.48, 13.48, 13.5), label="test")
    assert halves()[0]["rlnPixelSize"] == "13.4867"


def test_unusual_pixel_sizes_are_remarked_with_the_names(project, caplog):
    halves(pixel_size=1.737)
    assert "the pixel size is 1.737 A; networks restore best at about 10 A" in caplog.text
    assert "(TS_01, TS_03)" in caplog.text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data * 0, "every voxel is zero"),
        (lambda data: data * np.nan, "NaN"),
        (lambda data: data * 0 + 5, "every voxel is 5"),
    ],
)
def test_empty_halves_are_named(project, change, sentence):
    raw = bytearray(Path("ODD/TS_03_ODD.mrc").read_bytes())
    data = np.frombuffer(raw[1024:], np.float32)
    Path("ODD/TS_03_ODD.mrc").write_bytes(raw[:1024] + change(data).astype(np.float32).tobytes())
    refused(rf"ODD/TS_03_ODD\.mrc: .*{sentence}")


def test_halves_that_are_one_file(project):
    Path("ODD/TS_01_ODD.mrc").unlink()
    Path("ODD/TS_01_ODD.mrc").symlink_to(Path("EVN/TS_01_EVN.mrc").resolve())
    refused("are the same file")


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (-2.5, 10), (1e-6, 0)])
def test_copied_halves_are_found_in_any_scale(project, scale, shift):
    data = open_volume("EVN/TS_01_EVN.mrc").read() * scale + shift
    write_volume("ODD/TS_01_ODD.mrc", data, voxel_size=10.0, label="copy")
    refused(r"EVN/TS_01_EVN\.mrc and ODD/TS_01_ODD\.mrc: hold the same noise \(correlation 1")


def test_halves_that_share_their_specimen_are_accepted(project):
    """A smooth specimen ten times as strong as the noise is no reason to refuse."""
    z, y, x = np.indices(SHAPE)
    specimen = 20 * np.exp(-((z - 10) ** 2 + (y - 12) ** 2 + (x - 14) ** 2) / 50)
    for path in (Path("EVN/TS_01_EVN.mrc"), Path("ODD/TS_01_ODD.mrc")):
        data = open_volume(path).read() + specimen
        write_volume(path, data, voxel_size=10.0, label="test")
    assert len(halves()) == 2


def test_one_broken_file_and_one_image(project):
    Path("EVN/TS_01_EVN.mrc").write_bytes(Path("EVN/TS_01_EVN.mrc").read_bytes()[:-1])
    volume(Path("ODD/TS_03_ODD.mrc"), 3, shape=(1, 24, 28))
    said = refused("cut short")
    assert "ODD/TS_03_ODD.mrc: is one image" in said


def test_missing_and_empty_folders(project):
    refused("--even gone: no such folder", even="gone")
    Path("empty").mkdir()
    refused("--odd empty: holds no files .mrc", odd="empty")


def test_dangling_links_are_named(project):
    for name in ("EVN/TS_04_EVN.mrc", "ODD/TS_04_ODD.mrc"):
        Path(name).symlink_to("/gone/of_TS_04.mrc")
    said = refused(r"EVN/TS_04_EVN\.mrc: is a link to /gone/of_TS_04\.mrc, which is not there")
    assert "ODD/TS_04_ODD.mrc: is a link" in said
    assert "no file called" not in said
    Path("EVN/TS_04_EVN.mrc").unlink()
    volume(Path("EVN/TS_04_EVN.mrc"), 7)
    said = refused(r"ODD/TS_04_ODD\.mrc: is a link to")
    assert "no file called" not in said


def test_one_volume_of_each_tomogram_is_taken(project, caplog):
    """AreTomo writes halves, another voxel size and spectra into the folder of the tomograms."""
    names = ("TS_01", "TS_02")
    for seed, name in enumerate(names):
        volume(Path(f"tomos/{name}_Vol.mrc"), seed)
        volume(Path(f"tomos/{name}_2ND_Vol.mrc"), seed + 10, voxel=13.5, shape=(16, 18, 20))
        volume(Path(f"tomos/{name}_CTF.mrc"), seed + 20, shape=(41, 32, 32))
        volume(Path(f"tomos/{name}.st"), seed + 25, shape=(41, 32, 32))
        for half, word in enumerate(("EVN", "ODD")):
            volume(Path(f"tomos/{name}_{word}_Vol.mrc"), seed + 30 + 10 * half)
            volume(Path(f"tomos/{name}_{word}.mrc"), seed + 60, shape=(41, 32, 32))
        volume(Path(f"tomos/{name}.mrc"), seed + 70, shape=(41, 32, 32))
    rows = run(full="tomos")
    assert [row["rlnTomoName"] for row in rows] == [f"tomos/{name}_Vol.mrc" for name in names]
    for left in (
        "TS_01.mrc",
        "TS_01.st",
        "TS_01_2ND_Vol.mrc",
        "TS_01_CTF.mrc",
        "TS_01_EVN_Vol.mrc",
    ):
        assert left in caplog.text
    rows = run(even="tomos", odd="tomos")
    halves = [row["rlnTomoReconstructedTomogramHalf2"] for row in rows]
    assert halves == [f"tomos/{name}_ODD_Vol.mrc" for name in names]
    for path in [*Path("tomos").glob("TS_??_Vol.mrc"), *Path("tomos").glob("TS_??.mrc")]:
        path.unlink()
    refused(
        "--full tomos: .*: halves by their names; give --even", full="tomos", even=None, odd=None
    )


def test_stacks_of_images_are_no_tomograms(project):
    volume(Path("stacks/TS_01.st"), 1, shape=(41, 32, 32))
    for place in ("stacks", "stacks/TS_01.st"):
        refused("TS_01.st: images of a tilt series", full=place, even=None, odd=None)


def test_unequal_voxel_sizes_of_tomograms_are_said(project, caplog):
    for seed, name in enumerate(("EVN/TS_03_EVN.mrc", "ODD/TS_03_ODD.mrc")):
        volume(Path(name), seed, voxel=13.5)
    halves()
    assert "voxels of 10 A (TS_01) and 13.5 A (TS_03): a network learns" in caplog.text


def test_tomograms_stand_in_the_order_in_which_people_count(project):
    for seed, number in enumerate((1, 2, 10, 11)):
        volume(Path(f"t/TS_{number}.mrc"), seed)
    rows = run(full="t", defocus="21000,22000,23000,24000")
    assert [(row["rlnTomoName"], row["rlnDefocus"]) for row in rows] == [
        ("t/TS_1.mrc", "21000"),
        ("t/TS_2.mrc", "22000"),
        ("t/TS_10.mrc", "23000"),
        ("t/TS_11.mrc", "24000"),
    ]


@pytest.mark.parametrize(
    ("even", "odd"),
    [
        ("series", "series"),
        ("series/*/*EVN*", "series/*/*ODD*"),
        ("series/TS_*", "series/TS_*"),
        ("{here}/series/*/*_EVN_*.mrc", "{here}/series/*/*_ODD_*.mrc"),
    ],
)
def test_one_folder_for_each_series(project, even, odd):
    for seed, name in enumerate(("TS_1", "TS_2", "TS_10")):
        for half, word in enumerate(("EVN", "ODD")):
            volume(Path(f"series/{name}/{name}_{word}_Vol.mrc"), seed + 10 * half)
    rows = run(even=even.format(here=Path.cwd()), odd=odd.format(here=Path.cwd()))
    found = [Path(row["rlnTomoReconstructedTomogramHalf2"]).name for row in rows]
    assert found == ["TS_1_ODD_Vol.mrc", "TS_2_ODD_Vol.mrc", "TS_10_ODD_Vol.mrc"]


def test_a_pattern_without_files_and_names_that_are_one(project):
    refused(r"--even EVN/x\*\.mrc: no file or folder has such a name", even="EVN/x*.mrc")
    for seed, name in enumerate(("TS_1", "TS_2", "TS_3")):
        volume(Path(f"series/{name}/volume.mrc"), seed)
    refused(
        r"series/TS_1/volume\.mrc, .* all are tomogram volume in --full; keep one, or give each",
        full="series",
        even=None,
        odd=None,
    )


def test_many_names_are_few_in_a_sentence(project, caplog):
    for number in range(41):
        Path(f"EVN/note_{number}.txt").write_text("x")
        volume(Path(f"masks/other_{number}.mrc"), number)
    for name in ("TS_01", "TS_03"):
        volume(Path(f"masks/{name}.mrc"), 1)
    with caplog.at_level("INFO"):
        halves(mask_folder="masks")
    assert "left out note_0.txt" in caplog.text
    assert caplog.text.count("and 36 more") == 2
    assert max(map(len, caplog.text.splitlines())) < 300
