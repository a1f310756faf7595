"""Self-repair, redundancy and sufficiency are what plain passes with vectors written by hand give, and what is planted
in a model whose heads stand in for one another comes out."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import oracle
from planted_backup import ANSWERS, BACKUP, FIRST, HALVES, OTHER, backup_model, prompts
from retrieval_heads.ablation.compensation import direct_effects, measure_compensation
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.tables.columns import HEAD_SET
from retrieval_heads.tables.heads import head_name
from tiny_models import MODELS, Numbers, llama, random_ids

CONTEXT, SUFFIX, ANSWER = random_ids(46, seed=1), random_ids(7, seed=2), random_ids(4, seed=3)
TWIN = [2 + (token + 5) % 29 if place in range(10, 20) else token for place, token in enumerate(CONTEXT)]
TWIN_ANSWER = random_ids(3, seed=4)
GRID = [(layer, head) for layer in range(3) for head in range(4)]
SETS = [[(0, 1)], [(1, 0), (1, 3)], [(0, 2), (2, 2)], [(0, 0), (1, 1), (2, 0), (2, 3)]]
TOLERANCE = 1e-4


def run(model, tokens=10_000):
    return Runner(model, Numbers(), Budget(tokens, 10_000))


def how(mode):
    return Intervention("one", mode, "suffix")


def centred_logit(model, logits, ids, answer):
    """The mean over the answer's tokens, before any soft-cap."""
    if (cap := getattr(model.config, "final_logit_softcapping", None)) is not None:
        logits = (logits.double() / cap).atanh() * cap
    rows = [logits[len(ids) - 1 + at] for at in range(len(answer))]
    return float(sum(row[token] - row.mean() for row, token in zip(rows, answer, strict=True)) / len(answer))


def numbers(model, heads, mode, context=CONTEXT, twin=TWIN):
    """ln p of the answer, its centred logit, and its log-odds against the twin's answer, by plain passes."""
    ids, found = [*context, *SUFFIX], []
    for answer in (ANSWER, TWIN_ANSWER):
        read = [*ids, *answer]
        if mode == "resample":
            logits = oracle.resampled(model, read, twin, heads, len(context))
        else:
            nothing = [torch.zeros(len(read), *shape) for shape in widths(model)]
            logits = oracle.with_outputs(model, read, heads, len(context), nothing)
        found.append((oracle.logprob_in(logits, ids, answer), centred_logit(model, logits, ids, answer)))
    (logprob, logit), (other, _) = found
    return torch.tensor([logprob, logit, logprob - other], dtype=torch.double)


def widths(model):
    """(H, D) of each layer."""
    with torch.no_grad():
        return [z.shape[1:] for z in oracle.eager_outputs(model, CONTEXT)[1]]


@pytest.mark.parametrize("mode", ["zero", "resample"])
@pytest.mark.parametrize("architecture", MODELS)
def test_what_is_lost_without_a_set_is_what_plain_passes_without_it_lose(architecture, mode):
    model = oracle.liven(MODELS[architecture]())
    wanted = torch.stack([numbers(model, [], mode) - numbers(model, heads, mode) for heads in SETS])
    found = run(model).answer_losses(
        CONTEXT, SUFFIX, ANSWER, SETS, how(mode).replacement, twin=(TWIN, TWIN_ANSWER) if mode == "resample" else None
    )
    limit = TOLERANCE * max(1, wanted.abs().max(), numbers(model, [], mode).abs().max())
    assert wanted.abs().amax(0).min() > 0.01, "nothing is lost, so the test shows nothing"
    assert found.logprob_losses.sub(wanted[:, 0]).abs().max() < limit
    assert found.logit_losses.sub(wanted[:, 1]).abs().max() < limit
    if mode == "resample":
        assert found.logodds_losses.sub(wanted[:, 2]).abs().max() < limit
        whole = torch.tensor([found.logprob, found.logit, found.logodds])
        assert whole.sub(numbers(model, [], mode)).abs().max() < limit
    else:
        assert found.logodds is None and found.logodds_losses is None


@pytest.mark.parametrize("architecture", MODELS)
def test_what_a_set_restores_is_what_its_outputs_do_behind_the_twins_context(architecture):
    """The other direction: the twin's context is read, and the heads put out what they do behind the prompt's."""
    model = oracle.liven(MODELS[architecture]())
    wanted = [numbers(model, heads, "resample", TWIN, CONTEXT)[2].item() for heads in ([], *SETS)]
    found = run(model).answer_losses(
        TWIN, SUFFIX, ANSWER, SETS, how("resample").replacement, twin=(CONTEXT, TWIN_ANSWER)
    )
    limit = TOLERANCE * max(1, *map(abs, wanted))
    assert found.logodds == pytest.approx(wanted[0], abs=limit)
    assert (found.logodds - found.logodds_losses).tolist() == pytest.approx(wanted[1:], abs=limit)


@pytest.mark.parametrize("tokens", [1, 40])
def test_it_makes_no_difference_how_many_sets_run_at_a_time(tokens):
    def losses(tokens):
        given = how("resample").replacement
        made = run(llama(), tokens).answer_losses(CONTEXT, SUFFIX, ANSWER, SETS, given, twin=(TWIN, TWIN_ANSWER))
        return torch.stack([made.logprob_losses, made.logit_losses, made.logodds_losses])

    assert losses(tokens).sub(losses(10_000)).abs().max() < 1e-5


@pytest.mark.parametrize("architecture", MODELS)
def test_what_heads_write_is_the_direct_path_by_hand(architecture):
    """Zeroed: all of φ. Resampled from the prompt itself: nothing."""
    model = oracle.liven(MODELS[architecture]())
    phi, _, logits = oracle.written(model, [*CONTEXT, *SUFFIX], ANSWER)
    wanted = phi.sum(-1).mean(-1)
    found = direct_effects(run(model), CONTEXT, SUFFIX, ANSWER, how("zero"))
    limit = TOLERANCE * max(1, logits.abs().max(), wanted.abs().max())
    assert wanted.abs().max() > 0.01
    assert found.sub(wanted).abs().max() < limit
    assert direct_effects(run(model), CONTEXT, SUFFIX, ANSWER, how("resample"), CONTEXT).abs().max() < limit


@pytest.mark.parametrize("mode", ["zero", "resample"])
def test_where_all_is_linear_nothing_is_made_up_for_in_the_last_layer(mode):
    """There a head reaches the logits by the direct path alone, so that the two numbers are one, for heads and sets."""
    model = linear()
    direct = direct_effects(run(model), CONTEXT, SUFFIX, ANSWER, how(mode), TWIN if mode == "resample" else None)
    sets = [[(2, head)] for head in range(4)] + [[(2, 0), (2, 2), (2, 3)]]
    given = (TWIN, TWIN_ANSWER) if mode == "resample" else None
    total = run(model).answer_losses(CONTEXT, SUFFIX, ANSWER, sets, how(mode).replacement, twin=given).logit_losses
    wanted = torch.stack([sum(direct[head] for head in heads) for heads in sets])
    assert wanted.abs().min() > 1e-3
    assert total.sub(wanted).abs().max() < TOLERANCE * max(1, wanted.abs().max())


def linear():
    """A model whose final norm multiplies by a constant, and whose last layer has no feed-forward part."""
    model = oracle.liven(llama())
    with torch.no_grad():
        model.model.layers[2].mlp.down_proj.weight.zero_()
    norm = model.model.norm
    norm.forward = lambda x: x * norm.weight * 0.3
    return model


# --- planted ---------------------------------------------------------------------------------------------------------


def sets_of(**heads):
    """Rows of the head_sets table: top sets by level, and ``random`` ones."""
    rows = []
    for name, chosen in heads.items():
        source = "random" if name.startswith("random") else "method"
        drawn = {"matching": "layer", "draw": 0, "matched": 1.0} if source == "random" else {}
        row = dict.fromkeys(name for name, _ in HEAD_SET) | {"source": source, "method": "wu24", "k": len(chosen)}
        cell = {"model": "m", "context_length": 16, "variant": "plain", "question": "fact"}
        rows.append(cell | row | drawn | {"size": len(chosen), "heads": [head_name(*head) for head in chosen]})
    return pd.DataFrame(rows)


def measured(mode, **heads):
    """Both tables, of one prompt of the planted model, by head set and by head."""
    sets, single = measure_compensation(run(backup_model()), prompts(), sets_of(**heads), how(mode))
    assert len(sets) == len(heads)
    return (
        {name: SimpleNamespace(**row) for name, row in zip(heads, sets.to_dict("records"), strict=True)},
        {(row.layer, row.head): row for row in single.itertuples()},
    )


def test_what_a_backup_head_takes_over_is_made_up_for_in_full():
    sets, heads = measured("zero", both=[FIRST, BACKUP], first=[FIRST])
    assert heads[FIRST].direct > 5
    assert heads[FIRST].total == pytest.approx(0, abs=0.01 * heads[FIRST].direct)
    # The backup is silent beside it, and writes all of it without it.
    assert heads[BACKUP].direct == pytest.approx(0, abs=0.01 * heads[FIRST].direct)
    assert sets["both"].total == pytest.approx(heads[FIRST].direct, rel=0.01)
    assert sets["both"].direct == pytest.approx(heads[FIRST].direct, rel=0.01)


def test_a_head_that_puts_out_what_it_does_for_the_twin_calls_no_backup():
    _, heads = measured("resample", both=[FIRST, BACKUP])
    assert heads[FIRST].direct == pytest.approx(heads[FIRST].total, rel=0.01) and heads[FIRST].direct > 5


def test_heads_of_which_each_does_without_the_other_cost_more_than_their_sum():
    sets, heads = measured("zero", both=[FIRST, BACKUP])
    assert sets["both"].singles == pytest.approx(heads[FIRST].effect + heads[BACKUP].effect, abs=1e-6)
    assert sets["both"].effect > 2 and abs(sets["both"].singles) < 0.1


def test_heads_that_have_nothing_to_do_with_each_other_cost_their_sum():
    sets, heads = measured("zero", others=[OTHER, (1, 1)])
    assert heads[1, 1].effect > 1e-5
    assert sets["others"].effect == pytest.approx(sets["others"].singles, abs=0.01 * heads[1, 1].effect)


def test_a_circuit_that_is_enough_restores_all_and_random_heads_nothing():
    sets, _ = measured("resample", circuit=[FIRST], halves=[HALVES[0]], random=[OTHER])

    def share(one):
        return (one.restored_logodds - one.twin_logodds) / (one.answer_logodds - one.twin_logodds)

    assert sets["circuit"].answer_logodds > 3 > -3 > sets["circuit"].twin_logodds
    assert share(sets["circuit"]) == pytest.approx(1, abs=0.02)
    assert share(sets["random"]) == pytest.approx(0, abs=0.02)
    assert math.isnan(sets["random"].singles)


def test_half_of_a_circuit_restores_half():
    model = backup_model(halves=True)
    sets, _ = measure_compensation(
        run(model), prompts(), sets_of(half=[HALVES[0]], whole=list(HALVES)), how("resample")
    )
    gap = sets["answer_logodds"] - sets["twin_logodds"]
    shares = (sets["restored_logodds"] - sets["twin_logodds"]) / gap
    assert shares.tolist() == pytest.approx([0.5, 1.0], abs=0.02)


def test_without_a_twin_nothing_is_restored():
    sets, _ = measured("zero", first=[FIRST])
    assert sets["first"].restored_logodds is None or math.isnan(sets["first"].restored_logodds)


def test_a_prompt_is_parted_where_its_suffix_begins(monkeypatch):
    parted, losses = [], Runner.answer_losses

    def recorded(runner, context, suffix, *args, **how):
        parted.append((context, suffix))
        return losses(runner, context, suffix, *args, **how)

    monkeypatch.setattr(Runner, "answer_losses", recorded)
    measured("zero", first=[FIRST])
    (prompt,) = prompts().itertuples()
    assert parted == [(prompt.input_ids[: prompt.suffix_start], prompt.input_ids[prompt.suffix_start :])]


def test_the_planted_model_answers():
    """Else what is measured of it would mean nothing."""
    (prompt,) = prompts().itertuples()
    with torch.no_grad():
        logits = backup_model()(torch.tensor([list(prompt.input_ids)])).logits[0, -1]
    assert int(logits.argmax()) in ANSWERS and int(logits.argmax()) == int(prompt.answer)


def test_an_architecture_whose_direct_path_is_not_known_is_refused_by_name():
    model = backup_model()
    projection = model.model.layers[1].self_attn.o_proj
    projection.register_forward_hook(lambda _module, _args, out: torch.tanh(out))
    with pytest.raises(StudyError, match=r"^LlamaForCausalLM: .* controls\.compensation\.$"):
        measure_compensation(run(model), prompts(), sets_of(first=[FIRST]), how("zero"))


def test_a_job_without_prompts_writes_empty_tables():
    sets, heads = measure_compensation(run(backup_model()), prompts().iloc[:0], sets_of(first=[FIRST]), how("zero"))
    assert sets.empty and heads.empty
