"""A real SLURM on this machine, for the length of a test: one node, two GPUs that are none, no accounting."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
SETTINGS = Path("/etc/slurm")
"""Where srun looks for its settings inside a job, whatever the environment says."""

OPTIONS = [
    *("--workflow-profile", "profiles/slurm", "--latency-wait", "10"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"),
]
"""How Snakemake runs a study on it, which has no accounting."""

_SLURM_CONF = """
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=3600
ReturnToService=2
# The machine may have less than the node claims.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={node} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={node} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={node} MaxTime=INFINITE State=UP
"""
_OTHERS = {
    "gres.conf": "NodeName={node} Name=gpu File=/dev/null\nNodeName={node} Name=gpu File=/dev/zero\n",
    "cgroup.conf": "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n",
}
_FILES = {"slurm.conf": _SLURM_CONF, **_OTHERS}


def install() -> str | None:
    """Have SLURM installed from Debian's packages; the reason where that cannot be."""
    if os.geteuid() != 0:
        return "only root can start a SLURM cluster"
    if any((SETTINGS / file).exists() for file in _FILES):
        return f"this machine has a SLURM of its own: {SETTINGS}"
    if all(map(shutil.which, PROGRAMS)):
        return None
    if not shutil.which("apt-get"):
        return "SLURM is not installed, and there is no apt-get to install it"
    quietly = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "capture_output": True, "text": True}
    for command in (["update"], ["install", "-y", "--no-install-recommends", "slurm-wlm", "munge"]):
        run = subprocess.run(["apt-get", *command], **quietly)
    if run.returncode != 0:
        return f"apt-get cannot install SLURM: {run.stderr.strip().splitlines()[-1]}"
    return None


class Cluster:
    """Three daemons, their settings, and the jobs they ran. Use it as a context manager, which ends them all."""

    def __enter__(self) -> "Cluster":
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        # Jobs talk to munge through its socket here; its key is for munge alone.
        self.folder.chmod(0o755)
        node = socket.gethostname().partition(".")[0]
        for name in ("state", "spool", "key"):
            (self.folder / name).mkdir()
        (self.folder / "key").chmod(0o700)
        key = self.folder / "key" / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        SETTINGS.mkdir(exist_ok=True)
        for name, text in _FILES.items():
            (SETTINGS / name).write_text(text.format(node=node, folder=self.folder))
        munge = {
            "key-file": key,
            "socket": self.folder / "munge.socket",
            "pid-file": self.folder / "munged.pid",
            "log-file": self.folder / "key" / "munged.log",
            "seed-file": self.folder / "key" / "munge.seed",
        }
        try:
            self._start("munged", *(f"--{option}={value}" for option, value in munge.items()))
            self._start("slurmctld", "-i")
            self._start("slurmd")
            wait(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), 30, self._logs)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if (self.folder / "slurmctld.pid").exists():
            self.ask("scancel", "--user=root")
            wait(lambda: not self.ask("squeue", "--noheader"), 60, self._logs)
        for daemon in ("slurmd", "slurmctld", "munged"):
            if (file := self.folder / f"{daemon}.pid").exists():
                _end(int(file.read_text()))
        for name in _FILES:
            (SETTINGS / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder)

    def ask(self, *command: str) -> str:
        """What one of SLURM's commands says."""
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs so far, each as ``scontrol show job`` describes it."""
        lines = self.ask("scontrol", "show", "job", "--oneliner").splitlines()
        # A value may hold spaces, which does not matter for those that are looked at.
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines if "JobId=" in line]

    def of_rule(self, rule: str) -> list[dict[str, str]]:
        """The jobs of a rule, in the order of their submission."""
        found = [job for job in self.jobs() if job.get("Comment", "").startswith(f"rule_{rule}")]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def _start(self, program: str, *arguments: str) -> None:
        subprocess.run([program, *arguments], check=True, timeout=20, capture_output=True)
        wait((self.folder / f"{program}.pid").exists, 10, self._logs)

    def _logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.rglob("*.log"))


def wait(done: Callable[[], bool], seconds: float, explain: Callable[[], str]) -> None:
    """Wait until something holds, or raise an error with the explanation."""
    limit = time.monotonic() + seconds
    while not done():
        if time.monotonic() > limit:
            raise TimeoutError(explain())
        time.sleep(0.2)


def _end(process: int) -> None:
    state = Path(f"/proc/{process}/stat")
    for sign in (signal.SIGTERM, signal.SIGKILL):
        # A daemon that nobody waits for may stay in the list of processes, as a zombie.
        if not state.exists() or ") Z " in state.read_text():
            return
        os.kill(process, sign)
        for _ in range(50):
            if not state.exists() or ") Z " in state.read_text():
                return
            time.sleep(0.1)
