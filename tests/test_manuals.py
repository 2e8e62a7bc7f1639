"""The command lines of the two manuals, run from the first to the last on simulated tomograms.

As printed, but for what a machine without a GPU cannot do in seconds: networks are `unet-small` on
cubes of 32, trained for one epoch of few cubes on the processor, and nothing runs behind a &.
Where the tutorial says to put the defocus into the table by hand, the test does.
"""

import shlex
from pathlib import Path

import numpy as np
import pytest

from isonet2 import SimulateParameters, simulate
from isonet2.cli import main
from isonet2.data.star import TomogramTable, update
from isonet2.data.volumes import open_volume
from isonet2.prediction.checkpoint import Checkpoint

SHAPE = (32, 48, 48)
DEFOCI = (39057.0, 14817.0, 25241.0, 29776.0, 15463.0)
SMALL = {
    "prepare_star": ["--number_subtomos", "1"],
    "denoise": ["--arch", "unet-small", "--cube_size", "32", "--epochs", "1"],
    "refine": ["--arch", "unet-small", "--cube_size", "32", "--epochs", "1"],
}

WORKFLOW = """
prepare_star --even tomograms_split/EVN --odd tomograms_split/ODD --create_average True \
    --pixel_size 5.4 --defocus "[39057,14817,25241,29776,15463]"
denoise tomograms.star --with_mask True --gpuID 0 --CTF_mode network
predict tomograms.star denoise/network_n2n_unet-medium_96_full.pt --gpuID 0
deconv tomograms.star --snrfalloff 0.7
make_mask tomograms.star --input_column rlnDenoisedTomoName
refine tomograms.star --with_mask True --gpuID 0 --mw_weight 200 --bfactor 200 --CTF_mode network
predict tomograms.star isonet_maps/network_isonet2-n2n_unet-medium_96_full.pt --gpuID 0
"""
HALVES = """
prepare_star --even tomoset/EVN --odd tomoset/ODD --pixel_size 5.35 --number_subtomos 1
refine tomograms.star -o 01_test --CTF_mode network
refine tomograms.star -o 01_test --CTF_mode wiener
"""
WITHOUT_SPLIT = """
prepare_star --even tomoset/EVN --odd tomoset/ODD --pixel_size 5.35 --number_subtomos 1 \
    \u2013create_average True
deconv tomograms.star
make_mask tomograms.star
refine tomograms.star -o 01_test --noise_level 0.2
"""
DENOISE = """
prepare_star --even tomoset/EVN --odd tomoset/ODD --pixel_size 5.35 --number_subtomos 1
deconv tomograms.star
make_mask tomograms.star
denoise tomograms.star -o 03_test
denoise tomograms.star -o 03_test --CTF_mode network
denoise tomograms.star -o 03_test --CTF_mode wiener
"""
ONE_VOLUME = """
prepare_star -e EVN -o ODD --create_average True
deconv tomograms.star
make_mask tomograms.star --input_column rlnDeconvTomoName
refine tomograms.star --method isonet2
refine tomograms.star --input_column rlnDeconvTomoName --method isonet2 --noise_level 0.2
predict tomograms.star isonet_maps/network_isonet2_unet-medium_96_full.pt --tomo_idx 1 \
    --input_column rlnDeconvTomoName
"""
FULL = """
prepare_star tomograms
prepare_star -f tomograms
refine tomograms.star --with_deconv True --mw_weight 20
"""


@pytest.fixture(scope="module")
def specimen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    known = {"shape": SHAPE, "count": 5, "pixel_size": 5.4, "defocus": DEFOCI}
    simulate(SimulateParameters(output_dir=folder, **known))
    return folder


def follow(lines):
    """Run the lines one after another."""
    for line in lines.strip().splitlines():
        words = shlex.split(line.replace("unet-medium_96", "unet-small_32"))
        words = ["cpu" if word == "0" else word for word in words]
        assert main(words + SMALL.get(words[0], [])) == 0, line
        if words[0] == "prepare_star":
            for row in TomogramTable.read("tomograms.star").tomograms:
                update("tomograms.star", row.index, {"rlnDefocus": DEFOCI[row.index - 1]})


@pytest.fixture
def project(specimen, tmp_path, monkeypatch):
    """A working folder in which the manuals' folders of tomograms lie."""
    for name in ("tomograms_split", "tomoset"):
        (tmp_path / name).symlink_to(specimen)
    for name, there in {"EVN": "EVN", "ODD": "ODD", "tomograms": "full"}.items():
        (tmp_path / name).symlink_to(specimen / there)
    monkeypatch.chdir(tmp_path)


def written(field, count=5):
    """The volumes that the table names as one of its results, which must be sound."""
    paths = [getattr(row, field) for row in TomogramTable.read("tomograms.star").tomograms]
    volumes = [open_volume(path).read() for path in paths if path is not None]
    assert len(volumes) == count
    for values in volumes:
        assert values.shape == SHAPE
        assert np.isfinite(values).all()
        assert values.std() > 0
    return volumes


def trained(folder, method):
    """The network that a line left there."""
    return Checkpoint.load(Path(folder) / f"network_{method}_unet-small_32_full.pt")


@pytest.mark.slow
def test_the_workflow_of_the_command_line(project):
    follow(WORKFLOW)
    for field in ("full", "deconvolved", "mask"):
        written(field)
    for denoised, corrected in zip(written("denoised"), written("corrected"), strict=True):
        assert np.abs(denoised - corrected).max() > 0
    assert trained("isonet_maps", "isonet2-n2n").usage.treatment.mode == "network"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "folder", "method", "mode"),
    [
        (HALVES, "01_test", "isonet2-n2n", "wiener"),
        (WITHOUT_SPLIT, "01_test", "isonet2", "None"),
        (DENOISE, "03_test", "n2n", "wiener"),
        (FULL, "isonet_maps", "isonet2", "None"),
    ],
)
def test_the_workflows_of_the_tutorial(project, lines, folder, method, mode):
    follow(lines)
    assert trained(folder, method).usage.treatment.mode == mode


@pytest.mark.slow
def test_the_tutorials_way_with_one_volume_of_each(project):
    follow(ONE_VOLUME)
    assert trained("isonet_maps", "isonet2").usage.treatment.mode == "None"
    written("corrected", count=1)
