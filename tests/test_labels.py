import numpy as np
import pytest

from isonet2.data.labels import RESTORED_LABEL, Restoration, restored_state
from isonet2.data.volumes import open_volume, write_volume

CUBE = np.random.default_rng(0).random((8, 8, 8), np.float32)


def state_after(path, label):
    write_volume(path, CUBE, label=label)
    return restored_state(open_volume(path))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            Restoration(True, "filled", "network", "0a1b2c3d", "2.1.0"),
            "denoised, wedge filled, CTF network, by network 0a1b2c3d of IsoNet2 2.1.0",
        ),
        (
            Restoration(False, "empty", "None", "ffffffff", "3.0"),
            "wedge empty, CTF None, by network ffffffff of IsoNet2 3.0",
        ),
        (
            Restoration(True, "kept", "phase_only", "0a1b2c3d4e5f6071", "2.1.0"),
            "denoised, wedge kept, CTF phase_only, by network 0a1b2c3d4e5f6071 of IsoNet2 2.1.0",
        ),
    ],
)
@pytest.mark.parametrize("suffix", ["mrc", "tif", "h5"])
def test_what_a_header_says_is_what_was_made(tmp_path, made, words, suffix):
    assert len(made.label) <= 80
    assert state_after(tmp_path / f"a.{suffix}", f"{RESTORED_LABEL}\n{made.label}") == words


def test_the_last_state_counts_and_older_labels_are_known(tmp_path):
    first = Restoration(True, "filled", "None", "0a1b2c3d", "2.1.0")
    write_volume(tmp_path / "a.mrc", CUBE, label=first.label)
    second = Restoration(True, "empty", "None", "99999999", "2.1.0")
    again = tmp_path / "b.mrc"
    write_volume(again, CUBE, like=open_volume(tmp_path / "a.mrc"), label=second.label)
    state = restored_state(open_volume(again))
    assert state is not None
    assert state.startswith("denoised, wedge empty, CTF None, by network 99999999")
    old = state_after(tmp_path / "c.mrc", f"IsoNet2 0123 n2n: {RESTORED_LABEL}; 2.0")
    assert old == "by IsoNet2, whose label does not say how"
    assert state_after(tmp_path / "d.mrc", "IMOD, restored from tape") is None
