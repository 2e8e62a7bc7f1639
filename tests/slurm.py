"""A real SLURM for tests: one controller, one node with two pretend GPUs, on the loopback."""

import ctypes
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={other_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
GresTypes=gpu
KillWait=20
JobRequeue=1
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,max_rpc_cnt=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def missing():
    """Programs that are not installed, and what else is in the way; empty where all is there."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} of SLURM: apt install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "root's rights, to start SLURM's own programs"


class Slurm:
    """The three programs, started; `stop` ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("state", "spool", "munge", "dev"):
            (folder / name).mkdir(parents=True)
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(parent.stat().st_mode | 0o011)  # munge wants to be found by all
        (folder / "munge/key").write_bytes(os.urandom(1024))
        (folder / "munge/key").chmod(0o400)
        for number in (0, 1):
            device = folder / f"dev/nvidia{number}"
            os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # as /dev/null is
        values = {"host": socket.gethostname(), "port": _free(), "other_port": _free()}
        text = CONFIGURATION.format(folder=folder, **values)
        (folder / "slurm.conf").write_text(text)
        (folder / "gres.conf").write_text(
            f"AutoDetect=off\nName=gpu File={folder}/dev/nvidia[0-1]\n"
        )
        (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        munge = [f"--{name}={folder}/munge/{name[:-5]}" for name in ("key-file", "pid-file")]
        munge += [f"--seed-file={folder}/munge/seed", f"--log-file={folder}/munge/log"]
        self.programs = []
        self._start("munged", "--force", "--foreground", f"--socket={folder}/munge/socket", *munge)
        _wait(lambda: (folder / "munge/socket").exists())
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        _wait(lambda: self.told("sinfo", "--noheader", "--format=%T").strip() == "idle")

    def _start(self, *words):
        self.programs.append(
            subprocess.Popen(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=_die_with_the_tests,
            )
        )

    def told(self, *words):
        """What one of SLURM's commands prints."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout

    def stop(self):
        self.told("scancel", f"--user={os.environ.get('USER', 'root')}")
        for program in reversed(self.programs):
            program.terminate()
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def _die_with_the_tests():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)


def _free():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def _wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "SLURM does not start"
        time.sleep(0.2)
