"""The workflow as its users run it: as Snakemake commands on a copy of the project."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import planted
from planted_corpus import corpus

ROOT = Path(__file__).parents[1]
TINY = ["--configfile", "config/tiny.yaml"]
CODE = ["Snakefile", "rules", "workflow", "config", "profiles", "envs", "resources", "report"]


class Project:
    """A copy of the project in which Snakemake can be run, and files changed."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in CODE:
            source, target = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    def snakemake(self, *arguments: str, succeed: bool = True) -> str:
        """Run Snakemake and return all it says."""
        run = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
            capture_output=True,
            text=True,
            timeout=900,
        )
        said = run.stdout + run.stderr
        assert (run.returncode == 0) == succeed, said
        return said

    def stale(self, *arguments: str) -> dict[str, int]:
        """Rules that a dry run would run, with the number of jobs; ``all`` left out."""
        said = self.snakemake("-n", "--quiet", "host", *TINY, *arguments)
        if "Nothing to be done" in said:
            return {}
        jobs = said.split("Job stats:")[1].split("total")[0]
        counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", jobs, re.MULTILINE)}
        counts.pop("all", None)
        return counts

    def path(self, *parts: str) -> Path:
        """A path inside the copy."""
        return self.folder.joinpath(*parts)


@pytest.fixture(scope="session")
def planted_folder(tmp_path_factory):
    """A prepared planted model that knows the words of the tiny study."""
    folder = tmp_path_factory.mktemp("planted")
    planted.save(folder, corpus(ROOT))
    return folder


@pytest.fixture
def project(tmp_path, planted_folder):
    """A fresh copy of the project, with nothing made yet."""
    copy = Project(tmp_path)
    copy.path(".cache").mkdir()
    copy.path(".cache", "planted-model").symlink_to(planted_folder)
    return copy


@pytest.fixture(scope="module")
def finished(tmp_path_factory, planted_folder):
    """A copy of the project in which the tiny study is done. Tests put back what they change."""
    copy = Project(tmp_path_factory.mktemp("finished"))
    copy.path(".cache").mkdir()
    copy.path(".cache", "planted-model").symlink_to(planted_folder)
    copy.said = copy.snakemake("--cores", "2", *TINY)
    return copy


@pytest.fixture
def changed(finished):
    """Changes a file of the finished project for the length of a test."""
    former = {}

    def change(file: str, before: str, after: str) -> None:
        path = finished.path(file)
        former.setdefault(path, (path.read_bytes(), path.stat()))
        text = path.read_text()
        assert before in text, f"{file} has no {before!r}"
        path.write_text(text.replace(before, after, 1))

    yield change
    for path, (content, stat) in former.items():
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# --- the whole study -----------------------------------------------------------------------------------------------


def test_a_study_yields_its_findings(finished):
    out = finished.path("results", "tiny")
    page = (out / "findings.html").read_text()
    assert "Retrieval heads: tiny" in page
    assert "Supported" in page
    assert (out / "FINDINGS.md").stat().st_size > 3000
    figures = {path.stem for path in (out / "figures").glob("*.png")}
    assert {"figure8_option_a_by_question", "figure8_option_b_by_method", "figure8_option_c_grid"} <= figures
    assert figures == {path.stem for path in (out / "figures").glob("*.svg")}
    assert not list(out.rglob("*.partial"))


def test_its_numbers_are_those_of_its_tables(finished):
    out = finished.path("results", "tiny")
    ablation = pd.read_parquet(out / "tables" / "ablation.parquet")
    baseline = ablation[(ablation["source"] == "baseline") & (ablation["context_length"] == 512)]["correct"].mean()
    assert f"{100 * baseline:.1f}%" in (out / "FINDINGS.md").read_text()
    cut = ablation[(ablation["source"] == "method") & (ablation["k"] == 6)]["correct"].mean()
    random = ablation[(ablation["source"] == "random") & (ablation["matching"] == "layer")]["correct"].mean()
    assert baseline > 0.9
    assert cut < 0.2
    assert random > 0.8


def test_jobs_say_how_far_they_are_and_write_the_logs_they_declare(finished):
    assert "3 of 3 documents to score" in finished.said
    logs = finished.path("results", "tiny", "logs")
    assert "documents to score" in (logs / "score_heads" / "planted" / "512" / "1-of-1.log").read_text()


def test_the_bundle_holds_every_figure_with_its_caption(finished):
    finished.snakemake(*TINY, "--report", "report.html")
    page = finished.path("report.html").read_text()
    for figure in finished.path("results", "tiny", "figures").glob("*.png"):
        caption = finished.path("report", "captions", f"{figure.stem}.rst").read_text()
        assert figure.name in page
        assert " ".join(caption.split()[:5]) in page
    finished.snakemake(*TINY, "--report", "report.zip")
    assert finished.path("report.zip").stat().st_size > 100_000


def test_the_example_in_the_documentation_prints_what_it_says(finished):
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.+?)^```", page, re.DOTALL | re.MULTILINE)
    (printed,) = re.findall(r"^```text\n(.+?)^```", page, re.DOTALL | re.MULTILINE)
    run = subprocess.run(
        [sys.executable, "-c", example],
        cwd=finished.folder,
        env={**os.environ, "PYTHONPATH": "workflow", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.stdout == printed, run.stderr


def test_exports_are_the_rankings(finished):
    out = finished.path("results", "tiny")
    rankings = pd.read_parquet(out / "tables" / "rankings.parquet")
    exported = 0
    for (length, method, question), ranking in rankings.groupby(["context_length", "method", "question"]):
        file = out / "exports" / "planted" / str(length) / method / question
        lines = [line.split() for line in file.with_suffix(".txt").read_text().splitlines()]
        ranking = ranking.sort_values(["rank", "layer", "head"])
        names = [f"{layer}-{head}" for layer, head in zip(ranking["layer"], ranking["head"], strict=True)]
        assert [name for line in lines for name in line] == names
        assert np.cumsum([len(line) for line in lines]).tolist() == ranking["last"].unique().tolist()
        scores = json.loads(file.with_suffix(".json").read_text())
        assert [sum(scores[name]) / len(scores[name]) for name in names] == pytest.approx(list(ranking["score"]))
        assert {len(values) for values in scores.values()} == set(ranking["n_samples"])
        pd.testing.assert_frame_equal(
            pd.read_csv(file.with_suffix(".csv")),
            ranking[["rank", "last", "layer", "head", "score", "n_samples", "score_sd"]].reset_index(drop=True),
            check_dtype=False,
        )
        exported += 3
    assert exported == len(list((out / "exports").glob("*/*/*/*.*"))) == 2 * 3 * 2 * 3


def test_an_imported_list_is_set_beside_the_rankings(finished):
    path, out = finished.path("config", "tiny.yaml"), finished.path("results", "tiny")
    finished.path("lists").mkdir()
    exported = out / "exports" / "planted" / "512" / "qrhead" / "inc_state.json"
    shutil.copy(exported, finished.path("lists", "theirs.json"))
    config = path.read_text()
    try:
        path.write_text(f"{config}\nimports:\n  theirs:\n    file: lists/theirs.json\n    label: the other list\n")
        assert finished.stale() == {"compare_imports": 1, "write_findings": 1}
        finished.snakemake("--cores", "2", *TINY)
        imports = pd.read_parquet(out / "tables" / "imports.parquet")
        assert len(imports) == 3 * 2 * 2
        same = imports.query("method == 'qrhead' and question == 'inc_state' and context_length == 512").iloc[0]
        assert same[["jaccard", "spearman"]].tolist() == pytest.approx([1, 1])
        assert same["rbo_chance"] < same["rbo"] < 1  # the planted heads tie, so that a ranking is not sure of itself
        findings = (out / "FINDINGS.md").read_text()
        assert "## Imported lists of heads" in findings
        mean = imports[imports["method"] == "qrhead"]["jaccard"].mean()
        sentence = rf"Rankings by QRHead and the other list .*agree .*: mean Jaccard {mean:.3f} of the top heads"
        assert re.search(sentence, findings)
        assert (out / "pages" / "imports.html").is_file()
    finally:
        path.write_text(config)
        finished.snakemake("--cores", "2", *TINY)
    assert "Imported lists" not in (out / "FINDINGS.md").read_text()


# --- what is made again --------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(finished):
    assert finished.stale() == {}


def test_a_figures_code_redraws_that_figure(finished, changed):
    changed("workflow/retrieval_heads/figures/method_head_overlap.py", "def draw(", "# a remark\ndef draw(")
    assert finished.stale() == {"draw_method_head_overlap": 1, "write_findings": 1}


def test_another_intervention_runs_itself_and_what_follows(finished, changed):
    ways = "ablation:\n  interventions: {zero_all: {}, reading: {scope: suffix, context_lengths: [512]}}\n"
    changed("config/tiny.yaml", "ablation:\n", ways)
    stale = finished.stale()
    alone = {"choose_head_sets": 1, "ablate_heads": 1, "measure_guard": 1}
    assert {**alone, "estimate_effects": 1, "write_findings": 1}.items() <= stale.items()
    assert not {"write_documents", "build_prompts", "score_heads", "rank_heads", "measure_overlap"} & set(stale)


def test_a_level_runs_ablation_and_what_follows(finished, changed):
    changed("config/tiny.yaml", "levels: [3, 6]", "levels: [3, 6, 7]")
    stale = finished.stale()
    assert {
        "choose_head_sets": 2,
        "ablate_heads": 2,
        "measure_guard": 1,
        "estimate_effects": 1,
        "write_findings": 1,
    }.items() <= stale.items()
    assert not {"write_documents", "build_prompts", "score_heads", "rank_heads", "measure_overlap"} & set(stale)


def test_a_context_length_keeps_the_results_of_the_others(finished, changed):
    changed("config/tiny.yaml", "context_lengths: [512, 640]", "context_lengths: [512, 640, 704]")
    stale = finished.stale()
    one_each = {"build_prompts": 1, "score_heads": 1, "rank_heads": 1, "choose_head_sets": 1, "ablate_heads": 1}
    assert one_each.items() <= stale.items()
    assert "write_documents" not in stale


@pytest.mark.parametrize(
    "file", ["methods/qrhead.py", "scoring.py", "attention.py", "inference.py", "method.py", "model.py"]
)
def test_scoring_code_runs_scoring(finished, changed, file):
    path = f"workflow/retrieval_heads/{file}"
    changed(path, '"""', '"""Changed. ')
    stale = finished.stale()
    assert stale["score_heads"] == 2
    assert "write_documents" not in stale


def test_analysis_code_runs_no_model(finished, changed):
    changed("workflow/retrieval_heads/effects.py", '"""', '"""Changed. ')
    stale = finished.stale()
    assert stale["estimate_effects"] == 1
    assert not {"prepare_model", "score_heads", "ablate_heads", "measure_guard"} & set(stale)


def test_a_label_asks_nothing_anew(finished, changed):
    changed("config/tiny.yaml", "  inc_state:\n", "  inc_state:\n    label: State of incorporation\n")
    stale = finished.stale()
    assert stale["write_findings"] == 1
    assert {name.partition("_")[0] for name in stale} == {"draw", "write"}


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer_config.json"])
def test_a_model_that_is_changed_where_it_lies_is_measured_anew(finished, changed, name):
    changed("config/tiny.yaml", "levels: [3, 6]", "levels: [3, 6, 7]")
    file = finished.path(".cache", "planted-model", name)
    content, stat = file.read_bytes(), file.stat()
    try:
        file.write_bytes(content + b"\n")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as programs do that copy with times
        stale = finished.stale()
    finally:
        file.write_bytes(content)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert {"build_prompts": 2, "score_heads": 2, "rank_heads": 2, "ablate_heads": 2}.items() <= stale.items()
    assert "write_documents" not in stale


def test_a_model_that_only_looks_new_is_the_same(finished, tmp_path):
    link = finished.path(".cache", "planted-model")
    lies = link.readlink()
    shutil.copytree(lies, tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("The same weights.")
    try:
        link.unlink()
        link.symlink_to(tmp_path / "copy")
        assert finished.stale() == {}
    finally:
        link.unlink()
        link.symlink_to(lies)


def test_a_prepared_model_is_made_anew_when_its_file_or_the_code_that_reads_it_changes(project):
    """No GGUF file is read for it: an empty folder takes the place of what would be made of one."""
    script = project.path("workflow", "scripts", "prepare_model.py")
    script.write_text("from pathlib import Path\nPath(snakemake.output[0]).mkdir()\n")
    config = project.path("config", "tiny.yaml")
    config.write_text(config.read_text().replace("path: .cache/planted-model", "gguf: small.gguf"))

    def to_make():
        said = project.snakemake("-n", "--quiet", "host", "--until", "prepare_model", *TINY)
        return set(re.findall(r"output: results/models/(\S+)", said))

    def make(found):
        (name,) = found
        project.snakemake("--cores", "1", "--until", "prepare_model", *TINY)
        return name

    project.path("small.gguf").write_bytes(b"GGUF one")
    one = make(to_make())
    assert not to_make()
    project.path("small.gguf").write_bytes(b"GGUF two")
    two = make(to_make())
    assert one != two and not to_make()
    code = project.path("workflow", "retrieval_heads", "model_sources", "gguf.py")
    former = code.read_text()
    code.write_text(former + "# a remark\n")
    assert to_make() == {two}
    code.write_text(former)
    project.path("small.gguf").write_bytes(b"GGUF one")
    assert not to_make()


def test_a_template_makes_documents_anew_and_keeps_the_model(finished, changed):
    changed("resources/documents/facts.yaml", "\n", "\n# a remark\n")
    stale = finished.stale()
    assert stale["write_documents"] == 1
    assert "prepare_model" not in stale


# --- the same again ------------------------------------------------------------------------------------------------


def test_one_seed_gives_the_same_tables_and_another_gives_others(finished):
    tables = [f"tables/{name}.parquet" for name in ("rankings", "ablation")]
    exported = "tiny/exports/planted/512"
    targets = [f"results-again/{exported}", *(f"results-again/tiny/{table}" for table in tables)]
    finished.snakemake(*targets, "--cores", "2", *TINY, "--config", "results=results-again")
    for table in tables:
        first = finished.path("results", "tiny", table).read_bytes()
        assert finished.path("results-again", "tiny", table).read_bytes() == first
    for file in finished.path("results", exported).glob("*/*.*"):
        again = finished.path("results-again") / file.relative_to(finished.path("results"))
        assert again.read_bytes() == file.read_bytes()
    other = "results-other/tiny/tables/rankings.parquet"
    finished.snakemake(other, "--cores", "2", *TINY, "--config", "results=results-other", "seed=2")
    assert finished.path(other).read_bytes() != finished.path("results", "tiny", tables[0]).read_bytes()


# --- faults --------------------------------------------------------------------------------------------------------


def test_an_interrupted_run_leaves_nothing_half_written_and_resumes(project):
    config = project.path("config", "tiny.yaml")
    config.write_text(config.read_text().replace("train: 3", "train: 40"))  # time enough to interrupt it
    target = "results/tiny/scores/planted/512/1-of-1.parquet"
    run = subprocess.Popen(
        [sys.executable, "-m", "snakemake", target, "--cores", "2", *TINY],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # What is started in the background ignores an interrupt, unless told otherwise.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for line in run.stdout:
        if "documents to score" in line:
            break
    os.killpg(run.pid, signal.SIGINT)
    run.wait(60)
    made = list(project.path("results").rglob("*.parquet"))
    assert made, "the stages before the interrupted one are kept"
    for path in made:
        pd.read_parquet(path)
    assert not project.path(target).exists()
    written = {path: path.stat().st_mtime_ns for path in made}
    project.snakemake(target, "--cores", "2", *TINY)
    pd.read_parquet(project.path(target))
    assert {path: path.stat().st_mtime_ns for path in made} == written


def test_a_corrupt_table_is_named(finished):
    path = finished.path("results", "tiny", "prompts", "planted", "512.parquet")
    content, stat = path.read_bytes(), path.stat()
    try:
        path.write_bytes(content[: len(content) // 2])
        said = finished.snakemake("--cores", "1", *TINY, "--forcerun", "count_prompts", succeed=False)
        assert re.search(r"prompts/planted/512\.parquet: not a readable Parquet file; delete it and run again", said)
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        finished.snakemake("--cores", "2", *TINY)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("planted-model", "no-model", "models.planted.source.path: .cache/no-model has no config.json"),
        ("documents:", "documnets:", "documnets: no such key in the config; did you mean documents"),
        ("train: 3", "train: 0", "documents.train: the train split is empty"),
        ("type: count", "type: number", "questions.employee_count.type: 'number' is not one of"),
        ("employee_count:", "turnover:", "questions.turnover: the generator of documents knows no such fact"),
        ("levels: [3, 6]", "levels: [3, 600]", "ablation.levels: 600 is more than the 40 heads of planted"),
        ("[512, 640]", "[512, 60]", "prompts.context_lengths: 60 leaves no room for a context"),
        ("[512, 640]", "[512, 5000]", "prompts.context_lengths: 5000 is beyond the 4096 tokens of planted"),
        ("seed: 1", "seed: 1\nmethods: {wu42: {}}", "methods.wu42: no such method; there are"),
        (
            "seed: 1",
            "seed: 1\nmethods: {wu24: {spam: needle}}",
            "methods.wu24.spam: no such key in the config; did you mean span?",
        ),
        ("seed: 1", "seed: 1\nimports: {a: {file: a.json}}", "a.json: no such file; correct the path under imports"),
        ("seed: 1", "seed: 1\nresults: Snakefile", "results: cannot write to Snakefile"),
        ("seed: 1", "seed: 1\nseed: 2", "config/tiny.yaml: seed is there twice, in lines 3 and 4; keep one of them"),
        ("models:", "modells:", "modells: no such key in the config; did you mean models"),
        ("[3, 6]", "[3, 21]", "ablation.levels: 21 of the 40 heads of planted leave too few others"),
        ("documents:", "documents:\n  file: mine.csv", "documents.file: this key has no meaning for source generator"),
        (
            "train: 3\n  test: 3\n  missing_rate: 0.1\n  variety: 1\n  distractors: 0.0",
            "source: file\n  file: resources/own_data/observatories.csv",
            "documents.text: resources/own_data/observatories.csv has no column text; it has name, description",
        ),
        ("context_lengths:", "haystack: nowhere\n  context_lengths:", "prompts.haystack: there is no folder nowhere"),
    ],
)
def test_a_wrong_config_gets_one_sentence_before_any_work(project, before, after, sentence):
    path = project.path("config", "tiny.yaml")
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    said = project.snakemake("-n", *TINY, succeed=False)
    assert sentence in said
    assert "Traceback" not in said
    assert not project.path("results").exists()


@pytest.mark.parametrize("left_out", ["models", "questions", "prompts", "documents"])
def test_a_config_that_lacks_a_key_is_not_filled_in_from_the_default_study(project, left_out):
    path = project.path("config", "tiny.yaml")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    del config[left_out]
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    said = project.snakemake("-n", *TINY, succeed=False)
    assert f"{left_out}: this key is missing from the config; add it." in said


def test_two_configs_are_not_mixed(project):
    said = project.snakemake("-n", *TINY, "config/own-data.yaml", succeed=False)
    assert "config/own-data.yaml would be mixed into one study; give one file, and single keys with --config" in said


@pytest.mark.parametrize(("given", "model"), [(TINY, "planted"), ([], "smollm2-135m-instruct")])
def test_single_keys_on_the_command_line_go_before_those_of_the_one_config(project, given, model):
    target = f"elsewhere/other/rankings/{model}/512.parquet"
    keys = ("--config", "results=elsewhere", "study=other", "seed=2")
    said = project.snakemake("-n", target, "--quiet", "host", *given, *keys)
    assert f"elsewhere/other/scores/{model}/512/1-of-1.parquet" in said
    said = project.snakemake("-n", *given, "--config", "sed=2", succeed=False)
    assert "sed: no such key in the config; did you mean seed" in said


def test_a_needle_that_fits_nowhere_is_told_with_the_reason(project):
    path = project.path("config", "tiny.yaml")
    path.write_text(path.read_text().replace("[512, 640]", "[128]"))
    said = project.snakemake("--cores", "2", *TINY, succeed=False)
    assert re.search(r"no usable prompt in the train split \(.*the document does not fit into the context", said)


# --- the studies that come with the project ------------------------------------------------------------------------


OF_MODELS = [path.name for path in sorted((ROOT / "config").glob("*.yaml")) if "\npublished:" not in path.read_text()]


@pytest.mark.parametrize("config", OF_MODELS)
def test_every_study_of_models_dry_runs(project, config):
    path, shared = project.path("config", config), ROOT.parent / "shared"
    if "../shared" in (text := path.read_text()):
        if not shared.is_dir():
            pytest.skip(f"{config} needs ../shared, which is no part of the project")
        path.write_text(text.replace("../shared", str(shared)))
    said = project.snakemake("-n", "--configfile", f"config/{config}")
    settings = yaml.safe_load(project.path("config", config).read_text())
    each = len(settings["models"]) * len(settings["prompts"]["context_lengths"])
    assert re.search(rf"^score_heads +{each}$", said, re.MULTILINE)
    assert re.search(r"^write_findings +1$", said, re.MULTILINE)


def test_the_worked_example_goes_from_a_table_to_findings(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted-own")
    planted.save(folder, corpus(ROOT, "own-data"))
    path = project.path("config", "own-data.yaml")
    config = yaml.safe_load(path.read_text())
    config["models"] = {"planted": {"source": {"path": str(folder)}, "dtype": "float32"}}
    path.write_text(yaml.safe_dump(config))
    project.snakemake("--cores", "2", "--configfile", "config/own-data.yaml")
    out = project.path("results", "own-data")
    documents = pd.read_parquet(out / "documents.parquet").set_index("doc_id")
    assert documents.loc["st_brannock", "founder"] == "Clara Voss"
    ablation = pd.read_parquet(out / "tables" / "ablation.parquet")
    assert set(ablation["doc_id"]) == set(documents.index[documents["split"] == "test"])
    assert ablation.loc[ablation["source"] == "baseline", "correct"].all()
    # The six planted heads are in the top 20, and no answer is found without them.
    assert not ablation.loc[(ablation["source"] == "method") & (ablation["k"] == 20), "correct"].any()
    page = (out / "FINDINGS.md").read_text()
    assert "Who founded the observatory?" in page


def test_other_documents_are_the_haystack_where_the_config_says_so(project):
    path = project.path("config", "tiny.yaml")
    path.write_text(path.read_text().replace("context_lengths:", "haystack: documents\n  context_lengths:"))
    shutil.rmtree(project.path("resources", "haystack"))  # nothing else may be read
    target = "results/tiny/prompts/planted/512.parquet"
    project.snakemake(target, "--cores", "2", *TINY)
    prompts = pd.read_parquet(project.path(target))
    assert (prompts["status"] == "ok").mean() > 0.5
    tokenizer = planted.PreTrainedTokenizerFast.from_pretrained(project.path(".cache", "planted-model"))
    for row in prompts[prompts["status"] == "ok"].itertuples():
        # Every document begins so, the needle and the others.
        assert tokenizer.decode(row.input_ids[: row.suffix_start]).count("Item 1. Business") >= 2


def test_the_default_study_is_what_runs_without_a_config(project):
    assert "results/smollm2/findings.html" in project.snakemake("-n", "--quiet", "host")
    said = project.snakemake("-n", "--quiet", "host", "--config", "study=mine")
    assert "results/mine/findings.html" in said


def test_a_dry_run_is_quick_enough_to_be_used(finished):
    start = time.monotonic()
    finished.snakemake("-n", *TINY)
    assert time.monotonic() - start < 60, "a dry run should never load a model"
