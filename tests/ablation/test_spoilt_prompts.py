"""Where a model gives numbers that are not finite, every kind of work names the prompt, and makes nothing of it."""

import math

import pandas as pd
import pytest
import torch
from test_ablation import TYPES, head_sets, prompts, runner_of
from test_unablated import with_twins

from retrieval_heads.ablation.guard import measure_guard
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.replacements.mean import Mean
from retrieval_heads.ablation.running import ablate_split
from retrieval_heads.ablation.single_heads import measure_effects
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.errors import StudyError
from retrieval_heads.labels import label_heads
from tiny_models import llama, random_ids

CAUSE = r"as model\.embed_tokens gives NaN or infinity; the model's weights are damaged or too large: get it again"
PROSE = random_ids(257, seed=7)


def spoilt(*sequences):
    """A model that fails in every row in which it reads one of these sequences of tokens."""
    model = llama()

    def spoil(_module, args, hidden):
        hidden = hidden.clone()
        for row, ids in enumerate(args[0].tolist()):
            for wanted in map(list, sequences):
                if any(ids[at : at + len(wanted)] == wanted for at in range(len(ids))):
                    hidden[row] = math.nan
        return hidden

    model.model.embed_tokens.register_forward_hook(spoil)
    return model


def ablate(model, table, scope="suffix", mode="zero"):
    return ablate_split(runner_of(model), table, head_sets(), Intervention("tried", mode, scope), TYPES)


def unablated(model, table, twinned=()):
    return answer_unablated(runner_of(model), table, TYPES, twinned)


def effects(model, table):
    return measure_effects(runner_of(model), table, "zero", {})


def fit(model, table):
    return Mean().fit(runner_of(model), table)


ROW = prompts().iloc[-1]
CONTEXT, SUFFIX = ROW["input_ids"][: ROW["suffix_start"]], ROW["input_ids"][ROW["suffix_start"] :]
FIRST_ABOUT_IT = "1/q0"


@pytest.mark.parametrize(
    ("work", "tokens", "prompt"),
    [
        (unablated, CONTEXT, FIRST_ABOUT_IT),
        (unablated, SUFFIX, "0/q1"),
        (unablated, [*ROW["no_needle_ids"][: ROW["suffix_start"]]], f"{FIRST_ABOUT_IT} without needle"),
        (ablate, CONTEXT, FIRST_ABOUT_IT),
        (ablate, SUFFIX, "0/q1 with heads ablated"),
        (lambda model, table: ablate(model, table, "all"), CONTEXT, r"1/q\d with heads ablated"),
        (effects, CONTEXT, FIRST_ABOUT_IT),
        (effects, SUFFIX, "0/q1"),
        (fit, CONTEXT, FIRST_ABOUT_IT),
        (fit, SUFFIX, "0/q1"),
    ],
)
def test_the_prompt_is_named(work, tokens, prompt):
    with pytest.raises(StudyError, match=rf"^{prompt}: the [\w' ]+ are not finite, {CAUSE}"):
        work(spoilt(tokens), prompts())


def test_the_twin_of_a_prompt_is_named():
    table = with_twins()
    twin = list(table.iloc[0]["twin_ids"])
    with pytest.raises(StudyError, match=rf"^the twin of 0/q0: the [\w' ]+ are not finite, {CAUSE}"):
        # Only what differs from the context is read.
        unablated(spoilt(twin[10:]), table, {"0"})


def test_the_prose_of_the_guard_is_named():
    sets = pd.DataFrame({"source": ["baseline", "method"], "heads": [[], ["L1H2", "L0H1"]]})
    for scope, tokens, where in (("suffix", PROSE[:50], ""), ("all", PROSE[:50], r" with \d heads ablated")):
        with pytest.raises(StudyError, match=rf"^resources/guard/prose.txt{where}: the .* are not finite, {CAUSE}"):
            measure_guard(runner_of(spoilt(tokens)), PROSE, sets, Intervention("tried", "zero", scope))


def test_tokens_that_label_heads_are_named():
    run = random_ids(12, seed=3)
    with pytest.raises(StudyError, match=rf"^random tokens that are repeated: the .* are not finite, {CAUSE}"):
        label_heads(runner_of(spoilt(run)), "tiny", [[1, *run, *run]])


def test_a_sound_model_is_measured():
    sound = spoilt([30] * 9)
    for work in (unablated, ablate, effects, fit):
        assert len(work(sound, prompts())) > 0
    assert torch.isfinite(torch.tensor(unablated(sound, prompts())["answer_logprob"])).all()
