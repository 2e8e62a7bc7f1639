import pytest
from quick import QUICK

from isonet2.commands.plan import noise_levels, plan_of, without_effect
from isonet2.commands.refine import refine
from isonet2.data.star import update
from isonet2.parameters import RefineParameters


def test_what_is_given_and_does_nothing_is_said(star, halves, caplog):
    given = {"star_file": star, "bfactor": 200}
    network = RefineParameters(CTF_mode="network", **given)
    assert without_effect(network) == []
    (text,) = without_effect(RefineParameters(**given))
    assert text == "bfactor has no effect in CTF_mode None, only in network"
    assert (
        without_effect(
            RefineParameters(snrfalloff=0.0, **network.model_dump(exclude={"snrfalloff"}))
        )
        == []
    )
    update(star, 1, {"rlnMaskName": halves[2]})
    refine(RefineParameters(epochs=1, **given, **QUICK))
    assert text in caplog.text
    assert "masks are listed and not used" in caplog.text


@pytest.mark.parametrize("ranks", [1, 4])
def test_a_batch_holds_two_cubes_for_each_device_unless_a_size_is_given(ranks):
    given = {"star_file": "x.star", "epochs": 1}
    assert plan_of(RefineParameters(**given), "n2n", ranks, 2).batch_size == 2 * ranks
    asked = RefineParameters(batch_size=12, **given)
    assert plan_of(asked, "n2n", ranks, 2).batch_size == 12


def test_noise_levels_follow_their_starting_epochs():
    parameters = RefineParameters(
        star_file="x.star", epochs=5, noise_level="[0.1,0.2]", noisestartiter="[2,4]"
    )
    assert noise_levels(parameters) == (0.0, 0.1, 0.1, 0.2, 0.2)
    assert noise_levels(RefineParameters(star_file="x", epochs=2, noise_level=0.3)) == (0.3, 0.3)
