import re

import pytest
from quick import QUICK

from isonet2.commands.refine import refine
from isonet2.data.star import update
from isonet2.errors import InputError
from isonet2.parameters import RefineParameters
from isonet2.runs.plan import noise_levels, plan_of, without_effect
from isonet2.training.objectives import METHODS


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("isonet2-n2n", {"bfactor": 200}, "bfactor .* in CTF_mode None, only in network"),
        ("isonet2-n2n", {"bfactor": 200, "CTF_mode": "network"}, None),
        ("isonet2-n2n", {"isCTFflipped": True}, "isCTFflipped .* in CTF_mode None"),
        ("isonet2-n2n", {"isCTFflipped": True, "CTF_mode": "wiener"}, None),
        ("isonet2", {"snrfalloff": 0.7}, "snrfalloff .* only in wiener"),
        ("isonet2", {"snrfalloff": 0.7, "with_deconv": True}, None),
        ("isonet2", {"bfactor": 200, "with_deconv": True}, "bfactor .* only in network"),
        ("isonet2", {"noise_mode": "ramp"}, "noise_mode .* without noise_level"),
        ("isonet2", {"noise_mode": "ramp", "noise_level": (0.0, 0.1), "noisestartiter": (1, 2)},
         None),
        ("isonet2", {"pairing": "both"}, "pairing .* one volume and no pair"),
        ("isonet2-n2n", {"pairing": "both"}, None),
        ("isonet2-n2n", {"input_column": "rlnTomoName"}, "input_column .* on the two halves"),
        ("isonet2", {"input_column": "rlnTomoName"}, None),
        ("isonet2-n2n", {"with_preview": False, "prev_tomo_idx": "2"}, "without with_preview"),
    ],
)  # fmt: skip
def test_what_does_nothing_beside_the_rest_is_named(method, given, said):
    texts = without_effect(RefineParameters(star_file="t.star", **given), METHODS[method])
    assert len(texts) == (said is not None)
    assert said is None or re.search(said, texts[0])


def test_what_does_nothing_is_said_when_training_begins(star, halves, caplog):
    update(star, 1, {"rlnMaskName": halves[2]})
    refine(RefineParameters(star_file=star, bfactor=200, epochs=1, **QUICK))
    assert "bfactor has no effect in CTF_mode None" in caplog.text
    assert "masks are listed and not used" in caplog.text


@pytest.mark.parametrize("ranks", [1, 4])
def test_a_batch_holds_two_cubes_for_each_device_unless_a_size_is_given(ranks):
    given = {"star_file": "x.star", "epochs": 1}
    assert plan_of(RefineParameters(**given), ranks, 2, 30).batch_size == 2 * ranks
    asked = RefineParameters(batch_size=12, **given)
    assert plan_of(asked, ranks, 2, 30).batch_size == 12


def test_fewer_cubes_than_gpus_are_refused():
    asked = RefineParameters(star_file="x.star", epochs=1)
    with pytest.raises(InputError, match="3 cubes in an epoch for 4 GPUs: give fewer of them"):
        plan_of(asked, 4, 2, 3)
    assert plan_of(asked, 4, 2, 4).batch_size == 8


def test_noise_levels_follow_their_starting_epochs():
    parameters = RefineParameters(
        star_file="x.star", epochs=5, noise_level="[0.1,0.2]", noisestartiter="[2,4]"
    )
    assert noise_levels(parameters) == (0.0, 0.1, 0.1, 0.2, 0.2)
    assert noise_levels(RefineParameters(star_file="x", epochs=2, noise_level=0.3)) == (0.3, 0.3)
