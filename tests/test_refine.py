import csv

import numpy as np
import pandas as pd
import pytest
import torch
from quick import NAME, QUICK

from isonet2.commands.prepare_star import prepare_star
from isonet2.commands.refine import choose_method, deconvolve_first, refine
from isonet2.data.blocks import read_star
from isonet2.data.star import TomogramTable, update, write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.parameters import PrepareStarParameters, RefineParameters, read_parameters
from isonet2.prediction.checkpoint import Checkpoint


def test_a_run_leaves_network_record_history_and_pictures(star):
    paths = refine(
        RefineParameters(
            star_file=star, epochs=2, save_interval=1, CTF_mode="network", mw_weight=20,
            output_dir="01_test", **(QUICK | {"with_preview": True}),
        )
    )  # fmt: skip
    folder = star.parent / "01_test"
    assert paths[0].resolve() == (folder / f"{NAME}_full.pt").resolve()
    names = {p.name for p in folder.iterdir()}
    assert {
        "params.yaml", "history.csv", "loss_full.png", "training_state.pt",
        f"{NAME}_epoch1_full.pt", f"{NAME}_epoch2_full.pt", "TS_01_epoch2.mrc", "TS_01_epoch2.png",
    } <= names  # fmt: skip
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(np.isfinite(float(v)) for row in rows for v in row.values())
    assert {"loss", "n2n", "mw", "cc_halves_wedge", "fsc_wedge", "cc_measured"} <= rows[0].keys()
    model = Checkpoint.load(paths[0])
    assert (model.method, model.usage.cube_size, model.epoch) == ("isonet2-n2n", 32, 2)
    assert model.usage.treatment.mode == "network"
    plain = torch.load(paths[0], weights_only=True)
    assert plain["parameters"]["mw_weight"] == 20
    preview = open_volume(folder / "TS_01_epoch2.mrc")
    assert preview.shape == (48, 56, 64)
    assert preview.voxel_size == pytest.approx((10, 10, 10))


def test_the_saved_record_runs_again_to_the_same_weights(star):

    first = refine(RefineParameters(star_file=star, epochs=1, output_dir="a", **QUICK))[0]
    again = read_parameters(star.parent / "a" / "params.yaml")
    values = again.model_dump() | {"output_dir": "b"}
    second = refine(RefineParameters(**values))[0]
    a, b = (Checkpoint.load(p).weights for p in (first, second))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_deconvolution_and_mask_come_first_when_asked(star, halves):
    update(star, 1, {"rlnTomoName": halves[0]})
    given = QUICK | {"epochs": 1, "with_deconv": True, "method": "isonet2", "noise_level": 0.1}
    paths = refine(RefineParameters(star_file=star, snrfalloff=0.7, **given))
    assert paths[0].name == "network_isonet2_unet-small_32_full.pt"
    row = TomogramTable.read(star).tomograms[0]
    assert row.deconvolved is not None
    assert row.mask is not None
    recorded = read_parameters(paths[0].parent / "params.yaml")
    assert (recorded.with_deconv, recorded.input_column) == (True, "rlnDeconvTomoName")


def test_prediction_follows_when_asked(star):
    refine(RefineParameters(star_file=star, epochs=1, with_predict=True, **QUICK))
    assert TomogramTable.read(star).tomograms[0].corrected is not None


def test_only_the_chosen_tomograms_are_trained_on_and_restored(star):
    (row,) = read_star(star).blocks[""].to_dict("records")
    rows = [row | {"rlnIndex": 1, "rlnTomoReconstructedTomogramHalf1": "gone.mrc"}]
    rows += [row | {"rlnIndex": index, "rlnTomoName": f"TS_{index}.mrc"} for index in (2, 3)]
    write_table(star, pd.DataFrame(rows))
    given = {**QUICK, "with_preview": True, "epochs": 1, "with_predict": True}
    refine(RefineParameters(star_file=star, tomo_idx="2", **given))
    restored = [row.index for row in TomogramTable.read(star).tomograms if row.corrected]
    assert restored == [2]


def test_a_ctf_mode_without_defocus_is_refused(star):
    update(star, 1, {"rlnDefocus": None})
    with pytest.raises(InputError, match="rlnDefocus is empty"):
        refine(RefineParameters(star_file=star, CTF_mode="network", **QUICK))


def test_what_is_wrong_with_any_tomogram_is_said_together(star, tmp_path):
    frame = TomogramTable.read(star).tomograms[0]
    row = {
        "rlnTomoReconstructedTomogramHalf1": [frame.half1, tmp_path / "gone.mrc"],
        "rlnTomoReconstructedTomogramHalf2": [frame.half2, frame.half2],
        "rlnPixelSize": [10.0] * 2,
        "rlnNumberSubtomo": [4] * 2,
    }
    write_table(star, pd.DataFrame({"rlnIndex": [1, 2]} | row))
    with pytest.raises(InputError) as refused:
        refine(RefineParameters(star_file=star, CTF_mode="network", **QUICK))
    first, second = str(refused.value).splitlines()
    assert "rlnDefocus is empty" in first
    assert "gone.mrc" in second


def test_added_noise_does_not_ask_for_full_tomograms_that_are_not_there(star):
    parameters = RefineParameters(star_file=star, noise_level=0.2)
    tomograms = TomogramTable.read(star).tomograms
    assert choose_method(parameters, tomograms) == "isonet2-n2n"


def test_deconvolution_before_training_keeps_its_own_defaults(star, halves, monkeypatch):
    update(star, 1, {"rlnTomoName": halves[0]})
    asked = []
    monkeypatch.setattr("isonet2.commands.refine.deconv", lambda p: asked.append(p) or 0)
    monkeypatch.setattr("isonet2.commands.refine.make_mask", lambda p: 0)
    given = {"star_file": star, "with_deconv": True, "method": "isonet2"}
    deconvolve_first(RefineParameters(**given))
    deconvolve_first(RefineParameters(snrfalloff=0.4, **given))
    assert [p.snrfalloff for p in asked] == [1.0, 0.4]
    monkeypatch.setenv("LOCAL_RANK", "1")  # left by something else: this process is alone
    made = deconvolve_first(RefineParameters(**given))
    assert len(asked) == 3
    assert made.input_column == "rlnDeconvTomoName"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="several processes would deconvolve at once"):
        deconvolve_first(RefineParameters(**given))


def test_weights_from_a_mask_need_the_mask(star):
    with pytest.raises(InputError, match="mask_weighted_loss True needs its mask"):
        refine(RefineParameters(star_file=star, mask_weighted_loss=True, **QUICK))


def test_a_table_without_cubes_is_refused(star):
    update(star, 1, {"rlnNumberSubtomo": 0})
    with pytest.raises(InputError, match="rlnNumberSubtomo is 0 everywhere"):
        refine(RefineParameters(star_file=star, epochs=1, **QUICK))
    assert not (star.parent / "isonet_maps" / "params.yaml").exists()


@pytest.mark.parametrize(
    ("columns", "given", "expected"),
    [
        ({"half"}, {}, "isonet2-n2n"),
        ({"full"}, {}, "isonet2"),
        ({"half", "average"}, {}, "isonet2-n2n"),
        ({"half", "gone"}, {}, "isonet2-n2n"),
        ({"half", "full", "one"}, {}, "isonet2-n2n"),
        ({"half", "full"}, {"noise_level": 0.2}, "isonet2"),
        ({"half", "full"}, {"method": "isonet2"}, "isonet2"),
        ({"half", "full"}, {"method": "isonet2-n2n"}, "isonet2-n2n"),
        ({"half"}, {"input_column": "rlnDenoisedTomoName"}, "isonet2"),
    ],
)
def test_method_auto_follows_the_table(halves, tmp_path, columns, given, expected):
    star = listed(halves, tmp_path, columns)
    parameters = RefineParameters(star_file=star, **given)
    assert choose_method(parameters, TomogramTable.read(star).tomograms) == expected


def test_method_auto_does_not_choose_between_halves_and_full_tomograms(halves, tmp_path):
    star = listed(halves, tmp_path, {"half", "full"})
    with pytest.raises(InputError, match=r"--method isonet2-n2n .* --method isonet2 "):
        refine(RefineParameters(star_file=star))


def listed(halves, folder, columns):
    """A table with halves, a full tomogram (of one row or all), their average, or one gone."""
    even, odd, _ = halves
    if "average" in columns:
        return prepare_star(
            PrepareStarParameters(
                even=even, odd=odd, create_average=True, star_name=folder / "t.star"
            )
        )
    frame = {"rlnIndex": [1], "rlnTiltMin": [-60], "rlnTiltMax": [60], "rlnPixelSize": [10]}
    if "half" in columns:
        frame["rlnTomoReconstructedTomogramHalf1"] = [even]
        frame["rlnTomoReconstructedTomogramHalf2"] = [odd]
    if not columns.isdisjoint({"full", "gone"}):
        frame["rlnTomoName"] = [folder / "f.mrc"]
    if "full" in columns:
        write_volume(folder / "f.mrc", open_volume(even).read(), voxel_size=10.0, label="test")
    rows = pd.DataFrame(frame)
    if "one" in columns:
        other = {"rlnIndex": [2], "rlnTomoName": ["None"]}
        rows = pd.concat([rows, rows.assign(**other)], ignore_index=True)
    write_table(folder / "t.star", rows)
    return folder / "t.star"
