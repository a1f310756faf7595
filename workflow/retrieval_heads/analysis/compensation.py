"""What other heads make up for, what heads do together, and what they restore: means over documents, and tests.

A mean is over a document's prompts, then over documents.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import (
    bootstrap_ratio,
    bootstrap_weights,
    sign_flip_family,
    sign_flip_test,
    sign_flips,
)
from retrieval_heads.seeds import generator
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS, PROMPT_KEY
from retrieval_heads.tables.head_compensation import HEAD_COMPENSATION
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.set_compensation import (
    BEYOND_RANDOM,
    DIRECT,
    EFFECT,
    INTERACTION,
    RANDOM_EFFECT,
    RANDOM_RESTORED,
    REPAIR,
    RESTORED,
    SET_COMPENSATION,
    SINGLES,
    TOTAL,
)

NOTABLE = 0.05
"""In centred logits: heads are tested where the mean of what they write and what is lost without them is above this.
That mean is the same whichever of the two is which, so it may choose what is tested."""

SMALL = 0.2
"""A head is backed up if surely more than this share of what it writes is made up for, and not if surely less is."""

_SETTING = [*OVER, *INTERVENTION_COLUMNS]
_CHANGES = (EFFECT, INTERACTION, DIRECT, TOTAL, REPAIR)
"""What is compared from one level to the next."""

_TESTED = (INTERACTION, REPAIR, BEYOND_RANDOM)
"""What of a set is tested; of a step, every change is."""


def summarise_heads(heads: pd.DataFrame, alpha: float, seed: int, resamples: int) -> pd.DataFrame:
    """What each head writes, what is lost without it, and what is made up for: the difference.

    Parameters
    ----------
    heads : the compensation_heads table. A head has the prompts of those questions in whose top sets it is.
    alpha : level of the tests.
    seed : the study's.
    resamples : bootstrap resamples of the documents, which all heads take together.

    Returns
    -------
    The head_compensation table. ``p`` is of the sign-flip test over documents of the difference, ``p_family`` corrected
    over the heads of a setting that matter (:data:`NOTABLE`).
    """
    frames = []
    for values, rows in heads.groupby(_SETTING):
        grid = rows.assign(repair=rows["direct"] - rows["total"]).groupby(["doc_id", "layer", "head"])
        means = {name: grid[name].mean().unstack(["layer", "head"]) for name in (DIRECT, TOTAL, REPAIR)}
        places = means[DIRECT].columns
        rng = generator(seed, "compensation", len(means[DIRECT]))
        weights = bootstrap_weights(len(means[DIRECT]), resamples, rng)
        frame = pd.DataFrame({**dict(zip(_SETTING, values, strict=True)), **dict(places.to_frame(index=False))})
        for name, table in means.items():
            found = bootstrap_ratio(table.to_numpy(), np.ones(table.shape), weights)
            frame = frame.assign(**dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True)))
        differences = means[REPAIR].to_numpy()
        signs = sign_flips(len(differences), generator(seed, "sign_flips", len(differences)))
        tested = ((frame[DIRECT] + frame[TOTAL]) / 2 > NOTABLE).to_numpy()
        corrected = np.full(len(frame), np.nan)
        corrected[tested] = sign_flip_family(differences[:, tested], signs)
        frame = frame.assign(p=sign_flip_test(differences, signs), p_family=corrected)
        asked = rows.groupby(["layer", "head"]).agg(prompts=("prompt_id", "nunique"), documents=("doc_id", "nunique"))
        frames.append(frame.assign(backed_up=_backed_up(frame, alpha)).join(asked, on=["layer", "head"]))
    if not frames:
        return HEAD_COMPENSATION.empty()
    return pd.concat(frames, ignore_index=True)[HEAD_COMPENSATION.columns]


def _backed_up(frame: pd.DataFrame, alpha: float) -> np.ndarray:
    """Whether heads are backed up; None where that is not told."""
    matters = SMALL * frame["direct"].abs()
    yes = (frame["p_family"] < alpha) & (frame["repair_low"] > matters)
    no = frame["p_family"].notna() & (frame["repair_high"] < matters)
    return np.select([yes, no], np.array([True, False], dtype=object), np.array(None, dtype=object))


class _Quantity(NamedTuple):
    """A ratio of means over documents: of the sums (D,) of each document by others, or by 1."""

    about: dict
    above: np.ndarray
    below: np.ndarray
    prompts: int
    tested: bool


def summarise_sets(sets: pd.DataFrame, seed: int, resamples: int) -> pd.DataFrame:
    """What each method's top sets lose, by themselves and head by head, and what they restore.

    Parameters
    ----------
    sets : the compensation table.
    seed : the study's.
    resamples : bootstrap resamples of the documents, which all quantities of a setting take together.

    Returns
    -------
    The set_compensation table. ``p`` is of the sign-flip test over documents; ``p_family`` is corrected over the
    methods and levels of a setting. What is restored is a ratio of means, and missing where the interval of what lies
    between prompt and twin reaches 0.
    """
    frames = []
    for values, rows in sets.groupby(_SETTING):
        documents = sorted(rows["doc_id"].unique())
        weights = bootstrap_weights(len(documents), resamples, generator(seed, "compensation", len(documents)))
        signs = sign_flips(len(documents), generator(seed, "sign_flips", len(documents)))
        found = [one for one in _quantities(rows, documents) if _is_above_0(one.below, weights)]
        above, below = (np.stack([getattr(one, name) for one in found], 1) for name in ("above", "below"))
        value, low, high = bootstrap_ratio(above, below, weights)
        frame = pd.DataFrame([one.about for one in found]).assign(
            **dict(zip(_SETTING, values, strict=True)),
            value=value,
            value_low=low,
            value_high=high,
            p=np.where([one.tested for one in found], sign_flip_test(above, signs), np.nan),
            prompts=[one.prompts for one in found],
            documents=(~np.isnan(above)).sum(0),
        )
        corrected = frame["p"].copy()
        for _, family in frame[frame["p"].notna()].groupby(["measure", frame["k_before"].isna()]):
            corrected[family.index] = sign_flip_family(above[:, family.index], signs)
        frames.append(frame.assign(p_family=corrected))
    if not frames:
        return SET_COMPENSATION.empty()
    return SET_COMPENSATION.typed(pd.concat(frames, ignore_index=True)[SET_COMPENSATION.columns])


def _is_above_0(below: np.ndarray, weights: np.ndarray) -> bool:
    """Whether what a ratio is by is surely above 0."""
    ends = bootstrap_ratio(below[:, None], np.ones((len(below), 1)), weights)
    return not min(end.item() for end in ends if not np.isnan(end.item())) <= 0


def _quantities(rows: pd.DataFrame, documents: list[str]) -> Iterator[_Quantity]:
    """All that is told of the sets of a setting."""

    def quantity(about: dict, above: pd.Series, below: pd.Series | float = 1.0, tested: bool = False) -> _Quantity:
        """From a value for each prompt, indexed as ``by_prompt`` is."""
        each = pd.DataFrame({"above": above, "below": below}).dropna()
        means = each.groupby(level="doc_id").mean().reindex(documents)
        return _Quantity(about, means["above"].to_numpy(), means["below"].to_numpy(), len(each), tested)

    rows = rows.assign(interaction=rows[EFFECT] - rows[SINGLES], repair=rows[DIRECT] - rows[TOTAL])
    rows = rows.assign(gap=rows["answer_logodds"] - rows["twin_logodds"])
    rows = rows.assign(gained=rows["restored_logodds"] - rows["twin_logodds"])
    for method, of_method in rows.groupby("method", sort=False):
        before: dict[int, pd.DataFrame] = {}
        for k, here in of_method.groupby("k"):
            by_prompt, random = (
                here[here["source"] == source].groupby(["doc_id", *PROMPT_KEY]) for source in ("method", "random")
            )
            top = by_prompt[[*_CHANGES, SINGLES, "gap", "gained", "size"]].first()
            drawn = random[[EFFECT, "gained"]].mean().reindex(top.index)
            before[int(k)] = top

            about = {"method": method, "k": k, "k_before": None, "size": top["size"].mean(), "matched": np.nan}
            for name in (EFFECT, SINGLES, INTERACTION, DIRECT, TOTAL, REPAIR):
                yield quantity(about | {"measure": name}, top[name], tested=name in _TESTED)
            drawn_so = about | {"matched": random["matched"].mean().mean()}
            if drawn[EFFECT].notna().any():
                yield quantity(drawn_so | {"measure": RANDOM_EFFECT}, drawn[EFFECT])
            if top["gap"].notna().any():
                yield quantity(about | {"measure": RESTORED}, top["gained"], top["gap"])
                if drawn["gained"].notna().any():
                    yield quantity(drawn_so | {"measure": RANDOM_RESTORED}, drawn["gained"], top["gap"])
                    beyond = top["gained"] - drawn["gained"]
                    yield quantity(drawn_so | {"measure": BEYOND_RANDOM}, beyond, top["gap"], tested=True)
        for (fewer, one), (more, other) in pairwise(before.items()):
            both = one.index.intersection(other.index)
            if len(both):
                size = other.loc[both, "size"].mean()
                step = {"method": method, "k": more, "k_before": fewer, "size": size}
                for name in _CHANGES:
                    change = other.loc[both, name] - one.loc[both, name]
                    yield quantity(step | {"measure": name}, change, tested=True)
