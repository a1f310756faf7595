"""From a model whose heads are known to what is said of methods and of heads: rankings of the train split are held
against the exact effects in the test split, and the tables say of every planted head what it was planted to do."""

from typing import NamedTuple

import pandas as pd
import pytest
import torch

from planted import CODE, CONSTANT_SIZE, GROUP, HEAD_DIM, Stream
from planted_facts import CONFIG, TYPES, faintly_planted, silence
from retrieval_heads.ablation.single_heads import measure_effects
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.analysis.needed_or_carrying import pair_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.analysis.ranking_quality import Asked, measure_quality
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import OK, expected_answer, twin_of, usable, with_answered_twin
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import score_split
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.labels import LABELS
from retrieval_heads.tables.needed_or_carrying import NEEDED_ONLY
from retrieval_heads.tables.ranking_quality import CAPTURED

pytestmark = pytest.mark.thorough

LOOKING = ("summed_attention", "wu24", "qrhead", "attention_contrast")
WRITING = ("direct_logit", "locos", "patching")
METHODS = {name: {} for name in (*LOOKING, *WRITING[:2])} | {
    "patching": {"method": "attribution_patching", "toward": "twin", "label": "toward the twin"},
    "to_zero": {"method": "attribution_patching", "label": "toward zero"},
}
SEED = CONFIG["seed"]
ENOUGH = 6
"""Test documents: sign flips of six can give a p of 2 / 2^6, which is below 0.05."""
PROSE = 8000
"""Characters of the haystack: fewer words make a smaller model."""

FORMAL = (1, 1)
"""A head planted to say that an answer is due: it makes every value more likely, whatever it is. It comes before those
that copy: behind them RMSNorm, which divides by all that was copied, would tell it a little of how much that is."""
FREE, FORMAL_LOGIT = 2, 0.6
"""A dimension of the stream that nothing else uses, and what the head adds there to the logits of values."""


def plant_formal_head(planted, prompts):
    """The head's values are constants, so it writes the same wherever it looks: what raises the logits of all tokens
    of which the prompts' answers and their twins' are made."""
    tokens = set()
    for prompt in prompts.itertuples():
        tokens |= set(expected_answer(planted.tokenizer, prompt))
        tokens |= set(twin_of(planted.tokenizer, prompt)[1]) if prompt.twin_status == OK else set()
    model, (layer, head) = planted.model, FORMAL
    attention = model.model.layers[layer].self_attn
    silence(model, FORMAL)
    with torch.no_grad():
        # A dimension of its values that is empty in the support head with which it shares them.
        attention.v_proj.weight[head // GROUP * HEAD_DIM + CODE, Stream.CONSTANT] = 1 / CONSTANT_SIZE
        attention.o_proj.weight[FREE, head * HEAD_DIM + CODE] = 1
        model.lm_head.weight[sorted(tokens), FREE] = FORMAL_LOGIT


class Made(NamedTuple):
    """The planted heads by what they do, and the tables."""

    carriers: list[tuple[int, int]]
    decoys: list[tuple[int, int]]
    rankings: pd.DataFrame
    quality: pd.DataFrame
    heads: pd.DataFrame


@pytest.fixture(scope="module")
def made():
    """Two of the heads that retrieve become decoys: they look as sharply as the others, and write nothing."""
    config = CONFIG | {"documents": CONFIG["documents"] | {"train": 3, "test": ENOUGH}}
    documents, prose = make_documents(config, SEED), load_haystack("resources/haystack")[:PROSE]
    planted = faintly_planted(prose, *documents["text"], share=0.2)
    builder = Builder("planted", planted.tokenizer, prose, CONFIG["questions"], CONFIG["prompts"], 480, SEED)
    prompts = builder.build(documents)
    train, test = (usable(prompts, split, "here") for split in ("train", "test"))

    *carriers, one, other = planted.retrieval_heads
    decoys = [one, other]
    for head in decoys:
        silence(planted.model, head)
    plant_formal_head(planted, pd.concat([train, test]))

    runner = Runner(planted.model, planted.tokenizer, Budget(4096, 16384), Decoding(8, ["."]))
    scores, _ = score_split(runner, train, make_methods(METHODS), TYPES)
    rankings = rank_heads([scores])
    answered = with_answered_twin(test, answer_unablated(runner, test, TYPES, set(test["doc_id"])), "yardstick.modes")
    assert answered["doc_id"].nunique() == ENOUGH
    measured = [measure_effects(runner, answered, mode, {}) for mode in ("zero", "resample")]
    effects = HEAD_EFFECTS.typed(pd.concat(measured, ignore_index=True))

    asked = Asked([len(carriers), len(carriers) + 1], len(carriers), {}, {}, SEED, 200)
    quality = measure_quality(effects, rankings, LABELS.empty(), as_outcomes(ABLATION.empty(), SEED), asked)
    heads = pair_effects(effects, 0.05, SEED, 200).set_index(["layer", "head"])
    return Made(carriers, decoys, rankings, quality.ranking_quality, heads)


def captured(made, mode, method, k):
    """The estimate over all questions."""
    rows = made.quality[made.quality["question"].isna() & (made.quality["measure"] == CAPTURED)]
    (row,) = rows[(rows["mode"] == mode) & (rows["ranking"] == method) & (rows["k"] == k)].to_dict("records")
    return row


@pytest.mark.parametrize("method", LOOKING)
def test_by_where_they_look_decoys_rank_with_the_heads_that_carry(made, method):
    for _, ranking in made.rankings[made.rankings["method"] == method].groupby("question"):
        at = ranking.set_index(["layer", "head"])["rank"]
        retrieving = made.carriers + made.decoys
        assert at[retrieving].max() < at.drop(retrieving).min()
        # Not behind them: their places are spread among the others'.
        assert at[made.decoys].min() <= at[made.carriers].max()


@pytest.mark.parametrize("method", WRITING)
def test_by_what_they_write_decoys_rank_behind_every_head_that_carries(made, method):
    for _, ranking in made.rankings[made.rankings["method"] == method].groupby("question"):
        at = ranking.set_index(["layer", "head"])
        assert at.loc[made.carriers, "rank"].max() < at.loc[made.decoys, "rank"].min()
        assert at.loc[made.decoys, "score"].abs().max() < 1e-6


@pytest.mark.parametrize("mode", ["zero", "resample"])
def test_methods_that_only_look_capture_surely_less_of_the_effects_than_those_that_see_what_is_written(made, mode):
    k = len(made.carriers)
    looking, writing = ([captured(made, mode, method, k) for method in group] for group in (LOOKING, WRITING))
    assert min(one["value"] for one in writing) > 0.99
    assert max(one["value_high"] for one in looking) < min(one["value_low"] for one in writing) - 0.1


def test_a_head_that_every_answer_needs_alike_is_needed_and_carries_nothing(made):
    head = made.heads.loc[FORMAL]
    assert head["documents"] == ENOUGH
    assert head["needed_low"] > 0.2
    assert abs(head["carrying"]) < 1e-3
    assert head["role"] == NEEDED_ONLY
    assert made.heads.index[made.heads["role"] == NEEDED_ONLY].tolist() == [FORMAL]


def test_and_toward_zero_it_is_found_while_toward_the_twin_it_is_not(made):
    for _, ranking in made.rankings.groupby("question"):
        score = ranking.set_index(["method", "layer", "head"])["score"]
        assert score["to_zero"][FORMAL] > 0.2 * score["to_zero"].max()
        assert abs(score["patching"][FORMAL]) < 1e-3 * score["patching"].max()
    k = len(made.carriers) + 1
    assert captured(made, "zero", "to_zero", k)["value"] > 0.99
    assert captured(made, "zero", "patching", k)["value_high"] < captured(made, "zero", "to_zero", k)["value_low"] - 0.1
    assert captured(made, "resample", "patching", k)["value"] > 0.99


def test_the_heads_that_copy_the_answer_are_needed_and_carry_it(made):
    carriers = made.heads.loc[made.carriers]
    assert carriers["needed_low"].min() > 0.5
    assert carriers["carrying_low"].min() > 0.5
    assert not (carriers["role"] == NEEDED_ONLY).any()
    assert carriers["role"].notna().all()
    others = made.heads.drop(made.carriers)["carrying"].abs()
    assert others.max() < 0.01 * carriers["carrying"].min()


def test_decoys_are_neither_needed_nor_carry(made):
    decoys = made.heads.loc[made.decoys]
    assert decoys[["needed", "carrying"]].abs().to_numpy().max() < 1e-5
    assert decoys["role"].isna().all()
