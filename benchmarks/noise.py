"""How far the same prompts come out otherwise with other threads, batches and orders: what numbers owe to rounding.

Run from the project's folder, in its environment: python benchmarks/noise.py [DTYPE] [DOCUMENTS]

Takes the default study's model, questions and documents at 512 tokens, and the methods of config/smollm2-full.yaml that
need no fit. All is measured once as a study does it, then in other ways. Of each way a table in Markdown has the
largest differences: of scores and effects as shares of their ranking's range, of log-probabilities in nats.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, "workflow")

from bench import PLAIN_TOKENS, Setup
from retrieval_heads.ablation.head_sets import choose_head_sets
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.running import ablate_split
from retrieval_heads.ablation.single_heads import measure_effects
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.analysis.noise import MARGIN_NOISE
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.data.selection import shard_of_documents
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.methods import HeadScorer, make_methods
from retrieval_heads.methods._scoring import score_split
from retrieval_heads.model.loading import load_model
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.method_entries import replacement_of
from retrieval_heads.study.modes import fitted_modes

Tables = dict[str, pd.DataFrame]
TEXTS = ("generations", "unablated", "ablation all", "ablation suffix")


@dataclass(frozen=True)
class Way:
    """One way to run the same: with so many threads, tokens at a time and shards, documents in order or reversed."""

    threads: int = 2
    batch_tokens: int = 4096
    cache_tokens: int = 65536
    shards: int = 1
    reversed: bool = False


USUAL = Way()


@dataclass(frozen=True)
class Measuring:
    """What is measured in every way.

    train, test: rows of the prompts table; head_sets: of that model. yardstick: how many test prompts are answered
    without each head.
    """

    model: Any
    tokenizer: Any
    decoding: Decoding
    methods: Sequence[HeadScorer]
    types: Mapping[str, str]
    train: pd.DataFrame
    test: pd.DataFrame
    head_sets: pd.DataFrame = field(default_factory=pd.DataFrame)
    yardstick: int = 1

    def runner(self, way: Way) -> Runner:
        """The model as it is run in a way."""
        torch.set_num_threads(way.threads)
        return Runner(self.model, self.tokenizer, Budget(way.batch_tokens, way.cache_tokens), self.decoding)

    def scored(self, way: Way) -> Tables:
        """The scores and generations tables."""
        runner, train = self.runner(way), _ordered(self.train, way)
        parts = [score_split(runner, train, self.methods, self.types, shard, way.shards) for shard in range(way.shards)]
        return dict(zip(("scores", "generations"), map(_joined, zip(*parts, strict=True)), strict=True))

    def measured(self, way: Way) -> Tables:
        """Scores, answers of the whole model and with heads ablated, and the effect of every head by itself."""
        runner, test = self.runner(way), _ordered(self.test, way)

        def sharded(work: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
            return _joined(work(shard_of_documents(test, shard, way.shards)) for shard in range(way.shards))

        def ablated(scope: str, part: pd.DataFrame) -> pd.DataFrame:
            return ablate_split(runner, part, self.head_sets, Intervention(scope, "zero", scope), self.types)

        some = test[test["prompt_id"].isin(self.test["prompt_id"].iloc[: self.yardstick])]
        return self.scored(way) | {
            "unablated": sharded(partial(answer_unablated, runner, answer_types=self.types)),
            "ablation all": sharded(partial(ablated, "all")),
            "ablation suffix": sharded(partial(ablated, "suffix")),
            "effects": measure_effects(runner, some, "zero", {}),
        }


def _joined(parts) -> pd.DataFrame:
    return pd.concat(list(parts), ignore_index=True)


def _ordered(prompts: pd.DataFrame, way: Way) -> pd.DataFrame:
    if not way.reversed:
        return prompts
    return _joined(rows[::-1] for _, rows in list(prompts.groupby("doc_id", sort=False))[::-1])


def differences(usual: Tables, other: Tables, noise: float) -> dict[str, float]:
    """What differs most between two ways: scores and effects in shares of a ranking's range, log-probabilities in nats,
    texts by how many are others. Prompts that are decided by less than the noise are left out, and counted."""
    found: dict[str, float] = {}
    scores = _paired(usual["scores"], other["scores"])
    for method, rows in scores.groupby("method", sort=False):
        clear = rows[~_is_close(rows, noise)]
        found[f"scores of {method}"] = _largest_share(clear)
        found[f"close: scores of {method}"] = len(rows) - len(clear)
    for name in TEXTS:
        rows = _paired(usual[name], other[name])
        clear = rows[~_is_close(rows, noise)]
        found[f"other texts: {name}"] = int((clear["generated"] != clear["generated_other"]).sum())
        found[f"close: {name}"] = len(rows) - len(clear)
        # Of choices in which the same token leads.
        same = rows[rows["generated"] == rows["generated_other"]]
        found[f"margin: {name}"] = (same["margin"] - same["margin_other"]).abs().max()
        if "answer_logprob" in rows:
            found[f"nats: {name}"] = (rows["answer_logprob"] - rows["answer_logprob_other"]).abs().max()
    effects = _paired(usual["effects"], other["effects"])
    found["effects"] = _largest_share(effects.assign(scores=effects["effects"], scores_other=effects["effects_other"]))
    found["nats: yardstick"] = (effects["answer_logprob"] - effects["answer_logprob_other"]).abs().max()
    return found


def _paired(usual: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    keys = ("prompt_id", "source", "method", "matching", "draw", "k")
    by = [key for key in keys if key in usual and usual[key].notna().any()]
    pairs = usual.merge(other, on=by, suffixes=("", "_other"), validate="1:1")
    assert len(pairs) == len(usual) == len(other), "another row in the one than in the other"
    return pairs


def _is_close(rows: pd.DataFrame, noise: float) -> pd.Series:
    return (rows["margin"].fillna(math.inf) < noise) | (rows["margin_other"].fillna(math.inf) < noise)


def _largest_share(rows: pd.DataFrame) -> float:
    """Of the prompts of each question, beside the range of their ranking."""
    found = 0.0
    for _, of_question in rows.groupby("question"):
        usual, other = (np.stack(of_question[name]) for name in ("scores", "scores_other"))
        apart, ranking = abs(usual - other).max(), usual.mean(0)
        found = max(found, apart / np.ptp(ranking) if apart else 0.0)
    return found


def default_study(dtype: str, documents: int) -> Measuring:
    """The default study's model, with some documents of each split."""
    setup = Setup()
    entries = complete(read_yaml("config/smollm2-full.yaml", "correct it"))["methods"]
    # What rounding makes of a single head's effect is seen in the yardstick. In less than float32, what heads write
    # does not add up to the logits.
    left_out = {"single_head_effect"} | ({"direct_logit", "locos"} if dtype != "float32" else set())
    methods = make_methods(
        {
            name: entry
            for name, entry in entries.items()
            if name not in left_out and replacement_of(name, entry) not in fitted_modes()
        }
    )
    train, test = (
        prompts[prompts["doc_id"].isin(prompts["doc_id"].unique()[:documents])]
        for prompts in (setup.prompts(PLAIN_TOKENS, split) for split in ("train", "test"))
    )
    model = load_model(setup.folder, dtype=dtype, device="cpu")
    decoding = Decoding(**setup.generation)
    study = Measuring(model, setup.tokenizer, decoding, methods, setup.answer_types, train, test)
    few = [method for method in methods if method.name == "qrhead"]
    scores = replace(study, methods=few).scored(USUAL)["scores"]
    sets = choose_head_sets(rank_heads([scores]), [20], {"matched": 1, "unmatched": 0}, setup.config["seed"])
    return replace(study, head_sets=sets)


WAYS = {
    "1 thread": Way(threads=1),
    "one context at a time": Way(batch_tokens=1, cache_tokens=1),
    "small batches, 2 shards": Way(batch_tokens=1100, cache_tokens=1500, shards=2),
    "large batches, reversed": Way(batch_tokens=10**6, cache_tokens=10**7, reversed=True),
}


def main(dtype: str = "float32", documents: str = "2") -> None:
    """Measure, and print what was measured."""
    study = default_study(dtype, int(documents))
    usual, columns = study.measured(USUAL), {}
    for name, way in WAYS.items():
        begun = time.monotonic()
        columns[name] = differences(usual, study.measured(way), MARGIN_NOISE[dtype])
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    table = pd.DataFrame(columns)
    print(f"| {dtype} |", " | ".join(columns), "|")
    print("| --- |", " | ".join("---:" for _ in columns), "|")
    for what, row in table.iterrows():
        print(f"| {what} |", " | ".join(f"{value:.1e}" if value else "0" for value in row), "|")


if __name__ == "__main__":
    main(*sys.argv[1:])
