"""Facts and sums that a model is asked: first as it is, then without heads."""

from types import SimpleNamespace

import pandas as pd
import pytest
from test_ablation import head_sets, runner_of

from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.specificity import AskedItems, ask_items, choose_sets
from retrieval_heads.data.control_items import Item
from retrieval_heads.engine.runner import Runner
from tiny_models import llama, random_ids

ITEMS = [Item("facts", f"What is {number}?", " It is", f"it {number}") for number in range(3)]


HOW = Intervention("tried", "zero", "suffix")


def asked_items(suffixes, answers):
    """As many of these items, behind 60 tokens."""
    return AskedItems(ITEMS[: len(suffixes)], random_ids(60, seed=9), 1, suffixes, answers)


def test_the_whole_model_is_asked_each_of_them_once_and_no_more_where_it_answers_too_few():
    asked = asked_items([random_ids(4 + n, seed=n) for n in range(3)], [[3 + n] for n in range(3)])
    sets = head_sets()
    found = ask_items(runner_of(llama()), asked, 2, sets, ["m"], [1, 2], HOW)
    assert found["item"].tolist() == [item.text for item in ITEMS]
    assert set(found["source"]) == {"baseline"} and set(found["k"]) == set(found["size"]) == {0}
    assert found["question"].isna().all() and not found["correct"].any()
    assert set(found["context_length"]) == set(sets["context_length"])
    assert found["answer_logprob"].lt(0).all()


@pytest.mark.parametrize("answers", [[[3, 4], [3]], [[3], [4] * 9]])
def test_they_are_taken_to_be_as_long_as_the_longest_with_its_answer(answers, monkeypatch):
    asked, runner, lengths = (
        asked_items([random_ids(5, seed=1), random_ids(3, seed=2)], answers),
        runner_of(llama()),
        [],
    )
    monkeypatch.setattr(Runner, "require_measurable", lambda _runner, *both: lengths.append(both))
    ask_items(runner, asked, 1, head_sets(), ["m"], [1], HOW)
    assert lengths == [(60, 60 + 5 + max(runner.decoding.max_new_tokens, *map(len, answers)))]


def test_they_stand_behind_the_haystack_of_the_first_prompt():
    prompts = pd.DataFrame(
        {
            "no_needle_ids": [[1, 5, 6, 7, 8], [1, 6, 7, 8, 9]],
            "suffix_start": [3, 4],
            "opening_end": [1, 2],
        }
    )
    builder = SimpleNamespace(
        suffix=lambda text, prefix, where: SimpleNamespace(ids=[text, prefix, where]),
        answered=lambda text, prefix, answer, where: [text, prefix, answer],
    )
    for prefixed, prefix in ((True, " It is"), (False, "")):
        asked = AskedItems.behind(prompts, ITEMS[:1], builder, prefixed)
        assert (asked.context, asked.opening) == ([1, 5, 6], 1)
        assert asked.suffixes == [["What is 0?", prefix, "resources/controls/facts.yaml: What is 0?"]]
        assert asked.expected == [["What is 0?", prefix, "it 0"]]


def test_only_the_sets_of_these_methods_at_these_levels_are_chosen():
    sets = head_sets()
    several = pd.concat([sets, sets.assign(method=sets["method"].replace("m", "n"))], ignore_index=True)
    for methods, levels in ((["m"], [1]), (["n"], [1, 2]), (["m", "n"], [2]), (["m"], [])):
        chosen = choose_sets(several, methods, levels)
        top = chosen[chosen["source"] == "method"]
        wanted = several[several["method"].isin(methods) & several["k"].isin(levels) & (several["source"] == "method")]
        assert top.sort_index().equals(wanted)
        assert set(chosen["source"]) <= {"method", "random"} and set(chosen["k"]) <= set(levels)
