import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from isonet2.errors import InputError
from isonet2.machine import devices, memory, started, threads, waiting
from isonet2.machine.ranks import make_fabric


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that three GPUs are visible, the second with most free memory."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: ([5, 9, 7][i], 10))
    uuids = ["8932f937-d72c", "8932aaaa-0001", "46abccd6-022e"]
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda i: SimpleNamespace(uuid=uuids[i])
    )


def test_gpu_numbers_choose_devices(gpus):
    assert devices.choose_devices("0,2") == [torch.device("cuda", 0), torch.device("cuda", 2)]
    assert devices.choose_devices(None) == [torch.device("cuda", 1)]
    assert devices.choose_devices("cpu") == [torch.device("cpu")]


def test_gpus_are_known_by_their_uuids(gpus):
    assert devices.choose_devices("GPU-46ab,1") == [
        torch.device("cuda", 2), torch.device("cuda", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("given", ["3", "GPU-8932", "GPU-ffff", "GPU-46ab,2"])
def test_a_gpu_that_is_not_there_or_twice_is_refused(gpus, given):
    with pytest.raises(InputError, match=rf"gpuID {given}: 3 GPU"):
        devices.choose_devices(given)


@pytest.mark.parametrize("given", [None, "0"])
def test_without_a_gpu_the_processor_is_taken_and_this_is_said(monkeypatch, caplog, given):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.choose_devices(given) == [torch.device("cpu")]
    assert "no GPU is visible" in caplog.text


def test_mixed_precision_follows_the_device(monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d: (9, 0))
    assert devices.autocast_type(gpu, True) == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d: (7, 5))
    assert devices.autocast_type(gpu, True) == torch.float16
    assert devices.autocast_type(gpu, False) == torch.float32
    assert devices.autocast_type(torch.device("cpu"), False) == torch.float32


def test_threads_are_limited_to_what_the_process_may_use(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: range(3))
    try:
        assert threads.use_threads(2) == 2
        assert torch.get_num_threads() == 2
        assert threads.use_threads(64) == 3
    finally:
        torch.set_num_threads(before)


SRUN = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "2", "SLURM_STEP_NODELIST": "n[03-05,8],m1"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 12),
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1", "ISONET2_CORES": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "what"}, 12),
        ({"SLURM_CPUS_PER_TASK": "3", "OMP_NUM_THREADS": "8"}, 3),
        ({"SLURM_CPUS_ON_NODE": "5"}, 5),
        ({"OMP_NUM_THREADS": "64"}, 12),
    ],
)
def test_auto_takes_the_threads_that_it_is_granted(monkeypatch, environment, expected):
    before = torch.get_num_threads()
    for name in threads.GIVEN:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: range(12))
    monkeypatch.setattr(threads, "MEMBERSHIP", Path("nowhere"))
    try:
        assert threads.use_threads(None) == expected
        assert threads.use_threads(2) == 2
    finally:
        torch.set_num_threads(before)


def test_processors_of_cgroups_are_seen(tmp_path):
    group = tmp_path / "fs" / "slice" / "unit"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("max 100000\n")
    (group.parent / "cpu.max").write_text("250000 100000\n")
    membership = tmp_path / "cgroup"
    membership.write_text("0::/slice/unit\n")
    assert threads._quotas(membership, tmp_path / "fs") == [3]
    old = tmp_path / "fs" / "cpu" / "job"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("50000\n")
    (old / "cpu.cfs_period_us").write_text("100000\n")
    membership.write_text("4:memory:/job\n5:cpu,cpuacct:/job\n")
    assert threads._quotas(membership, tmp_path / "fs") == [1]
    (old / "cpu.cfs_quota_us").write_text("-1\n")
    assert threads._quotas(membership, tmp_path / "fs") == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, None),
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "1"}, None),
        ({"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}, None),
        (
            {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1", "RANK": "3",
             "MASTER_ADDR": "a", "MASTER_PORT": "5"},
            started.Rank(3, 4, 1, 2, "a", 5, watched=True),
        ),
        (
            {**SRUN, "SLURM_STEP_NUM_TASKS": "7", "SLURM_PROCID": "5", "SLURM_LOCALID": "0",
             "SLURM_STEP_TASKS_PER_NODE": "2(x3),1"},
            started.Rank(5, 7, 0, 2, "n03", 15144, watched=False),
        ),
        (
            {**SRUN, "SLURM_STEP_NUM_TASKS": "2", "MASTER_ADDR": "b", "MASTER_PORT": "6"},
            started.Rank(0, 2, 0, 1, "b", 6, watched=False),
        ),
    ],
)  # fmt: skip
def test_ranks_that_others_started_are_known(monkeypatch, environment, expected):
    alone(monkeypatch)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert started.started_rank() == expected


def alone(monkeypatch):
    """Take away what torchrun or srun would say."""
    for name in [*os.environ]:
        if name.startswith(("SLURM_", "MASTER_")) or name in (
            "WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_RANK", "RANK",
        ):  # fmt: skip
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("n1", "n1"), ("n1,n2", "n1"), ("gpu-[1-2]-ib,x", "gpu-1-ib"), ("n[07,09]", "n07")],
)
def test_the_first_host_of_a_list_of_nodes(nodes, first):
    assert started.first_host(nodes) == first


def test_memory_limits_of_cgroups_are_seen(tmp_path):
    group = tmp_path / "fs" / "slurm" / "job_1" / "step_0"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("2000\n")
    (tmp_path / "memory.max").write_text("1\n")
    membership = tmp_path / "cgroup"
    membership.write_text("0::/slurm/job_1/step_0\n")
    assert memory._cgroup_limits(membership, tmp_path / "fs") == [2000]
    old = tmp_path / "fs" / "memory" / "job"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("3000\n")
    membership.write_text("5:cpu:/job\n4:memory:/job\n")
    assert memory._cgroup_limits(membership, tmp_path / "fs") == [3000]
    assert memory._cgroup_limits(tmp_path / "none", tmp_path) == []
    assert 0 < memory.memory_limit() < 2**60


def as_rank(monkeypatch, number, ranks):
    alone(monkeypatch)
    names = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "LOCAL_RANK": number, "RANK": number}
    for name, value in names.items():
        monkeypatch.setenv(name, str(value))


def test_a_started_rank_takes_the_gpu_of_its_number(gpus, monkeypatch):
    as_rank(monkeypatch, 2, 3)
    assert devices.choose_devices(None) == [torch.device("cuda", 2)]
    as_rank(monkeypatch, 1, 2)
    assert devices.choose_devices("2,0") == [torch.device("cuda", 0)]
    as_rank(monkeypatch, 0, 2)
    assert devices.choose_devices("2,0") == [torch.device("cuda", 2)]


def test_more_ranks_than_gpus_are_refused_by_all_of_them(gpus, monkeypatch):
    for number in (0, 3):
        as_rank(monkeypatch, number, 4)
        with pytest.raises(InputError, match="4 processes were started on a node, for 2 GPU"):
            devices.choose_devices("0,1")


def test_ranks_that_see_one_gpu_each_take_it(gpus, monkeypatch):
    """As under srun --gpus-per-task=1."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    as_rank(monkeypatch, 1, 2)
    assert devices.choose_devices(None) == devices.choose_devices("0") == [torch.device("cuda", 0)]


def test_a_rank_is_one_device_wherever_it_was_started(monkeypatch):
    """Lightning asks srun for --ntasks-per-node, and torchrun for GPUs from 0 on; we do not."""
    alone(monkeypatch)
    for name, value in {**SRUN, "SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_NTASKS", "3")
    fabric = make_fabric([torch.device("cpu")], mixed_precision=False)
    strategy = fabric.strategy
    assert (fabric.world_size, fabric.global_rank, fabric.local_rank) == (3, 2, 0)
    assert strategy.cluster_environment.creates_processes_externally
    assert (strategy.cluster_environment.main_address, strategy.num_processes) == ("n03", 1)


def test_inside_a_slurm_allocation_one_process_trains_alone(monkeypatch):
    alone(monkeypatch)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "job")
    fabric = make_fabric([torch.device("cpu")], mixed_precision=False)
    assert (fabric.world_size, type(fabric.strategy).__name__) == (1, "SingleDeviceStrategy")


@pytest.mark.parametrize(
    ("said", "spins"),
    [({}, waiting.ROUNDS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_threads_wait_briefly_unless_it_is_said_how(said, spins):
    waiting.wait_briefly(said)
    assert said.get("GOMP_SPINCOUNT") == spins


def test_it_is_said_before_torch_is_loaded():
    code = (
        "import sys\n"
        "from isonet2 import cli\n"
        "cli.wait_briefly = lambda: print('torch' in sys.modules)\n"
        "cli.main(['--version'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False\n")
