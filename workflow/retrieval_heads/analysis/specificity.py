"""Is it retrieval that heads are needed for? What is lost without them where there is something to retrieve, and where
there is nothing."""

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import (
    Estimate,
    bootstrap_mean,
    bootstrap_weights,
    holm,
    sign_flip_test,
    sign_flips,
    weighted_sum,
)
from retrieval_heads.seeds import generator
from retrieval_heads.study.controls import ITEM_KINDS
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import strictest_random
from retrieval_heads.tables.specificity import FEWEST_ITEMS
from retrieval_heads.tables.specificity_summary import OK, SPECIFICITY_SUMMARY

SETTING = [name for name in CELL if name != "question"]
"""What tells the items of one job from those of another: model, context length and variant."""

_TOP, _RANDOM = "method", "random"
_SHARE, _DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
"""The least and the most that a prompt or an item can lose, and by which two losses of it can differ."""

_NONE = Estimate(np.nan, np.nan, np.nan)


def beside_items(ablation: pd.DataFrame, methods: Collection[str], levels: Collection[int]) -> pd.DataFrame:
    """The ablation table without the heads that are not ablated while items are asked: of other methods or levels."""
    asked = ablation["method"].isin(list(methods)) & ablation["k"].isin(list(levels))
    return ablation[ablation["method"].isna() | asked]


def measure_specificity(ablation: pd.DataFrame, items: pd.DataFrame, seed: int, resamples: int) -> pd.DataFrame:
    """What top heads and random ones cost in retrieval, and in facts and sums that no context states.

    With L the share that is lost of what the whole model answers, specificity is L of the study's test prompts − L of
    the controls, in which facts and sums have equal weight. Several draws of random heads stand for one by their mean.

    Parameters
    ----------
    ablation : the ablation table, of which what is under the items' intervention counts.
    items : the specificity table.
    seed : the study's.
    resamples : bootstrap resamples of the documents, and of the items of each kind. They are drawn apart from each
        other, and the intervals put together as those of independent estimates.

    Returns
    -------
    The specificity_summary table: for each question, and for all of them (question is null), where a question's heads
    count among the items as its prompts do. Top heads are tested against random ones by flipping the sign of the
    difference between both in each document and in each item; p is corrected (Holm) over methods and levels of a model,
    length and variant, and over questions where these stand apart.
    """
    rows: list[dict] = []
    for values, of_items in items.groupby(SETTING, sort=False):
        setting = dict(zip(SETTING, values, strict=True))
        setting |= of_items[["intervention", "mode", "scope"]].iloc[0].to_dict()
        same = np.logical_and.reduce([ablation[name] == value for name, value in setting.items()])
        rows += [setting | row for row in _Losses(ablation[same], of_items, seed, resamples).rows()]
    found = pd.DataFrame(rows, columns=SPECIFICITY_SUMMARY.columns)
    families = [*(found[name] for name in SETTING), found["question"].isna()]
    found["p_holm"] = found.groupby(families)["p"].transform(holm) if len(found) else found["p"]
    return SPECIFICITY_SUMMARY.typed(found)


def over_all_questions(summary: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Rows of the specificity_summary table over all questions, at the level of the study's headlines.

    Where the control's intervention does not ablate so many heads, it is the largest number that it ablates.
    """
    pooled = summary[summary["question"].isna()]
    if pooled.empty:
        return pooled
    level = study.level(pooled)
    return pooled[pooled["k"] == (level if (pooled["k"] == level).any() else pooled["k"].max())]


class _Losses:
    """What is lost in one model, length and variant.

    Parameters
    ----------
    ablation, items : the rows of the two tables.
    """

    def __init__(self, ablation: pd.DataFrame, items: pd.DataFrame, seed: int, resamples: int):
        self._seed, self._documents = seed, np.sort(ablation["doc_id"].unique())
        whole = ablation[(ablation["source"] == "baseline") & ablation["correct"].astype(bool)]
        answered = ablation["prompt_id"].isin(whole["prompt_id"])
        self._sets = _sets_of(ablation)
        self._of_prompts = _lost(ablation[answered], ["doc_id", "prompt_id"])
        self._of_items = _lost(items, ["kind", "item"])
        right = items[(items["source"] == "baseline") & items["correct"].astype(bool)]
        self._answered = right["kind"].value_counts().reindex(list(ITEM_KINDS), fill_value=0)
        # Only those that were asked with heads ablated: none of a kind that has too few.
        asked = items[items["source"] != "baseline"]
        self._items = {kind: np.sort(asked.loc[asked["kind"] == kind, "item"].unique()) for kind in ITEM_KINDS}
        self._weights = {
            part: bootstrap_weights(len(units), resamples, generator(seed, "specificity", part))
            for part, units in (("documents", self._documents), *self._items.items())
            if len(units)
        }

    def rows(self) -> Iterator[dict]:
        """The table's rows, without what they all have in common."""
        for (method, k), of_set in self._sets.groupby(["method", "k"], sort=False):
            tops = list(of_set.loc[of_set["source"] == _TOP, "question"])
            for questions in [*([question] for question in tops), tops]:
                chosen = of_set[of_set["question"].isin(questions)]
                name = {"question": questions[0] if questions is not tops else None, "method": method, "k": k}
                for row in self._both(chosen, questions, method, k):
                    yield name | row

    def _both(self, sets: pd.DataFrame, questions: Sequence[str], method: str, k: int) -> Iterator[dict]:
        """The row of top heads and, where every question has such, that of random ones."""
        top = self._parts(questions, method, k, _TOP)
        random = None
        if set(sets.loc[sets["source"] == _RANDOM, "question"]) == set(questions):
            random = self._parts(questions, method, k, _RANDOM)
        compared = {} if random is None else self._compared(top, random)
        yield self._row(sets, _TOP, top) | compared
        if random is not None:
            yield self._row(sets, _RANDOM, random)

    def _parts(self, questions: Sequence[str], method: str, k: int, source: str) -> dict[str, tuple]:
        """Summed losses and numbers of units: (D,) of each document's prompts, (n,) of each kind's items."""

        def of_set(lost: pd.DataFrame) -> pd.DataFrame:
            here = (lost["method"] == method) & (lost["k"] == k) & (lost["source"] == source)
            return lost[here & lost["question"].isin(list(questions))]

        prompts, items = of_set(self._of_prompts), of_set(self._of_items)
        by_document = prompts.groupby("doc_id")["lost"].agg(["sum", "size"]).reindex(self._documents, fill_value=0)
        parts = {"documents": (by_document["sum"].to_numpy(float), by_document["size"].to_numpy(int))}
        # Items are lost under the heads of each question, which count as the question's prompts do.
        share = prompts["question"].value_counts().reindex(list(questions), fill_value=0)
        share = share / share.sum() if share.sum() else share + 1 / len(share)
        for kind, units in self._items.items():
            of_kind = items[items["kind"] == kind]
            weight = share.reindex(of_kind["question"]).to_numpy(float)
            lost = (of_kind["lost"] * weight).groupby(of_kind["item"]).sum()
            parts[kind] = lost.reindex(units).to_numpy(float), np.ones(len(units), int)
        return parts

    def _estimates(self, parts: dict[str, tuple], bounds: tuple[float, float]) -> dict[str, Estimate]:
        """The mean loss of each part with its interval, that of both kinds, and what is lost beyond it."""
        found = {
            part: bootstrap_mean(sums, counts, self._weights[part], bounds) if counts.sum() else _NONE
            for part, (sums, counts) in parts.items()
        }
        retrieval, kinds = found.pop("documents"), list(found.values())
        share = 1 / len(kinds)
        return {
            "retrieval_loss": retrieval,
            **{f"{kind}_loss": one for kind, one in found.items()},
            "control_loss": weighted_sum(kinds, [share] * len(kinds)),
            "specificity": weighted_sum([retrieval, *kinds], [1, *[-share] * len(kinds)]),
        }

    def _row(self, sets: pd.DataFrame, source: str, parts: dict[str, tuple]) -> dict:
        """What is lost under top heads or random ones."""
        own, (_, counts) = sets[sets["source"] == source], parts["documents"]
        row = {
            "source": source,
            "size": own["size"].mean(),
            **({} if source == _TOP else _drawn(own)),
            "prompts": int(counts.sum()),
            "documents": int(np.count_nonzero(counts)),
            **{kind: len(units) for kind, units in self._items.items()},
            "status": self._status(int(counts.sum())),
        }
        for name, estimate in self._estimates(parts, _SHARE).items():
            row |= _columns(name, estimate)
        return row

    def _compared(self, top: dict[str, tuple], random: dict[str, tuple]) -> dict:
        """How much more specific the loss is with top heads than with random ones, and the p value of that."""
        less = {part: (sums - random[part][0], counts) for part, (sums, counts) in top.items()}
        estimate = self._estimates(less, _DIFFERENCE)["specificity"]
        if np.isnan(estimate.value):
            return {}
        (sums, counts), kinds = less.pop("documents"), list(less.values())
        share = 1 / len(kinds)
        # What each document and each item adds to the difference.
        added = np.concatenate([sums / counts.sum(), *(-share * lost / len(lost) for lost, _ in kinds)])
        return _columns("difference", estimate) | {"p": float(sign_flip_test(added[:, None], self._signs)[0])}

    @cached_property
    def _signs(self) -> np.ndarray:
        """The signs that the differences of documents and items could have."""
        units = len(self._documents) + sum(map(len, self._items.values()))
        return sign_flips(units, generator(self._seed, "specificity", "signs"))

    def _status(self, prompts: int) -> str:
        """``ok``, or why it is not known how specific a loss is."""
        if not prompts:
            return "the whole model answers no test prompt"
        few = [f"{number} {kind}" for kind, number in self._answered.items() if number < FEWEST_ITEMS]
        return f"the whole model answers {' and '.join(few)}, and it takes {FEWEST_ITEMS}" if few else OK


def _lost(rows: pd.DataFrame, unit: list[str]) -> pd.DataFrame:
    """Whether each unit is lost under the top set of each question, method and level, and its mean over random ones."""
    by = ["question", "method", "k"]
    shown = pd.concat([rows[rows["source"] == _TOP], strictest_random(rows, by)])
    lost = shown.assign(lost=1.0 - shown["correct"].astype(float))
    return lost.groupby([*by, "source", *unit], sort=False)["lost"].mean().reset_index()


def _sets_of(ablation: pd.DataFrame) -> pd.DataFrame:
    """A row for the top set of each question, method and level, and one for the random ones beside it."""
    by = ["question", "method", "k"]
    shown = pd.concat([ablation[ablation["source"] == _TOP], strictest_random(ablation, by)])
    known = {name: (name, "first") for name in ("size", "matching")}
    grouped = shown.groupby([*by, "source"], sort=False)
    return grouped.agg(**known, matched=("matched", "mean"), draws=("draw", "nunique")).reset_index()


def _drawn(sets: pd.DataFrame) -> dict:
    """How random heads were drawn, over several questions."""
    return {"matching": sets["matching"].iloc[0], "matched": sets["matched"].mean(), "draws": int(sets["draws"].max())}


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), estimate, strict=True))
