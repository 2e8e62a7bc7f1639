"""What the page says a job will need, against what commands write and what is there."""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pandas as pd
import pytest
from gui_app import named, until, visit
from job_helpers import offer
from preparing import SHAPE, volume

from isonet2.commands.deconv import deconv
from isonet2.commands.make_mask import make_mask
from isonet2.commands.prepare_star import prepare_star
from isonet2.commands.resize import resize
from isonet2.data.star import write_table
from isonet2.gui.needs import Device, Disk, device_of, disk_of
from isonet2.gui.project import Project
from isonet2.gui.written import JUDGED, written
from isonet2.jobs import Jobs, gpus, start
from isonet2.parameters import (
    DeconvParameters,
    DenoiseParameters,
    InspectParameters,
    MakeMaskParameters,
    PredictParameters,
    PrepareStarParameters,
    RefineParameters,
    ResizeParameters,
    ValidateParameters,
)
from isonet2.runs.subject import LARGEST

VOXELS = SHAPE[0] * SHAPE[1] * SHAPE[2]
HEADER = 1024
STAR = {"star_file": "tomograms.star"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project with three tomograms, one of which is not there."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    offer(monkeypatch, tmp_path / "locks", "")
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    names = ["a.mrc", "b.mrc", "gone.mrc"]
    for seed, name in enumerate(names[:2]):
        volume(Path(name), seed)
    columns = {"rlnIndex": [1, 2, 3], "rlnTomoName": names, "rlnDefocus": [3e4, 3e4, 3e4]}
    write_table("tomograms.star", pd.DataFrame(columns))
    yield Project.at(folder)
    gpus.visible.cache_clear()


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        (deconv, DeconvParameters(**STAR, tomo_idx="1-2", output_dir="made", ncpus=1)),
        (make_mask, MakeMaskParameters(**STAR, tomo_idx="1-2", output_dir="made", ncpus=1)),
    ],
)
def test_the_disk_space_is_what_the_command_takes(place, command, parameters):
    disk = disk_of(place, parameters)
    command(parameters)
    made = [path.stat().st_size - HEADER for path in Path("made").glob("*.mrc")]
    assert disk.needed == sum(made)
    assert disk.tomograms == len(made) == 2
    assert disk.suffices


@pytest.mark.parametrize(
    ("parameters", "volumes"),
    [
        (PredictParameters(**STAR, model="a.pt"), 3 * 4),
        (PredictParameters(**STAR, model="a.pt", dtype="float16"), 3 * 2),
        (PredictParameters(**STAR, model="a.pt", model2="b.pt", dtype="int8"), 3 * 3),
        (DenoiseParameters(**STAR), 5 * 4),
        (DenoiseParameters(**STAR, prev_tomo_idx="all", epochs=25), 3 * 3 * 4),
        (DenoiseParameters(**STAR, split_halves=True), 2 * 5 * 4),
        (DenoiseParameters(**STAR, with_preview=False, with_predict=True), 3 * 4),
        (RefineParameters(**STAR, with_deconv=True, with_preview=False), 3 * 5),
        (RefineParameters(**STAR, with_preview=False), 0),
    ],
)
def test_each_volume_that_is_written_counts(place, parameters, volumes):
    previewed = 3 if getattr(parameters, "prev_tomo_idx", "1") is None else 1
    assert written(parameters, 3, previewed) == volumes
    disk = disk_of(place, parameters)
    assert (disk.needed if disk else 0) == volumes * VOXELS


def made_by(folder):
    """Bytes of the voxels of all volumes in a folder."""
    return sum(path.stat().st_size - HEADER for path in Path(folder).rglob("*.mrc"))


@pytest.mark.parametrize("pixel_size", [20.0, 13.7])
def test_binned_volumes_count_with_their_own_size(place, pixel_size):
    """Beside the largest one lies what was binned along x and y only, for a time."""
    given = {"pixel_size": pixel_size, "tomo_idx": "1-2", "output_dir": "made"}
    disk = disk_of(place, ResizeParameters(volumes="tomograms.star", old_pixel_size=10, **given))
    resize(ResizeParameters(volumes="tomograms.star", old_pixel_size=10, **given))
    aside = 4 * VOXELS * (10 / pixel_size) ** 2
    assert disk.tomograms == 2
    assert disk.needed == pytest.approx(
        made_by("made") + aside, rel=1e-9 if pixel_size == 20 else 0.15
    )
    alone = disk_of(place, ResizeParameters(volumes="a.mrc", old_pixel_size=10, pixel_size=20))
    assert alone.needed == 4 * (VOXELS // 8 + VOXELS // 4)
    assert disk_of(place, ResizeParameters(volumes="gone.mrc")) is None


def test_averages_count_that_are_not_there_yet(place):
    names = [f"{half}/TS_{n}_{half}.mrc" for half in ("EVN", "ODD") for n in (1, 2)]
    for seed, name in enumerate(names):
        volume(Path("halves") / name, seed)
    told = {"even": "halves/EVN", "odd": "halves/ODD", "pixel_size": 10, "star_name": "new.star"}
    assert disk_of(place, PrepareStarParameters(**told)) is None
    parameters = PrepareStarParameters(**told, create_average=True)
    disk = disk_of(place, parameters)
    assert (disk.tomograms, disk.place) == (2, place.folder)
    prepare_star(parameters)
    assert disk.needed == made_by("averaged_tomos") == 2 * 4 * VOXELS
    Path("averaged_tomos/TS_2.mrc").unlink()
    assert disk_of(place, parameters).tomograms == 1
    assert (
        disk_of(place, PrepareStarParameters(**told | {"even": "nowhere"}, create_average=True))
        is None
    )


def test_what_validate_keeps_of_each_network_counts(place):
    """Spreads; with several networks means and their spread; and all results of the middle part."""
    assert JUDGED == LARGEST
    one = {**STAR, "tomo_idx": "1-2"}
    kept = 2 * 4 * VOXELS  # both halves; these tomograms are smaller than the part
    for models, held_out, volumes, results in (
        (["a.pt"], "none", 1, 9), (["a.pt"], "quick", 1, 10),
        (["a.pt"], "full", 3, 10), (["a.pt", "b.pt"], "quick", 5, 20),
    ):  # fmt: skip
        disk = disk_of(place, ValidateParameters(**one, models=models, held_out=held_out))
        assert disk.needed == 2 * (4 * volumes * VOXELS + results * kept)


def test_nothing_is_said_of_what_cannot_be_told(place):
    assert disk_of(place, InspectParameters(tomograms="tomograms.star")) is None
    assert disk_of(place, DeconvParameters(star_file="none.star")) is None
    assert disk_of(place, DeconvParameters(**STAR, tomo_idx="7")) is None
    assert disk_of(place, DeconvParameters(**STAR, tomo_idx="3")) is None


def test_room_is_looked_for_where_the_results_go(place, monkeypatch):
    (place.folder / "there").mkdir()
    asked = []
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or usage(9))
    disk = disk_of(place, DeconvParameters(**STAR, output_dir="there/not/yet"))
    assert disk == Disk(3 * 4 * VOXELS, 3, 9, place.folder / "there")
    assert not disk.suffices
    disk_of(place, DeconvParameters(**STAR))
    assert asked == [place.folder / "there", place.folder]


def test_a_gpu_is_measured_by_what_an_earlier_training_took(place, monkeypatch, tmp_path):
    parameters = DenoiseParameters(**STAR, cube_size=64)
    assert device_of(place, parameters) == Device("")
    assert device_of(place, parameters, "slurm") is None
    assert device_of(place, DenoiseParameters(**STAR, gpuID="cpu")) is None
    assert device_of(place, DeconvParameters(**STAR)) is None
    offer(monkeypatch, tmp_path / "locks", "a,b")
    monkeypatch.setattr(gpus, "free_memory", lambda: {"a": 1000, "b": 3000})
    assert device_of(place, parameters) == Device("GPU 1", 3000 * 2**20)
    assert device_of(place, DenoiseParameters(**STAR, gpuID="0")).name == "GPU 0"
    jobs = Jobs(place.folder)
    process = {"host": "h", "boot": "b", "pid": 1, "ticks": 1}
    for cube, took in ((64, 4000), (96, 9000)):
        job = jobs.submit(DenoiseParameters(**STAR, cube_size=cube, tomo_idx="1"))
        told = {
            "command": "denoise", "state": "succeeded", "process": process, "started": 1.0,
            "updated": 2.0, "device_memory": took * 2**20,
        }  # fmt: skip
        (job.results / "progress.json").write_text(json.dumps(told))
    found = device_of(place, parameters)
    assert (found.needed, found.like) == (4000 * 2**20, "denoise/job001")
    assert not found.suffices
    assert device_of(place, DenoiseParameters(**STAR, arch="unet-small")).needed is None
    assert device_of(place, RefineParameters(**STAR, cube_size=64)).needed is None


def test_the_page_says_it_and_warns_and_lets_the_job_be_submitted(place, monkeypatch):
    usage = namedtuple("usage", "free")

    async def steps(user):
        await user.open("/deconv")
        await user.should_see("Results of 3 tomograms take about 161 kB")
        named(user, "tomo_idx").set_value("1")
        await user.should_see("Results of 1 tomogram take about 53.8 kB")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(999))
        named(user, "tomo_idx").set_value("1-2")
        await user.should_see("and only 999 B are free")
        named(user, "tomo_idx").set_value("x")
        await until(
            lambda: not next(iter(user.find(marker="needs").elements)).default_slot.children
        )
        named(user, "tomo_idx").set_value("2")
        user.find("Submit (In Queue)").click()
        await user.should_see("deconv/job001")
        await user.open("/denoise")
        await user.should_see("No GPU was found on this machine")

    visit(place, steps)
