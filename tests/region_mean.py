"""A replacement with a fit, as a user adds it: this file in ``ablation/replacements``, and a line of the config."""

from typing import ClassVar

import pandas as pd
import torch
from torch import Tensor

from retrieval_heads.ablation.replacements import Replacement, State
from retrieval_heads.data.selection import expected_answer
from retrieval_heads.engine.runner import AttentionCall, Region, Runner


class RegionMean(Replacement):
    """An ablated head puts out its mean over the train prompts, taken over tokens of the same region."""

    label: ClassVar = "mean"
    needs_fit: ClassVar = True

    def fit(self, runner: Runner, prompts: pd.DataFrame) -> State:
        """``mean``, (regions, L, H, D)."""
        sums: dict[tuple[Region, int], Tensor] = {}
        counts = dict.fromkeys(Region, 0)
        for prompt in prompts.itertuples():
            ids, end = [*prompt.input_ids, *expected_answer(runner.tokenizer, prompt)], prompt.suffix_start
            regions = {
                Region.CONTEXT: slice(0, end),
                Region.SUFFIX: slice(end, len(prompt.input_ids)),
                Region.ANSWER: slice(len(prompt.input_ids), len(ids)),
            }
            for region, tokens in regions.items():
                counts[region] += len(range(len(ids))[tokens])

            def add(layer: int, z: Tensor, regions: dict[Region, slice] = regions) -> None:
                for region, tokens in regions.items():
                    sums[region, layer] = sums.get((region, layer), 0) + z[tokens].sum(0)

            runner.observe_outputs(ids, add)
        means = [[sums[region, layer] / counts[region] for layer in range(runner.layers)] for region in Region]
        return {"mean": torch.stack([torch.stack(layers) for layers in means])}

    def output(self, call: AttentionCall, state: State) -> Tensor:
        """(B or 1, Q, H, D)."""
        return state["mean"][:, call.layer][call.regions].to(call.value.dtype)
