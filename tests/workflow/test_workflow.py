"""The workflow as its users run it: what a run of the tiny study makes, and what dry runs say would be made again.

What it takes further runs to see is in test_further_runs.py.
"""

import json
import os
import re
import shutil
from importlib.metadata import distributions

import numpy as np
import pandas as pd
import pytest
import yaml
from jsonschema import Draft202012Validator

import planted
from projects import ROOT, TINY, planned
from retrieval_heads import tables
from retrieval_heads.errors import StudyError
from retrieval_heads.findings.json_schema import schema
from retrieval_heads.provenance import code_files
from retrieval_heads.release import VERSION
from retrieval_heads.study.config import complete
from retrieval_heads.versions import library_versions

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


def test_a_study_yields_its_claims_for_programs(finished):
    out = finished.path("results", "tiny")
    found = json.loads((out / "findings.json").read_text())
    Draft202012Validator(schema()).validate(found)
    said = (out / "FINDINGS.md").read_text().replace("\\", "")
    assert found["claims"] and all(claim["statement"] in said for claim in found["claims"] if not claim["family"])


def test_every_table_tells_what_made_it_and_the_findings_tell_it_of_all(finished):
    out = finished.path("results", "tiny")
    every = {file: tables.made_with([file]) for file in sorted(out.rglob("*.parquet"))}
    for file, told in every.items():
        assert told["rule"] in told["code"] and told["seed"] == 1 and len(told["config"]) == 16, file
        assert told.keys() == {"rule", "code", "config", "seed"} | ({"models"} if file.stem != "documents" else set())
    effects = every[out / "tables" / "effects.parquet"]
    assert effects["code"].keys() >= {
        "write_documents",
        "build_prompts",
        "score_heads",
        "ablate_heads",
        "collect_table",
    }
    run = effects["models"]["planted"]
    assert run | library_versions() == run and (run["dtype"], run["quantization"]) == ("float32", "none")
    assert len(run["content"]) == 64 and "commit" not in run
    made_with = json.loads((out / "findings.json").read_text())["made_with"]
    assert made_with["models"] == {"planted": run} and made_with["rules"].items() >= effects["code"].items()
    head = (out / "FINDINGS.md").read_text().splitlines()[2]
    assert f"version {VERSION} of this workflow" in head and f"content {run['content'][:12]}" in head


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


def test_planted_heads_are_what_answers_need_and_noise_is_not(finished):
    tables = finished.path("results", "tiny", "tables")
    summary = pd.read_parquet(tables / "head_effect_summary.parquet").set_index(["layer", "head"])
    labels = pd.read_parquet(tables / "labels.parquet").set_index(["layer", "head"])
    assert len(summary) == len(labels) == planted.LAYERS * planted.HEADS and set(summary["documents"]) == {2}
    assert sorted(labels.index[labels["is_induction"]]) == sorted(planted.RETRIEVAL_HEADS)
    known = [*planted.RETRIEVAL_HEADS, *planted.SUPPORT_HEADS]
    strongest = summary.loc[planted.RETRIEVAL_HEADS, "effect"]
    assert (strongest > 0).all() and strongest.min() > 10 * summary.drop(known)["effect"].abs().max()


def test_jobs_say_how_far_they_are_and_write_the_logs_they_declare(finished):
    assert "3 of 3 documents to score" in finished.path("said.txt").read_text()
    logs = finished.path("results", "tiny", "logs")
    assert "documents to score" in (logs / "score_heads" / "planted" / "plain" / "512" / "1-of-1.log").read_text()


def test_the_bundle_holds_every_figure_with_its_caption(study):
    study.snakemake(*TINY, "--report", "report.html")
    page = study.path("report.html").read_text()
    for figure in study.path("results", "tiny", "figures").glob("*.png"):
        caption = study.path("report", "captions", f"{figure.stem}.rst").read_text()
        assert figure.name in page
        assert " ".join(caption.split()[:5]) in page


@pytest.mark.thorough
def test_the_examples_in_the_documentation_print_what_they_say(study):
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.+?)^```", page, re.DOTALL | re.MULTILINE)
    printed = re.findall(r"^```text\n(.+?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    for example, wanted in zip(examples, printed, strict=True):
        run = study.python("-c", example, PYTHONPATH="workflow")
        assert run.stdout == wanted, run.stderr


def test_exports_are_the_rankings(finished):
    out = finished.path("results", "tiny")
    rankings = pd.read_parquet(out / "tables" / "rankings.parquet")
    exported = 0
    for (length, method, question), ranking in rankings.groupby(["context_length", "method", "question"]):
        file = out / "exports" / "planted" / "plain" / str(length) / method / question
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
    assert exported == len(list((out / "exports").glob("*/*/*/*/*.*"))) == 2 * 3 * 2 * 3


def test_a_crate_is_made_where_it_is_asked_for_by_name(study):
    assert study.stale() == {}
    assert planned(study.plan("crate", "--quiet", "host", *TINY)) == {"crate": 1}


# --- what is made again --------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(study):
    assert study.stale() == {}


def words_of_lines(said):
    """What Snakemake says, without times, and without the order of jobs and files, which is another each time."""
    return sorted(sorted(re.sub(r"\[.*?\]|,", " ", line).split()) for line in said.splitlines())


def test_a_plan_is_what_a_process_of_its_own_says(study):
    """So that the other tests may ask a process for it that has Snakemake loaded."""

    def both(succeed=True):
        arguments = ["--quiet", "host", *TINY]
        planned, said = study.plan(*arguments, succeed=succeed), study.snakemake("-n", *arguments, succeed=succeed)
        assert words_of_lines(planned) == words_of_lines(said)
        return said

    assert "Nothing to be done" in both()
    study.change("config/tiny.yaml", "levels: [3, 6]", "levels: [3, 6, 7]")
    assert "choose_head_sets" in both()
    study.change("config/tiny.yaml", "documents:", "documnets:")
    assert "no such key" in both(succeed=False)


def test_a_dry_run_loads_no_library_of_models(study):
    loaded = study.python("-X", "importtime", "-m", "snakemake", "-n", *TINY).stderr
    assert re.search(r" retrieval_heads\.study\.config$", loaded, re.MULTILINE)
    assert not re.findall(r" (torch|transformers|scipy|matplotlib)$", loaded, re.MULTILINE)


def change_code(study, file):
    """Have a file of the package do something else."""
    with study.path("workflow", "retrieval_heads", file).open("a", encoding="utf-8") as opened:
        opened.write("\nCHANGED = True\n")


def test_a_remark_makes_nothing_anew(study):
    for file in ("engine/attention.py", "figures/method_head_overlap.py", "tables/__init__.py"):
        study.change(f"workflow/retrieval_heads/{file}", '"""', '"""Changed. ')
        study.change(f"workflow/retrieval_heads/{file}", "\nfrom", "\n# Imports\n\nfrom")
    assert study.stale() == {}


@pytest.mark.parametrize("file", ["job.py", "runs.py", "atomic_write.py", "engine/pace.py", "preflight.py"])
def test_what_no_result_depends_on_makes_nothing_anew(study, file):
    change_code(study, file)
    assert study.stale() == {}


def test_a_type_of_answers_makes_anew_what_reads_or_judges_answers(study):
    change_code(study, "data/answers/state.py")
    stale = study.stale()
    assert {"write_documents": 1, "build_prompts": 2, "score_heads": 2, "ablate_heads": 2}.items() <= stale.items()


def test_a_figures_code_redraws_that_figure(study):
    change_code(study, "figures/method_head_overlap.py")
    assert study.stale() == {"draw_method_head_overlap": 1, "write_findings": 1}


def test_another_intervention_runs_itself_and_what_follows(study):
    ways = "ablation:\n  interventions: {zero_all: {}, reading: {scope: suffix, context_lengths: [512]}}\n"
    study.change("config/tiny.yaml", "ablation:\n", ways)
    stale = study.stale()
    alone = {"choose_head_sets": 1, "ablate_heads": 1, "measure_guard": 1}
    assert {**alone, "estimate_effects": 1, "write_findings": 1}.items() <= stale.items()
    others = {"write_documents", "build_prompts", "score_heads", "rank_heads", "answer_unablated", "measure_overlap"}
    assert not others & set(stale)


def test_what_an_intervention_runs_is_in_the_plan_also_where_the_whole_model_is_asked_anew(study):
    ways = "ablation:\n  interventions: {zero_all: {documents: 2}, reading: {scope: suffix, context_lengths: [512]}}\n"
    study.change("config/tiny.yaml", "ablation:\n", ways)
    asked = {"answer_unablated": 2, "choose_head_sets": 1, "ablate_heads": 1 + 2, "measure_guard": 1}
    assert {**asked, "estimate_effects": 1}.items() <= study.stale().items()
    # Twins are asked for the yardstick alone: what was ablated before stays.
    study.change("config/tiny.yaml", "{documents: 2}", "{}")
    study.change("config/tiny.yaml", "yardstick:\n", "yardstick:\n  modes: [zero, resample]\n")
    asked = {"answer_unablated": 1, "choose_head_sets": 1, "ablate_heads": 1, "measure_guard": 1}
    assert {**asked, "measure_effects": 1, "estimate_effects": 1}.items() <= study.stale().items()


def test_the_yardstick_runs_itself_and_what_follows(study):
    study.change("config/tiny.yaml", "yardstick:\n  documents: 2", "yardstick:\n  documents: 3")
    measured = ("measure_effects", "collect_table", "summarise_effects", "pair_effects", "measure_quality")
    drawn = ("draw_effects_by_method", "draw_quality_and_cost", "draw_score_and_effect")
    assert study.stale() == dict.fromkeys((*measured, *drawn, "write_findings"), 1)
    study.change("config/tiny.yaml", "yardstick:\n  documents: 3\n  context_lengths: [512]\n", "")
    assert set(study.stale()) == {"measure_quality", "write_findings"}
    assert "draw_effects_by_method" not in study.plan(*TINY)


def test_a_level_runs_ablation_and_what_follows(study):
    study.change("config/tiny.yaml", "levels: [3, 6]", "levels: [3, 6, 7]")
    stale = study.stale()
    ablation = {"choose_head_sets": 2, "ablate_heads": 2, "measure_guard": 1}
    assert {**ablation, "estimate_effects": 1, "write_findings": 1}.items() <= stale.items()
    assert not {"write_documents", "build_prompts", "score_heads", "rank_heads", "measure_overlap"} & set(stale)


def test_a_context_length_keeps_the_results_of_the_others(study):
    study.change("config/tiny.yaml", "context_lengths: [512, 640]", "context_lengths: [512, 640, 704]")
    stale = study.stale()
    one_each = {"build_prompts": 1, "score_heads": 1, "rank_heads": 1, "choose_head_sets": 1, "ablate_heads": 1}
    one_each |= {"answer_unablated": 1}
    assert one_each.items() <= stale.items()
    assert "write_documents" not in stale


@pytest.mark.parametrize("file", ["methods/qrhead.py", "engine/attention.py"], ids=["found by name", "imported"])
def test_scoring_code_runs_scoring(study, file):
    change_code(study, file)
    stale = study.stale()
    assert stale["score_heads"] == 2
    assert "write_documents" not in stale


def test_the_code_of_scoring_is_all_that_it_imports():
    files = {file.stem for file in code_files(ROOT / "workflow" / "scripts" / "score_heads.py")}
    assert {"_scoring", "attention", "decoding", "loading"} <= files


def test_analysis_code_runs_no_model(study):
    change_code(study, "analysis/effects.py")
    stale = study.stale()
    assert stale["estimate_effects"] == 1
    assert not {"prepare_model", "score_heads", "ablate_heads", "measure_guard"} & set(stale)


def test_a_label_asks_nothing_anew(study):
    study.change("config/tiny.yaml", "  inc_state:\n", "  inc_state:\n    label: State of incorporation\n")
    stale = study.stale()
    assert stale["write_findings"] == 1
    assert {name.partition("_")[0] for name in stale} == {"draw", "write"}


def own_model(study):
    """The folder of the study's model, which it then shares with no other."""
    folder = study.path(".cache", "planted-model")
    lies = folder.readlink()
    folder.unlink()
    shutil.copytree(lies, folder)
    return folder


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer_config.json"])
def test_a_model_that_is_changed_where_it_lies_is_measured_anew(study, name):
    file = own_model(study) / name
    stat = file.stat()
    content = file.read_bytes()
    # Of weights the lowest bit of one, so that the file stays what it is.
    content = content + b"\n" if name.endswith(".json") else content[:-4] + bytes([content[-4] ^ 1]) + content[-3:]
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as programs do that copy with times
    stale = study.stale()
    assert {"build_prompts": 2, "score_heads": 2, "rank_heads": 2, "ablate_heads": 2}.items() <= stale.items()
    assert "write_documents" not in stale


def test_a_model_that_only_looks_new_is_the_same(study):
    (own_model(study) / "README.md").write_text("The same weights.")
    assert study.stale() == {}


def test_a_template_makes_documents_anew_and_keeps_the_model(study):
    study.change("resources/documents/facts.yaml", "\n", "\n# a remark\n")
    stale = study.stale()
    assert stale["write_documents"] == 1
    assert "prepare_model" not in stale


# --- which config is taken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("documents:", "documnets:", "documnets: no such key in the config; did you mean documents"),
        ("planted-model", "no-model", "models.planted.source.path: .cache/no-model has no config.json"),
        ("employee_count:", "turnover:", "questions.turnover: the generator of documents knows no such fact"),
    ],
    ids=["in itself", "against what lies outside", "against its source of documents"],
)
def test_a_wrong_config_gets_one_sentence_before_any_work(project, before, after, sentence):
    """One for each kind of check: those of each kind are in test_config.py."""
    project.change("config/tiny.yaml", before, after)
    said = project.plan(*TINY, succeed=False)
    assert sentence in said
    assert said.count("  File ") == 1, "where the workflow was refused, and not the way through the package"
    assert not project.path("results").exists()


def test_two_configs_are_not_mixed(project):
    said = project.plan(*TINY, "config/own-data.yaml", succeed=False)
    assert "config/own-data.yaml would be mixed into one study; give one file, and single keys with --config" in said


def test_a_config_that_lacks_a_key_is_not_filled_in_from_the_default_study(project):
    path = project.path("config", "tiny.yaml")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in ("models", "questions", "prompts", "documents"):
        with pytest.raises(StudyError, match=f"^{key}: this key is missing from the config; add it"):
            complete({name: value for name, value in config.items() if name != key})
    del config["questions"]
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    assert "questions: this key is missing from the config; add it." in project.plan(*TINY, succeed=False)


@pytest.mark.parametrize(("given", "model"), [(TINY, "planted"), ([], "smollm2-135m-instruct")])
def test_single_keys_on_the_command_line_go_before_those_of_the_one_config(project, given, model):
    target = f"elsewhere/other/rankings/{model}/plain/512.parquet"
    keys = ("--config", "results=elsewhere", "study=other", "seed=2")
    said = project.plan(target, "--quiet", "host", *given, *keys)
    assert f"elsewhere/other/scores/{model}/plain/512/1-of-1.parquet" in said
    said = project.plan(*given, "--config", "sed=2", succeed=False)
    assert "sed: no such key in the config; did you mean seed" in said


def test_the_default_study_is_what_runs_without_a_config(project):
    assert "results/smollm2/findings.html" in project.plan("--quiet", "host")
    said = project.plan("--quiet", "host", "--config", "study=mine")
    assert "results/mine/findings.html" in said


OF_MODELS = [path.name for path in sorted((ROOT / "config").glob("*.yaml")) if "\npublished:" not in path.read_text()]


@pytest.mark.parametrize(("cores", "jobs", "threads"), [(8, 1, 8), (4, 1, 4), (4, 2, 2), (2, 3, 1), (32, 2, 16)])
def test_jobs_that_ask_a_model_share_the_cores(project, cores, jobs, threads):
    config = yaml.safe_load(project.path("config", "tiny.yaml").read_text())
    config["compute"] = config.get("compute", {}) | {"side_by_side": jobs}
    project.path("shared.yaml").write_text(yaml.safe_dump(config))
    planned = project.plan("--quiet", "host", "--cores", str(cores), "--configfile", "shared.yaml")
    of_rule = re.findall(r"rule score_heads:\n(?:    .*\n)+", planned)
    assert of_rule, planned
    # One thread goes without saying.
    assert all(re.findall(r"threads: (\d+)", job) == [str(threads)] * (threads > 1) for job in of_rule)
    # The default profile has one GPU to claim, so that jobs would wait for each other.
    assert all((jobs == 1) == ("gpu=1" in job) for job in of_rule)


@pytest.mark.parametrize("config", OF_MODELS)
def test_every_study_of_models_dry_runs(project, config):
    path, shared = project.path("config", config), ROOT.parent / "shared"
    if "../shared" in (text := path.read_text()):
        if not shared.is_dir():
            pytest.skip(f"{config} needs ../shared, which is no part of the project")
        path.write_text(text.replace("../shared", str(shared)))
    for package in path.with_suffix(".txt").read_text().splitlines() if path.with_suffix(".txt").is_file() else ():
        if not package.startswith("#") and not list(distributions(name=package.partition("==")[0])):
            pytest.skip(f"{config} needs {package}, which make installs for it alone")
    said = project.plan("--configfile", f"config/{config}")
    settings = yaml.safe_load(path.read_text())
    prompts = settings["prompts"]
    variants = (prompts.get("variants") or {"plain": {}}).values()
    lengths = [length for variant in variants for length in variant.get("context_lengths", prompts["context_lengths"])]
    each = len(settings["models"]) * len(lengths)
    assert re.search(rf"^score_heads +{each}$", said, re.MULTILINE)
    assert re.search(r"^write_findings +1$", said, re.MULTILINE)
