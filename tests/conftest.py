"""What several files of tests share: a model whose heads are known, and the tiny study made with it, once a session."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

# Tests run side by side, as many as there are cores (see the Makefile); what they start has the same limit.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import pytest
from kill_anywhere import run

import planted
from planted_corpus import corpus
from projects import ROOT, TINY, Project


def pytest_collection_modifyitems(items):
    """Begin with the files that wait for a run of the tiny study, so that the others are run meanwhile."""
    files = {item.path for item in items if "finished" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in files)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Makes a folder for the whole session: the first process of tests that asks for it does, others wait for it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made_once(name: str, make: Callable[[Path], object]) -> Path:
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (base / name).exists():
                making = base / f"{name}.{os.getpid()}"
                make(making)
                making.rename(base / name)
        return base / name

    return made_once


@pytest.fixture(scope="session")
def planted_folder(made_once):
    """A prepared planted model that knows the words of the tiny study. Nothing may change it."""
    return made_once("planted", lambda folder: planted.save(folder, corpus(ROOT)))


@pytest.fixture(scope="session")
def finished(made_once, planted_folder):
    """A copy of the project in which the tiny study is done; said.txt has what was said, and `watched` what jobs did.
    Nothing may change it."""

    def make(folder: Path) -> None:
        run(Project.new(folder, planted_folder), ["--cores", "2", *TINY])

    return Project(made_once("finished", make))


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A folder with a drawing for every figure, in which there is nothing, for tests of the page around them."""
    from retrieval_heads import figures  # here, for the sake of tests that draw nothing

    folder = tmp_path_factory.mktemp("figures")
    size = "width='518.4pt' height='200pt' viewBox='0 0 518.4 200'"
    for name in figures.declarations():
        (folder / f"{name}.svg").write_text(f"<svg xmlns='http://www.w3.org/2000/svg' {size}/>")
    return folder


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the finished tiny study, to change and go on with."""
    return finished.copy(tmp_path / "study")


@pytest.fixture
def project(tmp_path, planted_folder):
    """A copy of the project in which nothing is made yet, ready for the tiny study."""
    return Project.new(tmp_path / "project", planted_folder)
