"""Every prompt is answered with every head set as if that were the only one, however they are batched."""

import logging
import re
from itertools import count, product

import pandas as pd
import pytest

import oracle
from retrieval_heads import job, tables
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.ablation.running import ablate_split, leave_open
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.data.selection import shard_of_documents
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.tables.ablation import ABLATION, ABLATION_SHARD
from retrieval_heads.tables.heads import parse_head
from retrieval_heads.tables.unablated import UNABLATED
from tiny_models import LENGTHS, MODELS, Numbers, random_ids

CONTEXT = 40
WHOLE = Budget(10_000, 10_000)
MODES = ["uniform", "zero"]
SETS = {
    "q0": [("baseline", 0, []), ("method", 1, ["L1H2"]), ("random", 2, ["L0H3", "L1H2"]), ("method", 3, ["L2H0"])],
    "q1": [("baseline", 0, []), ("method", 1, ["L0H0"]), ("random", 2, ["L2H1", "L2H2"])],
}


def head_sets():
    rows = [
        {
            "model": "tiny",
            "question": question,
            "context_length": 60,
            "variant": "plain",
            "source": source,
            "k": k,
            "heads": heads,
        }
        | {"method": "m" if k else None, "matching": "none" if source == "random" else None, "draw": None}
        | {"size": len(heads), "matched": None}
        for question, sets in SETS.items()
        for source, k, heads in sets
    ]
    return pd.DataFrame(rows)


def prompts(questions=("q0", "q1"), documents=2):
    rows = []
    for document in range(documents):
        context, guessed = random_ids(CONTEXT, seed=document), random_ids(CONTEXT, seed=100 + document)
        for number, question in enumerate(questions):
            suffix = random_ids(4 + 3 * number, seed=50 + number)
            rows.append(
                {
                    "prompt_id": f"{document}/{question}",
                    "doc_id": str(document),
                    "model": "tiny",
                    "question": question,
                    "context_length": 60,
                    "variant": "plain",
                    "depth": 0.5,
                    "input_ids": context + suffix,
                    "twin_ids": twin_of(context),
                    "opening_end": 1,
                    "no_needle_ids": guessed + suffix,
                    "needle_start": 10,
                    "needle_end": 14,
                    "answer_start": 10,
                    "answer_end": 12 + number,
                    "suffix_start": CONTEXT,
                    "answer": str(context[10]),
                    "decoy_answer": None,
                }
            )
    return pd.DataFrame(rows)


def twin_of(context, tokens=range(10, 14)):
    """A context that states another answer."""
    return [2 + (token + 5) % 29 if place in tokens else token for place, token in enumerate(context)]


TYPES = dict.fromkeys(SETS, "count")
# Two have a switch at the very end of these contexts, beyond which no prompt may go.
ARCHITECTURES = {name: make for name, make in (MODELS | LENGTHS).items() if not name.endswith(", long")}


def runner_of(model, budget=WHOLE):
    return Runner(model, Numbers(), budget, Decoding(4, []))


def ablate(model, table, mode="zero", scope="all", budget=WHOLE, sets=None):
    """The rows about heads that were ablated."""
    sets = head_sets() if sets is None else sets
    return ablate_split(runner_of(model, budget), table, sets, Intervention("one", mode, scope), TYPES)


def shard(model, table, mode="zero", scope="all", sets=None):
    """What a job of ablation writes: the same behind the rows that it leaves open."""
    sets = head_sets() if sets is None else sets
    left_open = leave_open(table, sets, Intervention("one", mode, scope))
    return pd.concat([left_open, ablate(model, table, mode, scope, sets=sets)], ignore_index=True)


def unablated(model, table, budget=WHOLE):
    """What the whole model answers, with and without needle."""
    return answer_unablated(runner_of(model, budget), table, TYPES)


@pytest.mark.parametrize("architecture", MODELS)
def test_each_row_is_what_the_model_with_zeroed_weights_gives(architecture, tmp_path):
    model, table = MODELS[architecture](), prompts()
    found = join_unablated(shard(model, table), unablated(model, table))
    tables.write(found, tmp_path / "ablation.parquet", ABLATION)
    found = found[found["source"] != "no_needle"]
    assert len(found) == 2 * sum(map(len, SETS.values()))
    for row in found.itertuples():
        prompt = table[table["prompt_id"] == row.prompt_id].iloc[0]
        heads = next(heads for source, k, heads in SETS[row.question] if (source, k) == (row.source, row.k))
        without = oracle.without_heads(model, [parse_head(head) for head in heads])
        expected = oracle.generate(without, prompt["input_ids"], 4)
        # A generation may end as soon as the answer is settled.
        tokens = [int(token) for token in row.generated.split()]
        assert tokens == expected[: len(tokens)]
        assert len(tokens) == len(expected) or row.correct
        assert row.correct == (str(expected[0]) == prompt["answer"])
        answer = prompt["input_ids"][prompt["answer_start"] : prompt["answer_end"]]
        assert row.answer_logprob == pytest.approx(
            oracle.answer_logprob(without, prompt["input_ids"], answer), abs=1e-3
        )
    assert found["generated"].nunique() > 4, "the sets make no difference, so the test shows nothing"


@pytest.mark.parametrize(("batch_tokens", "cache_tokens"), [(1, 1), (80, 10_000), (10_000, 120)])
def test_batches_change_nothing(batch_tokens, cache_tokens):
    model, table = MODELS["llama"](), prompts()
    whole, parts = ablate(model, table), ablate(model, table, budget=Budget(batch_tokens, cache_tokens))
    measured = ["answer_logprob", "margin"]
    exact = [name for name in ABLATION.columns if name not in measured]
    pd.testing.assert_frame_equal(whole[exact], parts[exact])
    assert (whole[measured] - parts[measured]).abs().max(axis=None) < 1e-4


def test_a_distractor_is_what_the_document_states_and_not_its_haystack():
    model, table = MODELS["llama"](), prompts()
    first = {row.prompt_id: oracle.generate(model, row.input_ids, 1)[0] for row in table.itertuples()}
    # The needle is made of four of the context's tokens, and no document states the answer.
    table["answer"] = "99"
    found = unablated(model, table)
    found = found[found["source"] == "baseline"].set_index("prompt_id")
    for row in table.itertuples():
        inside = row.input_ids[10:14]
        assert found.loc[row.prompt_id, "outcome"] == ("distractor" if first[row.prompt_id] in inside else "other")
    only_around = [
        first[row.prompt_id] in {*row.input_ids[:CONTEXT]} - {*row.input_ids[10:14]} for row in table.itertuples()
    ]
    assert any(only_around)


def test_a_question_changes_no_other():
    model = MODELS["llama"]()
    both, one = ablate(model, prompts()), ablate(model, prompts(questions=("q0",)))
    of_both = both[both["question"] == "q0"].reset_index(drop=True)
    assert of_both["generated"].tolist() == one["generated"].tolist()


def test_a_question_without_head_sets_is_left_out():
    found = ablate(MODELS["llama"](), prompts(questions=("q0", "unranked")))
    assert set(found["question"]) == {"q0"}


@pytest.mark.parametrize(("mode", "scope"), [way for way in product(MODES, SCOPES) if way != ("zero", "all")])
@pytest.mark.parametrize("architecture", MODELS)
def test_each_other_mode_and_scope_is_what_a_plain_pass_gives(architecture, scope, mode):
    model, table = MODELS[architecture](), prompts(documents=1).set_index("question")
    found = ablate(model, table.reset_index(), mode=mode, scope=scope)
    different = 0
    for row in found.itertuples():
        prompt = table.loc[row.question]
        ids, answer = prompt["input_ids"], prompt["input_ids"][prompt["answer_start"] : prompt["answer_end"]]
        heads = next(heads for source, k, heads in SETS[row.question] if (source, k) == (row.source, row.k))
        start = {"all": 0, "suffix": CONTEXT, "decode": len(ids) - 1}[scope]
        logits = oracle.plain_passes(model, [parse_head(head) for head in heads], start, mode)
        tokens = [int(token) for token in row.generated.split()]
        assert tokens == oracle.generate_plainly(logits, ids, len(tokens))
        wanted = oracle.logprob_in(logits([*ids, *answer]), ids, answer)
        assert row.answer_logprob == pytest.approx(wanted, abs=1e-3)
        different += abs(wanted - oracle.answer_logprob(model, ids, answer)) > 1e-3
    assert different >= 4, "the sets make no difference, so the test shows nothing"


@pytest.mark.parametrize("scope", SCOPES)
def test_batches_change_nothing_in_any_scope(scope):
    model, table = MODELS["llama"](), prompts()
    whole, parts = ablate(model, table, scope=scope), ablate(model, table, scope=scope, budget=Budget(30, 60))
    assert whole["generated"].tolist() == parts["generated"].tolist()


@pytest.mark.parametrize("shards", [2, 3])
def test_shards_change_nothing(shards):
    model, table = MODELS["llama"](), prompts()
    parts = [shard_of_documents(table, shard, shards) for shard in range(shards)]
    for work in (ablate, unablated):
        whole = work(model, table)
        divided = pd.concat([work(model, part) for part in parts if len(part)], ignore_index=True)
        assert divided.astype(whole.dtypes).equals(whole)


def test_a_shard_without_documents_is_a_table_without_rows():
    none, runner = prompts().iloc[:0], runner_of(MODELS["llama"]())
    ablated = ablate_split(runner, none, head_sets(), Intervention("zero", "zero", "suffix"), TYPES)
    assert ablated.empty and list(ablated.columns) == ABLATION.columns
    asked = answer_unablated(runner, none, TYPES)
    assert asked.empty and list(asked.columns) == UNABLATED.columns


def test_equal_sets_are_answered_once(monkeypatch):
    asked, answer = [], Runner.answer
    monkeypatch.setattr(Runner, "answer", lambda *args, **kw: asked.append(len(args[2])) or answer(*args, **kw))
    twice = pd.concat([head_sets(), head_sets().assign(method="other")], ignore_index=True)
    found = ablate(MODELS["llama"](), prompts(documents=1), sets=twice)
    assert sum(asked) == len(head_sets()) - len(SETS)  # that of no heads is asked apart
    columns = ["question", "source", "k", "generated", "correct", "answer_logprob"]
    other = found["method"] == "other"
    assert found.loc[other, columns].reset_index(drop=True).equals(found.loc[~other, columns].reset_index(drop=True))


def test_guessing_is_the_whole_model_behind_the_haystack_alone():
    model, table = MODELS["gemma2"](), prompts()
    at_two_depths = pd.concat([table, table.assign(depth=0.9, prompt_id=table["prompt_id"] + "/deep")])
    found = unablated(model, at_two_depths, Budget(1, 1))
    found = found[found["source"] == "no_needle"].set_index("prompt_id")
    assert sorted(found.index) == sorted(at_two_depths["prompt_id"])
    for prompt in table.itertuples():
        row, deep = found.loc[prompt.prompt_id], found.loc[f"{prompt.prompt_id}/deep"]
        expected, tokens = oracle.generate(model, prompt.no_needle_ids, 4), [int(i) for i in row["generated"].split()]
        assert tokens == expected[: len(tokens)] and (len(tokens) == len(expected) or row["correct"])
        stated = prompt.input_ids[prompt.answer_start : prompt.answer_end]
        wanted = oracle.answer_logprob(model, prompt.no_needle_ids, stated)
        assert row["answer_logprob"] == pytest.approx(wanted, abs=1e-3)
        same = ["generated", "correct", "outcome", "answer_logprob"]
        assert row[same].equals(deep[same])


def test_an_intervention_stands_beside_the_answers_of_its_own_prompts():
    model, table = MODELS["llama"](), prompts()
    first, answers = table[table["doc_id"] == "0"], unablated(model, table)
    joined = join_unablated(shard(model, first, "uniform", "suffix"), answers)
    beside = joined[joined["source"].isin(["baseline", "no_needle"])]
    of_these = answers[answers["doc_id"] == "0"].reset_index(drop=True)
    assert beside[UNABLATED.columns].equals(of_these.astype(beside[UNABLATED.columns].dtypes))
    assert (beside[["intervention", "mode", "scope"]] == ["one", "uniform", "suffix"]).all(axis=None)
    assert (beside[["k", "size"]] == 0).all(axis=None) and beside[["method", "matching", "draw"]].isna().all(axis=None)
    rest, ablated = joined[len(beside) :].reset_index(drop=True), ablate(model, first, "uniform", "suffix")
    pd.testing.assert_frame_equal(rest, ablated, check_dtype=False)


def test_a_question_without_heads_to_ablate_stands_there_by_the_whole_models_answers(tmp_path):
    model, table = MODELS["llama"](), prompts()
    tied = head_sets().query("question == 'q0' or source == 'baseline'")
    tables.write(shard(model, table, sets=tied), tmp_path / "1-of-1.parquet", ABLATION_SHARD)
    joined = join_unablated(tables.read(tmp_path / "1-of-1.parquet", ABLATION_SHARD), unablated(model, table))
    tables.write(joined, tmp_path / "ablation.parquet", ABLATION)
    sources = joined.groupby("question")["source"].unique()
    assert set(sources["q1"]) == {"baseline", "no_needle"} and "method" in sources["q0"]
    none_at_all = join_unablated(shard(model, table, sets=tied.query("source == 'baseline'")), unablated(model, table))
    assert len(none_at_all) == 2 * len(table)
    unranked = join_unablated(shard(model, table, sets=tied.query("question == 'q0'")), unablated(model, table))
    assert set(unranked["question"]) == {"q0"}


def test_the_depth_of_no_needle_is_asked_once(monkeypatch):
    contexts, prefill = [], Runner.prefill
    monkeypatch.setattr(Runner, "prefill", lambda *args, **kw: contexts.append(args[1][0]) or prefill(*args, **kw))
    table = pd.concat([prompts().assign(depth=depth) for depth in (0.1, 0.5, 0.9)]).sort_values("doc_id")
    table["prompt_id"] += "/" + table["depth"].astype(str)
    unablated(MODELS["llama"](), table)
    for document in range(2):
        assert contexts.count(random_ids(CONTEXT, seed=100 + document)) == 1


@pytest.mark.parametrize(("key", "value"), [("mode", "noise"), ("scope", "needle")])
def test_what_is_not_offered_is_refused(key, value):
    with pytest.raises(StudyError, match=rf"ablation\.{key}: {value} is not offered; write one of"):
        Intervention("one", **{"mode": "zero", "scope": "all", key: value})


@pytest.mark.parametrize("budget", [WHOLE, Budget(60, 150)], ids=["whole", "small batches"])
@pytest.mark.parametrize("scope", SCOPES)
def test_progress_counts_every_answer_and_goes_on_within_a_batch(monkeypatch, caplog, scope, budget):
    clock = count(step=7)  # each look at the clock takes a while, so that whatever is told of is told
    monkeypatch.setattr(job.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO, "retrieval_heads")
    found = ablate(MODELS["llama"](), prompts(), scope=scope, budget=Budget(budget.batch_tokens, budget.cache_tokens))
    told = [re.match(r"(\d+) of (\d+) answers .* about (\d+) s left", message) for message in caplog.messages]
    done, total, left = zip(*(map(int, match.groups()) for match in told if match), strict=True)
    assert set(total) == {len(found)} and done[-1] == len(found) and left[-1] == 0
    assert list(done) == sorted(done)
    assert len(done) > len(set(done)), "it is told again while a batch runs"
