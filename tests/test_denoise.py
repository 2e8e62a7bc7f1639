from pathlib import Path

import pandas as pd
import pytest

from isonet2.commands import denoise as module
from isonet2.commands.denoise import denoise
from isonet2.data.star import write_table
from isonet2.errors import InputError
from isonet2.parameters import DenoiseParameters

HALVES = {
    "rlnTomoReconstructedTomogramHalf1": "a_EVN.mrc",
    "rlnTomoReconstructedTomogramHalf2": "a_ODD.mrc",
}
ROW = {
    "rlnIndex": 1, "rlnTomoName": "a.mrc", "rlnPixelSize": 10, "rlnTiltMin": -60, "rlnTiltMax": 60,
    "rlnVoltage": 300, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1,
}  # fmt: skip


def test_it_trains_on_the_halves_without_touching_the_wedge(tmp_path, monkeypatch):
    calls = []

    def train(*words):
        calls.append(words)
        return [Path("network.pt")]

    monkeypatch.setattr(module, "train", train)
    star = tmp_path / "t.star"
    write_table(star, pd.DataFrame([ROW | HALVES]))
    parameters = DenoiseParameters(star_file=star, loss_func="L1")
    assert denoise(parameters) == [Path("network.pt")]
    ((given, method, table, recipe),) = calls
    assert given is parameters
    assert method == "n2n"
    assert len(table.tomograms) == 1
    assert (recipe.loss_func, recipe.apply_mw_x1) == ("L1", False)


def test_without_halves_it_says_what_to_do(tmp_path):
    star = tmp_path / "t.star"
    write_table(star, pd.DataFrame([ROW]))
    with pytest.raises(InputError, match=r"a has none in .*Half1.*prepare_star --even and --odd"):
        denoise(DenoiseParameters(star_file=star))
