"""Results that are there already, of the same files and parameters, are not made again."""

import logging
import os
from pathlib import Path

import pytest
from imod_models import model
from preparing import volume

from isonet2.cli import main
from isonet2.data.star import TomogramTable, update

COMMANDS = [
    ("deconv", "deconv/a_deconv.mrc", "rlnDeconvTomoName", ("--snrfalloff", "1", "0.7")),
    ("make_mask", "mask/a_mask.mrc", "rlnMaskName", ("--z_crop", "0.2", "0.4")),
    ("resize", "resized/full/a.mrc", None, ("--pixel_size", "24", "36")),
]


@pytest.fixture
def stamp(tmp_path, monkeypatch):
    """A tomogram of 12 A voxels and its table; runs a command, and says when its result is of."""
    monkeypatch.chdir(tmp_path)
    volume(Path("full/a.mrc"), voxel=12.0)
    assert main(["prepare_star", "full", "--defocus", "30000"]) == 0

    def run(name, made, *options):
        assert main([name, "tomograms.star", *options]) == 0
        return Path(made).stat().st_mtime_ns

    return run


@pytest.mark.parametrize(("name", "made", "column", "choice"), COMMANDS)
def test_it_is_made_again_when_something_changes(stamp, caplog, name, made, column, choice):
    caplog.set_level(logging.INFO)
    word, one, other = choice
    first = stamp(name, made, word, one)
    if column is not None:
        update("tomograms.star", 1, {column: None})
    caplog.clear()
    assert stamp(name, made, word, one) == first
    assert f"{made} is there already (--overwrite True makes it anew)" in caplog.text
    if column is not None:  # it is noted all the same
        assert TomogramTable.read("tomograms.star").tomograms[0].column(column) == Path(made)
    again = stamp(name, made, word, one, "--overwrite", "True")
    assert again > first
    changed = stamp(name, made, word, other)
    assert changed > again
    os.utime("full/a.mrc")
    assert stamp(name, made, word, other) > changed


def test_what_the_table_says_of_a_tomogram_counts(stamp):
    first = stamp("deconv", "deconv/a_deconv.mrc")
    update("tomograms.star", 1, {"rlnDefocus": 20000})
    second = stamp("deconv", "deconv/a_deconv.mrc")
    assert second > first
    masked = stamp("make_mask", "mask/a_mask.mrc", "--input_column", "rlnTomoName")
    update(
        "tomograms.star",
        1,
        {"rlnMaskBoundary": model("b.mod", [[(2, 2, 9), (20, 2, 9), (20, 20, 9)]])},
    )
    drawn = stamp("make_mask", "mask/a_mask.mrc", "--input_column", "rlnTomoName")
    assert drawn > masked
    os.utime("b.mod")
    assert stamp("make_mask", "mask/a_mask.mrc", "--input_column", "rlnTomoName") > drawn


def test_a_binned_table_that_says_the_same_stays(stamp):
    first = stamp("resize", "resized/tomograms.star", "--pixel_size", "24")
    assert stamp("resize", "resized/tomograms.star", "--pixel_size", "24") == first
    assert not Path("resized/tomograms.star.1").exists()
