"""What heads look at on average, and whether the first heads of a method look for the answer or for its token alone."""

from collections.abc import Iterable
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
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.heads import GRID
from retrieval_heads.tables.look_sets import BEYOND_SHARE, CHANCES, LOOK_SETS, MORE_SINK, TESTS_OF
from retrieval_heads.tables.look_summary import BEYOND, LOOK_SUMMARY
from retrieval_heads.tables.looks import ANSWER, ANSWER_CHANCE, DISTRACTOR, ELSEWHERE, KINDS, SHARES, SINK


class Looks(NamedTuple):
    """The tables look_summary and look_sets."""

    look_summary: pd.DataFrame
    look_sets: pd.DataFrame


def summarise_looks(looks: pd.DataFrame, rankings: pd.DataFrame, k: int, seed: int, resamples: int) -> Looks:
    """Shares of the rows that produce right answers: means over a document's prompts, then over documents.

    A head that looks for the token which is copied, wherever it stands, hits the answer as often as the answer holds
    that token among all places that do; so much is chance. What is beyond it is tested by sign-flips over documents.

    Parameters
    ----------
    looks, rankings : the tables of these names. Prompts that the model does not answer do not count.
    k : level of the top sets, each that of its own question: the heads with ``last`` ≤ k.
    seed : the study's.
    resamples : bootstrap resamples of the documents, which all quantities take together.

    Returns
    -------
    Of every head; and of the first heads of every method, with the share of sinks beside that of all other heads; a row
    without a method is of all heads. P is corrected over the heads, or the methods, of a model, length and variant
    (:func:`~retrieval_heads.analysis.statistics.sign_flip_family`).
    """
    heads, sets = [], []
    for (*over, layers, grid), rows in looks[looks["correct"].astype(bool)].groupby([*OVER, *GRID]):
        where = dict(zip(OVER, over, strict=True)) | {"layers": layers, "heads": grid}
        of_cell = rankings[(rankings[list(OVER)] == over).all(axis=1)]
        heads.append(_heads(where, rows, seed, resamples))
        sets.append(_sets(where, rows, of_cell, k, seed, resamples))
    if not heads:
        return Looks(LOOK_SUMMARY.empty(), LOOK_SETS.empty())
    return Looks(pd.concat(heads, ignore_index=True), pd.concat(sets, ignore_index=True))


def _heads(where: dict, rows: pd.DataFrame, seed: int, resamples: int) -> pd.DataFrame:
    of_documents = {
        name: np.stack([np.stack(list(of_document)).astype(float).mean(0) for _, of_document in grouped])
        for name in SHARES
        for grouped in [rows.groupby("doc_id", sort=True)[name]]
    }
    values = {name: of_documents[name] for name in KINDS}
    values[BEYOND] = of_documents[ANSWER] - of_documents[ANSWER_CHANCE]
    documents, number = values[BEYOND].shape
    signs = sign_flips(documents, generator(seed, "sign_flips", documents))
    return pd.DataFrame(
        {
            **where,
            "layer": np.arange(number) // where["heads"],
            "head": np.arange(number) % where["heads"],
            **{
                key: found for name in values for key, found in _mean(name, values[name], None, seed, resamples).items()
            },
            "p_family": sign_flip_family(values[BEYOND], signs),
            "prompts": len(rows),
            "documents": documents,
        }
    )


def _sets(where: dict, rows: pd.DataFrame, rankings: pd.DataFrame, k: int, seed: int, resamples: int) -> pd.DataFrame:
    """The rows of a setting: of all heads, then of each method's first ones."""
    total = where["layers"] * where["heads"]
    chosen: dict[str | None, dict[str, np.ndarray]] = {None: dict.fromkeys(rows["question"], np.ones(total, bool))}
    for method, of_method in rankings[rankings["last"] <= k].groupby("method", sort=False):
        chosen[str(method)] = {}
        for question, top in of_method.groupby("question"):
            chosen[str(method)][question] = np.isin(np.arange(total), top["layer"] * where["heads"] + top["head"])
    made: list[dict] = []
    tested: dict[str, dict[str, pd.Series]] = {name: {} for name in TESTS_OF}
    for method, of_questions in chosen.items():
        here = rows[rows["question"].isin(of_questions)]
        if here.empty:
            continue
        inside = here["question"].map(of_questions)
        means = _of_documents(here, inside)
        shares = {name: _mean(name, means[[name]], None, seed, resamples) for name in KINDS}
        row = where | {"method": method, "k": k, "size": float(inside.map(np.sum).mean())}
        row |= {key: float(value[0]) for share in shares.values() for key, value in share.items()}
        row |= means[list(CHANCES)].mean().to_dict() | {"prompts": len(here), "documents": len(means)}
        if method is not None:
            hits = means[[ANSWER, DISTRACTOR, ELSEWHERE]].sum(axis=1)
            for name, above, below in (
                (BEYOND_SHARE, means[ANSWER] - means[ANSWER_CHANCE], hits),
                (MORE_SINK, means[SINK] - means["others"], pd.Series(1.0, means.index)),
            ):
                # Without a hit none is at the answer, and where a top set has all heads there are no others.
                if below.any() and above.notna().all():
                    found = _mean(name, above.to_frame(), below.to_frame(), seed, resamples)
                    row |= {key: float(value[0]) for key, value in found.items()}
                    tested[name][method] = above
        made.append(row)
    frame = pd.DataFrame(made)
    for name, of_methods in tested.items():
        columns = pd.DataFrame(of_methods)
        signs = sign_flips(len(columns), generator(seed, "sign_flips", len(columns)))
        for column, test in (("p", sign_flip_test), ("p_family", sign_flip_family)):
            p: Iterable[float] = test(columns.to_numpy(float), signs) if of_methods else []
            frame[f"{name}_{column}"] = frame["method"].map(dict(zip(columns, p, strict=True))).astype(float)
    return frame.reindex(columns=LOOK_SETS.columns)


def _of_documents(rows: pd.DataFrame, inside: pd.Series) -> pd.DataFrame:
    """Mean shares over the heads inside a set, and that of sinks over the others; then over a document's prompts."""
    means = pd.DataFrame(index=rows.index)
    for name in SHARES:
        means[name] = [np.asarray(heads, float)[top].mean() for heads, top in zip(rows[name], inside, strict=True)]
    means["others"] = [
        np.asarray(heads, float)[~top].mean() if not top.all() else np.nan
        for heads, top in zip(rows[SINK], inside, strict=True)
    ]
    return means.groupby(rows["doc_id"]).mean()


def _mean(name: str, above, below, seed: int, resamples: int) -> dict[str, np.ndarray]:
    """The columns of means over documents, (D, M), or of ratios of means."""
    above = np.asarray(above, float)
    weights = bootstrap_weights(len(above), resamples, generator(seed, "looks", len(above)))
    found = bootstrap_ratio(above, np.ones_like(above) if below is None else np.asarray(below, float), weights)
    return dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
