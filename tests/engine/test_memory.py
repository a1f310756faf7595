"""Memory that is left, with the kernel's files written by hand as different systems show them."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval_heads.engine import memory
from retrieval_heads.engine.memory import memory_left

MB = 2**20
MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
MOUNTS = {  # as /proc/self/mountinfo has them, with the place of the files left open
    2: "34 24 0:29 {root} {at} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
    1: "35 31 0:32 {root} {at} rw,relatime - cgroup cgroup rw,memory",
    0: "36 31 0:33 {root} {at} rw,relatime - cgroup cgroup rw,cpu,cpuacct",
}


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Make the files of a system whose process is itself unlimited."""
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)

    def make(groups, files, mounts=((2, "/"),)):
        proc, top = tmp_path / "proc", tmp_path / "cgroup"
        proc.mkdir()
        (proc / "cgroup").write_text(groups)
        lines = [MOUNTS[version].format(root=root, at=top / str(version)) for version, root in mounts]
        (proc / "mountinfo").write_text("\n".join(["22 1 8:1 / / rw - ext4 /dev/sda1 rw", *lines]) + "\n")
        for name, content in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(f"{content}\n")
        return proc

    return make


def group(version, folder, limit, use, cached=0, shared=0):
    """The files of one control group."""
    at = f"{version}{folder}"
    if version == 2:
        stat = f"anon 1\nfile {cached}\nkernel 5\nshmem {shared}\nfile_mapped 7"
        return {f"{at}/memory.max": limit, f"{at}/memory.current": use, f"{at}/memory.stat": stat}
    stat = f"cache 1\nrss 2\ntotal_cache {cached}\ntotal_shmem {shared}"
    return {f"{at}/memory.limit_in_bytes": limit, f"{at}/memory.usage_in_bytes": use, f"{at}/memory.stat": stat}


UNLIMITED_V1 = 2**63 - 4096
CASES = {
    "no limit": ("0::/user.slice", group(2, "/user.slice", "max", 50 * MB), ((2, "/"),), MACHINE - 20 * MB),
    "no limit, version 1": ("4:memory:/a", group(1, "/a", UNLIMITED_V1, 50 * MB), ((1, "/"),), MACHINE - 20 * MB),
    "own group": ("0::/job", group(2, "/job", 400 * MB, 50 * MB), ((2, "/"),), 350 * MB),
    "weights that are not read yet": ("0::/job", group(2, "/job", 400 * MB, 5 * MB), ((2, "/"),), 380 * MB),
    "more in use than allowed": ("0::/job", group(2, "/job", 40 * MB, 50 * MB), ((2, "/"),), 0),
    "copies of files give way": ("0::/job", group(2, "/job", 400 * MB, 250 * MB, 200 * MB), ((2, "/"),), 350 * MB),
    "shared memory does not": (
        "0::/job",
        group(2, "/job", 400 * MB, 250 * MB, 200 * MB, 150 * MB),
        ((2, "/"),),
        200 * MB,
    ),
    "a group around it": (
        "0::/slurm/job_1/step_0/task_0",
        group(2, "/slurm/job_1", 300 * MB, 100 * MB) | group(2, "/slurm/job_1/step_0/task_0", "max", 50 * MB),
        ((2, "/"),),
        200 * MB,
    ),
    "the least of several": (
        "0::/a/b",
        group(2, "/a", 300 * MB, 250 * MB) | group(2, "/a/b", 200 * MB, 50 * MB),
        ((2, "/"),),
        50 * MB,
    ),
    "the outermost, as in a container": ("0::/", group(2, "", 400 * MB, 100 * MB), ((2, "/"),), 300 * MB),
    "slowed down before it is ended": (
        "0::/job",
        group(2, "/job", "max", 50 * MB) | {"2/job/memory.high": 100 * MB},
        ((2, "/"),),
        50 * MB,
    ),
    "version 1 among others": (
        "9:cpu,cpuacct:/other\n4:memory:/slurm/job\n0::/",
        group(1, "/slurm/job", 400 * MB, 150 * MB, 50 * MB) | group(0, "/other", 1, 1),
        ((0, "/"), (1, "/"), (2, "/")),
        300 * MB,
    ),
    "a container that is told its name outside": (
        "4:memory:/docker/abc",
        group(1, "", 400 * MB, 100 * MB),
        ((1, "/docker/abc"),),
        300 * MB,
    ),
    "a name beyond what is mounted": ("0::/../other", group(2, "", 400 * MB, 100 * MB), ((2, "/"),), 300 * MB),
    "a mount of a part": ("0::/a/b/c", group(2, "/c", 400 * MB, 100 * MB), ((2, "/a/b"),), 300 * MB),
}


@pytest.mark.parametrize(("groups", "files", "mounts", "left"), CASES.values(), ids=CASES)
def test_limits_of_control_groups(system, groups, files, mounts, left):
    assert memory_left(20 * MB, system(groups, files, mounts)) == left


def test_where_the_kernel_tells_nothing_the_machine_counts(tmp_path):
    assert memory_left(MB, tmp_path / "none") == MACHINE - MB
    assert memory_left(2 * MACHINE, tmp_path / "none") == 0


def test_limits_of_the_process(system, monkeypatch):
    limits = {resource.RLIMIT_AS: 900 * MB, resource.RLIMIT_DATA: 700 * MB}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], resource.RLIM_INFINITY))
    proc = system("0::/", {})
    (proc / "status").write_text("Name:\tpython\nVmSize:\t  409600 kB\nVmRSS:\t 1 kB\nVmData:\t 102400 kB\n")
    assert memory_left(20 * MB, proc) == 500 * MB
    assert memory_left(800 * MB, proc) == 0
    limits[resource.RLIMIT_DATA] = 300 * MB
    assert memory_left(20 * MB, proc) == 200 * MB


def test_a_process_finds_the_limit_that_its_shell_set():
    code = "from retrieval_heads.engine.memory import memory_left; print(memory_left(0))"
    command = f"ulimit -v {1024 * 1024}; exec {sys.executable} -c '{code}'"
    path = str(Path(memory.__file__).parents[2])
    run = subprocess.run(["sh", "-c", command], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert 512 * MB < int(run.stdout) < 1024 * MB, run.stderr


def test_this_machine_has_memory():
    assert 2**28 < memory_left(0) <= MACHINE
