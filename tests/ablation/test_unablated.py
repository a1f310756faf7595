"""What the whole model answers about twins, and which prompts that leaves."""

import pandas as pd
import pytest
from test_ablation import CONTEXT, TYPES, head_sets, prompts, runner_of

import oracle
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.ablation.running import leave_open
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.data.selection import OK, as_prompts, with_answered_twin
from retrieval_heads.study.config import complete
from retrieval_heads.study.twins import twinned_documents, unablated_documents, unablated_lengths, uses_twins
from retrieval_heads.tables import write
from retrieval_heads.tables.unablated import UNABLATED
from tiny_models import MODELS


def with_twins():
    """Prompts whose twins have another token at position 10; the last one has none."""
    table = prompts().assign(twin_status=OK)
    contexts = [list(row.input_ids[: row.suffix_start]) for row in table.itertuples()]
    for context in contexts:
        context[10] = context[10] + 1
    table = table.assign(twin_ids=contexts, twin_answer=[str(context[10]) for context in contexts])
    last = table.index[-1]
    table["twin_ids"] = table["twin_ids"].astype(object)
    table.loc[last, ["twin_ids", "twin_answer", "twin_status"]] = [None, None, "there is none"]
    return table


def test_a_twin_is_asked_as_a_prompt_of_its_own(tmp_path):
    model, table = MODELS["llama"](), with_twins()
    found = answer_unablated(runner_of(model), table, TYPES, set(table["doc_id"]))
    write(found, tmp_path / "unablated.parquet", UNABLATED)
    twins = found[found["source"] == "twin"].set_index("prompt_id")
    assert sorted(twins.index) == sorted(table["prompt_id"][:-1])
    for prompt in table[:-1].itertuples():
        row, ids = twins.loc[prompt.prompt_id], [*prompt.twin_ids, *prompt.input_ids[prompt.suffix_start :]]
        expected, tokens = oracle.generate(model, ids, 4), [int(i) for i in row["generated"].split()]
        assert row["answer"] == prompt.twin_answer
        assert tokens == expected[: len(tokens)] and (len(tokens) == len(expected) or row["correct"])
        assert row["correct"] == (str(expected[0]) == prompt.twin_answer)
        stated = prompt.twin_ids[prompt.answer_start : prompt.answer_end]
        assert row["answer_logprob"] == pytest.approx(oracle.answer_logprob(model, ids, stated), abs=1e-3)


def test_a_twin_is_run_from_its_first_other_token_on():
    model, table = MODELS["llama"](), with_twins()
    read = []
    model.get_input_embeddings().register_forward_hook(lambda _layer, given, _output: read.append(given[0].numel()))
    answer_unablated(runner_of(model), table, TYPES, set(table["doc_id"]))
    # Of two documents: each one's context, its haystack alone, and of its twin all but the first ten tokens.
    assert (read.count(CONTEXT), read.count(CONTEXT - 10)) == (2 * 2, 2)


def test_twins_of_some_documents_change_no_other_row():
    model, table = MODELS["llama"](), with_twins()
    without, some = (answer_unablated(runner_of(model), table, TYPES, twinned) for twinned in ((), {"0"}))
    assert set(without["source"]) == {"baseline", "no_needle"}
    assert set(some.loc[some["source"] == "twin", "doc_id"]) == {"0"}
    pd.testing.assert_frame_equal(some[some["source"] != "twin"].reset_index(drop=True), without)


def test_answers_about_twins_are_no_outcome_of_an_intervention():
    model, table = MODELS["llama"](), with_twins()
    answers = answer_unablated(runner_of(model), table, TYPES, {"0", "1"})
    joined = join_unablated(leave_open(table, head_sets(), Intervention("one", "zero", "all")), answers)
    assert joined["source"].value_counts().to_dict() == {"baseline": len(table), "no_needle": len(table)}


def test_prompts_are_left_that_are_answered_as_their_twins_are():
    table = with_twins()
    rows = [("0/q0", "baseline", True), ("0/q0", "twin", True), ("0/q1", "baseline", True), ("0/q1", "twin", False)]
    rows += [("1/q0", "baseline", False), ("1/q0", "twin", True), ("1/q1", "baseline", True), ("9/q1", "twin", True)]
    unablated = pd.DataFrame(rows, columns=["prompt_id", "source", "correct"])
    assert with_answered_twin(table, unablated)["prompt_id"].tolist() == ["0/q0"]
    assert with_answered_twin(table, unablated.iloc[:0]).empty


def test_as_prompts_leaves_positions_and_the_question():
    table = with_twins()
    twins = as_prompts(table)
    assert len(twins) == len(table) - 1
    for twin, prompt in zip(twins.itertuples(), table.itertuples(), strict=False):
        assert twin.input_ids[: twin.suffix_start] == prompt.twin_ids
        assert twin.input_ids[twin.suffix_start :] == prompt.input_ids[prompt.suffix_start :]
        assert twin.answer == prompt.twin_answer
    assert as_prompts(table[-1:]).empty


def config(interventions, yardstick=None):
    """A study at two lengths; those of interventions are given as mode, documents and lengths."""
    ways = {
        name: {"mode": mode, "scope": "suffix", "documents": documents, "context_lengths": lengths, "levels": [5]}
        for name, (mode, documents, lengths) in interventions.items()
    }
    return complete(
        {
            "study": "s",
            "models": {"m": {"source": {"path": "x"}}},
            "documents": {"train": 8, "test": 8},
            "questions": {"hq_state": {"text": "Where?", "type": "state"}},
            "prompts": {"context_lengths": [512, 1024]},
            "ablation": {"interventions": ways},
            "yardstick": yardstick,
        }
    )


@pytest.fixture
def resampling(monkeypatch):
    """As if uniform came from the twin."""
    for module in ("interventions", "twins"):
        monkeypatch.setattr(f"retrieval_heads.study.{module}.twin_modes", lambda: ["uniform"])


@pytest.mark.usefixtures("resampling")
def test_twins_are_asked_of_what_needs_them():
    given = config({"zero": ("zero", None, [512]), "twin": ("uniform", 4, [512])})
    assert uses_twins(given)
    assert unablated_documents(given, 512) == (None, "ablation.interventions.zero.documents")
    assert twinned_documents(given, 512) == (4, "ablation.interventions.twin.documents")
    assert unablated_lengths(given) == [512]
    assert twinned_documents(given, 1024)[0] == 0


@pytest.mark.usefixtures("resampling")
def test_the_yardstick_may_need_more_documents_and_lengths():
    yardstick = {"modes": ["zero", "uniform"], "documents": 6, "context_lengths": [512, 1024]}
    given = config({"zero": ("zero", 4, [512])}, yardstick)
    assert uses_twins(given)
    assert unablated_lengths(given) == [512, 1024]
    assert unablated_documents(given, 512) == (6, "yardstick.documents") == unablated_documents(given, 1024)
    assert twinned_documents(given, 1024) == (6, "yardstick.documents")


def test_none_are_asked_where_nothing_needs_them():
    given = config({"zero": ("zero", 4, [512])}, {"modes": ["zero"], "documents": 6})
    assert not uses_twins(given)
    assert unablated_lengths(given) == [512]
    assert unablated_documents(given, 512) == (4, "ablation.interventions.zero.documents")
    assert twinned_documents(given, 512)[0] == 0
