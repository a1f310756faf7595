"""The layout of the package: imports run one way, from what is wanted down to what it rests on."""

import ast
import sys
from pathlib import Path

import pytest

import retrieval_heads
from retrieval_heads.provenance import code_files

ROOT = Path(retrieval_heads.__file__).parent

# From the ground up. A module or folder may import from those before it, and from itself.
FLOORS = (
    ("plain_text", "seeds", "release"),
    ("errors", "atomic_write", "plugins", "reading", "runs", "provenance", "logs"),
    ("digests",),
    ("making", "manifests", "sealed"),
    ("job",),
    ("identity", "versions"),
    ("study",),
    ("tables",),
    ("data",),
    ("model",),
    ("engine",),
    ("methods", "labels"),
    ("looks",),
    ("ablation",),
    ("analysis",),
    ("exchange",),
    ("figures",),
    ("findings",),
    ("outputs",),
    ("comparison", "verification", "ro_crate"),
    ("preflight", "api", "cli"),
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def imported(file):
    """Names of modules of this package that a file imports, those for types included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == ROOT.name:
            rest = node.module.split(".")[1:]
            yield from [rest[0]] if rest else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{ROOT.name}."))


def modules():
    return [file for file in sorted(ROOT.rglob("*.py")) if file != ROOT / "__init__.py"]


def place(file):
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_folder_has_its_floor():
    assert {place(file) for file in modules()} == set(FLOOR)


def test_imports_run_one_way():
    upward = {
        (str(file.relative_to(ROOT)), name)
        for file in modules()
        for name in imported(file)
        if FLOOR[name] > FLOOR[place(file)]
    }
    assert not upward


def test_caches_forks_and_hooks_stay_in_the_engine():
    public = {"runner", "budget", "pace", "extent"}
    used = {
        (str(file.relative_to(ROOT)), node.module)
        for file in modules()
        if place(file) != "engine"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{ROOT.name}.engine")
        if node.module.rpartition(".")[2] not in public
    }
    assert not used


@pytest.mark.parametrize("folder", ["study", "tables", "analysis", "exchange", "figures", "findings", "comparison"])
def test_what_reads_tables_alone_loads_no_model(folder):
    files = [ROOT / f"{folder}.py"] if (ROOT / f"{folder}.py").exists() else sorted((ROOT / folder).rglob("*.py"))
    used = {name for file in code_files(*files) for name in libraries(file)}
    assert not used & {"torch", "transformers"}


def libraries(file):
    """Packages of others that a file imports when it is loaded."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body if file.suffix == ".py" else ():
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_libraries_are_found():
    assert "torch" in set(libraries(ROOT / "engine" / "attention.py"))
    assert "ast" in set(libraries(Path(__file__))) <= set(sys.stdlib_module_names) | {"pytest", "retrieval_heads"}
