from functools import partial

import numpy as np
import pandas as pd
import pytest

from isonet2.checks.findings import Findings
from isonet2.checks.past import past_findings
from isonet2.data.inputs import TomogramInput, edges
from isonet2.data.labels import DECONVOLVED_LABEL, RESTORED_LABEL
from isonet2.data.star import TomogramTable, write_table
from isonet2.data.volumes import open_volume, write_volume
from isonet2.errors import InputError
from isonet2.opening.rows import input_paths, sectors_of
from isonet2.physics.ctf import CtfTreatment
from isonet2.runs.sources import training_source


def row(folder, halves, **cells):
    values = {
        "rlnIndex": 1,
        "rlnTomoReconstructedTomogramHalf1": halves[0],
        "rlnTomoReconstructedTomogramHalf2": halves[1],
        "rlnTomoName": halves[0],
        "rlnDenoisedTomoName": halves[1],
        "rlnPixelSize": 10,
        "rlnTiltMin": -50,
        "rlnTiltMax": 40,
    }
    write_table(folder / "t.star", pd.DataFrame({k: [v] for k, v in (values | cells).items()}))
    return TomogramTable.read(folder / "t.star").tomograms[0]


def make(tomogram, halves=False, **options):
    given = {
        "treatment": CtfTreatment(), "bfactor": 0.0, "with_mask": False,
        "mask_weighted_loss": False, "input_column": None,
    }  # fmt: skip
    findings = Findings()
    found = training_source(tomogram, findings, reads_halves=halves, **(given | options))
    findings.tell()
    return found


def test_the_input_column_decides_which_volume_is_read(tmp_path, halves):
    tomogram = row(tmp_path, halves)
    full = partial(input_paths, reads_halves=False)
    assert input_paths(tomogram, reads_halves=True, input_column=None) == halves[:2]
    assert full(tomogram, input_column=None) == [halves[0]]
    assert full(tomogram, input_column="rlnDenoisedTomoName") == [halves[1]]
    deconvolved = row(tmp_path, halves, rlnDeconvTomoName=halves[2])
    assert full(deconvolved, input_column=None) == [halves[2]]
    with pytest.raises(InputError, match="rlnCorrectedTomoName"):
        full(tomogram, input_column="rlnCorrectedTomoName")


def test_tilts_of_the_table_become_the_wedge(tmp_path, halves):
    assert sectors_of(row(tmp_path, halves)) == ((-50, 40),)
    (tmp_path / "a.tlt").write_text("-45\n-42\n-39\n30\n33\n36\n")
    ends = {"rlnTiltMin": -45, "rlnTiltMax": 36}
    tilts = row(tmp_path, halves, rlnTiltFile=tmp_path / "a.tlt", **ends)
    assert sectors_of(tilts) == ((-45, -39), (30, 36))


def test_a_mask_of_another_shape_is_refused(tmp_path, halves):
    import numpy as np

    from isonet2.data.volumes import write_volume

    write_volume(tmp_path / "m.mrc", np.ones((8, 8, 8), np.float32), voxel_size=10.0, label="x")
    with pytest.raises(InputError, match="8 x 8 x 8"):
        make(row(tmp_path, halves, rlnMaskName=tmp_path / "m.mrc"), with_mask=True)


def test_without_a_mask_cubes_come_from_everywhere_and_this_is_said(tmp_path, halves, caplog):
    source = make(row(tmp_path, halves), with_mask=True)
    assert source.centres is None
    assert "has no mask" in caplog.text


def test_masks_choose_centres_and_weights(tmp_path, halves):
    mask = tmp_path / "mask.mrc"
    write_volume(mask, np.abs(open_volume(halves[2]).read()), voxel_size=10.0, label="x")
    tomogram = row(tmp_path, halves, rlnMaskName=mask)
    masked = make(tomogram, with_mask=True)
    assert masked.centres is not None
    assert masked.weight is None
    weighted = make(tomogram, mask_weighted_loss=True)
    assert weighted.centres is None
    assert weighted.weight.path == mask


def test_what_is_no_mask_is_refused(tmp_path, halves):
    values = np.zeros((48, 56, 64), np.float32)
    values[0, 0, 0] = -1
    write_volume(tmp_path / "m.mrc", values, voxel_size=10.0, label="test")
    tomogram = row(tmp_path, halves, rlnMaskName=tmp_path / "m.mrc")
    with pytest.raises(InputError, match="is no mask, it has values below zero"):
        make(tomogram, with_mask=True)


def test_a_mask_of_another_voxel_size_is_said(tmp_path, halves, caplog):
    values = np.ones((48, 56, 64), np.float32)
    write_volume(tmp_path / "m.mrc", values, voxel_size=8.0, label="test")
    make(row(tmp_path, halves, rlnMaskName=tmp_path / "m.mrc"), with_mask=True)
    assert "the mask's voxels are 8 A by its header, the tomogram's 10 A" in caplog.text


@pytest.mark.parametrize("by", [None, 10.0, 5.4])
def test_a_mask_fits_by_the_header_or_by_the_table(tmp_path, halves, caplog, by):
    write_volume(tmp_path / "m.mrc", np.ones((48, 56, 64), np.float32), voxel_size=by, label="x")
    told = row(tmp_path, halves, rlnMaskName=tmp_path / "m.mrc", rlnPixelSize=5.4)
    make(told, with_mask=True)
    assert "the mask's voxels" not in caplog.text


@pytest.mark.parametrize(("header", "expected"), [(None, 5.4), (1.0, 5.4), (5.3975, 5.3975)])
def test_results_have_the_tables_voxels_or_the_headers_which_are_more_exact(
    tmp_path, header, expected
):
    write_volume(tmp_path / "a.mrc", np.eye(8)[None] * 1.0, voxel_size=header, label="x")
    volume = open_volume(tmp_path / "a.mrc")
    tomogram = row(tmp_path, [tmp_path / "a.mrc"] * 2, rlnPixelSize=5.4)
    for size in (edges(volume, 5.4), TomogramInput("x", (volume,)).voxel_size(tomogram)):
        assert size == pytest.approx((expected,) * 3)


@pytest.mark.parametrize(("kept", "said"), [(20, False), (47, True), (0, True)])
def test_a_mask_of_nearly_all_or_nothing_is_said(tmp_path, halves, caplog, kept, said):
    mask = np.zeros(open_volume(halves[0]).shape, np.float32)
    mask[:kept] = mask[0, :9] = 1
    write_volume(tmp_path / "m.mrc", mask, voxel_size=10.0, label="x")
    make(row(tmp_path, halves, rlnMaskName=tmp_path / "m.mrc"), with_mask=True)
    assert ("it must be above 0 where the specimen is" in caplog.text) == said


@pytest.mark.parametrize("inverted", [False, True])
def test_a_mask_that_keeps_the_empty_is_said(tmp_path, halves, caplog, inverted):
    specimen = open_volume(halves[2]).read() < -0.3
    mask = (specimen != inverted).astype(np.float32)
    write_volume(tmp_path / "m.mrc", mask, voxel_size=10.0, label="x")
    make(row(tmp_path, halves, rlnMaskName=tmp_path / "m.mrc"), with_mask=True)
    assert ("is it inverted?" in caplog.text) == inverted


def test_one_file_as_both_halves_is_refused(tmp_path, halves):
    same = row(tmp_path, halves, rlnTomoReconstructedTomogramHalf2=halves[0])
    with pytest.raises(InputError, match="are the same file; give the two halves"):
        make(same, halves=True)


def test_a_voxel_size_that_the_header_contradicts_is_said(tmp_path, halves, caplog):
    make(row(tmp_path, halves, rlnPixelSize=5.0))
    assert "rlnPixelSize is 5 A, but the header says 10 A" in caplog.text


def test_coordinates_choose_centres(tmp_path, halves):
    (tmp_path / "p.txt").write_text("30 20 10\n31 21 11\n")
    source = make(row(tmp_path, halves, rlnBoxFile=tmp_path / "p.txt"))
    assert source.centres.tolist() == [[10, 20, 30], [11, 21, 31]]


def test_halves_are_checked_wherever_they_are_read(tmp_path, halves, caplog):
    values = open_volume(halves[1]).read()
    for name, other in (("copy", values), ("scaled", 50 * values), ("dark", -values)):
        write_volume(tmp_path / f"{name}.mrc", other, voxel_size=10.0, label="test")
    copied = row(tmp_path, [halves[1], tmp_path / "copy.mrc"])
    with pytest.raises(InputError, match="hold the same noise"):
        make(copied, halves=True)
    make(row(tmp_path, [halves[0], tmp_path / "scaled.mrc"]), halves=True)
    assert "varies 49" in caplog.text or "varies 50" in caplog.text
    with pytest.raises(InputError, match="have opposite contrast"):
        make(row(tmp_path, [halves[0], tmp_path / "dark.mrc"]), halves=True)


def test_what_was_done_to_a_volume_is_told_by_its_label(tmp_path):
    cube = np.random.default_rng(0).random((8, 8, 8), np.float32)
    found = []
    for label in (f"IsoNet2 {DECONVOLVED_LABEL}", f"IsoNet2 x n2n: {RESTORED_LABEL}; 2.0", "IMOD"):
        write_volume(tmp_path / "a.mrc", cube, label=label)
        volume = open_volume(tmp_path / "a.mrc")
        found.append([len(past_findings([volume], ctf=ctf)) for ctf in (False, True)])
    assert found == [[0, 1], [1, 1], [0, 0]]
