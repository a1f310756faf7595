"""Where heads look is what eager attention says, and planted heads look at the answer."""

import numpy as np
import pandas as pd
import pytest

import oracle
import planted as planted_model
from planted_facts import CONFIG, faintly_planted
from retrieval_heads import tables
from retrieval_heads.analysis.looks import summarise_looks
from retrieval_heads.data.answers import find_values
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.looks import observe_looks
from retrieval_heads.tables.looks import ANSWER, ANSWER_CHANCE, DISTRACTOR, DISTRACTOR_CHANCE, ELSEWHERE, LOOKS, SINK
from tiny_models import MODELS, Numbers, random_ids

CONTEXT, STATED = 70, (50, 51)
"""Tokens of a context, and the one that states the answer."""

ALONE, TOGETHER = Budget(1, 1), Budget(10_000, 1)


def prompts(model, documents=2, suffixes=(6, 9)):
    """Prompts whose answer is the first token that the model says, which stands in the context once more."""
    rows = []
    for document in range(documents):
        for question, length in enumerate(suffixes):
            context, suffix = random_ids(CONTEXT, seed=document), random_ids(length, seed=100 + question)
            for _ in range(20):  # until what is said does not change with what is stated
                said = oracle.generate(model, [*context, *suffix], 1)[0]
                if context[STATED[0]] == said:
                    break
                context[STATED[0]] = said
            rows.append(
                {
                    **{"prompt_id": f"{document}/{question}", "doc_id": str(document), "model": "tiny"},
                    **{"question": f"q{question}", "context_length": 80, "variant": "plain"},
                    # A depth of its own, as its context is.
                    **{"depth": question / 10, "suffix_start": CONTEXT, "input_ids": [*context, *suffix]},
                    **{"null_ids": [*context, 5], "question_end": CONTEXT + 2, "null_question_end": CONTEXT + 1},
                    **{"needle_start": 20, "needle_end": 66, "answer_start": STATED[0], "answer_end": STATED[1]},
                    **{"sentence_start": 44, "sentence_end": 56, "statement_starts": [50], "statement_ends": [51]},
                    **{"document_starts": None, "document_ends": None, "twin_status": "there is none"},
                    "answer": str(context[STATED[0]]),
                }
            )
    return pd.DataFrame(rows)


def kinds_of(row):
    """What each place of a prompt is, found in the text of the whole context."""
    text, ends = "", []
    for token in row.input_ids[:CONTEXT]:
        text += Numbers().decode([token])
        ends.append(len(text))
    values = find_values(text, "count")
    kinds = []
    for place, end in enumerate(ends):
        of_token = [value for value in values if value.start < end and value.end > (ends[place - 1] if place else 0)]
        other = any(value.value != row.answer for value in of_token)
        kinds.append(ANSWER if place == STATED[0] else DISTRACTOR if other else ELSEWHERE)
    return kinds + [ELSEWHERE] * 20


def the_slow_way(model, row, generated):
    """Shares from a full eager pass for every token, head by head."""
    rows, kinds, ids = oracle.decoding_rows(model, row.input_ids, generated), kinds_of(row), list(row.input_ids)
    shares = {name: np.zeros(rows[0].shape[:2]) for name in (SINK, ANSWER, DISTRACTOR, ELSEWHERE)}
    shares |= {name: np.zeros(rows[0].shape[:2]) for name in (ANSWER_CHANCE, DISTRACTOR_CHANCE)}
    for step, token in enumerate(generated):
        held = [place for place in range(1, len(ids)) if ids[place] == token]
        for layer, head in np.ndindex(shares[SINK].shape):
            strongest = int(rows[step][layer, head].argmax())
            if strongest == 0:
                shares[SINK][layer, head] += 1
            elif ids[strongest] == token:
                shares[kinds[strongest]][layer, head] += 1
                for name, kind in ((ANSWER_CHANCE, ANSWER), (DISTRACTOR_CHANCE, DISTRACTOR)):
                    shares[name][layer, head] += sum(kinds[place] == kind for place in held) / len(held)
        ids.append(token)
    return {name: total / len(generated) for name, total in shares.items()}


@pytest.mark.parametrize("budget", [ALONE, TOGETHER], ids=["alone", "together"])
@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2"])
def test_shares_are_those_of_eager_attention(architecture, budget, tmp_path):
    model = MODELS[architecture]()
    table = prompts(model)
    runner = Runner(model, Numbers(), budget, Decoding(6, []))
    looks = observe_looks(runner, table, {"q0": "count", "q1": "count"})
    tables.write(looks, tmp_path / "looks.parquet", LOOKS)
    looks, hits = looks.set_index("prompt_id"), 0.0
    for row in table.itertuples():
        generated, found = oracle.generate(model, row.input_ids, 6), looks.loc[row.prompt_id]
        assert found["rows"] == 6
        for name, wanted in the_slow_way(model, row, generated).items():
            assert found[name].reshape(wanted.shape) == pytest.approx(wanted, abs=1e-6), name
            hits += wanted.sum() if name != SINK else 0
    assert hits > 0, "no head ever hits, so the test shows nothing"


@pytest.fixture(scope="module")
def of_planted():
    """A planted model, its looks at documents with other states and years, and the rankings that name its heads."""
    config = CONFIG | {"documents": CONFIG["documents"] | {"test": 6, "distractors": 1.0}}
    documents, prose = make_documents(config, config["seed"]), load_haystack("resources/haystack")
    planted = faintly_planted(*documents["text"], prose, share=1.0)
    builder = Builder("planted", planted.tokenizer, prose, config["questions"], config["prompts"], 900, config["seed"])
    built = usable(builder.build(documents[documents["split"] == "test"]), "test", "here")
    runner = Runner(planted.model, planted.tokenizer, Budget(8192, 16384), Decoding(8, ["."]))
    types = {question: entry["type"] for question, entry in config["questions"].items()}
    looks = observe_looks(runner, built, types)
    grid = [(layer, head) for layer in range(planted_model.LAYERS) for head in range(planted_model.HEADS)]
    rankings = pd.DataFrame(
        [
            {
                **{"model": "planted", "context_length": 900, "variant": "plain", "method": "truth"},
                **{"question": question, "layer": layer, "head": head},
                "last": 6 if (layer, head) in planted.retrieval_heads else len(grid),
            }
            for question in types
            for layer, head in grid
        ]
    )
    return planted, looks, rankings


def test_planted_heads_hit_the_answer_and_rest_less(of_planted):
    planted, looks, rankings = of_planted
    assert looks["correct"].mean() > 0.7
    found = summarise_looks(looks, rankings, 6, 1, 200)
    heads = found.look_summary.set_index(["layer", "head"])
    inside = heads.index.isin(planted.retrieval_heads)
    assert heads.loc[inside, ANSWER].min() > 0.5
    assert heads.loc[~inside, ANSWER].max() < 0.1
    top = found.look_sets.set_index("method").loc["truth"]
    assert top[ANSWER] > 0.5 and top["size"] == 6
    assert top["more_sink_high"] < 0


def test_nothing_to_look_at_is_an_empty_table():
    runner = Runner(MODELS["llama"](), Numbers(), ALONE, Decoding(2, []))
    assert observe_looks(runner, prompts(runner.model).iloc[:0], {}).empty
