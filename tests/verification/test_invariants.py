"""What holds for the tables of every study: each check names a table that was broken."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from retrieval_heads import tables
from retrieval_heads.exchange import published
from retrieval_heads.exchange.exports import export_rankings
from retrieval_heads.study.config import complete
from retrieval_heads.verification.made import Made
from retrieval_heads.verification.verifying import CHECKS, outcome

pytestmark = pytest.mark.thorough

PROMPTS = "prompts/planted/plain/512.parquet"
SCORES = "scores/planted/plain/512/1-of-1.parquet"
GENERATIONS = "generations/planted/plain/512/1-of-1.parquet"
RANKINGS = "rankings/planted/plain/512.parquet"
HEAD_SETS = "head_sets/planted/plain/512/zero_all.parquet"
UNABLATED = "unablated/planted/plain/512/1-of-1.parquet"
ABLATION = "ablation/planted/plain/512/zero_all/1-of-1.parquet"
GUARD = "guard/planted/plain/zero_all.parquet"
LABELS = "labels/planted.parquet"


@pytest.fixture
def made(finished, tmp_path):
    """The results of the tiny study, to break."""
    folder = shutil.copytree(finished.path("results", "tiny"), tmp_path / "tiny")
    return Made(folder, json.loads((folder / "findings.json").read_text())["config"])


def broken(made, name, change):
    """Write a table with other rows, which still fits its schema."""
    path = made.path(name)
    frame = made.read(path)
    changed = change(frame)
    tables.write(frame if changed is None else changed, path, made.form(path))


def found(made, check):
    (wanted,) = (one for one in CHECKS if one.name == check)
    return outcome(wanted, made)


def put(column, value, where=lambda frame: frame.index[:1]):
    """A change of some values in a column, at first the first one."""

    def change(frame):
        for index in where(frame):
            frame.at[index, column] = value(frame.at[index, column]) if callable(value) else value

    return change


def drop(where=lambda frame: frame.index[:1]):
    return lambda frame: frame.drop(index=where(frame))


def of_source(*sources):
    return lambda frame: frame.index[frame["source"].isin(sources)][:1]


def of_level(source, k):
    return lambda frame: frame.index[(frame["source"] == source) & (frame["k"] == k)][:1]


def of_split(split):
    return lambda frame: frame.index[frame["split"] == split][:1]


def exchange(columns):
    """Exchange the first two rows' values."""

    def change(frame):
        frame.loc[frame.index[:2], columns] = frame.loc[frame.index[1::-1], columns].to_numpy()

    return change


def usable(frame):
    return frame.index[frame["status"] == "ok"][:1]


def with_the_first_of_its_top_set(frame):
    """A random set that has a head of its top set."""
    random = of_source("random")(frame)[0]
    own = (frame["source"] == "method") & (
        frame[["question", "method", "k"]] == frame.loc[random, ["question", "method", "k"]]
    ).all(axis=1)
    heads = list(frame.at[random, "heads"])
    heads[0] = frame.loc[own, "heads"].iloc[0][0]
    frame.at[random, "heads"] = heads


def another_head(heads):
    """The same set with another head in the place of its last."""
    other = next(name for name in ("L0H0", "L0H1", "L0H2", "L0H3", "L0H4", "L0H5", "L0H6", "L0H7") if name not in heads)
    return [*heads[:-1], other]


BROKEN = {
    "rows in their place": [
        (PROMPTS, put("model", "other")),
        (HEAD_SETS, put("context_length", 640)),
        (GUARD, put("intervention", "x")),
    ],
    "ranges": [
        ("tables/effects.parquet", put("accuracy", 1.5)),
        ("tables/tests.parquet", put("p", -0.1)),
        ("tables/overlap.parquet", put("spearman", -1.2)),
        (UNABLATED, put("answer_logprob", 0.5)),
        ("tables/profiles.parquet", put("mean_rank", 0.5)),
    ],
    "order of numbers": [
        ("tables/effects.parquet", put("drop_low", lambda value: value + 5)),
        ("tables/tests.parquet", put("p_holm", 0.0, lambda frame: frame.index[frame["p"] > 0.01][:1])),
    ],
    "verdicts": [
        ("tables/ablation.parquet", put("correct", lambda value: not value)),
        (UNABLATED, put("outcome", "other", lambda f: f.index[f["correct"]][:1])),
    ],
    "whole grids": [(RANKINGS, drop()), (LABELS, drop()), ("tables/head_effect_summary.parquet", drop())],
    "profiles": [("tables/profiles.parquet", put("best_rank", lambda value: value + 1000))],
    "prompts": [(PROMPTS, drop()), (PROMPTS, put("depth", 0.123))],
    "splits": [(PROMPTS, put("split", "test", of_split("train"))), (PROMPTS, put("split", "train", of_split("test")))],
    "places in prompts": [
        (PROMPTS, put("needle_end", 10_000, usable)),
        (PROMPTS, put("answer_start", 0, usable)),
        (PROMPTS, put("question_end", 10_000, usable)),
    ],
    "generations": [(GENERATIONS, drop()), (GENERATIONS, put("prompt_id", "test-0001/x"))],
    "scores": [(SCORES, put("prompt_id", "test-0001/x"))],
    "test prompts": [
        (ABLATION, put("prompt_id", "train-0001/x")),
        ("head_effects/planted/plain/512/zero/1-of-1.parquet", put("prompt_id", "x")),
    ],
    "unablated": [
        (UNABLATED, drop(of_source("baseline"))),
        (UNABLATED, drop(of_source("no_needle"))),
        (UNABLATED, put("source", "twin", of_source("no_needle"))),
    ],
    "counts of prompts": [
        ("tables/dataset_counts.parquet", put("prompts", lambda number: number + 1)),
        ("tables/dataset_counts.parquet", drop()),
    ],
    "rankings": [
        (RANKINGS, put("score", lambda value: value + 0.5)),
        (RANKINGS, put("n_samples", 99)),
        (RANKINGS, exchange(["layer", "head"])),
    ],
    "places of heads": [
        (RANKINGS, put("last", lambda value: value + 1)),
        (RANKINGS, put("rank", lambda value: value + 0.5)),
        ("tables/rankings.parquet", put("score", lambda value: value - 1e3)),
    ],
    "collected tables": [
        ("tables/rankings.parquet", put("score", lambda value: value + 1e-12)),
        ("tables/ablation.parquet", put("generated", "other")),
        ("tables/guard.parquet", drop()),
    ],
    "sizes of head sets": [
        (HEAD_SETS, put("size", 2, of_level("method", 3))),
        (HEAD_SETS, put("heads", lambda heads: heads[:-1], of_level("method", 3))),
    ],
    "nested sets": [(HEAD_SETS, put("heads", another_head, of_level("method", 3)))],
    "tie rule": [
        (HEAD_SETS, put("heads", another_head, of_level("method", 6))),
        (HEAD_SETS, put("k", 2, of_level("method", 3))),
    ],
    "random sets": [
        (HEAD_SETS, with_the_first_of_its_top_set),
        (HEAD_SETS, put("heads", lambda heads: heads[1:], of_source("random"))),
    ],
    "ablation": [
        (ABLATION, drop(of_source("method"))),
        (ABLATION, drop(of_source("random"))),
        (ABLATION, put("k", 5, of_source("method"))),
        (ABLATION, put("size", 1, of_source("method"))),
    ],
    "guard": [
        (GUARD, drop(of_source("random"))),
        (GUARD, put("change", lambda value: value + 0.1, of_source("method"))),
    ],
    "counts of answers": [
        ("tables/ablation_summary.parquet", put("correct", lambda number: number + 1)),
        ("tables/ablation_summary.parquet", put("accuracy", lambda value: value / 2 + 0.1)),
        ("tables/ablation_summary.parquet", drop()),
    ],
}
"""Check → tables, each with a change after which it does not hold."""

CASES = [(check, *case) for check, cases in BROKEN.items() for case in cases]


@pytest.mark.parametrize(
    ("check", "name", "change"), CASES, ids=[f"{check} {i}" for i, (check, *_) in enumerate(CASES)]
)
def test_a_table_that_is_broken_is_named(made, check, name, change):
    assert found(made, check).word == "passed"
    broken(made, name, change)
    outcome = found(made, check)
    assert name in {problem.file for problem in outcome.problems}, outcome
    assert all(problem.fix.startswith("delete ") for problem in outcome.problems)


UNTRIED = {"form", "exports", "sets without induction"}
"""The checks of tables that have tests of their own."""


def test_every_check_of_tables_is_tried():
    of_tables = [check.name for check in CHECKS[[check.name for check in CHECKS].index("form") :]]
    assert set(of_tables) == set(BROKEN) | UNTRIED


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "two rows for"),
        (lambda frame: frame.assign(score=np.nan), "values that are not finite|empty values"),
        (lambda frame: frame.drop(columns="score"), "lacks the columns score"),
        (lambda frame: frame.assign(layer="one"), "does not fit its schema"),
    ],
    ids=["key", "not finite", "column", "type"],
)
def test_a_table_that_does_not_fit_its_schema_is_named(made, change, wrong):
    path = made.path(RANKINGS)
    change(pd.read_parquet(path)).to_parquet(path)
    (problem,) = found(made, "form").problems
    assert problem.file == RANKINGS
    assert any(part in problem.wrong for part in wrong.split("|")), problem


@pytest.mark.parametrize("suffix", ["json", "csv", "txt"])
def test_an_export_that_is_not_its_ranking_is_named(made, suffix):
    name = f"exports/planted/plain/512/summed_attention/inc_state.{suffix}"
    shutil.copy(made.path(name.replace("512", "640")), made.path(name))
    (problem,) = found(made, "exports").problems
    assert problem.file == name and problem.fix == "delete exports/planted/plain/512 and run again"


def test_a_set_that_still_has_induction_heads_is_named(made):
    def without_induction(frame):
        tops = frame[frame["source"] == "method"]
        return pd.concat([frame, tops.assign(source="without_induction")], ignore_index=True)

    assert found(made, "sets without induction").word == "passed"
    broken(made, HEAD_SETS, without_induction)
    (problem,) = found(made, "sets without induction").problems
    assert problem.file == HEAD_SETS


class TestPublishedResults:
    """They begin with two tables, so that less can be told of them."""

    @pytest.fixture
    def made(self, tmp_path):
        heads = [{"head": "L1H0", "score": 0.5, "rank": 1}, {"head": "L0H1", "score": 0.2, "rank": 2}]
        asked = {"question": "place", "total_tokens": 512}
        counts = {"accuracy": 0.6, "correct": 6, "total": 10}
        contents = {
            "rankings": {**asked, "samples_processed": 9, "head_rankings": heads},
            "ablations": {
                **asked,
                "baseline": counts,
                "top_heads_ablations": [{"num_heads": 1, **counts}],
                "random_heads_ablations": [{"num_heads": 1, **counts}],
            },
        }
        for kind, content in contents.items():
            file = tmp_path / "theirs" / kind / "wu24" / "small" / "place" / "tokens_512.json"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(content))
        config = complete(
            {
                "study": "made",
                "published": {"folder": str(tmp_path / "theirs")},
                "models": {"small": {"grid": [2, 3]}},
                "methods": {"wu24": {}},
                "questions": {"place": {"text": "Where?", "type": "text"}},
                "prompts": {"context_lengths": [512]},
            }
        )
        made = Made(tmp_path / "made", config)
        rankings, summary = published.convert(config)
        tables.write(rankings, made.file_of("rankings"), tables.by_name("rankings"))
        tables.write(summary, made.file_of("ablation_summary"), tables.by_name("ablation_summary"))
        export_rankings(rankings, [], made.parts("exports")[0])
        return made

    def test_what_can_be_told_of_them_holds(self, made):
        for check in ("form", "ranges", "places of heads", "counts of answers", "exports"):
            assert found(made, check).word == "passed"

    @pytest.mark.parametrize(
        "check", ["prompts", "splits", "scores", "rankings", "tie rule", "ablation", "whole grids"]
    )
    def test_what_they_lack_is_not_checked(self, made, check):
        outcome = found(made, check)
        assert outcome.word == "not checked" and outcome.hindered is None

    @pytest.mark.parametrize(
        ("check", "name", "change"),
        [
            ("counts of answers", "tables/ablation_summary.parquet", put("accuracy", 0.7)),
            ("places of heads", "tables/rankings.parquet", put("score", 0.1)),
        ],
    )
    def test_what_is_broken_is_named(self, made, check, name, change):
        broken(made, name, change)
        (problem,) = found(made, check).problems
        assert problem.file == name
