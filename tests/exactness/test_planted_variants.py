"""A head that continues repeated text fails where the prompt repeats nothing; one that goes by meaning does not.

Both models are planted and look for the place that was preceded by what the prompt ends with. To the second, a word of
the paraphrase and the needle's word in its place mean the same: they have one code.
"""

import pandas as pd
import pytest
import torch

from planted import planted_model
from retrieval_heads.ablation.head_sets import choose_head_sets
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.running import ablate_split
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.analysis.variant_accuracy import accuracy_by_variant
from retrieval_heads.data.documents import document_source, make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import usable
from retrieval_heads.data.wordings import shared_content_words
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import score_split

pytestmark = pytest.mark.thorough

PLAIN = " The company was incorporated under the laws of the state of"
# Word for word what the needle says, in words that stand nowhere else.
PARAPHRASE = " Zat firma er gebildet neath zose rules von zat region von"
QUESTION = {"inc_state": {"text": "What is it?", "type": "state", "answer_prefix": PLAIN}}
SETTINGS = {
    "suffix_budget": 64,
    "depths": [0.3],
    "question": "\n\nQuestion: {question}\n",
    "answer": "Answer:",
    "null_question": "N/A",
    "chat_template": False,
}
DOCUMENTS = {
    **{"source": "generator", "train": 3, "test": 6, "missing_rate": 0.0, "variety": 1, "distractors": 0.0},
    "templates": "resources/documents",
}
CONFIG = {"seed": 3, "documents": DOCUMENTS, "questions": QUESTION}
PREFIXES = {"plain": PLAIN, "no_prefix": "", "paraphrase": PARAPHRASE, "decoy": PLAIN}


@pytest.fixture(scope="module")
def prompts():
    """The planted model, and its prompts in each variant."""
    documents, haystack = make_documents(CONFIG, 3), load_haystack("resources/haystack")
    asked = "\n\nQuestion: What is it?\nAnswer:"
    planted = planted_model("\n".join([haystack, *documents["text"], PLAIN, PARAPHRASE, asked]))
    decoy = document_source(CONFIG).decoys(CONFIG)
    made = {}
    for variant, prefix in PREFIXES.items():
        questions = {"inc_state": QUESTION["inc_state"] | {"answer_prefix": prefix}}
        builder = Builder(
            *("planted", planted.tokenizer, haystack, questions, SETTINGS, 700, 3, variant),
            decoy if variant == "decoy" else None,
        )
        made[variant] = builder.build(documents)
    return planted, made


def of_one_meaning(planted):
    """Give the words of the paraphrase the codes of the needle's words."""
    weights = planted.model.get_input_embeddings().weight
    ids = [planted.tokenizer(text)["input_ids"] for text in (PLAIN, PARAPHRASE)]
    assert len(ids[0]) == len(ids[1])
    before = weights.detach().clone()
    with torch.no_grad():
        for word, other in zip(*ids, strict=True):
            weights[other] = weights[word]
    return before


def accuracies(planted, made):
    runner = Runner(planted.model, planted.tokenizer, Budget(4096, 16384), Decoding(10, ["\n", "."]))
    answers = [
        answer_unablated(runner, usable(table, "test", "here"), {"inc_state": "state"}) for table in made.values()
    ]
    found = accuracy_by_variant(pd.concat(answers), 1, 100)
    found = found[found["question"].isna() & found["context_length"].isna()].set_index("variant")
    return found


def test_what_continues_repeated_text_fails_where_nothing_is_repeated(prompts):
    planted, made = prompts
    assert not shared_content_words(PARAPHRASE, PLAIN)
    found = accuracies(planted, made)
    assert found["accuracy"]["plain"] == 1
    assert found["accuracy"]["no_prefix"] < 0.4 and found["accuracy"]["paraphrase"] < 0.4
    assert (found["difference_high"][["no_prefix", "paraphrase"]] < 0).all()
    assert found.loc["paraphrase", "p"] < 0.05


def test_what_goes_by_meaning_answers_the_paraphrase_too(prompts):
    planted, made = prompts
    before = of_one_meaning(planted)
    try:
        found = accuracies(planted, {name: made[name] for name in ("plain", "paraphrase")})
        assert found["accuracy"]["paraphrase"] == found["accuracy"]["plain"] == 1
        # By the same heads, which are needed in both.
        needed = {name: ablated(planted, made, name) for name in ("plain", "paraphrase")}
    finally:
        with torch.no_grad():
            planted.model.get_input_embeddings().weight.copy_(before)
    assert needed == {"plain": 0, "paraphrase": 0}


def ablated(planted, made, variant):
    """The share of answers that remain in a variant without the plain variant's top heads."""
    runner = Runner(planted.model, planted.tokenizer, Budget(4096, 16384), Decoding(10, ["\n", "."]))
    types, methods = {"inc_state": "state"}, make_methods({"wu24": {}})
    rankings = {
        name: rank_heads([score_split(runner, usable(made[name], "train", "here"), methods, types)[0]])
        for name in dict.fromkeys(("plain", variant))
    }
    k = len(planted.retrieval_heads)
    sets = choose_head_sets(rankings[variant], [k], {}, 3, plain=None if variant == "plain" else rankings["plain"])
    tests = usable(made[variant], "test", "here")
    answers = ablate_split(runner, tests, sets, Intervention("zero_all", "zero", "all"), types)
    return answers[answers["source"] == ("method" if variant == "plain" else "plain")]["correct"].mean()
