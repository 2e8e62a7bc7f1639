"""The slice viewer in a real browser, on a volume whose every voxel is known."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from browser import browsing, far_away, served
from job_helpers import soon

from isonet2.data.star import update, write_table
from isonet2.data.volumes import write_volume
from isonet2.gui.pages.view import view_address

pytestmark = pytest.mark.slow
SHAPE = (24, 40, 56)
PIXEL = """place => {
  const viewer = window.__viewer, box = viewer.boxes[place.panel], ratio = window.devicePixelRatio;
  const [right, up] = {z: ["x", "y"], y: ["x", "z"], x: ["z", "y"]}[place.panel];
  const at = (voxel, axis, size) => (voxel + 0.5 - viewer.centre[axis]) * viewer.scale + size / 2;
  const x = box.x + (place.beside ? viewer.shift : 0) + at(place[right], right, box.width);
  const y = box.y + box.height - at(place[up], up, box.height);
  return [...viewer.canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project: blocks of four greys, their negative, and a mask of x below 28."""
    folder = tmp_path_factory.mktemp("project")
    values = np.zeros(SHAPE, np.float32)
    values[12:] += 1
    values[:, 20:] += 2
    values[:, :, 28:] += 4
    mask = np.zeros(SHAPE)
    mask[:, :, :28] = 1
    write_volume(folder / "blocks.mrc", values, voxel_size=10.0, label="test")
    write_volume(folder / "negative.mrc", -values, voxel_size=10.0, label="test")
    write_volume(folder / "other.mrc", values[:, :20], voxel_size=10.0, label="test")
    write_volume(folder / "mask.mrc", mask, dtype="int8", voxel_size=10.0, label="test")
    columns = {
        "rlnIndex": [1],
        "rlnTomoName": ["blocks.mrc"],
        "rlnCorrectedTomoName": ["negative.mrc"],
        "rlnMaskName": ["mask.mrc"],
        "rlnPixelSize": [10.0],
        "rlnTiltMin": [-50],
        "rlnTiltMax": [60],
    }
    write_table(folder / "tomograms.star", pd.DataFrame(columns))
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with served(folder) as (address, client):
        yield address, client


@pytest.fixture
def viewer(server):
    address, client = server
    with browsing(client, address, view_address("blocks.mrc")) as page:
        yield page


def ready(page):
    page.wait_for_function("window.__viewer && window.__viewer.about")
    return page.evaluate("window.__viewer.ready()")


def grey(page, panel, **voxel):
    """Grey of a voxel's middle, 0 to 7, when black and white are the ends of the volume."""
    red, green, blue, _ = page.evaluate(PIXEL, {"panel": panel, **voxel})
    assert red == green == blue
    return round(red / 255 * 7)


def plain(page):
    """Leave nothing but the slices, from black to white."""
    ready(page)
    page.evaluate("window.__viewer.contrast(0, 256)")
    for what in ("mask", "cross", "bar"):
        page.evaluate(f"window.__viewer.toggle('{what}')")
    return ready(page)


def test_three_slices_show_the_voxels_of_their_place(viewer):
    state = plain(viewer)
    assert state["shape"] == list(SHAPE)
    assert state["at"] == {"z": 12, "y": 20, "x": 28}
    for z, y, x in ((3, 5, 5), (20, 5, 50), (3, 35, 50), (20, 35, 5)):
        value = (z >= 12) + 2 * (y >= 20) + 4 * (x >= 28)
        viewer.evaluate("place => window.__viewer.goto(place)", {"z": z, "y": y, "x": x})
        ready(viewer)
        assert grey(viewer, "z", x=x, y=y) == value
        assert grey(viewer, "y", x=x, z=z) == value
        assert grey(viewer, "x", z=z, y=y) == value
    boxes = state["boxes"]
    assert boxes["z"]["y"] == boxes["x"]["y"]
    assert boxes["z"]["x"] == boxes["y"]["x"]


def test_wheel_keys_and_pointer_move_the_slices(viewer):
    at = ready(viewer)["at"]
    pane = viewer.locator(".iv-pane[data-axis=z]").first
    box = pane.bounding_box()
    viewer.mouse.move(box["x"] + 20, box["y"] + 60)
    viewer.mouse.wheel(0, -100)
    assert ready(viewer)["at"]["z"] == at["z"] + 1
    viewer.keyboard.down("Shift")
    viewer.mouse.wheel(0, 100)
    viewer.keyboard.up("Shift")
    assert ready(viewer)["at"]["z"] == at["z"] + 1 - 10
    viewer.mouse.click(box["x"] + box["width"] * 0.26, box["y"] + box["height"] * 0.24)
    assert ready(viewer)["at"] == {"z": 3, "y": 30, "x": 14}
    for key, change in (("ArrowRight", {"x": 15}), ("ArrowDown", {"y": 29}), ("PageUp", {"z": 4})):
        viewer.keyboard.press(key)
        assert ready(viewer)["at"].items() >= change.items()
    viewer.locator(".iv-pane[data-axis=x]").first.focus()
    viewer.keyboard.press("PageDown")
    assert ready(viewer)["at"]["x"] == 14
    assert pane.get_attribute("aria-valuetext") == "x-y slice, z 5 of 24"


def test_the_border_shows_one_volume_left_and_the_other_right(viewer):
    plain(viewer)
    viewer.locator(".iv-side select").nth(1).select_option(label="corrected: negative.mrc")
    ready(viewer)
    viewer.evaluate("window.__viewer.percentiles(0, 100)")
    assert ready(viewer)["second"] == "negative.mrc"
    assert [grey(viewer, "z", x=x, y=5) for x in (5, 50)] == [1, 2]
    viewer.evaluate("window.__viewer.divide(0.98)")
    ready(viewer)
    assert [grey(viewer, "z", x=x, y=5) for x in (5, 50)] == [1, 5]
    handle = viewer.locator(".iv-border").bounding_box()
    pane = viewer.locator(".iv-pane[data-axis=z]").first.bounding_box()
    viewer.mouse.move(handle["x"] + 9, handle["y"] + handle["height"] / 2)
    viewer.mouse.down()
    viewer.mouse.move(pane["x"] + 2, handle["y"] + 50)
    viewer.mouse.up()
    ready(viewer)
    assert [grey(viewer, "z", x=x, y=5) for x in (5, 50)] == [6, 2]
    viewer.get_by_role("checkbox", name="Side by side").check()
    assert ready(viewer)["beside"]
    viewer.evaluate("window.__viewer.goto({z: 3})")
    ready(viewer)
    for side, greys in ((0, [0, 6]), (1, [7, 1])):
        at = [grey(viewer, "z", beside=side, x=x, y=y) for x, y in ((5, 5), (50, 35))]
        assert at == greys
    pane = viewer.locator(".iv-pane[data-axis=z]").nth(1)
    box = pane.bounding_box()
    viewer.mouse.click(box["x"] + box["width"] * 0.26, box["y"] + box["height"] * 0.24)
    assert ready(viewer)["at"] == {"z": 3, "y": 30, "x": 14}
    viewer.get_by_role("checkbox", name="Side by side").uncheck()
    viewer.locator(".iv-pane[data-axis=z]").first.focus()
    viewer.keyboard.press("b")
    assert ready(viewer)["first"] == "negative.mrc"


def test_the_mask_lies_over_its_voxels(viewer):
    ready(viewer)
    viewer.evaluate("window.__viewer.toggle('cross')")
    ready(viewer)
    red, _, blue, _ = viewer.evaluate(PIXEL, {"panel": "z", "x": 5, "y": 35})
    assert red > blue + 20
    red, _, blue, _ = viewer.evaluate(PIXEL, {"panel": "z", "x": 50, "y": 35})
    assert red == blue


def test_enlarging_keeps_what_lies_below_the_pointer(viewer):
    ready(viewer)
    pane = viewer.locator(".iv-pane[data-axis=z]").first.bounding_box()
    viewer.mouse.move(pane["x"] + pane["width"] / 4, pane["y"] + pane["height"] / 4)
    viewer.keyboard.down("Control")
    for _ in range(6):
        viewer.mouse.wheel(0, -100)
    viewer.keyboard.up("Control")
    assert ready(viewer)["zoom"] > 2
    centre = viewer.evaluate("window.__viewer.centre")
    assert centre["x"] < 28
    assert centre["y"] > 20
    viewer.keyboard.press("0")
    assert ready(viewer)["zoom"] == 1


def test_one_panel_can_be_seen_alone(viewer):
    ready(viewer)
    viewer.keyboard.press("2")
    assert list(ready(viewer)["boxes"]) == ["y"]
    viewer.keyboard.press("4")
    assert list(ready(viewer)["boxes"]) == ["power"]
    viewer.keyboard.press("4")
    assert len(ready(viewer)["boxes"]) == 4


def test_a_picture_is_saved_with_scale_bar_and_words(viewer):
    from PIL import Image

    ready(viewer)
    with viewer.expect_download() as waiting:
        viewer.keyboard.press("s")
    download = waiting.value
    assert download.suggested_filename == "blocks_z13.png"
    picture = Image.open(download.path())
    stage = viewer.locator(".iv-stage").bounding_box()
    assert picture.size == (2 * round(stage["width"]), 2 * (round(stage["height"]) + 26))
    foot = np.asarray(picture.convert("L"))[-40:-10]
    assert foot.max() == 255
    assert foot.min() < 80


def test_a_film_is_chosen_made_and_saved_and_can_be_stopped(viewer):
    from PIL import Image

    ready(viewer)
    viewer.locator(".iv-side select").nth(1).select_option(label="corrected: negative.mrc")
    ready(viewer)
    viewer.get_by_role("button", name="Film", exact=True).click()
    window = viewer.get_by_role("dialog", name="Film")
    window.get_by_text("24 pictures of 480 x 343 pixels, 1.6 s").wait_for()
    window.get_by_label("Shows").select_option("beside")
    window.get_by_label("Panel").select_option("y")
    window.get_by_label("To slice").fill("10")
    window.get_by_label("Longer edge").fill("112")
    window.get_by_text("10 pictures of 224 x 48 pixels, 0.7 s").wait_for()
    with viewer.expect_download() as waiting:
        window.get_by_role("button", name="Make and save").click()
    assert waiting.value.suggested_filename == "blocks_y.gif"
    with Image.open(waiting.value.path()) as film:
        assert (film.n_frames, film.size) == (10, (224, 48))
    window.get_by_text("The film was saved: ").wait_for()
    viewer.route("**/api/volumes/film*", lambda route: None)
    window.get_by_role("button", name="Make and save").click()
    window.get_by_role("button", name="Close").click()
    viewer.get_by_role("button", name="Film", exact=True).click()
    viewer.wait_for_function("!window.__viewer.filmButton.disabled")
    viewer.route("**/api/volumes/film*", lambda route: route.abort())
    window.get_by_role("button", name="Make and save").click()
    window.get_by_text("The film broke off").wait_for()


COPIED = """async () => {
  const [item] = await navigator.clipboard.read();
  const picture = await createImageBitmap(await item.getType("image/png"));
  return [picture.width, picture.height];
}"""


def test_a_picture_is_copied_or_saved_where_the_browser_forbids_that(viewer):
    ready(viewer)
    copy = viewer.get_by_role("button", name="Copy PNG")
    viewer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy.click()
    viewer.get_by_text("The picture is on the clipboard.").wait_for()
    stage = viewer.locator(".iv-stage").bounding_box()
    size = [2 * round(stage["width"]), 2 * (round(stage["height"]) + 26)]
    assert viewer.evaluate(COPIED) == size
    viewer.evaluate("() => { navigator.clipboard.write = () => Promise.reject(new Error('no')); }")
    with viewer.expect_download() as waiting:
        copy.click()
    assert waiting.value.suggested_filename == "blocks_z13.png"
    viewer.get_by_text("This browser lets no page copy pictures here").wait_for()


def test_other_programs_are_offered_by_the_command_that_opens_them(viewer, folder):
    """Where the server has no display, as in tests, the command is there to be copied."""
    ready(viewer)
    viewer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    viewer.get_by_role("button", name="Open in ChimeraX").click()
    window = viewer.get_by_role("dialog")
    command = f"chimerax {folder / 'blocks.mrc'}"
    window.get_by_text(command, exact=True).wait_for()
    window.get_by_text("This server has no display").wait_for()
    assert not window.get_by_role("button", name="Start it here").count()
    window.get_by_role("button", name="Copy").click()
    viewer.get_by_text("Copied").wait_for()
    assert viewer.evaluate("navigator.clipboard.readText()") == command
    window.get_by_role("button", name="Cancel").click()
    window.wait_for(state="hidden")


def test_a_program_starts_where_the_server_has_a_display(folder, tmp_path, monkeypatch):
    told = tmp_path / "told.txt"
    program = tmp_path / "chimerax"
    program.write_text(f'#!/bin/sh\necho "$1" > {told}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":99")
    with (
        served(folder) as (address, client),
        browsing(client, address, view_address("blocks.mrc")) as page,
    ):
        page.get_by_role("button", name="Open in ChimeraX").click()
        page.get_by_role("button", name="Start it here").click()
        page.get_by_text("ChimeraX was started.").wait_for()
        soon(lambda: told.exists() and told.read_text() == f"{folder / 'blocks.mrc'}\n")


def test_volumes_of_other_shapes_are_not_laid_over_each_other(server):
    address, client = server
    with browsing(client, address, view_address("blocks.mrc", "other.mrc")) as page:
        page.wait_for_function("window.__viewer?.note.textContent.includes('same body')")
        assert page.evaluate("window.__viewer.state().second") is None


def test_a_file_replaced_while_it_is_seen_is_seen_anew(server, folder):
    address, client = server
    shutil.copy(folder / "blocks.mrc", folder / "changing.mrc")
    with browsing(client, address, view_address("changing.mrc")) as page:
        ready(page)
        write_volume(folder / "changing.mrc", np.ones((10, 12, 14)), label="test")
        page.evaluate("window.__viewer.goto({z: 2})")
        page.wait_for_function("window.__viewer.shape[0] === 10")
        assert ready(page)["shape"] == [10, 12, 14]


def test_a_file_that_is_no_volume_is_said(server):
    address, client = server
    with browsing(client, address, view_address("tomograms.star")) as page:
        page.wait_for_function("window.__viewer?.note.textContent.includes('not an MRC file')")


def test_of_many_turns_of_the_wheel_on_a_slow_line_only_few_slices_are_fetched(server):
    address, client = server
    with browsing(client, address, view_address("blocks.mrc")) as page:
        ready(page)
        asked = []

        def slowly(route):
            asked.append(route.request.url)
            page.wait_for_timeout(100)
            route.continue_()

        page.route("**/api/volumes/slice*", slowly)
        page.evaluate("for (let z = 0; z < 12; z += 1) window.__viewer.goto({z})")
        assert ready(page)["at"]["z"] == 11
        slices = [url for url in asked if "axis=z" in url and "mask" not in url]
        assert len(slices) <= 5


def test_the_viewer_is_usable_at_a_delay_of_200_ms(server):
    address, client = server
    with (
        far_away(address, 0.1) as far,
        browsing(client, far, view_address("blocks.mrc", "negative.mrc")) as page,
    ):
        ready(page)
        fetched = page.evaluate("window.__viewer.stats.fetched")
        page.evaluate("for (let z = 0; z < 20; z += 1) window.__viewer.goto({z})")
        assert ready(page)["at"]["z"] == 19
        assert page.evaluate("window.__viewer.stats.fetched") - fetched <= 12
        page.keyboard.press("b")
        page.wait_for_function("window.__viewer.about.name === 'negative.mrc'")
        assert ready(page)["first"] == "negative.mrc"


def test_a_mask_is_drawn_anew_while_its_parameters_change(server):
    address, client = server
    with browsing(client, address, "/make_mask") as page:
        page.get_by_text("Live preview").click()
        page.wait_for_function("window.__viewer?.over", timeout=60_000)
        ready(page)
        page.get_by_text("The mask keeps").wait_for()
        before = page.evaluate("window.__viewer.over.version")
        page.get_by_role("textbox", name="Kept by density").fill("20")
        page.wait_for_function(f"window.__viewer.over.version !== '{before}'", timeout=60_000)
        ready(page)


def test_a_part_is_deconvolved_beside_what_it_was(server, folder):
    address, client = server
    update(folder / "tomograms.star", 1, {"rlnDefocus": 30000})
    with browsing(client, address, "/deconv") as page:
        page.get_by_text("Live preview").click()
        page.wait_for_function("window.__viewer?.other", timeout=60_000)
        assert ready(page)["shape"] == list(SHAPE)
