"""What is decided by less than noise: choices that rounding may turn, and cuts between neighbours of a ranking.

Rounding makes numbers come out otherwise with other batches, threads and machines, as sums are added up in another
order there. How far is measured, by ``benchmarks/noise.py``: the bounds hold some room (docs/methods.md has both).
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import bootstrap_ratio, bootstrap_weights
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.close_calls import CLOSE_CALLS
from retrieval_heads.tables.cuts import CUTS

MARGIN_NOISE = {"float32": 1e-4, "bfloat16": 0.25, "float16": 0.03}
"""By dtype: a choice that is decided by less, in ln of a probability, may turn out otherwise."""

SCORE_NOISE = {"float32": 1e-5, "bfloat16": 0.1, "float16": 0.0125}
"""By dtype: two heads whose scores differ by less, as a share of their ranking's range, may change places."""


def measure_cuts(
    rankings: pd.DataFrame,
    scores: Iterable[pd.DataFrame],
    documents: pd.Series,
    dtypes: Mapping[str, str],
    levels: Sequence[int],
    resamples: int,
    seed: int,
    top_k: int | None = None,
) -> pd.DataFrame:
    """How far each top set is cut from the heads outside of it, beside what rounding and the documents leave open.

    The gap is the mean score of the last head in the set minus that of the first one outside. Its interval is that of a
    bootstrap over documents, in which the two heads' scores are drawn together.

    Parameters
    ----------
    rankings : the rankings table of one model, variant and length.
    scores : the scores table that they come from, in parts. They are gone through once, and beside a part one sum for
        each cut and document is held.
    documents : prompt_id → doc_id.
    dtypes : model → the dtype in which it ran.
    levels : how many heads are ablated, whatever the ranking; each ranking is also cut at its ``top_k``.
    resamples, seed : of the bootstrap.

    Returns
    -------
    The cuts table. No level has a row at which no head is told apart, or all heads are in the top set.
    """
    cuts = {key: _Cuts(rows, levels, top_k) for key, rows in rankings.groupby(list(DIMENSIONS))}
    for part in scores:
        for key, rows in part.groupby(list(DIMENSIONS)):
            for prompt, of_heads in zip(rows["prompt_id"], rows["scores"], strict=True):
                cuts[key].add(documents[prompt], of_heads)
    made = []
    for key, one in cuts.items():
        named = dict(zip(DIMENSIONS, key, strict=True))
        rng = generator(seed, "cuts", *key)
        made += [named | row for row in one.rows(SCORE_NOISE[dtypes[named["model"]]], resamples, rng)]
    return pd.DataFrame(made, columns=CUTS.columns)


class _Cuts:
    """The cuts of one ranking, and the scores of each prompt on their two sides, which come prompt by prompt."""

    def __init__(self, ranking: pd.DataFrame, levels: Sequence[int], top_k: int | None):
        ordered = ranking.sort_values(["rank", "layer", "head"])
        last, score = ordered["last"].to_numpy(), ordered["score"].to_numpy()
        number = (ordered["layer"] * (ordered["head"].max() + 1) + ordered["head"]).to_numpy()
        sizes = {k: int((last <= k).sum()) for k in sorted({top_k_for(len(ordered), top_k), *levels})}
        self._sizes = {k: size for k, size in sizes.items() if 0 < size < len(ordered)}
        at = np.array(list(self._sizes.values()), dtype=int)
        self._inside, self._outside = number[at - 1], number[at]
        self._gaps, self._range = score[at - 1] - score[at], np.ptp(score)
        self._sums: dict[str, np.ndarray] = {}
        self._prompts: dict[str, int] = {}

    def add(self, document: str, scores: np.ndarray) -> None:
        """Count a prompt's scores in, shape (heads,)."""
        scores = scores.astype(float)
        self._sums[document] = self._sums.get(document, 0.0) + scores[self._inside] - scores[self._outside]
        self._prompts[document] = self._prompts.get(document, 0) + 1

    def rows(self, noise: float, resamples: int, rng: np.random.Generator) -> list[dict]:
        """Rows of the table, without what names the ranking; ``noise`` is a share of the ranking's range."""
        prompts = np.array([*self._prompts.values()], dtype=float)
        sums = np.array([*self._sums.values()]).reshape(len(prompts), len(self._sizes))
        _, low, high = bootstrap_ratio(sums, prompts[:, None], bootstrap_weights(len(prompts), resamples, rng))
        named = {"noise": noise * self._range, "prompts": int(prompts.sum()), "documents": len(prompts)}
        # The gap is a mean of rankings, which is rounded otherwise; of one document there is no interval.
        ends = zip(self._gaps, np.minimum(low, self._gaps), np.maximum(high, self._gaps), strict=True)
        return [
            {"k": k, "size": size, **dict(zip(("gap", "gap_low", "gap_high"), of_cut, strict=True)), **named}
            for (k, size), of_cut in zip(self._sizes.items(), ends, strict=True)
        ]


def within_rounding(cuts: pd.DataFrame) -> pd.Series:
    """Of rows of the cuts table, whether the heads on both sides may change places where roundings are others."""
    return cuts["gap"] <= cuts["noise"]


def within_sampling(cuts: pd.DataFrame) -> pd.Series:
    """Whether other documents may put the one side's head in the other's place: the gap's interval reaches 0, or there
    is none."""
    return ~(cuts["gap_low"] > 0)


def count_close_calls(frames: Mapping[str, Iterable[pd.DataFrame]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """How many rows of tables hang on a choice that is decided by less than numerical noise.

    Parameters
    ----------
    frames : name → parts of a table with the column ``margin``: generations, scores, unablated, ablation. Those of the
        last about no ablated head are answers of the unablated table, and are left out.
    dtypes : model → the dtype in which it ran.

    Returns
    -------
    The close_calls table, without what makes no choice.
    """
    found = [CLOSE_CALLS.empty()]
    for source, parts in frames.items():
        told = {"scores": "method", "ablation": "intervention"}.get(source)
        by = ["model", "context_length", "variant", *([told] if told else [])]
        for rows in parts:
            rows = rows[rows["margin"].notna()]
            if source == "ablation":
                rows = rows[~rows["source"].isin(["baseline", "no_needle"])]
            rows = rows.assign(noise=rows["model"].map(dtypes).map(MARGIN_NOISE).astype(float))
            rows["close"] = rows["margin"] < rows["noise"]
            counts = rows.groupby(by).agg(
                choices=("margin", "size"), close=("close", "sum"), smallest=("margin", "min"), noise=("noise", "first")
            )
            found.append(counts.reset_index().assign(source=source))
    every = pd.concat(found, ignore_index=True)
    totals = {"choices": "sum", "close": "sum", "smallest": "min", "noise": "first"}
    every = every.groupby(list(CLOSE_CALLS.key), dropna=False, sort=True).agg(totals).reset_index()
    return every[CLOSE_CALLS.columns]
