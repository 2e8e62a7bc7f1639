import errno
import logging
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import pytest
from command_words import problems, refine

import isonet2
from isonet2 import cli
from isonet2.cli import main
from isonet2.errors import InputError
from isonet2.parameters import (
    COMMANDS,
    RefineParameters,
    write_parameters,
)


def test_a_config_file_lies_under_the_flags(tmp_path, called):
    path = tmp_path / "p.yaml"
    path.write_text("star_file: t.star\nepochs: 7\nCTF_mode: network\ngpuID: 0\n")
    assert main(["refine", "--config", str(path), "--epochs", "9"]) == 0
    (parameters,) = called
    assert (parameters.epochs, parameters.CTF_mode, parameters.gpuID) == (9, "network", "0")


def test_a_config_file_and_the_flags_are_wrong_together(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("command: predict\nepoch: 7\n")
    found = problems(["t.star", "--config", str(path), "--foo", "1"])
    assert [line.split(":")[0] for line in found] == [
        "refine has no parameter --foo",
        f"{path} is for predict, not for refine.",
        str(path),
    ]
    missing = problems(["t.star", "--foo", "1", "--config", str(tmp_path / "none.yaml")])
    assert len(missing) == 2
    assert "cannot be read" in missing[1]


def test_the_record_runs_again_from_the_command_line(tmp_path, called):
    parameters = refine("t.star", "--noise_level", "0.1,0.2", "--noisestartiter", "1,5")
    path = write_parameters(parameters, tmp_path)
    assert main(["refine", "--config", str(path)]) == 0
    assert called == [parameters]


def test_exit_statuses(monkeypatch, capsys):
    def run(behaviour):
        module = ModuleType("isonet2.commands.refine")
        module.refine = behaviour
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return main(["refine", "t.star"])

    def stop(parameters):
        raise KeyboardInterrupt

    def refuse(parameters):
        raise InputError("t.star is not there: give a table.")

    def crash(parameters):
        raise RuntimeError("a defect")

    assert run(lambda parameters: None) == 0
    assert run(lambda parameters: Path("x")) == 0
    assert run(lambda parameters: True) == 0
    assert run(lambda parameters: 3) == 3
    assert run(stop) == 130
    assert run(refuse) == 2
    assert capsys.readouterr().err == (
        "isonet.py: stopped.\nisonet.py: t.star is not there: give a table.\n"
    )
    with pytest.raises(RuntimeError, match="a defect"):
        run(crash)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "make room there"), (errno.EROFS, "choose another folder")],
)
def test_what_the_system_refuses_is_said_in_one_line(monkeypatch, capsys, number, remedy):
    def refuse(parameters):
        raise OSError(number, os.strerror(number), "out/a.mrc")

    module = ModuleType("isonet2.commands.refine")
    module.refine = refuse
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert main(["refine", "t.star"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("isonet.py: out/a.mrc: ")
    assert remedy in said
    assert len(said.splitlines()) == 1


def test_a_bad_call_ends_with_status_2_and_one_line_each(capsys, called):
    assert main(["refine", "t.star", "--cube_size", "7", "--foo"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 2
    assert called == []
    assert main(["refin", "t.star"]) == 2
    assert capsys.readouterr().err == (
        "isonet.py: There is no command refin: did you mean refine?\n"
    )
    assert main([]) == 2
    assert main(["Prepare-Star", "folder"]) == 0


def test_help_and_version(capsys, called):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    for words in (["refine", "--help"], ["refine", "t.star", "-h"], ["help", "refine"]):
        assert main(words) == 0
        assert "--CTF_mode None|phase_only|network|wiener" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"isonet2 {isonet2.__version__}\n"
    assert called == []


def test_the_version_is_that_of_the_installed_package():
    try:
        assert isonet2.__version__ == version("isonet2")
    except PackageNotFoundError:
        assert "not installed" in isonet2.__version__


def test_what_the_package_logs_goes_to_the_standard_error_in_plain_lines(capsys, called):
    assert main(["refine", "t.star"]) == 0
    logging.getLogger("isonet2.anything").info("assumed -60 to 60 degrees")
    logging.getLogger("isonet2.anything").warning("no defocus")
    assert capsys.readouterr().err == "assumed -60 to 60 degrees\nWARNING: no defocus\n"


def test_help_imports_neither_torch_nor_numpy():
    code = (
        "import sys; from isonet2.cli import main; status = main(['refine', '--help']); "
        "bad = {'torch', 'numpy', 'pandas', 'rich', 'matplotlib'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Example:" in done.stdout


def test_the_package_itself_is_quick_to_import():
    code = "import sys, isonet2; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_commands_and_models_are_found_in_the_package(called):
    assert isonet2.RefineParameters is RefineParameters
    assert isonet2.InputError is InputError
    isonet2.refine(refine("t.star"))
    assert len(called) == 1
    assert {"refine", "RefineParameters", "read_parameters"} <= set(dir(isonet2))
    with pytest.raises(AttributeError, match="no attribute 'refin'"):
        isonet2.refin  # noqa: B018


def test_a_closed_pipe_is_no_error():
    line = f"{sys.executable} -m isonet2 refine --help | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("isonet.py refine STAR_FILE")
    assert done.stderr == ""


def test_the_schedulers_signal_ends_a_command_as_ctrl_c_does(monkeypatch, capsys):
    def ended(words):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "_run", ended)
    assert cli.main([]) == 130
    assert "stopped." in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
