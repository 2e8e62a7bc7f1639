import logging

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from trained import go, save_model

from isonet2.data.labels import restored_state
from isonet2.data.star import TomogramTable, update, write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import package_version
from isonet2.physics.fourier import apply_filter, spectrum
from isonet2.physics.metrics import soft_edge
from isonet2.physics.wedge import ball, measured
from isonet2.prediction.checkpoint import FORMAT, Checkpoint


def test_what_the_network_leaves_alone_comes_back_in_the_inputs_scale(star, halves, tmp_path):
    model = save_model(tmp_path / "m.pt", apply_mw_x1=False)
    assert go(star, model) == 0
    written = open_volume(tmp_path / "corrected_tomos" / "TS_01.mrc")
    mean = (open_volume(halves[0]).read() + open_volume(halves[1]).read()) / 2
    assert np.corrcoef(written.read().ravel(), mean.ravel())[0, 1] > 0.99
    assert written.read().std() == pytest.approx(mean.std(), rel=0.02)
    assert written.read().mean() == pytest.approx(mean.mean(), abs=0.02)
    assert written.voxel_size == pytest.approx((10, 10, 10))
    assert "do not average" in " ".join(written.header.labels)
    row = TomogramTable.read(star).tomograms[0]
    assert row.corrected is not None
    assert row.denoised is None


@pytest.mark.parametrize(("method", "column"), [("n2n", "denoised"), ("isonet2-n2n", "corrected")])
def test_corners_that_training_left_open_are_left_out(method, column, star, tmp_path):
    rng = np.random.default_rng(0)
    for number in (1, 2):
        path = tmp_path / f"white{number}.mrc"
        write_volume(path, rng.standard_normal((40, 40, 40)), voxel_size=10.0, label="test")
        update(star, 1, {f"rlnTomoReconstructedTomogramHalf{number}": path})
    go(star, save_model(tmp_path / "m.pt", method, apply_mw_x1=False))
    written = open_volume(getattr(TomogramTable.read(star).tomograms[0], column)).read()
    power = spectrum(torch.from_numpy(written) * soft_edge((40,) * 3, 8)).abs().square()
    inside = ball(written.shape) > 0
    beyond = power[~inside].mean() / power[inside].mean()
    assert beyond < 0.05 if column == "corrected" else beyond > 0.9


def test_inputs_lose_what_lies_in_the_wedge(star, halves, tmp_path):
    go(star, save_model(tmp_path / "m.pt"))
    written = torch.from_numpy(open_volume(tmp_path / "corrected_tomos" / "TS_01.mrc").read())
    kept = apply_filter(written, measured(tuple(written.shape), ((-60.0, 60.0),)))
    assert (written - kept).std() < 0.15 * written.std()


def test_a_denoiser_fills_its_own_column(star, tmp_path):
    go(star, save_model(tmp_path / "m.pt", "n2n"), output_dir="d", output_prefix="x_")
    row = TomogramTable.read(star).tomograms[0]
    assert row.denoised is not None
    assert row.denoised.name == "x_TS_01.mrc"
    assert row.corrected is None


def test_what_is_done_is_skipped_until_something_changes(star, tmp_path):
    model = save_model(tmp_path / "m.pt")
    output = tmp_path / "corrected_tomos" / "TS_01.mrc"

    def stamp(**options):
        go(star, model, **options)
        return output.stat().st_mtime_ns

    first = stamp()
    assert stamp() == first
    second = stamp(overwrite=True)
    assert second != first
    third = stamp(padding_factor=2.0)
    assert third != second
    save_model(model, shift=0.1)
    assert stamp(padding_factor=2.0) != third


def test_one_bad_tomogram_does_not_stop_the_others(star, halves, tmp_path, caplog):
    flat = tmp_path / "TS_00_EVN.mrc"
    write_volume(flat, np.zeros((48, 56, 64), np.float32), voxel_size=10.0, label="test")
    rows = [(1, flat, flat), (2, halves[0], halves[1])]
    frame = pd.DataFrame(
        rows, columns=["rlnIndex", "rlnTomoReconstructedTomogramHalf1",
                       "rlnTomoReconstructedTomogramHalf2"],
    ).assign(rlnPixelSize=10.0, rlnTiltMin=-60, rlnTiltMax=60)  # fmt: skip
    write_table(star, frame)
    assert go(star, save_model(tmp_path / "m.pt")) == 2
    assert "TS_00_EVN.mrc" in caplog.text
    first, second = TomogramTable.read(star).tomograms
    assert first.corrected is None
    assert second.corrected is not None
    assert go(star, tmp_path / "m.pt", tomo_idx="2") == 0


def test_two_networks_write_two_maps_and_their_mean(star, tmp_path):
    a, b = (save_model(tmp_path / f"{n}.pt", shift=s) for n, s in (("a", 0.0), ("b", 1.0)))
    go(star, a, model2=b)
    folder = tmp_path / "corrected_tomos"
    mean, one, two = (
        open_volume(folder / f"TS_01{part}.mrc").read() for part in ("", "_half1", "_half2")
    )
    np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-4)
    assert np.mean(one - two) > 0.1


def test_of_two_networks_each_restores_its_own_half(star, halves, tmp_path):
    one, two = (
        save_model(tmp_path / f"{part}.pt", apply_mw_x1=False, shift=shift, part=part)
        for part, shift in (("top", 0.0), ("bottom", 1e-6))
    )
    go(star, one, model2=two)
    for part, half in (("_half1", halves[0]), ("_half2", halves[1])):
        written = open_volume(tmp_path / "corrected_tomos" / f"TS_01{part}.mrc").read()
        assert np.corrcoef(written.ravel(), open_volume(half).read().ravel())[0, 1] > 0.99


def test_the_table_names_maps_of_two_networks_as_long_as_they_are_of_the_last_run(star, tmp_path):
    a, b = (save_model(tmp_path / f"{n}.pt", shift=s) for n, s in (("a", 0.0), ("b", 1.0)))
    noisy = (
        save_model(tmp_path / "n.pt", method="n2n"),
        save_model(tmp_path / "m.pt", method="n2n", shift=1.0),
    )
    go(star, a, model2=b)
    go(star, noisy[0], model2=noisy[1])
    cells = TomogramTable.read(star).tomograms[0].cells
    assert cells["rlnCorrectedTomoHalf1"].endswith("corrected_tomos/TS_01_half1.mrc")
    assert cells["rlnDenoisedTomoHalf2"].endswith("denoised_tomos/TS_01_half2.mrc")
    go(star, a)
    cells = TomogramTable.read(star).tomograms[0].cells
    assert cells["rlnCorrectedTomoHalf1"] == cells["rlnCorrectedTomoHalf2"] == "None"
    assert cells["rlnDenoisedTomoHalf1"] != "None"


def test_two_networks_that_are_not_independent_are_refused(star, tmp_path):
    a, b = (
        save_model(tmp_path / f"{n}.pt", shift=s, part="top") for n, s in (("a", 0.0), ("b", 1.0))
    )
    with pytest.raises(InputError, match="is the same network as model"):
        go(star, a, model2=a)
    with pytest.raises(InputError, match="was trained on the top part of its tomograms, as model"):
        go(star, a, model2=b)


def test_what_cannot_stand_in_a_table_is_refused_before_any_work(star, tmp_path):
    model = save_model(tmp_path / "m.pt")
    with pytest.raises(InputError, match="cannot stand in a STAR table"):
        go(star, model, output_dir="O'Brien")
    with pytest.raises(InputError, match=r"output_prefix = ../x is not allowed"):
        go(star, model, output_prefix="../x")
    assert not (tmp_path / "O'Brien").exists()


def test_the_result_says_the_pixel_size_that_the_table_says(star, halves, tmp_path):
    for number, half in enumerate(halves[:2], start=1):
        path = tmp_path / f"one{number}.mrc"
        write_volume(path, open_volume(half).read(), voxel_size=1.0, label="test")
        update(star, 1, {f"rlnTomoReconstructedTomogramHalf{number}": path})
    assert go(star, save_model(tmp_path / "m.pt")) == 0
    written = open_volume(TomogramTable.read(star).tomograms[0].corrected)
    assert written.voxel_size == pytest.approx((10, 10, 10))


def test_tiles_can_be_chosen(star, tmp_path, monkeypatch):
    model = save_model(tmp_path / "m.pt")
    seen = []

    def spy(*given, **options):
        seen.append([(plan.tile, plan.tile - plan.stride) for plan in given[5]])

    monkeypatch.setattr("isonet2.commands.predict.restore", spy)
    go(star, model, chunk_size=34, overlap_rate=0.5)
    go(star, model, chunk_size=34, overlap_rate=0.0)
    assert all(tile == 36 and overlap >= 18 for tile, overlap in seen[0])
    assert max(overlap for _, overlap in seen[1]) < 18


def test_one_volume_in_place_of_two_halves_is_said(star, tmp_path, caplog):
    update(star, 1, {"rlnTomoName": TomogramTable.read(star).tomograms[0].half1})
    model = save_model(tmp_path / "n.pt", "n2n")
    assert go(star, model, tomo_idx="1") == 0
    assert "restores that one volume" not in caplog.text
    assert go(star, model, tomo_idx="1", input_column="rlnTomoName") == 0
    assert (
        "input_column rlnTomoName: the network was trained on halves, and restores" in caplog.text
    )


@pytest.mark.parametrize("output_format", ["mrc", "h5"])
def test_the_wedge_is_empty_again_where_it_is_not_to_be_filled(star, tmp_path, output_format):
    """The file's own spectrum is asked, and nothing else of the result changes."""
    model = save_model(tmp_path / "m.pt", "n2n", apply_mw_x1=False)
    for number, name in ((1, "EVN"), (2, "ODD")):
        path = tmp_path / f"TS_01_{name}.mrc"
        white = np.random.default_rng(number).standard_normal((40, 44, 48))
        write_volume(path, 3 * white + 7, voxel_size=10.0, label="test")
        update(star, 1, {f"rlnTomoReconstructedTomogramHalf{number}": path})
    spectra, told = [], []
    for fill in (True, False):
        folder = tmp_path / f"fill_{fill}"
        assert go(star, model, fill=fill, output_dir=folder, output_format=output_format) == 0
        written = open_volume(folder / f"TS_01.{output_format}")
        spectra.append(torch.fft.rfftn(torch.from_numpy(written.read())))
        record = yaml.safe_load((folder / "params.yaml").read_text())
        told.append((restored_state(written), record["made"]["wedge"], record["fill"]))
        assert [path.name for path in folder.glob(".*")] == []
    kept = measured(written.shape, ((-60.0, 60.0),)).bool()
    wedge = ~kept & ball(written.shape).bool()
    torch.testing.assert_close(spectra[1][kept], spectra[0][kept], atol=0.1, rtol=0)
    assert spectra[0][wedge].abs().mean() > 100
    assert spectra[1][wedge].abs().max() < 0.1
    digest = Checkpoint.load(model).digest
    for (state, wedge_is, fills), expected, filled in zip(
        told, ("kept", "empty"), (True, False), strict=True
    ):
        by = f"by network {digest} of IsoNet2 {package_version()}"
        assert (wedge_is, fills) == (expected, filled)
        assert state == f"denoised, wedge {expected}, CTF None, {by}"


def test_results_with_an_empty_wedge_are_not_taken_for_filled_ones(star, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    model = save_model(tmp_path / "m.pt")
    for number, fill in enumerate((False, False, True)):
        caplog.clear()
        assert go(star, model, fill=fill) == 0
        assert ("is there already" in caplog.text) == (number == 1)
    state = restored_state(open_volume(tmp_path / "corrected_tomos" / "TS_01.mrc"))
    assert state is not None
    assert "wedge filled" in state


def test_two_networks_leave_three_results_with_an_empty_wedge(star, tmp_path):
    models = [save_model(tmp_path / f"{n}.pt", shift=n / 10) for n in (1, 2)]
    assert go(star, models[0], model2=models[1], fill=False) == 0
    digests = [Checkpoint.load(model).digest for model in models]
    assert digests[0] != digests[1]
    names = {"TS_01": "".join(digests), "TS_01_half1": digests[0], "TS_01_half2": digests[1]}
    for name, digest in names.items():
        state = restored_state(open_volume(tmp_path / "corrected_tomos" / f"{name}.mrc"))
        assert state is not None
        assert state.startswith(f"denoised, wedge empty, CTF None, by network {digest} of")


def test_slices_are_drawn_when_asked_for(star, tmp_path):
    model = save_model(tmp_path / "m.pt")
    assert go(star, model, tomo_idx="1", output_dir="plain") == 0
    assert not list((tmp_path / "plain").glob("*.png"))
    assert go(star, model, tomo_idx="1", output_dir="drawn", save_slices=True) == 0
    assert [path.name for path in (tmp_path / "drawn").glob("*.png")] == ["TS_01.png"]


def test_no_result_replaces_its_input_or_that_of_another_kind(star, tmp_path, caplog):
    go(star, save_model(tmp_path / "n.pt", "n2n"))
    go(star, save_model(tmp_path / "m.pt"))
    row = TomogramTable.read(star).tomograms[0]
    assert row.denoised.parent.name == "denoised_tomos"
    assert row.corrected.parent.name == "corrected_tomos"
    single = save_model(tmp_path / "i.pt", "isonet2")
    assert go(star, single, input_column="rlnCorrectedTomoName") == 2
    assert "would replace the file that it is made from" in caplog.text


@pytest.mark.parametrize(("dtype", "atol"), [("float16", 0.02), ("int8", 0.15)])
def test_small_number_formats_hold_the_same_values(star, tmp_path, dtype, atol):
    model = save_model(tmp_path / "m.pt")
    go(star, model)
    go(star, model, dtype=dtype, output_dir=dtype)
    full = open_volume(tmp_path / "corrected_tomos" / "TS_01.mrc").read()
    small = open_volume(tmp_path / dtype / "TS_01.mrc")
    values = small.read()
    if dtype == "int8":
        note = next(t for t in small.header.labels if "stored*" in t)
        scale, offset = note.split("stored*")[1].split("+", 1)
        values = values * float(scale) + float(offset)
    np.testing.assert_allclose(values, full, atol=atol)


@pytest.mark.parametrize(
    ("ending", "package"), [("tif", "tifffile"), ("h5", "h5py"), ("zarr", "zarr")]
)
def test_results_are_written_in_the_format_asked_for(star, tmp_path, caplog, ending, package):
    pytest.importorskip(package)
    caplog.set_level(logging.INFO)
    model = save_model(tmp_path / "m.pt")
    go(star, model)
    go(star, model, output_format=ending)
    (row,) = TomogramTable.read(star).tomograms
    assert row.corrected.suffix == f".{ending}"
    written, usual = open_volume(row.corrected), open_volume(row.corrected.with_suffix(".mrc"))
    np.testing.assert_array_equal(written.read(), usual.read())
    assert written.voxel_size == pytest.approx(usual.voxel_size)
    caplog.clear()
    go(star, model, output_format=ending)
    assert "is there already" in caplog.text


def test_results_have_the_voxel_size_of_the_table_where_the_header_is_wrong(star, tmp_path):
    update(star, 1, {"rlnPixelSize": 5.4})
    go(star, save_model(tmp_path / "m.pt"))
    (row,) = TomogramTable.read(star).tomograms
    assert open_volume(row.corrected).voxel_size == pytest.approx((5.4, 5.4, 5.4))


def test_a_number_format_that_a_file_format_has_not_is_refused_at_once(star, tmp_path):
    model = save_model(tmp_path / "m.pt")
    with pytest.raises(InputError, match="dtype int8 is not written to"):
        go(star, model, output_format="h5", dtype="int8")


def test_a_published_model_restores_as_the_published_program_does(star, tmp_path, monkeypatch):
    path = save_model(tmp_path / "m.pt")
    seen = []
    monkeypatch.setattr("isonet2.commands.predict.restore", lambda *a, **k: seen.append((a[5], k)))
    monkeypatch.setattr(Checkpoint, "is_published", True)
    go(star, path)
    ((tiles, options),) = seen
    assert {p.tile for p in tiles} == {Checkpoint.load(path).usage.cube_size}
    assert options["ways"] == 1


@pytest.mark.parametrize("form", range(1, FORMAT))
def test_a_network_of_an_older_kind_is_refused(tmp_path, form):
    record = torch.load(save_model(tmp_path / "m.pt"), weights_only=True)
    torch.save(record | {"format": form}, tmp_path / "m.pt")
    with pytest.raises(InputError, match=r"m\.pt: its network is of an older kind; train it again"):
        Checkpoint.load(tmp_path / "m.pt")


def test_threads_are_those_asked_for(star, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        assert go(star, save_model(tmp_path / "m.pt"), ncpus=1) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_nothing_of_the_users_is_replaced(star, halves, tmp_path, caplog):
    """A full tomogram that the table names, and one that it does not, where the result would be."""
    model = save_model(tmp_path / "m.pt")
    full = tmp_path / "full" / "TS_01.mrc"
    write_volume(full, open_volume(halves[0]).read(), voxel_size=10.0, label="by IMOD")
    before = full.read_bytes()
    update(star, 1, {"rlnTomoName": full})
    assert go(star, model, output_dir=full.parent) == 2
    assert "would replace the file that it is made from" in caplog.text
    update(star, 1, {"rlnTomoName": "None"})
    assert go(star, model, output_dir=full.parent, overwrite=True) == 2
    assert "is there already, and no result of this program" in caplog.text
    assert full.read_bytes() == before


def test_voxels_unlike_those_of_training_are_said(star, tmp_path, caplog):
    go(star, save_model(tmp_path / "like.pt", pixel_size=10.5))
    assert "resize it first" not in caplog.text
    go(star, save_model(tmp_path / "unlike.pt", pixel_size=13.0))
    assert "voxels of 10 A, and the network was trained on 13 A; resize it first" in caplog.text


def test_a_network_of_a_users_own_method_says_how_it_is_used(star, tmp_path):
    assert go(star, save_model(tmp_path / "m.pt", "regular")) == 0
    assert open_volume(tmp_path / "corrected_tomos" / "TS_01.mrc").shape == (48, 56, 64)


@pytest.mark.parametrize("column", ["rlnTomoName", "rlnDeconvTomoName", None])
def test_what_a_network_was_trained_on_is_restored_unless_told_otherwise(
    star, halves, tmp_path, caplog, column
):
    """The table lists a full and a deconvolved tomogram: without a column it is the latter."""
    caplog.set_level("INFO", logger="isonet2")
    files = {"rlnTomoName": halves[0], "rlnDeconvTomoName": halves[1]}
    update(star, 1, files)
    told = {} if column is None else {"parameters": {"input_column": column}}
    model = save_model(tmp_path / "n.pt", "isonet2", **told)
    assert go(star, model) == 0
    assert f"reading {files[column or 'rlnDeconvTomoName']}" in caplog.text
    assert ("as in training" in caplog.text) == (column is not None)
    caplog.clear()
    assert go(star, model, input_column="rlnTomoName", overwrite=True) == 0
    assert f"reading {halves[0]}" in caplog.text


def test_a_row_that_lacks_what_a_network_was_trained_on_is_said(star, halves, tmp_path, caplog):
    caplog.set_level("INFO", logger="isonet2")
    update(star, 1, {"rlnTomoName": halves[0]})
    told = {"parameters": {"input_column": "rlnDeconvTomoName"}}
    assert go(star, save_model(tmp_path / "n.pt", "isonet2", **told)) == 0
    assert "trained on rlnDeconvTomoName, which the table does not list" in caplog.text
    assert f"reading {halves[0]}" in caplog.text
