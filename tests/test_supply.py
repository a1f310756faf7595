"""What is installed: every package pinned by the hashes of its files, for pip and conda from one lock."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

import pytest
from envs import audit, lock

from projects import ROOT

LOCKED = [file.relative_to(ROOT).as_posix() for file in (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")]
LOCKED += [file.relative_to(ROOT).as_posix() for file in lock.ALONE]
NAMED = {"requirements.in": "requirements.txt", "requirements-dev.in": "requirements-dev.txt"}
BESIDE = {
    "accelerate": "transformers reads GGUF files by it",
    "snakemake": "runs the scripts",
    "snakemake-logger-plugin-rich": "named on the command line",
}
"""Direct dependencies that nothing in the package imports, each with the reason."""


def pinned(file: str) -> dict[str, str]:
    """Name → version of the packages that a file pins; of several, the one for the oldest Python."""
    found: dict[str, str] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^ \\\n]+)", (ROOT / file).read_text(), re.MULTILINE):
        found.setdefault(lock.name_of(name), version)
    return found


def direct(file: str) -> list[str]:
    """The packages that a file asks for."""
    lines = (ROOT / file).read_text().splitlines()
    return [lock.name_of(re.split(r"[\[><=]", line)[0]) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("file", LOCKED)
def test_every_pinned_package_has_hashes(file):
    packages = re.findall(r"^[^#\s][^\\\n]*(?:\\\n[^\\\n]*)*", (ROOT / file).read_text(), re.MULTILINE)
    assert packages
    for package in packages:
        assert re.match(r"[\w.-]+==\S+", package), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package


@pytest.mark.parametrize(("asked", "locked"), NAMED.items())
def test_the_lock_has_all_that_is_asked_for_and_torch_by_its_version_alone(asked, locked):
    missing = set(direct(asked)) - set(pinned(locked)) - set(pinned("requirements.txt"))
    assert missing == ({"torch"} if asked == "requirements.in" else set())
    assert "torch==" in (ROOT / "requirements.in").read_text()


def test_no_package_is_pinned_twice_in_different_versions():
    first, second = (pinned(locked) for locked in NAMED.values())
    assert not set(first) & set(second)
    for file in lock.ALONE:
        for name, version in pinned(file.relative_to(ROOT).as_posix()).items():
            assert {**first, **second}.get(name, version) == version


@pytest.mark.parametrize("file", NAMED)
def test_every_direct_dependency_has_its_reason(file):
    lines = (ROOT / file).read_text().splitlines()
    groups = "\n".join(lines[1:]).split("#")[1:]
    assert all(re.match(r" [A-Z].+\.$", group.splitlines()[0]) or "transformers" in group for group in groups)
    assert [line for line in lines if not line.startswith("#")] == [
        line for group in groups for line in group.splitlines()[1:]
    ]


def test_all_that_the_workflow_imports_is_asked_for_and_nothing_else():
    distributions = packages_distributions()
    imported = set()
    files = [*ROOT.glob("workflow/**/*.py"), *ROOT.glob("rules/*.smk"), ROOT / "Snakefile"]
    for file in files:
        if file.suffix == ".py":
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    imported.add(node.module.partition(".")[0])
        else:
            imported |= set(re.findall(r"^(?:import|from) (\w+)", file.read_text(), re.MULTILINE))
    names = imported - set(sys.stdlib_module_names) - {"retrieval_heads"}
    found = {lock.name_of(distributions[name][0]) for name in names if name in distributions}
    optional = set(pinned("requirements-edgar.txt"))
    assert found - set(direct("requirements.in")) - optional == set()
    assert set(direct("requirements.in")) - found == set(BESIDE) - found


def test_conda_has_the_versions_of_the_lock():
    versions = pinned("requirements.txt") | pinned("requirements-edgar.txt")
    torch = re.search(r"^torch==(.+)$", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    versions |= {"torch": torch[1]}
    for file in ROOT.glob("envs/*.yaml"):
        assert lock.with_conda_versions(file.read_text(), versions) == file.read_text(), file.name


def test_an_environment_takes_another_version_from_the_lock():
    text = "dependencies:\n  - pandas =3.0\n  - matplotlib-base =3.10\n  - pip =26\n  - pip:\n      - torch ==2.12.0\n"
    versions = {"pandas": "3.1.4", "matplotlib": "3.11.2", "torch": "2.13.0"}
    made = lock.with_conda_versions(text, versions)
    assert made == text.replace("3.0", "3.1").replace("3.10", "3.11").replace("2.12.0", "2.13.0")


def test_an_audit_tells_what_is_known_and_what_was_not_looked_up():
    sound = {"name": "a", "version": "1", "vulns": []}
    skipped = {"name": "b", "skip_reason": "not found"}
    broken = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
    assert audit.told([{"dependencies": [sound]}]) == (["1 of 1 pinned packages were looked up."], 0)
    lines, status = audit.told([{"dependencies": [sound, skipped]}, {"dependencies": [broken]}])
    assert status == 1
    assert lines[0] == "2 of 3 pinned packages were looked up."
    assert lines[1].endswith(": 1.")
    assert lines[2] == "c 2: CVE-1, mended in 3."
