import pytest
import torch

from isonet2.errors import InputError
from isonet2.machine.tensors import load_tensors


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "network_a.pt"
    path.touch()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(InputError, match=r"network_a\.pt: cannot be read \(Permission denied\)"):
        load_tensors(path)


def test_what_lies_beside_a_missing_network_is_said(tmp_path):
    wanted = tmp_path / "network_a.pt"
    with pytest.raises(InputError, match="no such file; check the path"):
        load_tensors(wanted)
    (tmp_path / "training_state_full.pt").touch()
    with pytest.raises(InputError, match="stopped before its first network: go on with --resume"):
        load_tensors(wanted)
    (tmp_path / "network_b.pt").touch()
    with pytest.raises(InputError, match=r"holds network_b\.pt$"):
        load_tensors(wanted)
    wanted.symlink_to("gone.pt")
    with pytest.raises(InputError, match=r"is a link to gone\.pt, which is not there"):
        load_tensors(wanted)
