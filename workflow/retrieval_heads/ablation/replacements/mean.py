"""The output that a head has on average in its part of a prompt."""

from typing import ClassVar

import pandas as pd
import torch
from torch import Tensor

from retrieval_heads.ablation.replacements import Replacement, State
from retrieval_heads.data.selection import expected_answer, group_by_context
from retrieval_heads.engine.runner import AttentionCall, Region, Runner, naming
from retrieval_heads.job import finished_units, progress


class Mean(Replacement):
    """An ablated head puts out its mean over the train prompts, in tokens of the same part of a prompt: opening, rest
    of the context, question, or answer.

    All questions have the same weight, and so have all prompts of one, and all tokens of a part of one. Mean ablation:
    Wang et al. 2022 (arXiv 2211.00593, section 2.1).
    """

    label: ClassVar = "mean"
    needs_fit: ClassVar = True

    def fit(self, runner: Runner, prompts: pd.DataFrame) -> State:
        """A tensor for each layer, (regions, H, D) in float32. Each context is read once for all its questions."""
        sums: dict[int, Tensor] = {}

        def add(layer: int, region: Region, z: Tensor, weight: float) -> None:
            """Add the outputs (T, H, D) of all tokens that a prompt has in a region."""
            if layer not in sums:
                sums[layer] = z.new_zeros(len(Region), *z.shape[1:], dtype=torch.float32)
            if len(z):
                sums[layer][region] += z.float().mean(0) * weight

        asked = prompts["question"].value_counts()
        weights = 1 / (len(asked) * prompts["question"].map(asked))
        with progress(len(prompts), "prompts to find the heads' mean outputs in"):
            for group in group_by_context(prompts):
                first, whole = group.iloc[0], float(weights[group.index].sum())
                end, opening = int(first["suffix_start"]), int(first["opening_end"])
                context = list(first["input_ids"][:end])

                def add_context(layer: int, z: Tensor, opening: int = opening, whole: float = whole) -> None:
                    add(layer, Region.OPENING, z[:opening], whole)
                    add(layer, Region.CONTEXT, z[opening:], whole)

                with naming(group["prompt_id"].tolist()):
                    runner.observe_outputs(context, add_context)
                for prompt, weight in zip(group.itertuples(), weights[group.index], strict=True):
                    with finished_units(1), naming([prompt.prompt_id]):
                        suffix = list(prompt.input_ids[end:])
                        trace = runner.trace(context, suffix, expected_answer(runner.tokenizer, prompt))
                        for layer in trace.layers:
                            z = trace.outputs(layer).transpose(0, 1)
                            add(layer, Region.SUFFIX, z[: len(suffix)], weight)
                            add(layer, Region.ANSWER, z[len(suffix) :], weight)
        return {_name(layer): total for layer, total in sums.items()}

    def output(self, call: AttentionCall, state: State) -> Tensor:
        """(B or 1, Q, H, D)."""
        return state[_name(call.layer)][call.regions].to(call.value.dtype)


def _name(layer: int) -> str:
    return f"layer_{layer}"
