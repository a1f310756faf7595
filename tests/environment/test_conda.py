"""The environments under envs/: whether they can be made, suffice for their jobs, and carry a whole study.

What this cannot show is that conda-forge has these versions: it is out of reach, and a local channel stands in for it.
"""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import conda_stand_in
from projects import ROOT, TINY, Project
from retrieval_heads import plugins
from retrieval_heads.provenance import code_files

ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
BY_NAME = {
    "model": [*plugins.files("methods").values(), *plugins.files("model.sources").values()],
    "analysis": [file for name, file in plugins.files("data.documents").items() if name != "edgar_corpus"],
    "edgar": [plugins.files("data.documents")["edgar_corpus"]],
    "report": [*plugins.files("figures").values()],
}
"""What the jobs of an environment load by name, which no import tells."""


def rules() -> list[tuple[str, str, Path]]:
    """Name, environment and script of every rule but the one that only asks for files."""
    found = []
    for file in (ROOT / "rules").glob("*.smk"):
        for text in re.split(r"^ *rule(?= \w+:|:)", file.read_text(), flags=re.MULTILINE)[1:]:
            name, conda, script = (
                re.search(pattern, text) for pattern in (r"^ (\w+):", r"envs/(\w+)\.yaml", r"scripts/(\w+\.py)")
            )
            assert conda, f"a rule in {file.name} names no environment"
            assert re.search(r"^ +log:$", text, re.MULTILINE), f"a rule in {file.name} names no log"
            found.append((name and name[1], conda[1], ROOT / "workflow" / "scripts" / script[1]))
    return found


def imported(environment: str) -> set[str]:
    """All that the jobs of an environment import from outside the project, whether at once or in a function."""
    names = set()
    scripts = [script for _, of_rule, script in rules() if of_rule == environment]
    for file in code_files(*scripts, *BY_NAME.get(environment, [])):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    # The type of the object that Snakemake hands to scripts; it is not imported at run time.
    return names - set(sys.stdlib_module_names) - {"retrieval_heads", "snakemake"}


def missing(prefix: Path, names: set[str]) -> set[str]:
    """Those of the modules that the Python of an environment cannot import by itself, whatever else is around."""
    python = [prefix / "bin" / "python", "-I", "-c", _IMPORT_EACH]
    run = subprocess.run([*python, *sorted(names)], check=True, capture_output=True, text=True, timeout=300)
    return set(run.stdout.split())


_IMPORT_EACH = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        print(name)
"""


@pytest.fixture(scope="module")
def conda(tmp_path_factory):
    """The folder with the stand-in for conda."""
    for module in ("rattler", "conda_package_handling"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; it is in requirements-dev.txt")
    wanted = f"python ={sys.version_info.major}.{sys.version_info.minor}"
    if any(wanted not in file.read_text() for file in ENVIRONMENTS):
        pytest.skip(f"the local channel has the Python that runs the tests, which is not the one of envs/: {wanted}")
    try:
        return conda_stand_in.install(tmp_path_factory.mktemp("conda"), ENVIRONMENTS)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the wheels for the local channel cannot be fetched: {error}")


@pytest.fixture(scope="module")
def finished(conda, tmp_path_factory, planted_folder):
    """A copy of the project in which the tiny study was made with --use-conda."""
    project = Project.new(tmp_path_factory.mktemp("with-conda"), planted_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{conda}{os.pathsep}{os.environ['PATH']}")
        project.said = project.snakemake("--cores", "2", "--use-conda", *TINY)
    return project


@pytest.fixture(scope="module")
def prefixes(conda, finished, tmp_path_factory):
    """Where the environments of the finished study lie, by name, and those that it did not need."""
    made = {file.read_text(): file.with_suffix("") for file in finished.path(".snakemake", "conda").glob("*.yaml")}
    found = {}
    for file in finished.path("envs").glob("*.yaml"):
        found[file.stem] = made.get(file.read_text()) or tmp_path_factory.mktemp(file.stem) / "prefix"
        if file.read_text() not in made:
            command = [conda / "conda", "env", "create", "--file", file, "--prefix", found[file.stem]]
            subprocess.run(command, check=True, timeout=300)
    return found


def test_every_rule_has_its_environment_and_log():
    assert {environment for _, environment, _ in rules()} == {file.stem for file in ENVIRONMENTS}


def test_environments_pin_what_they_list_and_agree_on_it():
    versions = {}
    for file in ENVIRONMENTS:
        of_conda, of_pip = conda_stand_in.specs(file)
        assert all(re.fullmatch(r"[\w-]+ =\d+(\.\d+)?", spec) for spec in of_conda), file
        assert all(re.fullmatch(r"[\w-]+ ==\d+(\.\d+)+", spec) for spec in of_pip), file
        assert yaml.safe_load(file.read_text())["channels"] == ["conda-forge"]
        for name, _, version in (spec.partition(" =") for spec in of_conda):
            assert versions.setdefault(name, version) == version, f"{file.name} has another {name}"


@pytest.mark.slow
def test_a_study_is_made_with_conda_alone(finished):
    assert "Retrieval heads: tiny" in finished.path("results", "tiny", "findings.html").read_text()
    # All but the one for EDGAR-CORPUS, which the tiny study does not read, and that for a crate, which it is not asked.
    assert finished.said.count("Environment for") == len(ENVIRONMENTS) - 2


@pytest.mark.slow
@pytest.mark.parametrize("environment", [file.stem for file in ENVIRONMENTS])
def test_an_environment_has_all_that_its_jobs_import(prefixes, environment):
    wanted = imported(environment)
    assert "pandas" in wanted or environment == "crate"
    assert missing(prefixes[environment], wanted) == set()


@pytest.mark.slow
def test_the_model_environment_can_read_the_default_model(prefixes, tmp_path):
    """The post-deploy script brings its file; transformers reads it by packages that nothing here imports."""
    source = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())["models"]["smollm2-135m-instruct"]["source"]
    code = "import sys; sys.path.insert(0, sys.argv[1])\n"
    code += "from pathlib import Path; from retrieval_heads.model.loading import prepare_model\n"
    code += "prepare_model(dict(zip(('package', 'file'), sys.argv[3:])), Path(sys.argv[2]))"
    arguments = [ROOT / "workflow", tmp_path / "model", source["package"], source["file"]]
    subprocess.run([prefixes["model"] / "bin" / "python", "-I", "-c", code, *arguments], check=True, timeout=600)
    assert (tmp_path / "model" / "model.safetensors").stat().st_size > 200e6


@pytest.mark.slow
def test_a_package_that_an_environment_lacks_is_told(conda, tmp_path):
    lacking = tmp_path / "lacking.yaml"
    text = (ROOT / "envs" / "analysis.yaml").read_text()
    lacking.write_text("".join(line for line in text.splitlines(keepends=True) if "statsmodels" not in line))
    prefix = tmp_path / "prefix"
    command = [conda / "conda", "env", "create", "--quiet", "--no-default-packages", "--file", lacking]
    subprocess.run([*command, "--prefix", prefix], check=True, timeout=300)
    assert missing(prefix, imported("analysis")) == {"statsmodels"}


@pytest.mark.slow
def test_a_version_that_is_nowhere_ends_the_run(conda, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    text, changed = re.subn(r"pandas =[\d.]+", "pandas =9.9", (ROOT / "envs" / "analysis.yaml").read_text())
    assert changed == 1
    wrong.write_text(text)
    command = [conda / "conda", "env", "create", "--file", wrong, "--prefix", tmp_path / "prefix"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode != 0
    assert "pandas" in run.stderr
