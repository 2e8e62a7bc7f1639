"""Tomograms by several processes of this machine; tests/test_slurm.py has those of a cluster."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from job_helpers import offer, soon
from preparing import volume
from trained import save_model

from isonet2.cli import main
from isonet2.data.files import locked
from isonet2.data.progress import read_progress
from isonet2.data.star import TomogramTable
from isonet2.data.volumes import open_volume
from isonet2.jobs import cluster, gpus, worker_jobs
from isonet2.machine.memory import SHARE, memory_limit
from isonet2.parameters import DeconvParameters, PredictParameters
from isonet2.runs import each
from isonet2.runs.each import SomeFailed, for_each

pytestmark = pytest.mark.slow
SOURCES = f"{Path(__file__).parents[1] / 'src'}{os.pathsep}{Path(__file__).parent}"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Six small tomograms and their table, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", SOURCES)
    offer(monkeypatch, tmp_path / "locks", "")
    for number in range(1, 7):
        volume(Path(f"full/TS_{number:02}.mrc"), number)
    assert main(["prepare_star", "full", "--defocus", "30000"]) == 0
    yield Path("tomograms.star")
    gpus.visible.cache_clear()


def whole(path):
    opened = open_volume(path)
    return opened.read(tuple(slice(0, n) for n in opened.shape))


def parameters(folder, **values):
    return DeconvParameters(star_file="tomograms.star", output_dir=folder, **values)


def test_processes_here_do_what_one_does(table, caplog):
    assert main(["deconv", str(table), "-o", "one", "--ncpus", "1"]) == 0
    assert main(["deconv", str(table), "-o", "many", "--cluster", "local", "--ncpus", "1"]) == 0
    for number in range(1, 7):
        name = f"TS_{number:02}_deconv.mrc"
        both = [whole(Path(folder, name)) for folder in ("one", "many")]
        np.testing.assert_array_equal(*both)
    noted = [tomogram.deconvolved for tomogram in TomogramTable.read(table).tomograms]
    assert [path.parent.name for path in noted] == ["many"] * 6
    assert "working with 2 processes on 1 core each" in caplog.text
    assert "TS_06 (6 of 6): defocus 30000 A" in caplog.text  # said by a worker
    told = read_progress(Path("many"))
    assert (told.state, told.tomogram, told.tomograms, told.command) == (
        "succeeded", 6, 6, "deconv",
    )  # fmt: skip


def test_a_worker_that_dies_gives_its_tomogram_back_and_no_failure_stops_another(table, caplog):
    from cluster_work import prepare

    folder = Path("out")
    folder.mkdir()
    tomograms = TomogramTable.read(table).tomograms
    with pytest.raises(SomeFailed, match="3 failed: TS_03, TS_04, TS_05") as failed:
        for_each(parameters(folder, cluster="local"), table, tomograms, prepare, "done", folder)
    assert {done.index for done in failed.value.done} == {1, 2, 6}
    noted = {t.index: t.mask for t in TomogramTable.read(table).tomograms}
    assert {index for index, path in noted.items() if path is not None} == {1, 2, 6}
    assert "TS_03: has no use" in caplog.text
    assert re.search(r"TS_04: could not be done\n.*ZeroDivisionError", caplog.text, re.DOTALL)
    assert "TS_05: could not be done: 4 workers died over it" in caplog.text
    assert re.search(r"TS_01 \(1 of 6\) by \d+", caplog.text)
    told = read_progress(folder)
    assert (told.state, told.message) == ("failed", "3 failed: TS_03, TS_04, TS_05")


def test_who_only_waited_for_a_worker_that_died_is_not_blamed(monkeypatch):
    from cluster_work import deadly

    monkeypatch.setenv("PYTHONPATH", SOURCES)
    killers = {1, 3}
    calls = [(number, killers) for number in range(8)]
    with cluster.crew("local", None, on_gpus=False, tasks=len(calls)) as workers:
        found = dict(workers.each(deadly, calls))
    assert {n: r for n, r in found.items() if n not in killers} == {
        n: n for n in range(8) if n not in killers
    }
    assert [cluster.deaths_of(found[number]) for number in sorted(killers)] == [4, 4]


def test_a_worker_keeps_what_it_made_ready(table):
    from cluster_work import prepare

    folder = Path("out")
    folder.mkdir()
    tomograms = [t for t in TomogramTable.read(table).tomograms if t.index in (1, 6)] * 4
    given = parameters(folder, cluster="local")
    assert len(for_each(given, table, tomograms, prepare, "x", folder)) == 8
    assert len(list(folder.glob("ready_*"))) <= 2


def test_ctrl_c_ends_all_and_keeps_what_is_done(table):
    Path("out").mkdir()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from cluster_work import slow\n"
        "from isonet2.data.star import TomogramTable; from isonet2.runs.each import for_each\n"
        "from isonet2.parameters import DeconvParameters\n"
        "if __name__ == '__main__':\n"
        "    p = DeconvParameters(star_file='tomograms.star', output_dir='out', cluster='local')\n"
        "    table = TomogramTable.read(p.star_file)\n"
        "    for_each(p, table.path, table.tomograms, slow, 'done', p.output_dir)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, Path(__file__).parent], stderr=subprocess.PIPE, text=True
    )
    soon(lambda: Path("out/began_2").exists() and Path("out/began_3").exists(), 180)
    soon(lambda: read_progress(Path("out")).tomogram == 1, 60)
    workers = _children(run.pid)
    assert workers
    run.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in run.communicate(timeout=120)[1]
    soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 60)
    noted = {t.index: t.mask for t in TomogramTable.read(table).tomograms}
    assert {index for index, path in noted.items() if path is not None} == {1}
    assert read_progress(Path("out")).state == "cancelled"


def _children(pid):
    from isonet2.jobs.descendants import below

    return below(pid)


def test_a_scheduler_that_runs_is_used(table, tmp_path, caplog):
    tools = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
             "--port", "0", "--no-dashboard", "--scheduler-file", "scheduler.json"],
            stderr=subprocess.DEVNULL,
        )
    ]  # fmt: skip
    try:
        soon(Path("scheduler.json").exists, 120)
        told = soon(lambda: re.search(r"tcp://[\d.]+:\d+", Path("scheduler.json").read_text()))
        address = told[0]
        tools.append(
            subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
                 "--no-dashboard", "--no-nanny"],
                stderr=subprocess.DEVNULL,
                cwd="/",
            )
        )  # fmt: skip
        words = ["deconv", str(table), "-o", "out", "--cluster", address, "--tomo_idx", "1,2"]
        assert main(words) == 0
        assert sorted(path.name for path in Path("out").glob("*.mrc")) == [
            "TS_01_deconv.mrc", "TS_02_deconv.mrc",
        ]  # fmt: skip
    finally:
        for tool in tools:
            tool.terminate()
            tool.wait(60)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nowhere", "cluster = nowhere is not allowed: give local, the address"),
        ("none.yaml", "cluster = none.yaml: there is no such file"),
        ("moon.yaml", "moon.yaml: kind must be one of slurm, pbs, sge, lsf, htcondor"),
        ("odd.yaml", "odd.yaml: corse is not known of slurm; see docs/cluster.md"),
        ("tcp://127.0.0.1:1", "cluster tcp://127.0.0.1:1: nobody answers there"),
    ],
)
def test_what_is_no_cluster_is_refused(table, capsys, monkeypatch, value, said):
    Path("moon.yaml").write_text("kind: moon\n")
    Path("odd.yaml").write_text("kind: slurm\ncorse: 4\n")
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    assert main(["deconv", str(table), "--cluster", value]) == 2
    assert said in capsys.readouterr().err


def test_without_the_extra_it_is_named(table, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    assert main(["deconv", str(table), "--cluster", "local"]) == 2
    assert "distributed is missing; pip install isonet2[cluster]" in capsys.readouterr().err


def test_a_worker_takes_its_own_gpu_and_its_share(monkeypatch):
    monkeypatch.setenv(cluster.GPU, "GPU-aaaa0001")
    monkeypatch.setenv(cluster.CORES, "3")
    before = memory_limit()
    monkeypatch.setenv(SHARE, "4")
    assert memory_limit() == before // 4
    own = each._adapted(PredictParameters(star_file="t.star", model="m.pt", gpuID="0,1"))
    assert own.gpuID == "GPU-aaaa0001"


def test_a_process_for_each_gpu_that_was_chosen(monkeypatch, tmp_path):
    import distributed

    made = {}
    offer(monkeypatch, tmp_path, "GPU-aaaa0001,GPU-bbbb0002,GPU-cccc0003")
    monkeypatch.setattr(distributed, "SpecCluster", lambda **options: made.update(options))

    def told(ids, tasks=9):
        cluster._here(ids, True, tasks)
        return [worker["options"]["env"][cluster.GPU] for worker in made["workers"].values()]

    assert told("2,0") == ["GPU-cccc0003", "GPU-aaaa0001"]
    assert told(None) == ["GPU-aaaa0001", "GPU-bbbb0002", "GPU-cccc0003"]
    assert told(None, tasks=1) == ["GPU-aaaa0001"]
    assert set(told("cpu")) == {""}
    for worker in made["workers"].values():
        assert worker["options"]["protocol"] == "tls://"
        assert worker["options"]["dashboard"] is False
    gpus.visible.cache_clear()


def test_workers_say_nothing_of_their_own_and_open_no_pages(table):
    """Dask's lines on the terminal, and its HTTP servers, which serve what it knows to anybody."""
    Path("out").mkdir()
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from isonet2.jobs.cluster import crew; from cluster_work import asked\n"
        "if __name__ == '__main__':\n"
        "    before = dict(os.environ)\n"
        "    with crew('local', None, on_gpus=False, tasks=2) as workers:\n"
        "        print([page for _, pages in workers.each(asked, [(), ()]) for page in pages])\n"
        "        print(asked(workers.client.cluster.scheduler.http_server))\n"
        "    print(dict(os.environ) == before)\n"
    )
    script = Path("crew.py")
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script, Path(__file__).parent], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    workers, scheduler, kept = done.stdout.splitlines()
    assert workers == "['127.0.0.1', 404, '127.0.0.1', 404]"
    assert (scheduler, kept) == ("['127.0.0.1', 404]", "True")


@pytest.mark.parametrize("kind", worker_jobs.KINDS)
def test_every_kind_of_scheduler_is_asked_for_what_the_file_says(tmp_path, monkeypatch, kind):
    """As far as that can be seen without the scheduler."""
    monkeypatch.setattr(worker_jobs.shutil, "which", lambda program: program)
    path = tmp_path / "jobs.yaml"
    path.write_text(
        f"kind: {kind}\njobs: 3\ncores: 6\nmemory: 48GB\nscratch: {tmp_path}/scratch\n"
        "prologue: [module load cuda]\n"
        + ("" if kind == "htcondor" else "queue: fast\naccount: we\nwalltime: 4:00:00\n")
        + ("" if kind == "htcondor" else "directives: [gpus]\n")
    )
    usual = signal.getsignal(signal.SIGINT)
    with worker_jobs.from_file(path, 9) as (made, most, _):
        script = made.job_script()
        assert signal.getsignal(signal.SIGINT) is usual
    assert most == 3
    for word in ("module load cuda", "export ISONET2_CORES=6", "--resources tomogram=1"):
        assert word in script
    assert re.search(r"PRE_SPAWN_ENVIRON=.*MALLOC_TRIM_THRESHOLD_'+: None", script)
    for word in () if kind == "htcondor" else ("fast", "we", "4:00:00", "gpus"):
        assert word in script


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cores: many", "jobs.yaml: cores = many: give a number from 1 on"),
        ("jobs: 0", "jobs.yaml: jobs = 0: give a number from 1 on"),
        ("memory: lots", "jobs.yaml: Could not interpret 'lots' as a byte unit"),
        ("interface: none0", "jobs.yaml: .*none0"),
        ("kind: htcondor\nqueue: a", "jobs.yaml: queue is not known of htcondor"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(table, capsys, monkeypatch, line, said):
    monkeypatch.setattr(worker_jobs.shutil, "which", lambda program: program)
    kind = "" if line.startswith("kind") else "kind: slurm\n"
    Path("jobs.yaml").write_text(f"{kind}{line}\n")
    assert main(["deconv", str(table), "--cluster", "jobs.yaml"]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_where_there_is_no_scheduler_that_is_said(table, capsys):
    Path("jobs.yaml").write_text("kind: lsf\njobs: 2\n")
    assert main(["deconv", str(table), "--cluster", "jobs.yaml"]) == 2
    assert "jobs.yaml: there is no bsub on this machine" in capsys.readouterr().err


def test_two_predicts_at_once_lose_nothing_of_the_table(table):
    """Both wait for the table at the same time, and each notes its rows into what it finds then."""
    network = save_model(Path("m.pt"), "isonet2")
    words = [sys.executable, "-m", "isonet2", "predict", str(table), str(network), "--gpuID", "cpu"]
    chosen = {"one": "1-3", "two": "4-6"}
    runs = [
        subprocess.Popen([*words, "--ncpus", "1", "--tomo_idx", rows, "-o", folder])
        for folder, rows in chosen.items()
    ]
    soon(lambda: all(Path(folder, "params.yaml").exists() for folder in chosen), 200)
    with locked(table):
        soon(lambda: all(list(Path(folder).glob("*.mrc")) for folder in chosen), 100)
    assert [run.wait(200) for run in runs] == [0, 0]
    noted = [tomogram.corrected for tomogram in TomogramTable.read(table).tomograms]
    assert noted == [
        Path(folder, f"TS_0{number}.mrc")
        for folder, rows in (("one", (1, 2, 3)), ("two", (4, 5, 6)))
        for number in rows
    ]
