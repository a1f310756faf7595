"""Every kind of work refuses a model that would not be measured exactly, before it asks it anything."""

import pandas as pd
import pytest
from test_ablation import TYPES, head_sets, prompts, runner_of
from test_spoilt_prompts import PROSE, ablate, effects, unablated

from retrieval_heads.ablation.compensation import measure_compensation
from retrieval_heads.ablation.guard import measure_guard
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.specificity import AskedItems, ask_items
from retrieval_heads.data.control_items import Item
from retrieval_heads.engine.runner import Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.labels import label_heads
from retrieval_heads.looks import observe_looks
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import score_split
from tiny_models import llama, random_ids

HOW = Intervention("tried", "zero", "suffix")
ITEMS = AskedItems([Item("facts", "What is it?", " It is", "so")], PROSE[:60], 1, [random_ids(5, seed=1)], [[3, 4]])


def guard(model, _prompts):
    sets = pd.DataFrame({"source": ["baseline"], "heads": [[]]})
    return measure_guard(runner_of(model), PROSE, sets, HOW)


def items(model, _prompts):
    return ask_items(runner_of(model), ITEMS, 1, head_sets(), ["m"], [1], HOW)


def compensation(model, prompts):
    return measure_compensation(runner_of(model), prompts, head_sets(), HOW)


def scores(model, prompts):
    return score_split(runner_of(model), prompts, make_methods({"summed_attention": {}}), TYPES)


def looks(model, prompts):
    return observe_looks(runner_of(model), prompts, TYPES)


def labels(model, _prompts):
    return label_heads(runner_of(model), "tiny", [[1, *PROSE[:12], *PROSE[:12]]])


@pytest.mark.parametrize("work", [scores, unablated, ablate, guard, effects, compensation, items, looks, labels])
def test_it_is_refused_before_it_is_asked(work, monkeypatch):
    def refuse(_runner, shortest=None, longest=None):
        assert shortest is None or 0 < shortest < longest
        raise StudyError("not measured exactly")

    monkeypatch.setattr(Runner, "require_measurable", refuse)
    model = llama()
    model.register_forward_pre_hook(lambda *_: pytest.fail("it was asked"))
    with pytest.raises(StudyError, match="not measured exactly"):
        work(model, prompts())
