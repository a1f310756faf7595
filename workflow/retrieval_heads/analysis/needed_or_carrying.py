"""What an answer needs each head for, beside what the head carries of this very answer.

An answer loses what it needs a head for, for whatever reason, if the head's output is replaced by nothing, or by what
it puts out on average. It loses what the head carries of this answer if the output is replaced by the one that the head
has on the twin, whose answer is another and all else the same: a head that works alike whatever the answer loses
nothing then. A head that others stand in for is needed less than it carries.
"""

import numpy as np
import pandas as pd

from retrieval_heads.analysis.head_effects import by_document
from retrieval_heads.analysis.similarity import spearman
from retrieval_heads.analysis.statistics import (
    LEVEL,
    Estimate,
    bootstrap_ratio,
    bootstrap_weights,
    sign_flip_family,
    sign_flip_test,
    sign_flips,
)
from retrieval_heads.analysis.ties import places
from retrieval_heads.seeds import generator
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.heads import GRID
from retrieval_heads.tables.needed_or_carrying import BACKED_UP, BOTH, NEEDED_ONLY, NEEDED_OR_CARRYING

SMALL = 0.2
"""A head carries nothing to speak of if it surely carries less than this share of what it is needed for; and it is
backed up if it is surely needed for less than it carries by this share of that. Resampling costs a little more than
zero by itself, as it writes another value."""

NOTABLE = 0.05
"""Nats: heads are tested where the mean of their two numbers is above this, so that the answer is 5% less likely
without them. This mean is the same whichever of the two numbers is which, so it may choose what is tested."""


def carrying_mode(effects: pd.DataFrame) -> str | None:
    """The mode of the yardstick by which it is told what heads carry: the one that has a twin's answer, if any has.

    Parameters
    ----------
    effects : the head_effects or the head_effect_summary table.
    """
    column = "logodds_effects" if "logodds_effects" in effects else "logodds_effect"
    return next(iter(effects.loc[effects[column].notna(), "mode"]), None)


def needed_mode(effects: pd.DataFrame) -> str | None:
    """The mode by which it is told what is needed: the first that has no twin, if any is measured.

    Parameters
    ----------
    effects : the head_effects table, modes in the order of the config.
    """
    carrying = carrying_mode(effects)
    return next((mode for mode in dict.fromkeys(effects["mode"]) if mode != carrying), None)


def pair_effects(effects: pd.DataFrame, alpha: float, seed: int, resamples: int) -> pd.DataFrame:
    """Both numbers of every head, over the prompts that were asked for both.

    Parameters
    ----------
    effects : the head_effects table.
    alpha : level of the tests.
    seed : the study's.
    resamples : bootstrap resamples of the documents, which all heads and both numbers take together.

    Returns
    -------
    The needed_or_carrying table, without rows where one of the two was not measured. ``p`` is that of the sign-flip
    test over documents of the difference. ``p_family`` is corrected over the heads of a model, length and variant that
    are worth a test (:data:`NOTABLE`; :func:`~retrieval_heads.analysis.statistics.sign_flip_family`).
    """
    frames = []
    for (*over, layers, heads), rows in effects.groupby([*OVER, *GRID]):
        modes = {"needed": needed_mode(effects), "carrying": carrying_mode(effects)}
        means, prompts = _paired(rows, modes)
        if not prompts:
            continue
        documents, total = means["needed"].shape
        means["difference"] = means["needed"] - means["carrying"]
        weights = bootstrap_weights(documents, resamples, generator(seed, "needed_or_carrying", documents))
        columns: dict[str, np.ndarray] = {}
        for name, values in means.items():
            found = bootstrap_ratio(values, np.ones_like(values), weights)
            columns |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
        signs = sign_flips(documents, generator(seed, "sign_flips", documents))
        tested = (means["needed"] + means["carrying"]).mean(0) / 2 > NOTABLE
        corrected = np.full(total, np.nan)
        corrected[tested] = sign_flip_family(means["difference"][:, tested], signs)
        numbers = np.arange(total)
        frame = pd.DataFrame(
            {
                **dict(zip(OVER, over, strict=True)),
                "layers": layers,
                "heads": heads,
                "layer": numbers // heads,
                "head": numbers % heads,
                **{f"{name}_mode": mode for name, mode in modes.items()},
                **columns,
                "p": sign_flip_test(means["difference"], signs),
                "p_family": corrected,
                "prompts": prompts,
                "documents": documents,
            }
        )
        frames.append(frame.assign(role=_roles(frame, alpha)))
    return pd.concat(frames, ignore_index=True) if frames else NEEDED_OR_CARRYING.empty()


def _roles(frame: pd.DataFrame, alpha: float) -> np.ndarray:
    """What the two numbers of each head say of it; None where they do not tell."""
    apart = frame["p_family"] < alpha
    needed, carrying = frame["needed_low"] > 0, frame["carrying_low"] > 0
    nothing = frame["carrying_high"] < SMALL * frame["needed"]
    return np.select(
        [
            (apart & needed & (frame["difference"] > 0) & nothing).to_numpy(bool),
            (apart & carrying & (frame["difference_high"] < -SMALL * frame["carrying"])).to_numpy(bool),
            (needed & carrying & frame["p_family"].notna()).to_numpy(bool),
        ],
        np.array([NEEDED_ONLY, BACKED_UP, BOTH], dtype=object),
        np.array(None, dtype=object),
    )


def agreement(effects: pd.DataFrame, seed: int, resamples: int) -> pd.DataFrame:
    """How far what is needed and what is carried put heads in the same order.

    Spearman's correlation of the mean effects under both, over the prompts that were asked for both. Means over few
    documents vary, which makes orders agree less; resampled means vary more, so that their correlations lie too low.
    The interval is therefore the reverse percentile one (Davison and Hinkley 1997, Bootstrap Methods and their
    Application, section 5.2), which takes from the value what resampling adds to it, widened where it would not hold
    the value.

    Parameters
    ----------
    effects, seed, resamples : as for :func:`pair_effects`.

    Returns
    -------
    A row for each model, length and variant: ``spearman`` with its interval, prompts and documents.
    """
    found = []
    modes = {"needed": needed_mode(effects), "carrying": carrying_mode(effects)}
    for (*over, _, _), rows in effects.groupby([*OVER, *GRID]):
        means, prompts = _paired(rows, modes)
        if prompts:
            documents = len(means["needed"])
            weights = bootstrap_weights(documents, resamples, generator(seed, "needed_or_carrying", documents))
            value, low, high = _agreement(means["needed"], means["carrying"], weights)
            ends = {"spearman": value, "spearman_low": low, "spearman_high": high}
            found.append(dict(zip(OVER, over, strict=True)) | ends | {"prompts": prompts, "documents": documents})
    columns = [*OVER, "spearman", "spearman_low", "spearman_high", "prompts", "documents"]
    return pd.DataFrame(found, columns=columns)


def _agreement(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> Estimate:
    def correlation(drawn: np.ndarray) -> float:
        return spearman(places(drawn @ one).rank, places(drawn @ other).rank)

    value = correlation(np.ones(len(one)))
    if len(one) < 2 or np.isnan(value):
        return Estimate(value, np.nan, np.nan)
    drawn = np.array([correlation(each) for each in weights])
    low, high = 2 * value - np.nanquantile(drawn, [(1 + LEVEL) / 2, (1 - LEVEL) / 2])
    return Estimate(value, max(-1.0, min(low, value)), min(1.0, max(high, value)))


def _paired(rows: pd.DataFrame, modes: dict[str, str | None]) -> tuple[dict[str, np.ndarray], int]:
    """Mean effects by document under both modes, each (documents, heads), and the number of prompts with both."""
    each = {name: rows[rows["mode"] == mode] for name, mode in modes.items()}
    both = set(each["needed"]["prompt_id"]) & set(each["carrying"]["prompt_id"])
    each = {name: of_mode[of_mode["prompt_id"].isin(both)] for name, of_mode in each.items()}
    return ({name: by_document(of_mode, "effects") for name, of_mode in each.items()} if both else {}), len(both)
