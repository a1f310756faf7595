"""The profiles for clusters, on a real SLURM of one node with two GPUs that are none."""

import importlib.util
import re
import signal
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest
import yaml

import one_node_slurm
from projects import MODEL_RULES, ONE_THREAD, ROOT, RULES, TINY, Project

CLUSTERS = ["slurm", "generic"]
PLUGINS = ["snakemake_executor_plugin_slurm", "snakemake_executor_plugin_cluster_generic"]
SLURM = [*one_node_slurm.OPTIONS, *ONE_THREAD, *TINY]
GENERIC = [
    *("--workflow-profile", "profiles/generic", "--latency-wait", "10", "--seconds-between-status-checks", "2"),
    *ONE_THREAD,
    *TINY,
]

SCORES = [f"results/tiny/scores/planted/plain/{length}/1-of-1.parquet" for length in (512, 640)]


@pytest.fixture(scope="module")
def cluster():
    for plugin in PLUGINS:
        if importlib.util.find_spec(plugin) is None:
            pytest.skip(f"{plugin} is not installed; it is in requirements-dev.txt")
    if reason := one_node_slurm.install():
        pytest.skip(reason)
    with one_node_slurm.Cluster() as running:
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory, planted_folder):
    """A copy of the project in which the first scoring job at 512 tokens runs out of memory."""
    copy = Project.new(tmp_path_factory.mktemp("cluster"), planted_folder)
    fault = (
        "    if snakemake.wildcards.length == '512' and snakemake.resources.mem_mb < 8000:\n        raise MemoryError\n"
    )
    begin = "with job(snakemake), unchanged_model(snakemake):\n"
    copy.change("workflow/scripts/score_heads.py", begin, f"{begin}{fault}")
    return copy


@pytest.fixture(scope="module")
def finished(cluster, project):
    """The tiny study, made on the cluster; its first ablation job is killed while it runs."""
    killed = threading.Thread(target=kill_the_first_job, args=(cluster, "ablate_heads"))
    killed.start()
    project.said = project.snakemake(*SLURM)
    killed.join(1)
    assert not killed.is_alive(), "no job of ablation was seen"
    return project


def kill_the_first_job(cluster, rule: str) -> None:
    for _ in range(600):
        if running := [job for job in cluster.of_rule(rule) if job["JobState"] == "RUNNING"]:
            cluster.ask("scancel", running[0]["JobId"])
            return
        time.sleep(1)


def memory(job) -> int:
    """Megabytes that a job asked for."""
    return int(job["MinMemoryNode"].removesuffix("M"))


def test_no_run_on_one_machine_waits_for_memory():
    assert yaml.safe_load((ROOT / "profiles" / "default" / "profile.yaml").read_text())["resources"] == {"gpu": 1}


def test_the_profiles_for_clusters_differ_in_their_scheduler_alone():
    """One retries and groups as the other does; a change of one must not forget the other."""
    slurm, generic = (yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text()) for name in CLUSTERS)
    of_partition = re.compile("^(slurm_)?partition$")
    for profile in (slurm, generic):
        for jobs in (profile["default-resources"], *profile["set-resources"].values()):
            for key in [key for key in jobs if of_partition.match(key)]:
                jobs["partition"] = jobs.pop(key)
        for key in [key for key in profile if key == "executor" or key.startswith("cluster-generic")]:
            del profile[key]
    del generic["default-resources"]["gpu"]
    assert slurm == generic


@pytest.mark.parametrize("profile", CLUSTERS)
def test_every_job_that_comes_again_has_twice_the_memory(profile):
    settings = yaml.safe_load((ROOT / "profiles" / profile / "profile.yaml").read_text())
    assert settings["retries"] > 0
    asked = [
        jobs["mem_mb"]
        for jobs in (settings["default-resources"], *settings["set-resources"].values())
        if "mem_mb" in jobs
    ]
    # What rules ask for goes before the default: those of models, by a function that doubles it too.
    of_rules = set(re.findall(r"^ +mem_mb=(.*),$", "\n".join(RULES), re.MULTILINE))
    assert len(asked) == 2 and of_rules == {"model_mem_mb"}
    for expression in asked:
        first, second, third = (eval(expression, {"attempt": attempt}) for attempt in (1, 2, 3))
        assert (second, third) == (2 * first, 4 * first)


def test_what_runs_a_model_goes_where_the_gpus_are():
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    sent = {rule for rule, asked in profile["set-resources"].items() if asked.get("slurm_partition") == "gpu"}
    assert sent == MODEL_RULES


@pytest.mark.slow
def test_the_tiny_study_runs_on_a_cluster(finished):
    assert "Retrieval heads: tiny" in finished.path("results", "tiny", "findings.html").read_text()


@pytest.mark.slow
def test_model_jobs_go_to_a_gpu_and_all_others_do_not(cluster, finished):
    for job in cluster.jobs():
        of_model = job["Comment"].startswith(tuple(f"rule_{rule}_" for rule in MODEL_RULES))
        assert job["Partition"] == ("gpu" if of_model else "cpu")
        assert job.get("TresPerJob") == ("gres:gpu:1" if of_model else None)


@pytest.mark.slow
def test_a_longer_context_gets_more_memory(cluster, finished):
    asked = {job["Comment"].split("_")[-2]: memory(job) for job in reversed(cluster.of_rule("score_heads"))}
    # The first ones of each length: the same model, and a megabyte for each token.
    assert asked["640"] - asked["512"] == 640 - 512


@pytest.mark.slow
def test_a_job_that_failed_comes_again_with_twice_the_memory(cluster, finished):
    first, second = (job for job in cluster.of_rule("score_heads") if "_512_" in job["Comment"])
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    assert memory(second) == 2 * memory(first)
    log = finished.path("results", "tiny", "logs", "score_heads", "planted", "plain", "512", "1-of-1.log")
    assert "3 of 3 documents to score" in log.read_text()


@pytest.mark.slow
def test_a_job_that_was_killed_comes_again(cluster, finished):
    jobs = cluster.of_rule("ablate_heads")
    assert sorted(job["JobState"] for job in jobs) == ["CANCELLED", "COMPLETED", "COMPLETED"]
    made = pd.read_parquet(finished.path("results", "tiny", "tables", "ablation.parquet"))
    assert set(made["context_length"]) == {512, 640}


@pytest.mark.slow
def test_analysis_and_figures_are_one_job(cluster, finished):
    (job,) = cluster.of_rule("analysis_")
    assert "draw_head_volatility" in job["Comment"] or job["Comment"].endswith("...")
    assert (job["JobState"], job["NumCPUs"], memory(job)) == ("COMPLETED", "4", 4 * 2000)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_while_its_jobs_are_under_way(cluster, finished):
    """Snakemake itself is killed, without a chance to say so; what was done is kept, what was not is made."""
    out = finished.path("results-again", "tiny")
    again = ["--config", "results=results-again"]
    targets = [path.replace("results/", "results-again/") for path in SCORES]
    command = [sys.executable, "-m", "snakemake", *GENERIC, *again, "--", *targets]
    run = subprocess.Popen(command, cwd=finished.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    prompts = [out / "prompts" / "planted" / f"{length}.parquet" for length in (512, 640)]
    for _ in range(300):
        if all(path.exists() for path in prompts):
            break
        time.sleep(0.5)
    run.send_signal(signal.SIGKILL)
    run.wait()
    documents = (out / "documents.parquet").stat().st_mtime_ns
    finished.snakemake(*GENERIC, *again, "--", *targets)
    assert (out / "documents.parquet").stat().st_mtime_ns == documents
    for again_made, made in zip(targets, SCORES, strict=True):
        assert finished.path(again_made).read_bytes() == finished.path(made).read_bytes()


# --- a shared cache ------------------------------------------------------------------------------------------------


MADE_FROM_A_FILE = """from pathlib import Path
made = Path(snakemake.output[0])
made.mkdir()
content = Path(snakemake.params.source["gguf"]).read_text()
(made / "model.safetensors").write_text(f"{content} by {Path.cwd()}")
"""


@pytest.mark.slow
def test_a_model_that_a_colleague_prepared_is_taken_from_the_cache(tmp_path, planted_folder, monkeypatch):
    """One of the same content, that is, wherever its file lies; another under the same name is prepared."""
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    made = {}
    for name, content in (("colleague", "GGUF one"), ("me", "GGUF one"), ("another", "GGUF two")):
        copy = Project.new(tmp_path / name, planted_folder)
        copy.change("config/tiny.yaml", "path: .cache/planted-model", "gguf: small.gguf")
        copy.path("workflow", "scripts", "prepare_model.py").write_text(MADE_FROM_A_FILE)
        copy.path("small.gguf").write_text(content)
        copy.snakemake("--cores", "1", "--cache", "--until", "prepare_model", *TINY)
        (made[name],) = copy.path("results", "models").glob("*/model.safetensors")
    assert made["me"].readlink().is_relative_to(tmp_path / "cache")
    assert made["me"].read_text() == made["colleague"].read_text() == f"GGUF one by {tmp_path}/colleague"
    assert made["another"].read_text() == f"GGUF two by {tmp_path}/another"
