"""Facts and sums that a model is asked: first as it is, then without heads."""

from test_ablation import head_sets, runner_of

from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.specificity import AskedItems, ask_items
from retrieval_heads.data.control_items import Item
from tiny_models import llama, random_ids

ITEMS = [Item("facts", f"What is {number}?", " It is", f"it {number}") for number in range(3)]


def test_the_whole_model_is_asked_each_of_them_once_and_no_more_where_it_answers_too_few():
    suffixes, answers = [random_ids(4 + n, seed=n) for n in range(3)], [[3 + n] for n in range(3)]
    asked = AskedItems(ITEMS, random_ids(60, seed=9), 1, suffixes, answers)
    sets = head_sets()
    found = ask_items(runner_of(llama()), asked, 2, sets, ["m"], [1, 2], Intervention("tried", "zero", "suffix"))
    assert found["item"].tolist() == [item.text for item in ITEMS]
    assert set(found["source"]) == {"baseline"} and set(found["k"]) == set(found["size"]) == {0}
    assert found["question"].isna().all() and not found["correct"].any()
    assert set(found["context_length"]) == set(sets["context_length"])
    assert found["answer_logprob"].lt(0).all()
