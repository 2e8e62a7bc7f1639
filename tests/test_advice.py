from pathlib import Path

import numpy as np
import pytest

from isonet2.checks.advice import Suggestion, advice, suggestion
from isonet2.checks.examination import Declared, Examination
from isonet2.checks.findings import Finding
from isonet2.data.pairing import TomogramFiles
from isonet2.data.volumes import volume_of_array
from isonet2.physics.ctf import ContrastTransfer


def examined(shape, *, ctf=True, kind=None):
    """A tomogram of some shape, with one finding."""
    transfer = ContrastTransfer(30_000.0) if ctf else None
    found = Examination(Declared(TomogramFiles("TS", full=Path("a.mrc")), ctf=transfer))
    found.volume = volume_of_array(np.zeros(shape, np.float32))
    if kind is not None:
        found.findings.add([Finding(kind, "warning", "told")])
    return found


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (examined((200, 300, 300)), Suggestion(96, "network")),
        (examined((70, 300, 300)), Suggestion(64, "network")),
        (examined((20, 300, 300)), Suggestion(32, "network")),
        (examined((90, 90, 90), ctf=False), Suggestion(80, "None")),
        (examined((90, 90, 90), kind="deconvolved before"), Suggestion(80, "None")),
    ],
)
def test_cubes_fit_and_the_ctf_is_undone_where_it_is_known_and_there(one, expected):
    assert suggestion(one) == expected


def test_all_tomograms_count():
    both = [Suggestion(96, "network"), Suggestion(64, "network")]
    found = advice(both, 3000)
    assert found is not None
    assert found.words == "--cube_size 64 --CTF_mode network --epochs 50"
    mixed = advice([*both, Suggestion(80, "None")], 15_000)
    assert mixed is not None
    assert (mixed.CTF_mode, mixed.epochs) == ("None", 10)
    assert advice([], 3000) is advice(both, 0) is None
    assert suggestion(Examination(Declared(TomogramFiles("TS", full=Path("gone.mrc"))))) is None
