"""Labels of heads are those of eager attention and of the weights, and planted heads have those that they should."""

import pytest
import torch

import oracle
import planted
import tiny_models
from planted_corpus import corpus
from projects import ROOT
from retrieval_heads import tables
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.labels import DRAWS, RUN, label_heads, repeated_runs
from retrieval_heads.tables.labels import INDUCTION, LABELS
from tiny_models import MODELS, VOCABULARY, Numbers, made

BUDGET = Budget(10_000, 10_000)


def repetitions(run, draws=2):
    """BOS and distinct tokens, twice."""
    drawn = [
        torch.randperm(VOCABULARY - 2, generator=torch.Generator().manual_seed(seed))[:run] + 2 for seed in range(draws)
    ]
    return [[1, *tokens.tolist(), *tokens.tolist()] for tokens in drawn]


def labels_of(model, sequences):
    return label_heads(Runner(model, Numbers(), BUDGET), "tiny", sequences)


def grid(frame, column):
    """(L, H)."""
    return torch.tensor(frame.pivot(index="layer", columns="head", values=column).to_numpy())


@pytest.mark.parametrize("architecture", MODELS)
def test_induction_and_sinks_are_those_of_eager_attention(architecture):
    model, run = MODELS[architecture](), 20
    sequences = repetitions(run)
    found = labels_of(model, sequences)
    induction, sink = [], []
    for ids in sequences:
        rows = oracle.eager_attention(model, ids)  # (L, H, T, T)
        places = range(1 + run, 1 + 2 * run)
        # A token's first appearance is run places back, and what followed it one place behind that.
        assert all(ids[at - run] == ids[at] for at in places)
        induction.append(torch.stack([rows[:, :, at, at - run + 1] for at in places]).mean(0))
        sink.append((rows[:, :, 1:].argmax(-1) == 0).double().mean(-1))
    assert grid(found, "induction").sub(torch.stack(induction).mean(0)).abs().max() < 1e-5
    assert grid(found, "sink_share").sub(torch.stack(sink).mean(0)).abs().max() < 1e-9
    config = model.config
    share = config.num_attention_heads // (getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    assert found["key_value_group"].tolist() == [head // share for head in found["head"]]


@pytest.mark.parametrize("architecture", MODELS)
def test_what_heads_write_is_as_long_as_their_weights_make_it(architecture):
    model, (ids,) = MODELS[architecture](), repetitions(20, draws=1)
    found = grid(labels_of(model, [ids]), "write_norm")
    _, outputs = oracle.eager_outputs(model, ids)
    for layer, z in enumerate(outputs):
        project, z = oracle.projection(model, layer), z[1:].detach()
        for head in range(z.shape[1]):
            alone = torch.zeros_like(z)
            alone[:, head] = z[:, head]
            with torch.no_grad():
                written = project(alone.flatten(1)) - project(torch.zeros_like(z).flatten(1))
            assert found[layer, head].item() == pytest.approx(written.norm(dim=-1).mean().item(), rel=1e-4)


def test_the_length_is_not_known_where_heads_are_normalised_together(tmp_path):
    model = made("bitnet")
    found = labels_of(model, repetitions(20))
    assert found["write_norm"].isna().all() and found["induction"].notna().all()
    tables.write(found, tmp_path / "labels.parquet", LABELS)
    assert len(tables.read(tmp_path / "labels.parquet", LABELS)) == 12


@pytest.mark.parametrize("layer", range(3))
def test_the_length_is_not_known_where_a_single_layer_is_not_linear(layer):
    model = tiny_models.llama()
    model.model.layers[layer].self_attn.o_proj.register_forward_hook(lambda _module, _args, out: out.abs())
    assert Runner(model, Numbers(), BUDGET).output_grams() is None


def test_the_model_is_left_as_it_was():
    model = MODELS["llama"]()
    implementation = model.config._attn_implementation
    Runner(model, Numbers(), BUDGET).output_grams()
    assert model.config._attn_implementation == implementation
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.fixture(scope="module")
def known():
    return planted.planted_model(corpus(ROOT), max_position_embeddings=512)


def test_planted_heads_have_their_labels(known):
    """A retrieval head continues what it has seen before, and rests on BOS before; a support head does neither."""
    found = label_heads(Runner(known.model, known.tokenizer, BUDGET), "planted", repeated_runs(known.tokenizer, seed=1))
    found = found.set_index(["layer", "head"])
    retrieval = found.loc[known.retrieval_heads]
    others = found.drop(known.retrieval_heads)
    assert (retrieval["induction"] > 0.9).all() and retrieval["is_induction"].all()
    assert (others["induction"] < 0.2).all() and not others["is_induction"].any()
    assert (retrieval["sink_share"] > 0.4).all() and (found.loc[known.support_heads, "sink_share"] < 0.2).all()


def test_sequences_are_distinct_words_twice(known):
    sequences = repeated_runs(known.tokenizer, seed=1)
    assert sequences == repeated_runs(known.tokenizer, seed=1) != repeated_runs(known.tokenizer, seed=2)
    assert len(sequences) == len({tuple(ids) for ids in sequences}) == DRAWS
    for bos, *ids in sequences:
        assert bos == known.tokenizer.bos_token_id
        assert ids[:RUN] == ids[RUN:] and len(set(ids)) == RUN
        assert not set(ids) & set(known.tokenizer.all_special_ids)


def test_a_vocabulary_that_is_too_small_is_refused():
    class Few:
        added_tokens_decoder, all_special_ids, bos_token_id, chat_template = {}, [0], 0, None

        def get_vocab(self):
            return {str(number): number for number in range(RUN)}

    with pytest.raises(StudyError, match="Few: it has 63 tokens beside control tokens, and labels of heads need 64"):
        repeated_runs(Few(), seed=1)


def test_the_label_begins_at_its_threshold():
    model = tiny_models.llama()
    found = labels_of(model, repetitions(20))
    assert found["is_induction"].tolist() == (found["induction"] >= INDUCTION).tolist()
