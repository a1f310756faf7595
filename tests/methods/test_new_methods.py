"""A method that needs more than attention rows is one file in ``methods/`` and one line in a config."""

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

import oracle
from projects import TINY

pytestmark = pytest.mark.thorough

GRADIENTS = '''
"""First-order effect."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from retrieval_heads.methods import HeadScorer


def answer_logit(logits, answer):
    return logits[:-1].gather(-1, answer[:, None]).sum()


@dataclass(frozen=True)
class FirstOrderEffect(HeadScorer):
    """What the answer's logits lose without the head, to first order: the sum of z times its gradient."""

    name: ClassVar = "first_order_effect"
    label: ClassVar = "First-order effect"
    paper: ClassVar = "a test"

    def score(self, runner, documents):
        return torch.stack([self._prompt(runner, prompt) for document in documents for prompt in document.prompts])

    def _prompt(self, runner, prompt):
        trace = runner.trace(prompt.context, prompt.suffix, prompt.answer, objective=answer_logit)
        return torch.stack([(trace.outputs(layer) * trace.gradients(layer)).sum((1, 2)) for layer in trace.layers])
'''
VALUES = '''
"""Size of what is copied."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from retrieval_heads.methods import HeadScorer


@dataclass(frozen=True)
class CopiedSize(HeadScorer):
    """How long the vector is that the last prompt token takes from the needle.

    Parameters
    ----------
    power : of the length.
    """

    power: int = 1

    name: ClassVar = "copied_size"
    label: ClassVar = "Copied size"
    paper: ClassVar = "a test"

    def score(self, runner, documents):
        return torch.stack([self._prompt(runner, prompt) for document in documents for prompt in document.prompts])

    def _prompt(self, runner, prompt):
        trace, needle = runner.trace(prompt.context, prompt.suffix), prompt.needle
        taken = [trace.attention(layer)[:, -1:, needle] @ trace.values(layer)[:, needle] for layer in trace.layers]
        return torch.stack([one.norm(dim=-1)[:, 0] ** self.power for one in taken])
'''


@pytest.fixture
def scored(project):
    """The prompts and the scores of a study that has both methods beside one of the package's."""
    for name, text in {"first_order_effect": GRADIENTS, "copied_size": VALUES}.items():
        project.path("workflow", "retrieval_heads", "methods", f"{name}.py").write_text(text[1:], encoding="utf-8")
    methods = "methods:\n  first_order_effect: {}\n  copied_size: {power: 2}\n  summed_attention: {}\n"
    project.change("config/tiny.yaml", "prompts:\n", f"{methods}\nprompts:\n")
    project.change("config/tiny.yaml", "[512, 640]", "[512]")
    project.snakemake("--cores", "1", "--until", "score_heads", *TINY)
    prompts, scores = (
        pd.concat(map(pd.read_parquet, sorted(project.path("results", "tiny", stage).rglob("*.parquet"))))
        for stage in ("prompts", "scores")
    )
    return prompts[(prompts["split"] == "train") & (prompts["status"] == "ok")], scores


def grid(scores, prompt_id, method):
    """The scores (L, H) of a prompt by a method."""
    (row,) = scores[(scores["prompt_id"] == prompt_id) & (scores["method"] == method)].to_dict("records")
    return torch.tensor(row["scores"]).view(row["layers"], row["heads"])


def test_a_file_and_a_line_add_a_method_that_needs_gradients_and_one_that_needs_values(scored, planted_folder):
    prompts, scores = scored
    assert set(scores["method"]) == {"first_order_effect", "copied_size", "summed_attention"}
    model = AutoModelForCausalLM.from_pretrained(planted_folder).eval()
    for prompt in prompts.head(2).itertuples():
        ids, needle = list(prompt.input_ids), range(prompt.needle_start, prompt.needle_end)
        # The planted tokenizer has no token for a blank, so the answer is read as the document states it.
        answer = ids[prompt.answer_start : prompt.answer_end]
        logits, outputs = oracle.eager_outputs(model, [*ids, *answer])
        answer_logits = sum(logits[len(ids) - 1 + step, token] for step, token in enumerate(answer))
        gradients = torch.autograd.grad(answer_logits, outputs)
        effects = [(z * g)[prompt.suffix_start :].sum((0, 2)) for z, g in zip(outputs, gradients, strict=True)]
        found = grid(scores, prompt.prompt_id, "first_order_effect")
        assert found.sub(torch.stack(effects)).abs().max() < 1e-4 * max(1, torch.stack(effects).abs().max())
        assert found.abs().max() > 1, "no head has an effect, so the test shows nothing"

        rows, values = oracle.eager_attention(model, ids), oracle.eager_values(model, ids)
        sizes = [
            sum(rows[layer, :, -1, j, None] * values[layer][:, j] for j in needle).norm(dim=-1) ** 2
            for layer in range(len(values))
        ]
        assert grid(scores, prompt.prompt_id, "copied_size").sub(torch.stack(sizes)).abs().max() < 1e-4
        expected = oracle.summed_attention(rows, needle)
        assert grid(scores, prompt.prompt_id, "summed_attention").sub(expected).abs().max() < 1e-4
