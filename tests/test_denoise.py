import pandas as pd
import pytest
from quick import QUICK

from isonet2.commands.denoise import denoise
from isonet2.data.star import write_table
from isonet2.errors import InputError
from isonet2.parameters import DenoiseParameters
from isonet2.prediction.checkpoint import Checkpoint

ROW = {
    "rlnIndex": 1, "rlnTomoName": "a.mrc", "rlnPixelSize": 10, "rlnTiltMin": -60, "rlnTiltMax": 60,
    "rlnVoltage": 300, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1,
}  # fmt: skip


def test_it_trains_on_the_halves_without_touching_the_wedge(star, tmp_path):
    given = QUICK | {"star_file": star, "epochs": 1, "loss_func": "L1"}
    (path,) = denoise(DenoiseParameters(output_dir=tmp_path / "mine", **given))
    assert path == tmp_path / "mine" / "network_n2n_unet-small_32_full.pt"
    model = Checkpoint.load(path)
    assert (model.method, model.usage.apply_mw_x1) == ("n2n", False)
    (row,) = pd.read_csv(path.parent / "history.csv").to_dict("records")
    assert row["loss"] == model.metrics["loss"] > 0
    (by_l2,) = denoise(DenoiseParameters(output_dir="other", **(given | {"loss_func": "L2"})))
    assert Checkpoint.load(by_l2).metrics["loss"] != row["loss"]


def test_without_halves_it_says_what_to_do(tmp_path):
    star = tmp_path / "t.star"
    write_table(star, pd.DataFrame([ROW]))
    with pytest.raises(InputError, match=r"a has none in .*Half1.*prepare_star --even and --odd"):
        denoise(DenoiseParameters(star_file=star))
