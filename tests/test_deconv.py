import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from quick import status

from isonet2.commands import deconv as module
from isonet2.commands.deconv import deconv
from isonet2.data.star import TomogramTable, update, write_table
from isonet2.data.volumes import Volume, open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import DeconvParameters
from isonet2.physics.ctf import ContrastTransfer, WienerSettings
from isonet2.physics.deconvolution import Deconvolution
from isonet2.physics.fourier import apply_filter, radius
from isonet2.physics.specimen import build, library
from isonet2.runs.each import SomeFailed

SHAPE = (20, 26, 33)
OPTICS = {
    "rlnPixelSize": 8.0,
    "rlnDefocus": 25_000,
    "rlnVoltage": 200,
    "rlnSphericalAberration": 1.4,
    "rlnAmplitudeContrast": 0.07,
    "rlnTiltMin": -60,
    "rlnTiltMax": 60,
}


def noise(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(5, 2, shape).astype(np.float32)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(*rows):
    frame = pd.DataFrame([{"rlnIndex": i, **OPTICS, **row} for i, row in enumerate(rows, 1)])
    write_table("t.star", frame)


def run(**values):
    return status(deconv, DeconvParameters(star_file="t.star", **values))


def expected(x, p=8.0, shift=0.0, falloff=1.0, flipped=False):
    """The weight of the method for OPTICS, written out once more in numpy."""
    defocus, kv, cs, ac = 25e3, 200, 1.4, 0.07
    lam = 12.2643 / np.sqrt(kv * 1e3 * (1 + 0.978466e-6 * kv * 1e3))
    grid = [np.fft.fftfreq(n) for n in x.shape[:2]] + [np.fft.rfftfreq(x.shape[2])]
    f = np.sqrt(sum(np.square(g) for g in np.meshgrid(*grid, indexing="ij")))
    k = f / p
    chi = np.pi * lam * defocus * k**2 - np.pi / 2 * cs * 1e7 * lam**3 * k**4 + np.radians(shift)
    c = np.sqrt(1 - ac**2) * np.sin(chi) + ac * np.cos(chi)
    high = 1 - np.cos(np.pi * np.minimum(1, 2 * f / 0.02))
    snr = np.exp(-100 * falloff * 2 * f / p) * 10 * high
    w = np.divide(c, c**2 + 1 / snr, out=np.zeros_like(c), where=snr > 0)
    y = np.fft.irfftn(
        np.fft.rfftn(x.astype(float)) * (abs(w) if flipped else w), x.shape, (0, 1, 2)
    )
    return y / y.std() * x.std(dtype=float) + x.mean(dtype=float)


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    ("values", "row", "truth"),
    [
        ({}, {}, {}),
        ({"phaseflipped": True, "snrfalloff": 0.3}, {}, {"flipped": True, "falloff": 0.3}),
        ({}, {"rlnPhaseShift": 90}, {"shift": 90}),
        ({}, {"rlnPixelSize": 5.0}, {"p": 5.0}),
    ],
)
def test_the_result_is_the_formula_in_the_inputs_scale(project, values, row, truth):
    x = noise()
    write_volume("a.mrc", x, voxel_size=row.get("rlnPixelSize", 8.0), label="test")
    table({"rlnTomoName": "a.mrc", **row})
    assert run(**values) == 0
    written = TomogramTable.read("t.star").tomograms[0].deconvolved
    result = open_volume(written)
    np.testing.assert_allclose(result.read(), expected(x, **truth), atol=2e-3)
    assert result.voxel_size == pytest.approx((row.get("rlnPixelSize", 8.0),) * 3)
    assert (project / "deconv/params.yaml").is_file()


def test_chunks_give_what_the_whole_gives():
    shape, chunk = (80, 96, 112), 64
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    k = torch.fft.rfftn(x)
    f = torch.sqrt(
        torch.fft.fftfreq(80)[:, None, None] ** 2
        + torch.fft.fftfreq(96)[:, None] ** 2
        + torch.fft.rfftfreq(112) ** 2
    )
    x = torch.fft.irfftn(k * (1 + 0.1 / (f + 0.01)), shape)
    x -= x.mean()
    filtering = Deconvolution(ContrastTransfer(30_000), WienerSettings(1.0, 1.0, 0.02), 10.0)
    whole = filtering.whole(x).numpy()
    out = np.full(shape, np.nan, np.float32)

    def write(region, block):
        out[region] = block

    filtering.chunked(
        lambda region: x.numpy()[region], write, shape, chunk_size=chunk, overlap_rate=0.25
    )
    inner = (slice(16, -16),) * 3
    assert (out[inner] - whole[inner]).std() < 0.02 * whole.std()


def test_the_command_in_chunks_holds_little_and_keeps_the_scale(project, monkeypatch):
    x = noise((40, 72, 80))
    write_volume("a.mrc", x, voxel_size=8.0, label="test")
    table({"rlnTomoName": "a.mrc"})
    read, sizes = Volume.read, []

    def spy(self, region=None):
        block = read(self, region)
        sizes.append(block.size)
        return block

    monkeypatch.setattr(Volume, "read", spy)
    monkeypatch.setattr("isonet2.data.volumes.CHUNK_VOXELS", 40_000)
    monkeypatch.setattr("isonet2.physics.binning.SLAB_VOXELS", 40_000)
    assert run(chunk_size=32, overlap_rate=0.5) == 0
    assert max(sizes) < x.size / 4
    result = read(open_volume("deconv/a_deconv.mrc"))
    assert result.mean(dtype=float) == pytest.approx(x.mean(dtype=float), abs=1e-4)
    assert result.std(dtype=float) == pytest.approx(x.std(dtype=float), rel=1e-4)
    assert sorted(p.name for p in (project / "deconv").iterdir() if p.suffix == ".mrc") == [
        "a_deconv.mrc"
    ]
    assert not list((project / "deconv").glob(".deconv_*"))
    monkeypatch.undo()
    monkeypatch.chdir(project)
    assert run(output_dir="whole") == 0
    inner = (slice(8, -8),) * 3
    whole = open_volume("whole/a_deconv.mrc").read()[inner]
    assert np.corrcoef(whole.ravel(), result[inner].ravel())[0, 1] > 0.99


def test_without_a_full_tomogram_the_mean_of_the_halves_is_taken(project, caplog):
    first, second = noise(seed=1), noise(seed=2)
    write_volume("a_EVN.mrc", first, voxel_size=8.0, label="test")
    write_volume("a_ODD.mrc", second, voxel_size=8.0, label="test")
    write_volume("a.mrc", (first + second) / 2, voxel_size=8.0, label="test")
    halves = {
        "rlnTomoReconstructedTomogramHalf1": "a_EVN.mrc",
        "rlnTomoReconstructedTomogramHalf2": "a_ODD.mrc",
    }
    table({"rlnTomoName": "None", **halves})
    with caplog.at_level(logging.WARNING):
        assert run() == 0
    assert "no rlnTomoName in the table, reading the mean of the two halves" in caplog.text
    table({"rlnTomoName": "a.mrc", **halves})
    assert run(output_dir="full") == 0
    one, other = open_volume("deconv/a_deconv.mrc").read(), open_volume("full/a_deconv.mrc").read()
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_one_that_fails_does_not_stop_the_others(project, caplog):
    write_volume("a.mrc", noise(), voxel_size=8.0, label="test")
    broken = noise()
    broken[0, 0, 0] = np.nan
    write = np.array(broken)
    write_volume("c.mrc", np.nan_to_num(write), voxel_size=8.0, label="test")
    raw = (project / "c.mrc").read_bytes()
    (project / "c.mrc").write_bytes(raw[:1024] + b"\x00\x00\xc0\x7f" + raw[1028:])
    table(
        {"rlnTomoName": "a.mrc", "rlnDefocus": 0},
        {"rlnTomoName": "missing.mrc"},
        {"rlnTomoName": "c.mrc"},
        {"rlnTomoName": "a.mrc"},
    )
    with pytest.raises(SomeFailed, match="3 failed: a, missing, c"):
        deconv(DeconvParameters(star_file="t.star"))
    assert "a: t.star holds no defocus of it; fill in rlnDefocus" in caplog.text
    assert "missing.mrc" in caplog.text
    assert "holds NaN or infinite values" in caplog.text
    rows = TomogramTable.read("t.star").tomograms
    assert [t.deconvolved is not None for t in rows] == [False, False, False, True]


def test_what_cannot_be_is_refused(project, caplog):
    write_volume("a.mrc", noise(), voxel_size=8.0, label="test")
    table({"rlnTomoName": "a.mrc"})
    assert run(input_column="rlnNonsense") == 2
    assert "there is no column rlnNonsense" in caplog.text
    assert run(snrfalloff=1e6) == 2
    assert "lower snrfalloff" in caplog.text
    assert run(chunk_size=32) == 0
    assert run(chunk_size=32, input_column="rlnDeconvTomoName") == 2
    assert "would replace the file that it is made from" in caplog.text


def test_what_does_not_fit_into_memory_is_done_in_chunks(project, caplog, monkeypatch):
    write_volume("a.mrc", noise(), voxel_size=8.0, label="test")
    table({"rlnTomoName": "a.mrc"})
    assert run(chunk_size=32) == 0
    chunks = open_volume("deconv/a_deconv.mrc").read()
    monkeypatch.setattr(module, "memory_of_whole", lambda shape: 10**18)
    monkeypatch.setattr(module, "CHUNK_SIZE", 32)
    assert run() == 0
    assert "working in chunks (--chunk_size 32)" in caplog.text
    np.testing.assert_array_equal(open_volume("deconv/a_deconv.mrc").read(), chunks)


def test_threads_and_selection(project):
    write_volume("a.mrc", noise(), voxel_size=8.0, label="test")
    write_volume("b.mrc", noise(), voxel_size=8.0, label="test")
    table({"rlnTomoName": "a.mrc"}, {"rlnTomoName": "b.mrc"})
    before = torch.get_num_threads()
    try:
        assert run(ncpus=1, tomo_idx="2") == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert [t.deconvolved is None for t in TomogramTable.read("t.star").tomograms] == [True, False]


def test_it_brings_the_tomogram_closer_to_the_truth():
    generator = torch.Generator().manual_seed(2)
    shape = (32, 64, 64)
    truth, _ = build(shape, 12.0, library(generator), 0.05, 1, generator)
    ctf = ContrastTransfer(30_000)
    blurred = apply_filter(truth, ctf.curve(radius(shape) / 12.0))
    seen = blurred + 2 * blurred.std() * torch.randn(shape, generator=generator)
    filtered = Deconvolution(ctf, WienerSettings(), 12.0).whole(seen - seen.mean())
    before, after = (np.corrcoef(truth.ravel(), v.ravel())[0, 1] for v in (seen, filtered))
    assert after > 1.5 * before


def test_a_tomogram_is_not_deconvolved_twice_without_a_word(project, caplog):
    write_volume("a.mrc", noise(), voxel_size=8.0, label="test")
    table({"rlnTomoName": "a.mrc"})
    assert run() == 0
    assert "deconvolved already" not in caplog.text
    assert run(input_column="rlnDeconvTomoName", output_dir="twice") == 0
    assert "a_deconv.mrc was deconvolved already" in caplog.text


def test_results_of_another_tomogram_are_not_replaced(project):
    write_volume("a.mrc", noise(), voxel_size=8.0, label="test")
    table({"rlnTomoName": "a.mrc"})
    assert run() == run() == 0
    shutil.copy("t.star", "u.star")
    deconv(DeconvParameters(star_file="u.star"))
    before = Path("deconv/a_deconv.mrc").read_bytes()
    write_volume("other/a.mrc", noise(), voxel_size=8.0, label="test")
    shutil.copy("t.star", "v.star")
    update("v.star", 1, {"rlnTomoName": "other/a.mrc"})
    with pytest.raises(InputError, match=r"deconv: holds the result of another a, that of u\.star"):
        deconv(DeconvParameters(star_file="v.star"))
    assert Path("deconv/a_deconv.mrc").read_bytes() == before
    deconv(DeconvParameters(star_file="v.star", output_dir="more"))


def test_results_count_whichever_copy_of_their_table_lists_them(project):
    """The last run was that of a copy in which nothing was noted, as one that was killed leaves."""
    write_volume("TS_1.mrc", noise(), voxel_size=8.0, label="test")
    write_volume("other/TS_1.mrc", noise(seed=1), voxel_size=8.0, label="test")
    table({"rlnTomoName": "TS_1.mrc"})
    for name in ("copy", "another"):
        shutil.copy("t.star", f"{name}.star")
    update("another.star", 1, {"rlnTomoName": "other/TS_1.mrc"})
    assert run() == 0
    record = Path("deconv/params.yaml")
    record.write_text(record.read_text().replace("t.star", "copy.star"))
    with pytest.raises(InputError, match="holds the result of another TS_1"):
        deconv(DeconvParameters(star_file="another.star"))
    Path("deconv/TS_1_deconv.mrc").rename("deconv/TS_10_deconv.mrc")
    deconv(DeconvParameters(star_file="another.star"))
    assert Path("deconv/TS_1_deconv.mrc").exists()
