"""Films through the slices of a tomogram, or from before to after, as animated GIF.

Frames are made one after the other as they are sent, so that memory holds one of each film; films
that are made at the same time take turns, so that all of them together keep one core busy.
"""

import logging
import math
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Literal, NamedTuple, Self

import numpy as np
from PIL import GifImagePlugin, Image, ImageDraw, ImageFont
from pydantic import BaseModel, ConfigDict, Field, model_validator

from isonet2.errors import InputError
from isonet2.gui.slices import AXES, LEVELS, Axis, Bytes
from isonet2.gui.volume_store import Look, VolumeStore

log = logging.getLogger(__name__)

MOST_FRAMES, MOST_PIXELS = 500, 150_000_000
"""What a film may have at most, so that its file stays one that programs open."""
SWEEP = 4.0
"""Seconds that the border takes to go through the picture and back."""
_GREYS = 0xFC
"""Bits of a grey that are kept: noise with 64 greys takes two thirds of the room of 256."""
_LINE, _LINE_COLOUR = 255, (255, 213, 74)
_FONT = "mpl-data/fonts/ttf/DejaVuSans.ttf"
_DIRECTIONS: dict[Axis, tuple[Axis, Axis]] = {"z": ("x", "y"), "y": ("x", "z"), "x": ("z", "y")}
_TURN = threading.Lock()


class Film(BaseModel):
    """What a film shows, as its address says it.

    Slices are counted from 0 along `axis`, from `first` to `last` by `step`, backwards too. Grey
    levels are those of a slice's bytes, 0 to 256. `left`, `bottom`, `right` and `top` bound the
    part of each slice that is seen, as fractions of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    version: str
    low: float = Field(0, ge=0, le=LEVELS, allow_inf_nan=False)
    high: float = Field(LEVELS, ge=0, le=2 * LEVELS, allow_inf_nan=False)
    name: str = Field("", max_length=80)
    second: str = ""
    second_version: str = ""
    second_low: float = Field(0, ge=0, le=LEVELS, allow_inf_nan=False)
    second_high: float = Field(LEVELS, ge=0, le=2 * LEVELS, allow_inf_nan=False)
    second_name: str = Field("", max_length=80)
    kind: Literal["slices", "beside", "border"] = "slices"
    axis: Axis = "z"
    first: int = Field(0, ge=0)
    last: int = Field(0, ge=0)
    step: int = Field(1, ge=1)
    split: float = Field(0.5, ge=0, le=1)
    invert: bool = False
    pixel: float | None = Field(None, gt=0, allow_inf_nan=False)
    left: float = Field(0, ge=0, le=1)
    bottom: float = Field(0, ge=0, le=1)
    right: float = Field(1, ge=0, le=1)
    top: float = Field(1, ge=0, le=1)
    edge: int = Field(480, ge=64, le=1080)
    rate: int = Field(15, ge=1, le=30)

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        if self.right - self.left < 1e-3 or self.top - self.bottom < 1e-3:
            raise ValueError("the part of the slices that is to be seen has no area")
        return self


class Frame(NamedTuple):
    """One picture of a film: at which slice, and where the border stands in it, from 0 to 1."""

    at: int
    border: float


@dataclass(frozen=True, slots=True)
class Side:
    """A volume of a film, its name there, and the grey of each of its bytes."""

    look: Look
    name: str
    table: Bytes


class Movie:
    """A film whose frames are made as they are asked for.

    Parameters
    ----------
    store
        Reads the slices.
    film
        What is shown.
    looks
        The volume; and the second one, where there is one.

    Raises
    ------
    InputError
        When it would be too long, or names slices that there are not.
    """

    def __init__(self, store: VolumeStore, film: Film, *looks: Look) -> None:
        self._store, self._film = store, film
        given = (
            (film.name, film.low, film.high),
            (film.second_name, film.second_low, film.second_high),
        )
        self._sides = [
            Side(look, name, greys(low, high, film.invert))
            for look, (name, low, high) in zip(looks, given, strict=False)
        ]
        shape = dict(zip(AXES, looks[0].volume.shape, strict=True))
        across, up = _DIRECTIONS[film.axis]
        wide, tall = (film.right - film.left) * shape[across], (film.top - film.bottom) * shape[up]
        self._scale = film.edge / max(wide, tall)
        self._panel = tuple(max(1, round(length * self._scale)) for length in (wide, tall))
        self._beside = film.kind == "beside" and len(looks) > 1
        self.size = (self._panel[0] * (2 if self._beside else 1), self._panel[1])
        self.frames = _frames(film, len(looks) > 1)
        self._check(shape[film.axis])

    def _check(self, length: int) -> None:
        film = self._film
        if max(film.first, film.last) >= length:
            raise InputError(
                f"{film.path} has no slice {max(film.first, film.last)} along {film.axis}."
            )
        count, (width, height) = len(self.frames), self.size
        if count > MOST_FRAMES or count * width * height > MOST_PIXELS:
            raise InputError(
                f"The film would have {count} pictures of {width} x {height} pixels: take fewer "
                f"slices or smaller pictures, at most {MOST_FRAMES} and "
                f"{MOST_PIXELS // 10**6} million pixels in all."
            )

    def expected(self) -> int:
        """Bytes that the file will have, by the frame in its middle."""
        middle = self._encoded(self.frames[len(self.frames) // 2])
        return len(_beginning(self.size)) + len(self.frames) * len(middle)

    def stream(self) -> Iterator[bytes]:
        """The file, frame by frame; it stops short, without its last byte, where a file fails."""
        yield _beginning(self.size)
        for frame in self.frames:
            try:
                encoded = self._encoded(frame)
            except (InputError, OSError, ValueError, IndexError) as error:
                log.warning("The film of %s breaks off: %s", self._film.path, error)
                return
            yield encoded
        yield b";"

    def picture(self, frame: Frame) -> Image.Image:
        """A frame; its bytes are greys, and 255 stands for the colour of the border."""
        panels = [self._side(side, frame.at) for side in self._sides]
        picture = Image.new("L", self.size)
        border = 0.5 if self._beside else frame.border
        at = round(border * self.size[0])
        picture.paste(panels[0], (0, 0))
        if self._beside:
            picture.paste(panels[1], (self._panel[0], 0))
        elif len(panels) > 1:
            picture.paste(panels[1].crop((at, 0, *self.size)), (at, 0))
        self._words(picture, frame.at)
        drawn = np.asarray(picture) & _GREYS
        if len(panels) > 1:
            drawn[:, max(0, at - 1) : at + 1] = _LINE
        return Image.fromarray(drawn)

    def _encoded(self, frame: Frame) -> bytes:
        with _TURN:
            picture = self.picture(frame)
            time = 10 * round(100 / self._film.rate)
            return b"".join(GifImagePlugin.getdata(picture, duration=time))

    def _side(self, side: Side, index: int) -> Image.Image:
        """The part of a volume's slice that is seen."""
        film, shape = self._film, side.look.volume.shape
        own, length = (
            shape[AXES.index(film.axis)],
            self._sides[0].look.volume.shape[AXES.index(film.axis)],
        )
        place = min(own - 1, int((index + 0.5) * own / length))
        factor = max(1, min(16, int(1 / self._scale)))
        pixels = self._store.plane(side.look, film.axis, place, factor).pixels
        rows, columns = pixels.shape
        box = (
            film.left * columns,
            (1 - film.top) * rows,
            film.right * columns,
            (1 - film.bottom) * rows,
        )
        whole = Image.fromarray(side.table[pixels[::-1]])
        width, height = self._panel
        return whole.resize((width, height), Image.Resampling.BILINEAR, box=box)

    def _words(self, picture: Image.Image, index: int) -> None:
        """Scale bar, place, and the names of two volumes."""
        film, (width, height) = self._film, self.size
        letters = max(11, min(24, film.edge // 30))
        font, draw = _font(letters), ImageDraw.Draw(picture)

        def write(x: float, y: float, text: str, anchor: str = "la") -> None:
            draw.text((x, y), text, 252, font, anchor, stroke_width=2, stroke_fill=0)

        write(8, 5, f"{film.axis} {index + 1}")
        if len(self._sides) > 1:
            write(8, 9 + letters, self._sides[0].name)
            write(width - 8, 9 + letters, self._sides[1].name, "ra")
        length, label = scale_bar(film.pixel, self._scale, 0.3 * self._panel[0])
        low = height - 10
        draw.rectangle((10, low - 5, 14 + length, low + 2), fill=0)
        draw.rectangle((12, low - 3, 12 + length, low), fill=252)
        write(12, low - 8, label, "ls")


def _frames(film: Film, two: bool) -> list[Frame]:
    """What is seen one after the other."""
    if film.kind == "border" and two:
        count = max(2, round(SWEEP * film.rate))
        return [
            Frame(film.first, 0.5 + 0.5 * math.cos(2 * math.pi * part / count))
            for part in range(count)
        ]
    way = 1 if film.last >= film.first else -1
    return [
        Frame(index, film.split) for index in range(film.first, film.last + way, way * film.step)
    ]


def greys(low: float, high: float, invert: bool) -> Bytes:
    """The grey of each byte between two levels, as the viewer shows it."""
    part = np.clip((np.arange(LEVELS) + 0.5 - low) / max(high - low, 1e-6), 0, 1)
    shown: Bytes = np.rint(255 * (1 - part if invert else part)).astype(np.uint8)
    return shown


def scale_bar(pixel: float | None, scale: float, room: float) -> tuple[float, str]:
    """The longest round length that fits.

    Parameters
    ----------
    pixel
        Angstrom per voxel; None: not known, so voxels are counted.
    scale
        Pixels per voxel.
    room
        Pixels.

    Returns
    -------
    tuple
        Its pixels, and its length in words.
    """
    unit = (1.0 if pixel is None else pixel / 10) / scale
    most = room * unit
    length = 10.0 ** math.floor(math.log10(most))
    length *= next((factor for factor in (5, 2) if length * factor <= most), 1)
    if pixel is None:
        label = f"{length:.1g} voxels" if length < 1 else f"{length:.0f} voxels"
    elif length >= 1000:
        label = f"{length / 1000:.0f} µm"
    else:
        label = f"{length:.0f} nm" if length >= 1 else f"{10 * length:.3g} Å"
    return length / unit, label


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Letters of matplotlib's font, which has all signs of units."""
    return ImageFont.truetype(BytesIO(files("matplotlib").joinpath(_FONT).read_bytes()), size)


def _beginning(size: tuple[int, int]) -> bytes:
    """A GIF file up to its first frame: size, colours, and that it plays again and again."""
    colours = bytearray(min(255, round(grey * 255 / _GREYS)) for grey in range(256) for _ in "rgb")
    colours[-3:] = bytes(_LINE_COLOUR)
    screen = struct.pack("<HHBBB", *size, 0xF7, 0, 0)
    return b"GIF89a" + screen + bytes(colours) + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
