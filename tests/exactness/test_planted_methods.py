"""What a head was planted to do decides which methods see it: by where it looks, what it writes, what reaches the
answer."""

import copy
import math

import pytest
import torch

from planted import CODE, CONSTANT_SIZE, COPY_LOGIT, FAST_PAIRS, HEAD_DIM, OFFSET_SHARPNESS, Stream
from planted_facts import CONFIG, FAINT, among_prose, faintly_planted, first, silence
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import group_by_context, usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import make_document, score_documents

LOOKING = ("summed_attention", "qrhead", "wu24", "attention_contrast", "positional_copy", "core")
WRITING = ("direct_logit", "locos")
REACHING = ("attribution_patching", "value_flow", "single_head_effect")
METHODS = (*LOOKING, *WRITING, *REACHING)


@pytest.fixture(scope="module")
def documents():
    """One document that states the facts, and others of prose."""
    return among_prose(make_documents(CONFIG, CONFIG["seed"]))


@pytest.fixture(scope="module")
def planted(documents):
    return faintly_planted(*documents["text"])


@pytest.fixture(scope="module")
def document(planted, documents):
    """The prompts about the one document."""
    builder = Builder("planted", planted.tokenizer, None, CONFIG["questions"], CONFIG["prompts"], 900, CONFIG["seed"])
    train = documents[documents["split"] == "train"]
    (group,) = group_by_context(usable(builder.build(train), "train", "here"))
    made = make_document(planted.tokenizer, group)
    assert len(made.prompts) == 2
    assert len(made.prompts[0].documents) >= 2
    return made


def scores(planted, model, document):
    """The mean scores (L, H) of each method over the prompts."""
    runner = Runner(model, planted.tokenizer, Budget(8192, 16384), Decoding(8, ["."]))
    found = score_documents(runner, [document], make_methods({name: {} for name in METHODS}))[1]
    return {name: made.scores.mean(0) for name, made in found.items()}


@pytest.fixture(scope="module")
def found(planted, document):
    return scores(planted, planted.model, document)


@pytest.mark.parametrize("method", METHODS)
def test_the_planted_heads_come_first_by_every_method(planted, found, method):
    made, heads = found[method], planted.retrieval_heads
    assert first(made, len(heads)) == set(heads)
    others = made.clone()
    others[tuple(zip(*heads, strict=True))] = -math.inf
    assert min(made[head] for head in heads) > max(0, 2 * others.max())


@pytest.fixture(scope="module")
def silenced(planted, document):
    """One of the planted heads looks where it did, and writes nothing."""
    head, model = planted.retrieval_heads[-1], copy.deepcopy(planted.model)
    silence(model, head)
    return head, scores(planted, model, document)


@pytest.mark.parametrize("method", LOOKING)
def test_a_head_that_looks_and_writes_nothing_is_high_by_where_it_looks(planted, silenced, method):
    head, found = silenced
    assert head in first(found[method], len(planted.retrieval_heads))
    assert found[method][head] > 0.5 * found[method].max()


@pytest.mark.parametrize("method", [*WRITING, *REACHING])
def test_and_near_zero_by_what_it_writes_and_by_what_reaches_the_answer(silenced, method):
    head, found = silenced
    assert found[method].max() > 0.1
    assert abs(found[method][head]) < 1e-5


READER = (4, 0)
"""A head of the last layer, which in the planted model does nothing."""


@pytest.fixture(scope="module")
def relayed(planted, document):
    """The planted heads write a token's code in disguise, which only the reader understands, and it looks nowhere but
    at its own token. So they act by way of it: early, and never straight into the logits."""
    model = copy.deepcopy(planted.model)
    disguise = torch.linalg.qr(torch.randn(CODE, CODE, generator=torch.Generator().manual_seed(5)))[0]
    layer, head = READER
    with torch.no_grad():
        for other in range(2, 4):
            weight = model.model.layers[other].self_attn.o_proj.weight
            for number in (number for where, number in planted.retrieval_heads if where == other):
                mine = slice(number * HEAD_DIM, number * HEAD_DIM + CODE)
                weight[Stream.COPY, mine] = disguise @ weight[Stream.COPY, mine]
        attention = model.model.layers[layer].self_attn
        reads = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        attention.q_proj.weight[reads] = 0
        strength = OFFSET_SHARPNESS / CONSTANT_SIZE * math.sqrt(HEAD_DIM)
        attention.q_proj.weight[reads.start : reads.start + FAST_PAIRS, Stream.CONSTANT] = strength
        # Its values are those of key head 0.
        attention.v_proj.weight[:HEAD_DIM] = 0
        attention.v_proj.weight[:CODE, Stream.COPY] = disguise.T
        attention.o_proj.weight[:, reads] = 0
        attention.o_proj.weight[Stream.COPY, reads.start : reads.start + CODE] = torch.eye(CODE)
    return scores(planted, model, document)


@pytest.mark.parametrize("method", REACHING)
def test_heads_that_act_early_and_indirectly_are_seen_by_what_reaches_the_answer(planted, relayed, method):
    ours = torch.stack([relayed[method][head] for head in planted.retrieval_heads])
    reader = max(0, relayed[method][READER])
    assert first(relayed[method], len(ours) + 1) >= set(planted.retrieval_heads)
    assert ours.min() > 0.1
    # The reader has no look at the needle.
    assert (reader < 1e-3) == (method == "value_flow")


@pytest.mark.parametrize("method", WRITING)
def test_and_not_by_what_they_write_into_the_logits(planted, relayed, method):
    ours = torch.stack([relayed[method][head] for head in planted.retrieval_heads])
    assert ours.abs().max() < 0.25 * FAINT * COPY_LOGIT
    if method == "direct_logit":
        assert first(relayed[method], 1) == {READER}
        assert relayed[method][READER] > 10 * ours.abs().max()
