"""What makes results stale: what users give counts by its content, and libraries by their versions.

Scripts that only make empty outputs take the place of all others here, for what would be made again depends on the
rules alone.
"""

import json
import os
import re
import shutil
from functools import cache

import pytest
import yaml

from projects import ROOT, Project, planned
from retrieval_heads.versions import library_versions, pinned_versions

pytestmark = pytest.mark.thorough

EMPTY = """
from pathlib import Path
for path in map(Path, snakemake.output):
    path.mkdir() if not path.suffix else path.touch()
"""
MODEL_RULES = (
    "answer_unablated",
    "ask_items",
    "ablate_heads",
    "build_prompts",
    "label_heads",
    "measure_effects",
    "measure_guard",
    "score_heads",
)
"""The rules of the study below whose jobs ask its model, or its tokenizer."""


def pretend(project, config=None):
    """Have all jobs of a project make empty outputs, and give it a config."""
    for script in project.path("workflow", "scripts").glob("*.py"):
        script.write_text(EMPTY)
    if config is not None:
        project.path("study.yaml").write_text(yaml.safe_dump(config))
    return project


def tiny(**changes):
    return yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text()) | changes


def make(project, *targets):
    project.snakemake("--cores", "2", "--configfile", "study.yaml", "--", *targets)


def stale(project, *targets, forced=()):
    """Rule → number of jobs that a dry run would run; those of forced rules as if these were stale."""
    force = ["--forcerun", *sorted(forced)] if forced else []
    return planned(project.plan("--configfile", "study.yaml", "--quiet", "host", *force, "--", *targets))


def change_in_place(file, text):
    """Another text in the same file, with its time put back, as programs do that copy with times."""
    stat = file.stat()
    with file.open("r+") as opened:
        opened.truncate()
        opened.write(text)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture(scope="module")
def everything(made_once, planted_folder):
    """A study that reads files of every kind but documents and results of others. Nothing may change it."""

    def build(folder):
        project = Project.new(folder, planted_folder)
        project.path("lists").mkdir()
        for name, scores in (("one", {"0-1": [0.5], "1-2": [0.25]}), ("other", {"0-2": [0.5], "1-1": [0.25]})):
            project.path("lists", f"{name}.json").write_text(json.dumps(scores))
        config = tiny(imports={name: {"file": f"lists/{name}.json"} for name in ("one", "other")})
        config["controls"] = {"specificity": {"intervention": "zero_all"}}
        config["prompts"]["variants"] = {"plain": {}, "decoy": {"decoy": True, "context_lengths": [512]}}
        for section in ("ablation", "yardstick"):
            config[section]["variants"] = ["plain"]
        make(pretend(project, config))

    return Project(made_once("everything", build))


@pytest.fixture(scope="module")
def after(everything):
    """What would be made again if these rules were stale, and nothing else."""
    return cache(lambda *rules: stale(everything, forced=rules))


@pytest.fixture
def study(everything, tmp_path):
    return everything.copy(tmp_path / "study")


GIVEN = {
    "resources/documents/facts.yaml": "write_documents",
    "resources/haystack/05_maps.txt": "build_prompts",
    "resources/guard/prose.txt": "measure_guard",
    "resources/controls/sums.yaml": "ask_items",
    "lists/one.json": "compare_imports",
    "report/captions/findings.rst": "write_findings",
}
"""A file that is given, and the rule that reads it."""


def test_every_rule_counts_the_files_and_versions_that_it_reads():
    """Nothing else would tell of a new rule that forgets them: it would run once and never again."""
    text = "\n".join(file.read_text() for file in (ROOT / "rules").glob("*.smk") if file.stem != "common")
    rules = {rule.partition(":")[0]: rule for rule in re.split(r"^ *rule (?=\w+:)", text, flags=re.MULTILINE)[1:]}
    of_model = {name for name, rule in rules.items() if "envs/model.yaml" in rule}
    assert of_model >= set(MODEL_RULES) and "prepare_model" in of_model
    assert {name for name, rule in rules.items() if "versions(PATHS." in rule} == of_model
    reading = {name: rule for name, rule in rules.items() if "given(" in rule}
    assert reading.keys() >= set(GIVEN.values())
    for name, rule in reading.items():
        (counted,) = re.findall(r"content_of\((.*?)\),\n {8}\w", rule, re.DOTALL)
        script = ROOT / "workflow" / "scripts" / re.search(r"scripts/(\w+\.py)", rule)[1]
        assert set(re.findall(r'given\("(\w+)"\)', rule)) == set(re.findall(r'"(\w+)"', counted)), name
        assert re.search(r"unchanged_files\(snakemake[),]", script.read_text()), name


def test_what_only_looks_new_makes_nothing_anew(study):
    for file in GIVEN:
        study.path(file).touch()
    shutil.copy(study.path("lists/one.json"), study.path("copy.json"))
    study.path("copy.json").replace(study.path("lists/one.json"))
    assert stale(study) == {}


@pytest.mark.parametrize("file", GIVEN)
def test_what_is_changed_in_place_makes_anew_what_depends_on_it_and_nothing_else(study, after, file):
    text = study.path(file).read_text()
    change_in_place(study.path(file), text.replace("5", "7") if file.endswith(".json") else f"{text}\n# Other.\n")
    assert stale(study) == after(GIVEN[file])


@pytest.mark.parametrize(
    ("one", "other", "rule"),
    [
        ("resources/haystack/05_maps.txt", "resources/haystack/06_gardens.txt", "build_prompts"),
        ("lists/one.json", "lists/other.json", "compare_imports"),
        ("resources/controls/facts.yaml", "resources/controls/sums.yaml", "ask_items"),
    ],
)
def test_two_files_that_swap_places_are_noticed(study, after, one, other, rule):
    aside = study.path("aside")
    study.path(one).rename(aside)
    study.path(other).rename(study.path(one))
    aside.rename(study.path(other))
    assert stale(study) == after(rule)


def test_a_file_that_is_gone_is_named_before_any_work(study):
    study.path("resources/guard/prose.txt").unlink()
    said = study.plan("--configfile", "study.yaml", succeed=False)
    assert "resources/guard/prose.txt: this file is gone; put it back" in said


def test_documents_of_the_users_own_count_by_their_content(project):
    config = yaml.safe_load(project.path("config", "own-data.yaml").read_text())
    config["models"] = {"planted": {"source": {"path": ".cache/planted-model"}}}
    documents, table = f"results/{config['study']}/documents.parquet", project.path(config["documents"]["file"])
    make(pretend(project, config), documents)
    table.touch()
    assert stale(project, documents) == {}
    text = table.read_text()
    change_in_place(table, text.replace("Clara", "Klara"))
    assert text != table.read_text() and stale(project, documents) == {"write_documents": 1}


def test_published_results_count_by_their_content(project):
    ranking = {"total_tokens": 512, "head_rankings": [{"head": "L0H0", "score": 0.5, "rank": 1, "num_samples": 4}]}
    ablation = {"baseline": {"accuracy": 0.9, "correct": 9, "total": 10}}
    ablation |= {"top_heads_ablations": [], "random_heads_ablations": []}
    files = {}
    for question in ("place", "year"):
        for kind, content in (("rankings", ranking), ("ablations", ablation)):
            file = project.path("theirs", kind, "wu24", "small", question, "tokens_512.json")
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(content | {"question": question}))
            files[kind, question] = file
    config = {
        "study": "theirs",
        "published": {"folder": "theirs"},
        "models": {"small": {"grid": [2, 2]}},
        "methods": {"wu24": {}},
        "questions": {name: {"text": "What?", "type": "text"} for name in ("place", "year")},
        "prompts": {"context_lengths": [512]},
    }
    target = "results/theirs/tables/rankings.parquet"
    make(pretend(project, config), target)
    for file in files.values():
        file.touch()
    assert stale(project, target) == {}
    one, other = (files["rankings", question].read_text() for question in ("place", "year"))
    change_in_place(files["rankings", "place"], other)
    change_in_place(files["rankings", "year"], one)
    assert stale(project, target) == {"convert_published": 1}


# --- versions of libraries -----------------------------------------------------------------------------------------


def install(project, name, version):
    """What tells a library's version, where the workflow finds it before the one that is installed."""
    about = project.path("workflow", f"{name}-{version}.dist-info")
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return about


def accept_versions(project, accept):
    config = yaml.safe_load(project.path("study.yaml").read_text())
    config["compute"] = config.get("compute", {}) | {"accept_versions": accept}
    project.path("study.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("library", ["torch", "tokenizers"])
def test_another_version_of_a_library_makes_anew_what_asks_a_model_and_what_follows(study, after, library):
    about = install(study, library, "99.1")
    said = study.plan("--configfile", "study.yaml", "--quiet", "host")
    assert planned(said) == after(*MODEL_RULES)
    assert f"'{library}': '{library_versions()[library]}'" in said and f"'{library}': '99.1'" in said
    shutil.rmtree(about)
    assert stale(study) == {}


def test_where_other_versions_are_accepted_nothing_is_made_anew(study, after):
    install(study, "numpy", "99.1")
    accept_versions(study, True)
    assert stale(study) == {}
    accept_versions(study, False)
    assert stale(study) == after(*MODEL_RULES)


@pytest.mark.slow
def test_what_is_lacking_is_made_with_other_versions_once_they_are_accepted(study):
    install(study, "numpy", "99.1")
    accept_versions(study, True)
    scores = study.path("results/tiny/scores/planted/plain/512/1-of-1.parquet")
    scores.unlink()
    assert stale(study, str(scores.relative_to(study.folder))) == {"score_heads": 1}
    make(study)
    assert stale(study) == {}


def test_with_conda_the_versions_are_the_pins_of_the_environment(study, tmp_path, monkeypatch):
    told = {"conda_prefix": str(tmp_path), "conda_version": "24.9.2", "platform": "linux-64"}
    told["get"] = {"channel_priority": "strict"}
    conda = tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    conda.chmod(0o755)
    conda.with_name("activate").touch()
    monkeypatch.setenv("PATH", f"{conda.parent}{os.pathsep}{os.environ['PATH']}")
    plan, pins = ("--configfile", "study.yaml", "--quiet", "host", "--use-conda"), pinned_versions()
    assert f"now: {pins}" in study.plan(*plan)
    study.change("envs/model.yaml", f"numpy ={pins['numpy']}", "numpy =1.99")
    assert f"now: {pins | {'numpy': '1.99'}}" in study.plan(*plan)


@pytest.mark.parametrize(("source", "again"), [({"gguf": "m.gguf"}, True), ({"hub": "a/b", "revision": "main"}, False)])
def test_a_model_of_the_hub_is_not_fetched_anew_for_other_versions(project, source, again):
    project.path("m.gguf").write_bytes(b"GGUF and weights")
    make(pretend(project, tiny(models={"m": {"source": source}})), "results/tiny/labels/m.parquet")
    install(project, "transformers", "99.1")
    made = stale(project, "results/tiny/labels/m.parquet")
    assert made == {"label_heads": 1} | ({"prepare_model": 1} if again else {})


# --- models, and jobs that read what a run began with ---------------------------------------------------------------


@pytest.mark.slow
def test_clones_with_one_cache_and_one_folder_of_results_keep_their_models_apart(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "cache"))
    for clone in ("one", "other"):
        config = tiny(models={"m": {"source": {"gguf": "m.gguf"}}}, results=str(tmp_path / "results"))
        project = pretend(Project.new(tmp_path / clone), config)
        copy = "from pathlib import Path\nPath(snakemake.output[0]).mkdir()\n"
        copy += "Path(snakemake.output[0], 'model').write_text(Path('m.gguf').read_text())\n"
        project.path("workflow", "scripts", "prepare_model.py").write_text(copy)
        project.path("m.gguf").write_text(f"GGUF {clone}")
        project.snakemake(
            *("--cores", "1", "--configfile", "study.yaml", "--cache", "--until", "prepare_model"),
        )
    made = [file.read_text() for file in tmp_path.glob("results/models/m-*/model")]
    assert sorted(made) == ["GGUF one", "GGUF other"]


@pytest.mark.slow
def test_a_job_of_a_cluster_refuses_what_changed_since_its_run_began(project):
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")
    submit = project.path("submit.sh")
    submit.write_text(
        "echo '# Other.' >> resources/documents/facts.yaml\nsh \"$1\" 2>&1 | tee -a said.txt >&2\necho 1\n"
    )
    cluster = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "sh submit.sh", "--jobs", "1"]
    status = ["--cluster-generic-status-cmd", "sh -c 'echo failed' --"]
    target = "results/tiny/documents.parquet"
    project.snakemake(target, *cluster, *status, "--configfile", "config/tiny.yaml", succeed=False)
    assert "resources/documents: a file in this folder was changed while" in project.path("said.txt").read_text()
    assert not project.path(target).exists()
