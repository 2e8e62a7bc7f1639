"""What several tests share: a small specimen with known physics, made by code, and tables."""

import signal
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from preparing import volume
from star_files import HALVES, OURS, RELION, SERIES, put

from isonet2.data.star import TomogramTable, update, write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.data.voxels import statistics
from isonet2.gui.project import Project
from isonet2.jobs import start
from isonet2.opening.halves import Half
from isonet2.parameters import COMMANDS
from isonet2.physics.ctf import ContrastTransfer
from isonet2.physics.fourier import apply_filter
from isonet2.physics.geometry import Geometry
from isonet2.physics.wedge import measured
from isonet2.training.tomogram import Source

torch.set_num_threads(1)
# what is started by tests hears of Ctrl-C and of a closed window, also where the tests do not
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

SECTORS = ((-60.0, 60.0),)


@pytest.fixture(autouse=True)
def same_draws():
    """Whatever ran before, a test's torch.randn draws the same numbers."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def halves(tmp_path_factory):
    """Two noisy halves (48, 56, 64) of blobs, seen through the wedge, and the truth; files."""
    folder = tmp_path_factory.mktemp("halves")
    shape = (48, 56, 64)
    rng = np.random.default_rng(0)
    truth = np.zeros(shape, np.float32)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    for centre in rng.uniform(8, np.array(shape) - 8, (30, 3)):
        truth += np.exp(-((grid - centre) ** 2).sum(-1) / (2 * 2.5**2)).astype(np.float32)
    paths = []
    for name in ("EVN", "ODD"):
        noisy = truth + 0.5 * rng.standard_normal(shape).astype(np.float32)
        seen = apply_filter(torch.from_numpy(noisy), measured(shape, SECTORS)).numpy()
        paths.append(folder / f"TS_01_{name}.mrc")
        write_volume(paths[-1], 5 - 2 * seen, voxel_size=10.0, label="test")
    paths.append(folder / "truth.mrc")
    write_volume(paths[-1], -truth, voxel_size=10.0, label="test")
    return paths


@pytest.fixture
def mask_file(halves, tmp_path):
    """A mask that keeps everything."""
    path = tmp_path / "all.mrc"
    voxels = np.ones(open_volume(halves[0]).shape, np.float32)
    write_volume(path, voxels, voxel_size=10.0, label="test")
    return path


@pytest.fixture
def source(halves):
    """The two halves as training sees them."""
    first, second = (Half(v, statistics(v)) for v in map(open_volume, halves[:2]))
    geometry = Geometry(SECTORS, ContrastTransfer(30000.0), 10.0)
    return Source("TS_01", first, second, geometry, 6)


@pytest.fixture
def star(halves, tmp_path, monkeypatch):
    """A table with one pair of halves, and its folder as working folder."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {
            "rlnIndex": [1],
            "rlnTomoReconstructedTomogramHalf1": [halves[0]],
            "rlnTomoReconstructedTomogramHalf2": [halves[1]],
            "rlnPixelSize": [10.0],
            "rlnDefocus": [30000.0],
            "rlnTiltMin": [-60],
            "rlnTiltMax": [60],
            "rlnNumberSubtomo": [4],
            "rlnGroundTruth": [halves[2]],
        }
    )
    path = tmp_path / "tomograms.star"
    write_table(path, frame)
    return path


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Two tomograms in halves, and the working folder."""
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(("TS_01", "TS_03")):
        volume(Path(f"EVN/{name}_EVN.mrc"), 2 * index)
        volume(Path(f"ODD/{name}_ODD.mrc"), 2 * index + 1)
    return tmp_path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return put(tmp_path / "tomograms.star", OURS)


@pytest.fixture
def relion(tmp_path: Path) -> Path:
    put(tmp_path / "tilt_series" / "TS_01.star", SERIES)
    return put(tmp_path / "tomograms.star", RELION)


@pytest.fixture
def called(monkeypatch):
    """Stand-ins for all commands; the list of what they were called with."""
    calls = []
    for name in COMMANDS:
        module = ModuleType(f"isonet2.commands.{name}")
        setattr(module, name, calls.append)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


@pytest.fixture
def wide_star(star, tmp_path):
    """The same table, of tomograms that are twice as wide along y."""
    for number, column in enumerate(HALVES):
        values = open_volume(TomogramTable.read(star).tomograms[0].column(column)).read()
        wide = tmp_path / f"wide{number}.mrc"
        write_volume(wide, np.concatenate([values, -values], 1), voxel_size=10.0, label="test")
        update(star, 1, {column: wide})
    return star


@pytest.fixture
def place(project, monkeypatch):
    """A project of the pages with two pairs of halves, and nobody's settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project / "config"))
    return Project.at(project)


@pytest.fixture
def quiet(monkeypatch):
    """Jobs are made and never begin."""
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    monkeypatch.setattr(start, "runner", lambda folder: None)
