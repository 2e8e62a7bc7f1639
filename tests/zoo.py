"""Small halves of tomograms of every kind, healthy ones and broken ones, made by code."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from isonet2.checks.examination import Declared, Examination, examine
from isonet2.data.pairing import TomogramFiles
from isonet2.data.volumes import write_volume
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.projection import (
    back_project,
    detector_width,
    modulate,
    noisy_halves,
    project,
    specimen_width,
)
from isonet2.physics.specimen import build, library
from isonet2.physics.wedge import sectors_of_tilts

SHAPE = (64, 80, 80)
PIXEL = 10.0


def tilts(low, high, step=3.0):
    return [float(t) for t in np.arange(low, high + step / 2, step)]


def simulated(
    angles, *, shape=SHAPE, seed=0, pixel=PIXEL, density=0.15, vesicles=2, snr=0.1, defocus=None,
    flipped=False, by_tilts=False, change=lambda specimen: specimen, recorded=None,
):  # fmt: skip
    """Two halves (z, y, x), protein dark, reconstructed from a simulated tilt series."""
    generator = torch.Generator().manual_seed(seed)
    thickness, height, width = shape
    slab = specimen_width(thickness, width, angles)
    molecules = library(generator)
    specimen, _ = build((thickness, height, slab), pixel, molecules, density, vesicles, generator)
    images = project(change(specimen), angles, detector_width(thickness, width))
    if defocus is not None:
        transfer = ContrastTransfer(defocus)
        images = modulate(images, transfer, pixel)
        if flipped:
            images = flip(images, transfer, pixel)
    first, second = noisy_halves(images, snr, generator)
    if recorded is not None:
        first, second = (recorded(half, angles, pixel) for half in (first, second))
    if by_tilts:
        return [
            -back_project(first[part], angles[part], shape).numpy()
            for part in (slice(0, None, 2), slice(1, None, 2))
        ]
    return [-back_project(half, angles, shape).numpy() for half in (first, second)]


def flip(images, transfer, pixel):
    """Phases of images turned where the CTF is negative."""
    height, width = images.shape[-2:]
    ky, kx = torch.fft.fftfreq(height, pixel)[:, None], torch.fft.rfftfreq(width, pixel)
    sign = transfer.curve(torch.hypot(ky, kx)).sign()
    return torch.fft.irfft2(torch.fft.rfft2(images) * sign, s=(height, width))


def dosed(images, angles, pixel, dose=3.0):
    """Images filtered by the dose that each had when it was taken, as usual outwards from 0."""
    height, width = images.shape[-2:]
    ky, kx = torch.fft.fftfreq(height, pixel)[:, None], torch.fft.rfftfreq(width, pixel)
    critical = 0.245 * torch.hypot(ky, kx).clamp_min(1e-4) ** -1.665 + 2.81
    order = torch.tensor(angles).abs().argsort(stable=True).argsort()
    weight = torch.exp(-(order[:, None, None] + 1) * dose / (2 * critical))
    return torch.fft.irfft2(torch.fft.rfft2(images) * weight, s=(height, width))


def faded(images, angles, pixel, thickness=1.2):
    """Images of as few electrons as come through a specimen of some mean free paths."""
    through = torch.exp(thickness * (1 - 1 / torch.cos(torch.deg2rad(torch.tensor(angles)))))
    return images * through.sqrt()[:, None, None]


@dataclass
class Animal:
    """Two halves on their way to the disk, and what is said of them."""

    first: np.ndarray
    second: np.ndarray | None
    sectors: tuple = ((-60.0, 60.0),)
    pixel: float | None = None
    voxel: object = PIXEL
    ctf: ContrastTransfer | None = None
    label: str = "test"
    dtype: str = "float32"
    second_voxel: object = None
    touched: list = field(default_factory=list)

    def changed(self, **values):
        return replace(self, **values)

    def examined(self, folder: Path) -> Examination:
        """Write the files, do to them what is to be done, and look."""
        paths = []
        for name, data, voxel in (
            ("EVN", self.first, self.voxel),
            ("ODD", self.second, self.second_voxel or self.voxel),
        ):
            if data is not None:
                paths.append(folder / f"TS_01_{name}.mrc")
                values = np.ascontiguousarray(data)
                plain = np.nan_to_num(values, nan=0.0, posinf=0.0)
                write_volume(paths[-1], plain, voxel_size=voxel, dtype=self.dtype, label=self.label)
                if not np.isfinite(values).all():
                    raw = np.memmap(paths[-1], "f4", offset=1024, mode="r+", shape=values.shape)
                    raw[~np.isfinite(values)] = values[~np.isfinite(values)]
                    raw.flush()
        for touch in self.touched:
            touch(paths)
        halves = paths if len(paths) > 1 else (None, None)
        full = paths[0] if len(paths) == 1 else None
        source = TomogramFiles("TS_01", full, *halves)
        return examine(Declared(source, self.sectors, self.pixel, self.ctf))


def declared(angles):
    return sectors_of_tilts(angles)
