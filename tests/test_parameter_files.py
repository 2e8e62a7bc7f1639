"""Parameters that are read from files."""

import pytest

from isonet2.errors import InputError
from isonet2.parameters import (
    RefineParameters,
    read_parameters,
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("command: refine\nstar_file: t.star\nepoch: 3\n", "did you mean epochs?"),
        ("command: refine\nstar_file: t.star\nepochs: x\n", "epochs = x is not allowed"),
        ("command: refine\nepochs: 3\niterations: 4\n", "gives epochs twice"),
        ("epochs: 3\nepochs: 4\n", "epochs is given twice"),
        ("epochs: 3\n", "names no command"),
        ("- 1\n", "must hold lines such as"),
        ("a: [\n", "is not valid"),
    ],
)
def test_files_that_are_wrong_are_refused(tmp_path, text, says):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_parameters(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value) or "epochs = x" in says


def test_files_that_are_missing_or_of_another_kind(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_parameters(tmp_path / "p.yaml")
    with pytest.raises(InputError, match="neither YAML nor JSON"):
        read_parameters(tmp_path / "p.txt")


def test_files_take_old_spellings_in_any_letter_case(tmp_path):
    path = tmp_path / "p.yml"
    path.write_text("STAR_FILE: t.star\niterations: 7\nctf-mode: Network\ngpuid: [0, 1]\n")
    parameters = read_parameters(path, "refine")
    assert isinstance(parameters, RefineParameters)
    assert (parameters.epochs, parameters.CTF_mode, parameters.gpuID) == (7, "network", "0,1")
