"""Disks and memory that fail for real, in small: a full and a read-only file system, limits of memory, a kill for want
of it. Each is told in one sentence with what to do, and nothing that was there is lost.

File systems are mounted in a name space of the test's own; where a system does not allow that, the test is skipped.
"""

import errno
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from projects import TINY
from retrieval_heads import cli, errors
from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError, disk_trouble, is_out_of_memory, machine_trouble
from retrieval_heads.job import KILLED, job, killed_jobs

WORKFLOW = Path(errors.__file__).parents[1]
IN_NAME_SPACE = ["unshare", "--user", "--map-root-user", "--mount"]
AGAIN = "and type the same command again."
FULL = f"no space is left on this disk; free some, {AGAIN}"
READ_ONLY = f"this file system is read-only; have it mounted for writing, or choose another folder, {AGAIN}"
OUT_OF_MEMORY = (
    "out of memory: lower compute.cache_tokens and compute.batch_tokens in the config, or give the job a larger machine"
)


def can_mount():
    command = [*IN_NAME_SPACE, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


mounting = pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount in a name space of their own")


def python(code, *arguments, within=(), before=""):
    """A program of its own that can import the package, perhaps with a command of the shell before it."""
    command = f'{before}exec "$@"'
    return subprocess.run(
        [*within, "sh", "-ec", command, "sh", sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{WORKFLOW}:{Path(__file__).parent}"},
        capture_output=True,
        text=True,
        timeout=600,
    )


# --- what the system says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), f"a/b: {FULL}"),
        (OSError(errno.ENOSPC, "No space left on device"), f"target: {FULL}"),
        (OSError(errno.EROFS, "", "work/target"), f"target: {READ_ONLY}"),
        (OSError(errno.EISDIR, "", "work/target", None, "target"), "target: a folder stands where a file should be; "),
        (RuntimeError("I/O error: No space left on device (os error 28)"), f"target: {FULL}"),  # of safetensors
        (OSError("[Errno 28] Error writing bytes to file"), f"target: {FULL}"),
        (
            PermissionError(errno.EACCES, "", "a"),
            "a: permission is denied; have it granted, or choose another folder, ",
        ),
        (
            FileNotFoundError(errno.ENOENT, "", "a/b"),
            "a/b: there is no such file or folder, or no longer; check the path",
        ),
        (OSError(errno.EDQUOT, "", b"a"), "a: your quota of this disk is used up; free some space, "),
        (OSError(errno.EMFILE, "", "a"), "a: too many files are open; raise the limit (ulimit -n), "),
        (OSError(errno.EIO, "", "a"), "a: the disk does not work (input/output error); check it, or choose another"),
    ],
    ids=str,
)
def test_an_error_of_a_disk_is_one_sentence_with_its_path(error, said):
    found = disk_trouble(error, Path("target"), Path("work"))
    assert found.startswith(said) and found.endswith(AGAIN) and "\n" not in found


@pytest.mark.parametrize(
    "error", [ValueError("28"), OSError(errno.ECONNREFUSED, "refused"), KeyError("errno")], ids=repr
)
def test_other_errors_say_nothing_of_the_machine(error):
    assert machine_trouble(error) is None


def test_a_file_in_the_way_is_the_one_that_is_named(tmp_path):
    (tmp_path / "file").touch()
    for wrong in (lambda: (tmp_path / "file" / "a" / "b").mkdir(), lambda: (tmp_path / "file").mkdir()):
        with pytest.raises(OSError) as raised:
            wrong()
        assert (
            disk_trouble(raised.value)
            == f"{tmp_path / 'file'}: a file stands where a folder should be; move it away, {AGAIN}"
        )


# --- full and read-only disks ---------------------------------------------------------------------------------------

WRITE = """
import json, subprocess, sys
from pathlib import Path
import pandas as pd, torch
from matplotlib.figure import Figure
from retrieval_heads import figures, tables
from retrieval_heads.ablation.states import save_state
from retrieval_heads.atomic_write import atomic_folder
from retrieval_heads.errors import StudyError
from retrieval_heads.exchange.exports import export_rankings
from retrieval_heads.findings.rendering import save
from retrieval_heads import digests
from retrieval_heads.model import identity
from retrieval_heads.model.loading import prepare_model
from retrieval_heads.tables.rankings import RANKINGS
from tiny_models import llama, safetensors

root, state = Path(sys.argv[1]), sys.argv[2]
ranking = pd.DataFrame({
    "model": "m", "variant": "plain", "question": "q", "context_length": 512, "method": "a", "layer": range(400),
    "head": 0, "score": [1 / 7 ** k for k in range(400)], "n_samples": 3, "score_sd": 0.0,
    "rank": [k + 1.0 for k in range(400)], "last": range(1, 401),
}).reindex(columns=[*RANKINGS.columns]).fillna(1)
source = Path(sys.argv[3])
(source / "model.safetensors").write_bytes(safetensors())

def figure(path):
    drawn = Figure()
    drawn.add_subplot().plot(range(9))
    figures.save(drawn, path)

def prepared(path):
    with atomic_folder(path) as folder:
        llama().save_pretrained(folder)

WORK = {
    "tables/rankings.parquet": lambda path: tables.write(ranking, path, RANKINGS),
    "figures/one.svg": figure, "figures/one.png": figure,
    "findings.html": lambda path: save("text" * 20000, path),
    "exports": lambda path: export_rankings(ranking, [], path),
    "replacements/mean.safetensors": lambda path: save_state({"layer_0": torch.ones(4, 4000)}, path),
    "models/llama": prepared,
    "models/linked": lambda path: prepare_model({"path": str(source)}, path),
}
def files():
    return {str(file): file.read_bytes() for file in root.rglob("*") if file.is_file() and file.name != "filler"}

for name in ("config.json", "tokenizer.json"):
    (source / name).write_text("{}")
for name, write in WORK.items():
    write(root / name)
former = files()
if state == "full":
    # To the last byte, and to the last file.
    with open(root / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(64)):
                pass
        except OSError:
            pass
else:
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
said = {}
for name, write in WORK.items():
    try:
        write(root / name)
    except StudyError as error:
        said[name] = str(error)
try:
    digests._SETTLED_S = digests._SMALL = 0  # so that the digest of a new and small file is kept too
    identity.model_content({"path": str(source)}, root)
except StudyError as error:
    said[".digests"] = str(error)
print(json.dumps({"said": said, "same": files() == former, "kinds": [*WORK, ".digests"]}))
"""


@pytest.mark.thorough
@mounting
@pytest.mark.parametrize(("state", "sentence"), [("full", FULL), ("read-only", READ_ONLY)])
def test_all_that_is_written_names_its_target_and_leaves_what_was_there(tmp_path, state, sentence):
    root, source = tmp_path / "disk", tmp_path / "source"
    root.mkdir()
    source.mkdir()
    mount = f"mount -t tmpfs -o size=2m tmpfs {root}; "
    run = python(WRITE, root, state, source, within=IN_NAME_SPACE, before=mount)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert set(found["said"]) == set(found["kinds"])
    for name, said in found["said"].items():
        assert re.fullmatch(rf"{root}/{name}(/\w+\.json)?: {re.escape(sentence)}", said), said
    assert found["same"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_folder_of_somebody_else_is_told_with_its_path():
    """For real: as nobody, in a folder of root's."""
    said, told = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        targets = [Path(folder, "file"), Path(folder, "deeper", "file")]
        if (child := os.fork()) == 0:
            os.setgid(65534)
            os.setuid(65534)
            for target in targets:
                try:
                    with atomic_file(target):
                        os.write(told, b"it can be written")
                except StudyError as error:
                    os.write(told, f"{error}\n".encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(told)
        with os.fdopen(said) as read:
            lines = read.read().splitlines()
    denied = f"permission is denied; have it granted, or choose another folder, {AGAIN}"
    assert lines == [f"{place}: {denied}" for place in (targets[0], targets[1].parent)]


# Where the disk is, what is done before, and what is said of it.
RUNS = {
    "Snakemake's own folder is full": (".snakemake", "full", rf"\.snakemake/runs: {FULL}"),
    "Snakemake's own folder is read-only": (".snakemake", "ro", rf"\.snakemake/runs: {READ_ONLY}"),
    "results are full": ("results", "full", f"results: {FULL}"),
    "results are read-only": ("results", "ro", f"results: {READ_ONLY}"),
    "logs are full": ("results/tiny/logs", "full", f"results/tiny/logs: {FULL}"),
    "temporary files have no room": ("temporary", "full", f"temporary: {FULL}"),
}
DOCUMENTS = "results/tiny/documents.parquet"


def snakemake(project, before, *arguments, within=IN_NAME_SPACE, **environment):
    """A run of the documents alone, with a command of the shell before it."""
    command = [sys.executable, "-m", "snakemake", *arguments, DOCUMENTS, "--cores", "1", *TINY]
    return subprocess.run(
        [*within, "sh", "-ec", f'{before}; exec "$@"', "sh", *command],
        cwd=project.folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@mounting
@pytest.mark.parametrize("case", RUNS)
def test_a_run_says_before_any_work_where_nothing_can_be_written(project, case):
    folder, state, sentence = RUNS[case]
    project.path(folder).mkdir(parents=True, exist_ok=True)
    options = "size=64k" if state == "full" else "ro"
    before = f"mount -t tmpfs -o {options} tmpfs {folder}"
    if state == "full":
        before += f"; cat /dev/zero > {folder}/filler 2> /dev/null || true"
    environment = {"TMPDIR": str(project.path(folder))} if folder == "temporary" else {}
    run = snakemake(project, before, **environment)
    said = run.stdout + run.stderr
    assert run.returncode == 1
    assert re.search(sentence.replace("(", r"\("), said) and "Traceback" not in said, said


@pytest.mark.parametrize("folder", ["results/tiny", "results/tiny/logs"])
def test_a_run_says_before_any_work_that_a_file_is_in_the_way(project, folder):
    project.path(folder).parent.mkdir(parents=True)
    project.path(folder).touch()
    run = snakemake(project, "true", within=())
    said = run.stdout + run.stderr
    assert run.returncode == 1 and "Traceback" not in said
    assert f"\n{folder}: a file stands where a folder should be; move it away, {AGAIN}\n" in said


FILL = """with job(snakemake):
    import contextlib
    with contextlib.suppress(OSError), open("results/filler", "xb", buffering=0) as filler:
        while True:
            filler.write(bytes(64))
"""


@mounting
@pytest.mark.slow
def test_a_disk_that_fills_up_meanwhile_is_told_and_with_room_one_command_goes_on(project):
    """All in one name space, where the disk is: a run that fails, and the same once more with room."""
    project.change("workflow/scripts/write_documents.py", "with job(snakemake):\n", FILL)
    project.path("results").mkdir()
    log = "results/tiny/logs/write_documents.log"
    again = f"{sys.executable} -m snakemake {DOCUMENTS} --cores 1 {' '.join(TINY)}"
    before = (
        f"mount -t tmpfs -o size=2m tmpfs results; {again} && exit 9; cat {log}; ls results/tiny; echo > results/filler"
    )
    run = snakemake(project, before)
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert f"write_documents: {DOCUMENTS}: {FULL}\n" in said and "Traceback" not in said
    assert f"ERROR retrieval_heads: {DOCUMENTS}: {FULL}\n" in said and ".partial" not in said
    assert "1 of 1 steps (100%) done" in said


# --- logs that cannot be written ------------------------------------------------------------------------------------


@pytest.fixture
def rule(tmp_path):
    """A rule's job; what it sets up of logging is taken down again."""
    root, log = logging.getLogger(), logging.getLogger("retrieval_heads")
    before = root.handlers[:], root.level, log.handlers[:], log.level
    yield SimpleNamespace(
        rule="make",
        wildcards={},
        input=[],
        output=[],
        params={},
        log=[str(tmp_path / "logs" / "make.log")],
        config={"results": str(tmp_path), "study": "tiny"},
    )
    for handler in {*root.handlers, *log.handlers} - {*before[0], *before[2]}:
        log.removeHandler(handler)
    logging.captureWarnings(False)
    root.handlers[:], root.level, log.handlers[:], log.level = before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
class TestLog:
    def test_a_job_whose_log_has_no_room_does_not_begin(self, rule, capsys, monkeypatch):
        log = Path(rule.log[0])

        def full(file, *_args, **_options):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(SystemExit) as end, job(rule):
            pytest.fail("it began")
        assert end.value.code == 1
        assert capsys.readouterr().err == f"make: {log}: {FULL}\n"

    def test_a_job_whose_log_fills_up_says_so_once_and_goes_on(self, rule, capsys):
        done = []
        with job(rule):
            (of_log, *_) = logging.getLogger().handlers
            of_log.setStream(open("/dev/full", "w")).close()  # noqa: PTH123, SIM115
            for number in range(3):
                logging.getLogger("retrieval_heads").info("line %d", number)
            done.append(True)
        said = capsys.readouterr().err
        assert done and said.count(FULL) == 1 and f"{rule.log[0]}: {FULL}\n" in said
        assert "Traceback" not in said and "Logging error" not in said
        assert [f"make: line {number}" in said for number in range(3)] == [True] * 3


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        pa.lib.ArrowMemoryError("malloc of size 4398046511104 failed"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("unable to mmap 76860584 bytes from file <model.safetensors>: Cannot allocate memory (12)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:75] data. DefaultCPUAllocator: not enough memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object: Cannot allocate memory"),
        ImportError("_qhull.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
    ids=str,
)
def test_errors_of_memory_are_known_as_such(error):
    assert is_out_of_memory(error) and machine_trouble(error).startswith(OUT_OF_MEMORY)


def test_a_library_that_may_not_be_mapped_wants_no_memory():
    noexec = ImportError("libtorch_cpu.so: failed to map segment from shared object: Operation not permitted")
    assert not is_out_of_memory(noexec) and machine_trouble(noexec) is None


SCRIPT = """
from types import SimpleNamespace
snakemake = SimpleNamespace(rule="score_heads")
import retrieval_heads
try:
    {first}
except Exception as error:
    raise ImportError("torch cannot be loaded") from error
"""
"""A rule's script that fails while it imports what it needs."""


@pytest.mark.parametrize("first", ["raise MemoryError", "raise RuntimeError('std::bad_alloc')"])
def test_a_script_that_has_no_memory_for_its_imports_says_so(first):
    run = python(SCRIPT.format(first=first))
    assert run.returncode == 1 and re.fullmatch(f"{re.escape(OUT_OF_MEMORY)}.*\n", run.stderr)


def test_a_script_that_fails_otherwise_while_it_imports_tells_where():
    run = python(SCRIPT.format(first="raise ValueError"))
    assert run.returncode == 1 and "Traceback" in run.stderr and "torch cannot be loaded" in run.stderr


def test_a_subcommand_that_has_no_memory_says_so(monkeypatch, capsys):
    def fail(_):
        raise ImportError("_sparsetools.so: failed to map segment from shared object")

    monkeypatch.setitem(cli.COMMANDS, "verify", replace(cli.COMMANDS["verify"], run=fail))
    assert cli.main(["verify", "results/tiny"]) == 1
    assert capsys.readouterr().err.startswith(OUT_OF_MEMORY)


def test_a_program_that_is_no_script_of_a_rule_ends_as_it_would():
    run = python("import retrieval_heads\nraise MemoryError")
    assert run.returncode == 1 and "Traceback" in run.stderr


ALLOCATE = """
import resource, sys
from pathlib import Path
import numpy, pyarrow, torch
from safetensors.torch import load_file
from retrieval_heads.errors import machine_trouble

file = Path(sys.argv[1])
torch.ones(8) @ torch.ones(8, 8)
size = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, ((size + 100_000) * 1024,) * 2)
for allocate in (
    lambda: torch.ones(2**28), lambda: numpy.ones(2**28), lambda: bytearray(2**29),
    lambda: pyarrow.allocate_buffer(2**29), lambda: load_file(file), lambda: file.read_bytes(),
    lambda: torch.from_file(str(file), size=2**27),
):
    try:
        allocate()
        print("it fits")
    except Exception as error:
        print(type(error).__name__, machine_trouble(error))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell a process's size")
def test_under_a_limit_of_memory_every_kind_of_allocation_says_what_to_do(tmp_path):
    sparse = tmp_path / "model.safetensors"
    header = b'{"a":{"dtype":"F32","shape":[134217728],"data_offsets":[0,536870912]}}'
    with sparse.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**29)
    run = python(ALLOCATE, sparse)
    lines = run.stdout.splitlines()
    assert len(lines) == 7, run.stderr
    for line in lines:
        assert re.fullmatch(rf"\w+ {re.escape(OUT_OF_MEMORY)}, or raise its limit of \d+ MB \(ulimit -v\)\.", line), (
            line
        )


def test_a_limit_in_which_no_library_of_models_can_be_loaded_is_refused_before_any_work(project):
    run = snakemake(project, "ulimit -v 1000000", "-n", within=())
    said = run.stdout + run.stderr
    assert run.returncode == 1 and "Traceback" not in said
    assert "ulimit -v: it gives each process 976 MB of memory, and what asks a model needs 1024 MB before" in said


KILLED_BY_THE_SYSTEM = """
import os, sys
from types import SimpleNamespace
from retrieval_heads.job import job, log
given = {"wildcards": {}, "input": [], "output": [], "params": {}, "config": {"results": ".", "study": "tiny"}}
with job(SimpleNamespace(rule="make", log=[sys.argv[1]], **given)):
    with open(sys.argv[2], "w") as group:
        group.write(str(os.getpid()))
    log.info("so far")
    held = []
    while True:
        held.append(os.urandom(2**20))
"""


@pytest.fixture
def group():
    """A control group of 40 MB, as clusters and containers set them; the file that takes up processes."""
    older = Path("/sys/fs/cgroup/memory").is_dir()  # version 1
    limit = "memory.limit_in_bytes" if older else "memory.max"
    folder = Path("/sys/fs/cgroup", "memory" if older else "") / f"retrieval-heads-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / limit).write_text(str(40 * 2**20))
    except OSError as error:
        pytest.skip(f"this system gives no control group ({error.strerror})")
    yield folder / "cgroup.procs"
    folder.rmdir()


def test_a_job_that_the_system_killed_for_want_of_memory_is_known_and_the_next_attempt_says_so(
    tmp_path, group, rule, capsys
):
    run = python(KILLED_BY_THE_SYSTEM, rule.log[0], group)
    assert run.returncode == -signal.SIGKILL and run.stderr == "make: so far\n"
    assert killed_jobs([tmp_path], 0) == [Path(rule.log[0])]
    with pytest.raises(SystemExit), job(rule):
        raise StudyError("and so on.")
    assert capsys.readouterr().err == f"make: the attempt before: {KILLED}\nmake: and so on.\n"
    assert killed_jobs([tmp_path], 0) == []


KILL = """with job(snakemake):
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_run_says_at_its_end_which_job_was_killed(project):
    project.change("workflow/scripts/write_documents.py", "with job(snakemake):\n", KILL)
    said = project.snakemake(DOCUMENTS, "--cores", "1", *TINY, succeed=False)
    assert f"\nresults/tiny/logs/write_documents.log: {KILLED}\n" in said
