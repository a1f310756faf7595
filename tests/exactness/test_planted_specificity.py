"""In a model whose circuits were planted by hand, retrieval heads cost retrieval alone, and heads that all rests on
cost all alike."""

import pandas as pd
import pytest
import torch

from planted import COPY_LOGIT, SUPPORT_HEADS, Stream, planted_model
from planted_facts import CONFIG, TYPES
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.ablation.running import ablate_split, leave_open
from retrieval_heads.ablation.specificity import AskedItems, ask_items
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.analysis.specificity import measure_specificity
from retrieval_heads.data.control_items import Item
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.heads import head_name

pytestmark = pytest.mark.thorough

NAMES = [
    f"{first}{second}" for first in ("ba", "do", "ge", "ki", "lu") for second in ("bar", "dom", "ger", "kim", "lus")
]
FACTS = [Item("facts", f"What is {name}?", f" The word {name} is", f"{name[::-1]}") for name in NAMES]
SUMS = [Item("sums", f"How many {name}s?", f" The number {name}s is", str(at % 9 + 1)) for at, name in enumerate(NAMES)]
ITEMS = [*FACTS, *SUMS]
SETTINGS = {"documents": {**CONFIG["documents"], "test": 6}, "prompts": {**CONFIG["prompts"]}}


def know(planted, key, answer):
    """Let the model say a token two places behind another. The head that carries a token one place on is a support
    head, which its retrieval heads need too; all else is in the unembedding."""
    (answer,), key = planted.tokenizer(answer)["input_ids"], planted.tokenizer(key)["input_ids"][-1]
    with torch.no_grad():
        codes = planted.model.model.embed_tokens.weight[:, Stream.NOW]
        planted.model.lm_head.weight[answer, Stream.BACK[1]] += 3 * COPY_LOGIT * codes[key]


@pytest.fixture(scope="module")
def planted():
    documents, haystack = make_documents(CONFIG | SETTINGS, CONFIG["seed"]), load_haystack("resources/haystack")
    asked = " ".join(f"{q['text']}{q['answer_prefix']}" for q in CONFIG["questions"].values())
    items = " ".join(f"{item.text}{item.answer_prefix} {item.answer}." for item in ITEMS)
    planted = planted_model(" ".join([haystack, *documents["text"], asked, items, "\n\nQuestion: N/A\nAnswer:"]))
    for item in ITEMS:
        know(planted, item.answer_prefix.removesuffix(" is"), f" {item.answer}")
    return planted, documents, haystack


def sets_of(tops):
    """The head_sets table with these top sets for each question, and as many noise heads beside each that is small."""
    rows = []
    for question in TYPES:
        cell = {"model": "planted", "question": question, "context_length": 600, "variant": "plain"}
        rows.append({**cell, "source": "baseline", "k": 0, "size": 0, "heads": []})
        for method, heads in tops.items():
            names = [head_name(*head) for head in heads]
            rows.append(
                {**cell, "source": "method", "method": method, "k": len(names), "size": len(names), "heads": names}
            )
            if len(names) == 6:
                noise = ["L2H0", "L2H3", "L2H4", "L3H1", "L3H2", "L3H5"]
                random = {"source": "random", "matching": "layer", "draw": 0, "matched": 1.0}
                rows.append({**cell, **random, "method": method, "k": 6, "size": 6, "heads": noise})
    return pd.DataFrame(rows, columns=HEAD_SETS.columns).astype({"draw": "Int32", "matched": float})


@pytest.fixture(scope="module", params=["suffix", "all"])
def summary(planted, request):
    model, documents, haystack = planted
    prompts = CONFIG["prompts"] | {"depths": [0.5]}
    builder = Builder("planted", model.tokenizer, haystack, CONFIG["questions"], prompts, 600, 3)
    tests = usable(builder.build(documents), "test", "here")
    runner = Runner(model.model, model.tokenizer, Budget(4096, 16384), Decoding(8, ["\n", "."]))
    every = [(layer, head) for layer in range(5) for head in range(8)]
    sets = sets_of({"retrieval": model.retrieval_heads, "support": list(SUPPORT_HEADS), "all layers": every})
    how = Intervention("one", "zero", request.param)
    ablated = pd.concat([leave_open(tests, sets, how), ablate_split(runner, tests, sets, how, TYPES)])
    ablation = join_unablated(ablated, answer_unablated(runner, tests, TYPES))
    asked = AskedItems.behind(tests, ITEMS, builder, prefixed=True)
    levels = sets["k"].unique().tolist()
    items = ask_items(runner, asked, 22, sets, ["retrieval", "support", "all layers"], levels, how)
    found = measure_specificity(ablation, items, 1, 500)
    return found[found["question"].isna()].set_index(["method", "source"]), items


def test_the_whole_model_answers_prompts_and_items(summary):
    found, items = summary
    whole = items[items["source"] == "baseline"]
    assert len(whole) == 50 and whole.groupby("kind")["correct"].mean().min() > 0.9
    assert (found["status"] == "ok").all() and found["prompts"].iloc[0] >= 10
    # Of those that are answered the first are asked without heads, each under every set once.
    ablated = items[items["source"] != "baseline"]
    first = whole[whole["correct"]].groupby("kind")["item"].head(22)
    assert len(ablated) == 2 * 4 * 44  # two questions with three top sets and a random one
    assert set(ablated["item"]) == set(first) and (found[["facts", "sums"]] == 22).all(axis=None)


def test_retrieval_heads_cost_retrieval_alone(summary):
    found, _ = summary
    row = found.loc["retrieval", "method"]
    assert row["retrieval_loss"] > 0.95 and row["control_loss"] < 0.05 and row["specificity"] > 0.9
    random = found.loc["retrieval", "random"]
    assert abs(random["specificity"]) < 0.1
    assert row["p_holm"] < 0.05 and row["difference_low"] > 0.4


@pytest.mark.parametrize("heads", ["support", "all layers"])
def test_heads_that_all_rests_on_cost_all_alike(summary, heads):
    row = summary[0].loc[heads, "method"]
    assert row["retrieval_loss"] > 0.9 and row["control_loss"] > 0.9
    assert abs(row["specificity"]) < 0.1
