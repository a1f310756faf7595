"""The workflow where it takes further runs to see what it does: changed studies, the same study again, and faults."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest
import yaml

import planted
from planted_corpus import corpus
from projects import ROOT, TINY

pytestmark = pytest.mark.slow


def test_an_imported_list_is_set_beside_the_rankings(study):
    out = study.path("results", "tiny")
    study.path("lists").mkdir()
    shutil.copy(
        out / "exports" / "planted" / "plain" / "512" / "qrhead" / "inc_state.json", study.path("lists", "theirs.json")
    )
    imports = "imports:\n  theirs:\n    file: lists/theirs.json\n    label: the other list\n"
    study.change("config/tiny.yaml", "models:", f"{imports}models:")
    assert study.stale() == {"compare_imports": 1, "write_findings": 1}
    study.snakemake("--cores", "2", *TINY)
    table = pd.read_parquet(out / "tables" / "imports.parquet")
    assert len(table) == 3 * 2 * 2
    same = table.query("method == 'qrhead' and question == 'inc_state' and context_length == 512").iloc[0]
    assert same[["jaccard", "spearman"]].tolist() == pytest.approx([1, 1])
    assert same["rbo_chance"] < same["rbo"] < 1  # the planted heads tie, so that a ranking is not sure of itself
    findings = (out / "FINDINGS.md").read_text()
    assert "## Imported lists of heads" in findings
    mean = table[table["method"] == "qrhead"]["jaccard"].mean()
    sentence = rf"Rankings by QRHead and the other list .*agree.*\. Their top heads have a mean Jaccard of {mean:.3f} "
    assert re.search(sentence, findings)
    assert (out / "pages" / "imports.html").is_file()
    study.change("config/tiny.yaml", imports, "")
    study.snakemake("--cores", "2", *TINY)
    assert "Imported lists" not in (out / "FINDINGS.md").read_text()


def test_a_replacement_with_a_fit_is_fitted_once_for_all_interventions(study):
    ways = (
        "  interventions:\n    zero_all: {}\n    reading: {scope: suffix, context_lengths: [512]}\n"
        "    fitted: {mode: mean}\n    fitted_reading: {mode: mean, scope: suffix}\n"
    )
    study.change("config/tiny.yaml", "ablation:\n", f"ablation:\n{ways}")
    stale = study.stale()
    # One fit at each of two lengths serves both interventions; what the whole model says is known.
    assert stale["fit_replacement"] == 2 and stale["ablate_heads"] == 1 + 2 + 2 and stale["measure_guard"] == 3
    assert not {"answer_unablated", "build_prompts", "score_heads", "rank_heads"} & set(stale)
    study.snakemake("--cores", "2", *TINY)
    out = study.path("results", "tiny")
    states = sorted(file.relative_to(out).as_posix() for file in out.rglob("*.safetensors"))
    assert states == [f"replacements/planted/plain/{length}/mean.safetensors" for length in (512, 640)]
    ablation = pd.read_parquet(out / "tables" / "ablation.parquet")
    assert set(ablation["intervention"]) == {"zero_all", "reading", "fitted", "fitted_reading"}
    beside = ablation[ablation["source"].isin(["baseline", "no_needle"]) & (ablation["context_length"] == 512)]
    answers = beside.pivot(index=["prompt_id", "source"], columns="intervention", values="answer_logprob")
    assert answers.notna().all(axis=None) and (answers.nunique(axis=1) == 1).all()
    guard = pd.read_parquet(out / "tables" / "guard.parquet")
    assert set(guard.loc[guard["intervention"] == "fitted", "context_length"]) == {512, 640}
    assert "mean, all tokens" in (out / "FINDINGS.md").read_text()
    assert study.stale() == {}


def test_where_a_study_resamples_the_whole_model_is_asked_about_twins(study):
    way = "  interventions:\n    zero_all: {}\n    carrying: {mode: resample, scope: suffix, context_lengths: [512]}\n"
    study.change("config/tiny.yaml", "ablation:\n", f"ablation:\n{way}")
    study.change("config/tiny.yaml", "yardstick:\n", "yardstick:\n  modes: [zero, resample]\n")
    stale = study.stale()
    assert [stale[rule] for rule in ("answer_unablated", "ablate_heads", "measure_effects")] == [1, 1, 1]
    assert not {"measure_guard", "build_prompts", "rank_heads"} & set(stale)  # prose has no twin
    study.snakemake("--cores", "2", *TINY)
    out = study.path("results", "tiny")
    answers = pd.concat(map(pd.read_parquet, (out / "unablated" / "planted" / "plain" / "512").glob("*")))
    right = answers[answers["correct"]]
    both = set(right.loc[right["source"] == "baseline", "prompt_id"]) & set(
        right.loc[right["source"] == "twin", "prompt_id"]
    )
    ablation = pd.read_parquet(out / "tables" / "ablation.parquet").query("intervention == 'carrying'")
    assert both and set(ablation.loc[ablation["source"] != "no_needle", "prompt_id"]) == both
    assert set(ablation["source"]) >= {"baseline", "no_needle", "method", "random"}
    effects = pd.read_parquet(out / "tables" / "head_effects.parquet").set_index("mode")
    assert set(effects.loc[["resample"], "prompt_id"]) <= both
    assert effects.loc[["resample"]].notna().all(axis=None)
    assert effects.loc[["zero"], ["answer_logodds", "logodds_effects"]].isna().all(axis=None)
    # What the planted heads copy is this answer: resampled, they write the twin's.
    assert all(
        row.answer_logodds > 0 and max(row.logodds_effects) > 1 for row in effects.loc[["resample"]].itertuples()
    )
    assert "resample, question and answer" in (out / "FINDINGS.md").read_text()
    assert study.stale() == {}


def test_a_study_that_asks_what_takes_no_retrieval_says_where_its_model_answers_too_little(study):
    # The planted model copies, and knows no more; these are words that it has.
    for kind, answer in (("facts", "Ohio"), ("sums", "3")):
        item = f'- {{text: "In which state?", answer_prefix: " The company", answer: "{answer}"}}\n'
        study.path("resources", "controls", f"{kind}.yaml").write_text(item)
    study.change("config/tiny.yaml", "yardstick:\n", "controls:\n  specificity: {intervention: zero_all}\nyardstick:\n")
    made = {"ask_items": 2, "collect_table": 1, "measure_specificity": 1, "draw_loss_by_kind": 1, "write_findings": 1}
    assert study.stale() == made
    study.snakemake("--cores", "2", *TINY)
    tables = study.path("results", "tiny", "tables")
    items, summary = (pd.read_parquet(tables / f"{name}.parquet") for name in ("specificity", "specificity_summary"))
    assert len(items) == 4 and set(items["source"]) == {"baseline"} and items["question"].isna().all()
    assert len(summary) and summary["retrieval_loss"].notna().all() and summary["specificity"].isna().all()
    told = study.path("results", "tiny", "FINDINGS.md").read_text()
    assert "Is it retrieval?" in told and "the whole model answers 0 facts and 0 sums, and it takes 20" in told
    assert study.stale() == {}


def test_the_bundle_may_be_an_archive(study):
    study.snakemake(*TINY, "--report", "report.zip")
    assert study.path("report.zip").stat().st_size > 100_000


def test_one_seed_gives_the_same_tables_and_another_gives_others(study):
    tables = [f"tables/{name}.parquet" for name in ("rankings", "ablation")]
    exported = "tiny/exports/planted/plain/512"
    targets = [f"results-again/{exported}", *(f"results-again/tiny/{table}" for table in tables)]
    study.snakemake(*targets, "--cores", "2", *TINY, "--config", "results=results-again")
    for table in tables:
        first = study.path("results", "tiny", table).read_bytes()
        assert study.path("results-again", "tiny", table).read_bytes() == first
    for file in study.path("results", exported).glob("*/*.*"):
        again = study.path("results-again") / file.relative_to(study.path("results"))
        assert again.read_bytes() == file.read_bytes()
    other = "results-other/tiny/tables/rankings.parquet"
    study.snakemake(other, "--cores", "2", *TINY, "--config", "results=results-other", "seed=2")
    assert study.path(other).read_bytes() != study.path("results", "tiny", tables[0]).read_bytes()


def test_a_prepared_model_is_made_anew_when_its_file_or_the_code_that_reads_it_changes(project):
    """No GGUF file is read for it: an empty folder takes the place of what would be made of one."""
    script = project.path("workflow", "scripts", "prepare_model.py")
    script.write_text("from pathlib import Path\nPath(snakemake.output[0]).mkdir()\n")
    project.change("config/tiny.yaml", "path: .cache/planted-model", "gguf: small.gguf")

    def to_make():
        said = project.plan("--quiet", "host", "--until", "prepare_model", *TINY)
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
    code = project.path("workflow", "retrieval_heads", "model", "sources", "gguf.py")
    former = code.read_text()
    code.write_text(former + "CHANGED = True\n")
    assert to_make() == {two}
    code.write_text(former)
    project.path("small.gguf").write_bytes(b"GGUF one")
    assert not to_make()


# --- faults --------------------------------------------------------------------------------------------------------


def test_an_interrupted_run_leaves_nothing_half_written_and_resumes(project):
    project.change("config/tiny.yaml", "train: 3", "train: 40")  # time enough to interrupt it
    target = "results/tiny/scores/planted/plain/512/1-of-1.parquet"
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


def test_a_needle_that_fits_nowhere_is_told_with_the_reason(project):
    project.change("config/tiny.yaml", "[512, 640]", "[128]")
    project.change("config/tiny.yaml", "context_lengths: [512]", "context_lengths: [128]")
    said = project.snakemake("--cores", "2", *TINY, succeed=False)
    assert re.search(r"no usable prompt in the (train|test) split \(.*the document does not fit into the context", said)


# --- other studies -------------------------------------------------------------------------------------------------


def test_the_worked_example_goes_from_a_table_to_findings(project, tmp_path):
    planted.save(tmp_path / "model", corpus(ROOT, "own-data"))
    path = project.path("config", "own-data.yaml")
    config = yaml.safe_load(path.read_text())
    config["models"] = {"planted": {"source": {"path": str(tmp_path / "model")}, "dtype": "float32"}}
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
    project.change("config/tiny.yaml", "context_lengths:", "haystack: documents\n  context_lengths:")
    shutil.rmtree(project.path("resources", "haystack"))  # nothing else may be read
    target = "results/tiny/prompts/planted/plain/512.parquet"
    project.snakemake(target, "--cores", "2", *TINY)
    prompts = pd.read_parquet(project.path(target))
    assert (prompts["status"] == "ok").mean() > 0.5
    tokenizer = planted.PreTrainedTokenizerFast.from_pretrained(project.path(".cache", "planted-model"))
    for row in prompts[prompts["status"] == "ok"].itertuples():
        # Every document begins so, the needle and the others.
        assert tokenizer.decode(row.input_ids[: row.suffix_start]).count("Item 1. Business") >= 2
