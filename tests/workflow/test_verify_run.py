"""Results that were altered between runs: what jobs refuse, what the rule verify says, and what is made again."""

import json
import re
import shutil

import pytest

from projects import TINY
from retrieval_heads.manifests import manifest_file
from retrieval_heads.verification.made import Made
from retrieval_heads.verification.verifying import verify

pytestmark = pytest.mark.thorough

OVERLAP = "results/tiny/tables/overlap.parquet"
RANKINGS = "results/tiny/tables/rankings.parquet"


def remade(study, *targets, succeed=True):
    """Run the study's jobs for some targets, made anew, and return what is said."""
    return study.snakemake(
        "--cores", "1", *TINY, "--force", "--allowed-rules", "measure_overlap", "--", *targets, succeed=succeed
    )


def alter(study):
    with study.path(RANKINGS).open("ab") as file:
        file.write(b"\n")
    return rf"{RANKINGS}: is not as collect_table \(table rankings\) wrote it; delete {RANKINGS} and run again\."


def put_another_in_its_place(study):
    for file in (lambda path: path, manifest_file):
        shutil.copy(file(study.path(OVERLAP)), file(study.path(RANKINGS)))
    return rf"{RANKINGS}: this is tables/overlap\.parquet, made by measure_overlap; delete {RANKINGS} and run again\."


def take_its_manifest(study):
    manifest_file(study.path(RANKINGS)).unlink()
    return rf"{RANKINGS}: has no manifest rankings\.parquet\.manifest\.json, so it may be anything; delete {RANKINGS}"


@pytest.mark.parametrize("change", [alter, put_another_in_its_place, take_its_manifest])
def test_a_job_refuses_to_read_what_is_not_as_it_was_made(study, change):
    sentence = change(study)
    said = remade(study, OVERLAP, succeed=False)
    assert re.search(rf"measure_overlap: {sentence}", said), said
    assert "Traceback" not in said
    assert "overlap.parquet: is missing" in verify(study.path("results", "tiny")).summary()


def test_what_was_deleted_is_made_again_whether_anything_reads_it_or_not(study):
    out = study.path("results", "tiny")
    for name in (
        "figures/overlap_summary.png",
        "tables/unions.parquet",
        "pages/head_map.html",
        "generations/planted/plain/512/1-of-1.parquet",
    ):
        (out / name).unlink()
    shutil.rmtree(out / "exports/planted/plain/512")
    stale = study.stale()
    wanted = {"draw_overlap_summary", "measure_overlap", "write_findings", "score_heads", "export_rankings"}
    assert wanted <= set(stale)
    assert stale["score_heads"] == 1 and stale["export_rankings"] == 1


def test_everything_that_is_made_is_asked_for(finished):
    """So that whatever is deleted is made again; a folder counts as one."""
    out = finished.path("results", "tiny")
    made = Made(out, json.loads((out / "findings.json").read_text())["config"])
    asked = {made.name(path) for paths in made.asked.values() for path in paths}
    there = {
        made.name(file).removesuffix("/.manifest.json").removesuffix(".manifest.json")
        for file in out.rglob("*.manifest.json")
    }
    assert asked == there


def test_the_rule_verify_says_that_all_is_well_and_makes_nothing(study):
    out = study.path("results", "tiny")
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    for _ in range(2):  # it runs whenever it is asked for
        (out / "verification.json").unlink(missing_ok=True)
        said = study.snakemake("--cores", "1", *TINY, "--", "verify")
        assert re.search(r"verify: tiny: \d+ checks, \d+ passed, 1 not checked\.", said)
        assert json.loads((out / "verification.json").read_text())["outcome"] == "passed"
    after = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    assert {file for file in after if before.get(file) != after[file]} == {
        out / "verification.json",
        out / "logs/verify.log",
    }
    assert study.stale() == {}


def test_the_rule_verify_remakes_nothing_where_things_are_stale_and_fails_where_they_are_wrong(study):
    study.change("config/tiny.yaml", "levels: [3, 6]", "levels: [3, 6, 7]")
    (study.path("results", "tiny", "findings.html")).write_text("")
    said = study.snakemake("--cores", "1", *TINY, "--", "verify", succeed=False)
    assert re.search(r"^  findings\.html: is empty; delete findings\.html and run again\.$", said, re.MULTILINE)
    assert "findings.json: is of another config, which differs in ablation; run again." in said
    assert "Traceback" not in said and not re.search(r"rule (choose_head_sets|ablate_heads)", said)
    assert json.loads(study.path("results/tiny/verification.json").read_text())["outcome"] == "failed"


def test_manifests_are_the_same_from_run_to_run(study):
    manifest = manifest_file(study.path(OVERLAP))
    before = manifest.read_bytes()
    remade(study, OVERLAP)
    assert manifest.read_bytes() == before
