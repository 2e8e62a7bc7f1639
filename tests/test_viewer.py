"""The viewer's page, the routes that it asks, and the viewer itself in a real browser."""

import asyncio
import re
import shutil
import statistics
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from browser import served
from fastapi import FastAPI
from gui_app import visiting

from isonet2.data.star import TomogramTable, update
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.gui import open_in
from isonet2.gui.pages.view import find, view_address
from isonet2.gui.project import Project
from isonet2.gui.slice_routes import slice_routes
from isonet2.gui.slices import cut
from isonet2.gui.viewer import shown_of, tilt_sectors
from isonet2.gui.volume_store import VolumeStore
from isonet2.gui.words import LANGUAGES, dictionary

SCRIPT = Path(__file__).parents[1] / "src/isonet2/gui/static/viewer.js"


@pytest.fixture
def tomogram(star, tmp_path):
    """A project's folder: a table with halves, their mean, what was made of it, and a mask."""
    row = TomogramTable.read(star).tomograms[0]
    half = open_volume(row.half1).read()
    write_volume("mean.mrc", half, voxel_size=10.0, label="test")
    write_volume("deconv.mrc", -half, voxel_size=10.0, label="test")
    mask = np.zeros(half.shape)
    mask[:, :, :30] = 1
    write_volume("mask.mrc", mask, dtype="int8", voxel_size=10.0, label="test")
    columns = {"rlnTomoName": "mean", "rlnDeconvTomoName": "deconv", "rlnMaskName": "mask"}
    update(star, 1, {column: f"{name}.mrc" for column, name in columns.items()})
    project = Project.at(tmp_path)
    project.confirm(row.half1.parent)
    return project


def ask(project, route, **values):
    """What a route answers."""
    application = FastAPI()
    store = VolumeStore()
    application.include_router(slice_routes(store, project.allowed))

    async def request():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(f"/api/volumes/{route}", params=values)

    try:
        return asyncio.run(request())
    finally:
        store.close()


def test_a_slice_comes_as_bytes_that_no_one_compresses(tomogram):
    about = ask(tomogram, "about", path="mean.mrc").json()
    assert about["shape"] == [48, 56, 64]
    assert about["voxel_size"] == [10.0, 10.0, 10.0]
    assert sum(about["counts"]) > 10_000
    given = {"path": "mean.mrc", "version": about["version"], "axis": "y", "index": 9}
    answer = ask(tomogram, "slice", **given)
    assert answer.headers["content-encoding"] == "identity"
    assert answer.headers["x-shape"] == "48,64"
    values = np.frombuffer(answer.content, np.uint8).reshape(48, 64) / 255.0
    shown = about["low"] + values * (about["high"] - about["low"])
    step = (about["high"] - about["low"]) / 255
    truth = np.clip(cut(open_volume("mean.mrc"), "y", 9), about["low"], about["high"])
    assert np.abs(shown - truth).max() <= 0.51 * step
    assert ask(tomogram, "slice", **given, bin=2).headers["x-shape"] == "24,32"


@pytest.mark.parametrize(
    ("route", "given", "status", "said"),
    [
        ("about", {"path": "/etc/passwd"}, 403, "outside the project"),
        ("about", {"path": "../../etc/passwd"}, 403, "outside the project"),
        ("about", {"path": ".isonet/gui_access.json"}, 403, "program's own"),
        ("about", {"path": "absent.mrc"}, 400, "no such file"),
        ("about", {"path": "tomograms.star"}, 400, "not an MRC file"),
        ("about", {"path": "."}, 400, ""),
        ("slice", {"axis": "z", "index": 48}, 404, "no slice 48"),
        ("slice", {"axis": "z", "index": -1}, 404, "no slice -1"),
        ("slice", {"axis": "q", "index": 0}, 422, ""),
        ("slice", {"axis": "z", "index": 0, "version": "old"}, 409, "replaced"),
        ("spectrum", {"version": "old"}, 409, "replaced"),
    ],
)
def test_what_cannot_be_shown_is_said(tomogram, route, given, status, said):
    version = ask(tomogram, "about", path="mean.mrc").json()["version"]
    values = {"path": "mean.mrc", **({"version": version} if route != "about" else {}), **given}
    answer = ask(tomogram, route, **values)
    assert answer.status_code == status
    assert said in str(answer.json()["detail"])


def test_data_that_are_linked_into_the_project_are_shown(tomogram, halves):
    Path("linked.mrc").symlink_to(halves[0])
    assert ask(tomogram, "about", path="linked.mrc").status_code == 200


def test_a_volume_is_shown_with_its_tomogram(tomogram):
    shown = find(tomogram, "deconv.mrc", "", "", 0).shown
    assert shown.first == Path("deconv.mrc")
    assert shown.mask == Path("mask.mrc")
    assert shown.sectors == ((-60.0, 60.0),)
    assert shown.pixel_size == 10.0
    kinds = [name.split(":")[0] for name in shown.volumes.values()]
    assert kinds == ["tomogram", "half 1", "half 2", "deconvolved", "truth"]


def test_a_row_of_a_table_is_shown_from_its_first_file_on(tomogram):
    found = find(tomogram, "", "deconv.mrc", "tomograms.star", 1)
    assert (found.index, found.names) == (1, {1: "mean"})
    shown = found.shown
    assert (shown.first, shown.second) == (Path("mean.mrc"), Path("deconv.mrc"))
    assert find(tomogram, "mask.mrc", "", "", 0).shown.first == Path("mean.mrc")
    with pytest.raises(InputError, match="no tomogram 7"):
        find(tomogram, "", "", "tomograms.star", 7)
    with pytest.raises(InputError, match="outside the project"):
        find(tomogram, "/etc/passwd", "", "", 0)


def test_a_volume_that_no_table_names_is_shown_alone(tomogram):
    shutil.copy("mean.mrc", "other.mrc")
    shown = find(tomogram, "other.mrc", "mean.mrc", "", 0).shown
    assert [path.name for path in shown.volumes] == ["other.mrc", "mean.mrc"]
    assert shown.mask is None


def test_tilts_with_a_gap_are_two_sectors(tomogram):
    row = TomogramTable.read("tomograms.star").tomograms[0]
    tilts = (*range(-60, -20, 3), *range(21, 61, 3))
    fields = {name: getattr(row, name) for name in row.__slots__} | {"tilts": tilts}
    assert tilt_sectors(type(row)(**fields)) == ((-60, -21), (21, 60))
    assert shown_of(row).sectors == ((-60.0, 60.0),)


def test_the_words_of_the_viewer_are_those_that_its_script_asks_for():
    text = SCRIPT.read_text(encoding="utf-8")
    asked = set(re.findall(r"this\.texts\.(\w+)", text)) - {"texts"}
    asked |= set(re.findall(r'"((?:does_|key_|film[A-Z])\w*)', text)) | {
        "xy",
        "xz",
        "yz",
        "power",
        "all",
    }
    asked |= {"playing", "invert", "mask", "cross", "save", "larger", "smaller"}
    for language in LANGUAGES:
        known = {key[7:] for key in dictionary(language) if key.startswith("viewer.")}
        assert asked - {"key_"} == known


def test_programs_are_asked_for_in_words_that_no_path_can_break_out_of():
    paths = [Path("-quiet; touch pwned.mrc"), Path("a b.mrc")]
    words = open_in.command(("3dmod", "{file}"), paths)
    assert words == ["3dmod", str(paths[0].absolute()), str(paths[1].absolute())]
    assert open_in.as_text(["3dmod", "/a b/$(c).mrc"]) == "3dmod '/a b/$(c).mrc'"


def test_a_program_starts_only_where_there_is_a_display_and_the_program(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert open_in.obstacle(["napari"]) == "view.no_display"
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(open_in.shutil, "which", {"chimerax": "/usr/bin/chimerax"}.get)
    assert open_in.obstacle(["chimerax", "{file}"]) is None
    assert open_in.obstacle(["3dmod", "{file}"]) == "view.not_found"


def test_the_page_shows_a_viewer_or_what_is_wrong(tomogram):
    async def look():
        async with visiting(tomogram) as user:
            await user.open(view_address("mean.mrc", "deconv.mrc"))
            await user.should_see("mean.mrc")
            await user.should_see("Open in 3dmod")
            await user.open("/view?path=/etc/passwd")
            await user.should_see("outside the project")
            await user.should_see("Nothing to show")
            await user.open("/view")
            await user.should_see("Tomogram of tomograms.star")

    asyncio.run(look())


@pytest.mark.slow
def test_slices_of_a_volume_of_a_gigabyte_come_quickly(tmp_path):
    """On a quiet machine; a busy one gets three times as long, and the best of three rounds."""
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (512, 720, 720))[100] = 1  # sparse on disk
    with served(tmp_path) as (address, client):
        about = client.get(f"{address}/api/volumes/about", params={"path": path.name}).json()
        for axis, size in (("z", 720 * 720), ("y", 720 * 512), ("x", 720 * 512)):
            given = {"path": path.name, "version": about["version"], "axis": axis}
            medians = []
            for first in (100, 110, 120):
                seconds = []
                for index in range(first, first + 10):
                    began = time.perf_counter()
                    answer = client.get(
                        f"{address}/api/volumes/slice", params={**given, "index": index}
                    )
                    seconds.append(time.perf_counter() - began)
                    assert len(answer.content) == size
                medians.append(statistics.median(seconds))
            assert min(medians) < 0.15
