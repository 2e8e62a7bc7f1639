"""Films of tomograms: read back by another program, frame by frame."""

import asyncio
from io import BytesIO

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image, ImageSequence

from isonet2.data.volumes import write_volume
from isonet2.errors import InputError
from isonet2.gui.film import MOST_FRAMES, Film, Movie, greys, scale_bar
from isonet2.gui.project import Project
from isonet2.gui.slice_routes import slice_routes
from isonet2.gui.volume_store import VolumeStore

SHAPE = (12, 100, 200)
YELLOW = (255, 213, 74)


@pytest.fixture
def place(tmp_path):
    """A project: values rise along z in steps that are seen, left and right of x 100 unlike."""
    values = np.zeros(SHAPE, np.float32)
    values += np.arange(12)[:, None, None] * 20
    values[:, :, 100:] = 240 - values[:, :, 100:]
    write_volume(tmp_path / "steps.mrc", values, voxel_size=10.0, label="test")
    write_volume(
        tmp_path / "flat.mrc", 120 + 0 * values[:, ::2, ::2], voxel_size=20.0, label="test"
    )
    (tmp_path / "broken.mrc").write_bytes(b"no volume")
    return Project.at(tmp_path)


@pytest.fixture
def store():
    store = VolumeStore()
    yield store
    store.close()


def movie(store, place, *names, **asked):
    looks = [store.look(place.folder / name) for name in names]
    versions = {"path": names[0], "version": looks[0].version}
    if len(names) > 1:
        versions |= {"second": names[1], "second_version": looks[1].version}
    return Movie(store, Film(**versions, **asked), *looks)


def shown(film):
    """What a film's frames look like, as red, green and blue, and the milliseconds of each."""
    with Image.open(BytesIO(b"".join(film.stream()))) as image:
        frames = [(frame.convert("RGB"), frame.info) for frame in ImageSequence.Iterator(image)]
        assert image.info["loop"] == 0
    return [np.asarray(frame) for frame, _ in frames], [info["duration"] for _, info in frames]


def test_a_film_goes_through_the_slices_with_the_contrast_of_the_viewer(store, place):
    film = movie(store, place, "steps.mrc", first=0, last=11, low=64, high=192, edge=200, rate=10)
    frames, times = shown(film)
    assert len(frames) == 12 == len(film.frames)
    assert times == [100] * 12
    assert film.size == (200, 100)
    for z, frame in enumerate(frames):
        for x, value in ((70, 20 * z), (180, 240 - 20 * z)):
            byte = store.look(place.folder / "steps.mrc").scale.to_bytes(np.float32([[value]]))[
                0, 0
            ]
            truth = 255 * np.clip((int(byte) + 0.5 - 64) / 128, 0, 1)
            red, green, blue = (int(part) for part in frame[50, x])
            assert red == green == blue
            assert abs(red - truth) <= 5


def test_slices_may_be_left_out_run_backwards_and_be_inverted(store, place):
    film = movie(store, place, "steps.mrc", first=10, last=1, step=4, edge=128)
    assert [frame.at for frame in film.frames] == [10, 6, 2]
    frames, _ = shown(film)
    turned, _ = shown(
        movie(store, place, "steps.mrc", first=10, last=1, step=4, edge=128, invert=True)
    )
    for frame, other in zip(frames, turned, strict=True):
        assert abs(int(frame[32, 40, 0]) + int(other[32, 40, 0]) - 255) <= 8


def test_the_part_that_is_seen_fills_the_picture(store, place):
    """Half of the columns alone, as wide as the whole; at their edge some of the next one."""
    film = movie(
        store, place, "steps.mrc", axis="y", first=50, last=50, left=0.5, edge=100, high=256
    )
    assert film.size == (100, 12)
    narrow = movie(store, place, "steps.mrc", first=3, last=3, right=0.5, bottom=0.5, edge=200)
    assert narrow.size == (200, 100)
    frames, _ = shown(narrow)
    assert np.ptp(frames[0][60:, 100:-4].astype(int)) == 0


@pytest.mark.parametrize(("kind", "width"), [("slices", 200), ("beside", 400)])
def test_two_volumes_are_seen_with_the_border_or_side_by_side(store, place, kind, width):
    """The second one is binned by two, and yet of the same body."""
    names = {"name": "before", "second_name": "after"}
    film = movie(
        store, place, "steps.mrc", "flat.mrc", kind=kind, last=11, step=11, edge=200, **names
    )
    frames, _ = shown(film)
    assert film.size == (width, 100)
    alone, _ = shown(movie(store, place, "flat.mrc", last=0, edge=200))
    for frame in frames:
        assert tuple(frame[50, width // 2]) == YELLOW
        assert (frame[50, width // 2 + 20 : -20] == alone[0][50, 100]).all()
        assert (frame[:, : width // 2 - 1] != YELLOW).any(2).all()
    assert (frames[0][50, 70] != frames[1][50, 70]).all()


def test_the_border_sweeps_from_before_to_after_and_back(store, place):
    film = movie(store, place, "steps.mrc", "flat.mrc", kind="border", first=4, edge=200, rate=5)
    frames, times = shown(film)
    assert sum(times) == 4000
    lines = [np.flatnonzero((frame[50] == YELLOW).all(1)) for frame in frames]
    places = [line.mean() for line in lines]
    assert places[0] > 198
    assert places[10] < 2
    assert places[5] == pytest.approx(100, abs=2) == places[15]


def test_a_frame_is_made_when_it_is_sent_and_a_film_that_breaks_off_lacks_its_end(store, place):
    film = movie(store, place, "steps.mrc", last=11, edge=128)
    made = []
    plane = store.plane

    def slowly(look, axis, index, factor=1):
        made.append(index)
        if index == 5:
            raise OSError("the disk is gone")
        return plane(look, axis, index, factor)

    store.plane = slowly
    stream = film.stream()
    for part in range(4):
        next(stream)
        assert made == list(range(part))
    rest = b"".join(stream)
    assert made == list(range(6))
    assert not rest.endswith(b";")


def test_the_size_is_foretold(store, place):
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(20, 64, 64)).astype(np.float32)
    write_volume(place.folder / "noise.mrc", noise, voxel_size=10.0, label="test")
    film = movie(store, place, "noise.mrc", last=19, edge=200)
    assert sum(map(len, film.stream())) == pytest.approx(film.expected(), rel=0.05)


@pytest.mark.parametrize(
    ("pixel", "scale", "room", "length", "label"),
    [
        (10.0, 2.0, 150, 100, "50 nm"),
        (10.0, 0.5, 150, 100, "200 nm"),
        (10.0, 0.001, 150, 100, "100 µm"),
        (1.0, 40.0, 150, 80, "2 Å"),
        (None, 2.0, 150, 100, "50 voxels"),
    ],
)
def test_the_scale_bar_is_the_longest_round_length_that_fits(pixel, scale, room, length, label):
    assert scale_bar(pixel, scale, room) == (pytest.approx(length), label)


def test_greys_are_those_of_the_viewer():
    assert greys(0, 256, False).tolist() == [round(255 * (b + 0.5) / 256) for b in range(256)]
    assert greys(100, 100, False)[[0, 99, 100, 255]].tolist() == [0, 0, 255, 255]


def test_what_no_film_can_be_made_of_is_said(store, place):
    with pytest.raises(InputError, match="no slice 12 along z"):
        movie(store, place, "steps.mrc", first=0, last=12)
    long = np.lib.format.open_memmap(
        place.folder / "long.npy", "w+", np.float32, (MOST_FRAMES + 1, 8, 8)
    )
    del long
    with pytest.raises(InputError, match="501 pictures of 64 x 64 pixels: take fewer"):
        movie(store, place, "long.npy", last=MOST_FRAMES, edge=64)


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({}, 200, ""),
        ({"path": "/etc/passwd"}, 403, "outside the project"),
        ({"second": "../other.mrc"}, 403, "outside the project"),
        ({"path": "broken.mrc"}, 400, "not an MRC file"),
        ({"version": "old"}, 409, "replaced"),
        ({"last": 500}, 400, "no slice 500"),
        ({"edge": 5000}, 422, "1080"),
        ({"rate": 0}, 422, "1"),
        ({"left": 0.7, "right": 0.2}, 422, "no area"),
        ({"low": "nan"}, 422, "finite"),
        ({"out": "x.gif"}, 422, "not permitted"),
    ],
)
def test_a_film_is_asked_for_by_its_address(store, place, given, status, said):
    application = FastAPI()
    application.include_router(slice_routes(store, place.allowed))
    version = store.look(place.folder / "steps.mrc").version
    asked = {"path": "steps.mrc", "version": version, "last": 3, "edge": 128, **given}

    async def ask():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/api/volumes/film", params=asked)

    answer = asyncio.run(ask())
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.headers["content-type"] == "image/gif"
        assert answer.headers["content-encoding"] == "identity"
        assert answer.headers["x-frames"] == "4"
        with Image.open(BytesIO(answer.content)) as image:
            assert image.n_frames == 4
    else:
        assert said in answer.text
