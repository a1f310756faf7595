"""Whether a method ranks the same heads first whatever the needle's depth."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import LEVEL, bootstrap_weights, holm
from retrieval_heads.analysis.ties import places
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables.depth_rankings import DEPTH_RANKINGS
from retrieval_heads.tables.head_effect_summary import OVER

RELABELINGS = 999
"""How often depths are exchanged; p cannot be below 1 / 1,000 then."""

_COLUMNS = ("same_depth", "other_depth", "difference")


def compare_depths(scores: Iterable[pd.DataFrame], prompts: pd.DataFrame, seed: int, resamples: int) -> pd.DataFrame:
    """How much more the rankings by two documents are alike at the same depth than at two different ones.

    Spearman's correlation of the rankings by a prompt each of two documents, for all pairs of documents, averaged over
    pairs and depths, then over questions. If heads were ranked alike at all depths, a document's depths could be
    exchanged: p is that of the difference among :data:`RELABELINGS` exchanges, of all questions about a document
    together, the observed order among them (Phipson and Smyth 2010, SAGMB 9).

    Parameters
    ----------
    scores : the scores table of one model, context length and variant, in parts.
    prompts : prompt_id, doc_id and depth of the prompts table.
    seed, resamples : of the study, for intervals by bootstrap over documents.

    Returns
    -------
    The depth_rankings table, p corrected (Holm) over the methods of a setting. Documents that are not scored at every
    depth do not count, and a method with fewer than three others has no row.
    """
    known = dict(zip(prompts["prompt_id"], zip(prompts["doc_id"], prompts["depth"], strict=True), strict=True))
    found: dict[tuple, dict[str, dict[float, np.ndarray]]] = {}
    for part in scores:
        for setting, rows in part.groupby(list(DIMENSIONS)):
            of_setting = found.setdefault(setting, {})
            for prompt, values in zip(rows["prompt_id"], rows["scores"], strict=True):
                document, depth = known[prompt]
                if np.ptp(values) > 0:
                    of_setting.setdefault(document, {})[depth] = _standardised(values)
    depths = sorted(set(prompts["depth"]))
    every = sorted({document for of_setting in found.values() for document in of_setting})
    by_method: dict[tuple, list[_Pairs]] = {}
    for setting, of_setting in sorted(found.items()):
        named = dict(zip(DIMENSIONS, setting, strict=True))
        whole = [number for number, one in enumerate(every) if len(of_setting.get(one, ())) == len(depths)]
        if len(whole) > 2:
            ranks = np.array([[of_setting[every[number]][depth] for depth in depths] for number in whole])
            by_method.setdefault(tuple(named[name] for name in (*OVER, "method")), []).append(_Pairs(whole, ranks))
    rows = [
        dict(zip((*OVER, "method"), where, strict=True)) | _compared(pairs, len(every), len(depths), seed, resamples)
        for where, pairs in by_method.items()
    ]
    frame = pd.DataFrame(rows, columns=DEPTH_RANKINGS.columns)
    for _, of_setting in frame.groupby(list(OVER)):
        frame.loc[of_setting.index, "p_holm"] = holm(of_setting["p"])
    return frame.astype({"p": float, "p_holm": float})


def _standardised(scores: Sequence[float]) -> np.ndarray:
    """Ranks of the heads, centred and of length 1: the product of two such is Spearman's correlation."""
    ranks = places(np.asarray(scores, float)).rank
    ranks = ranks - ranks.mean()
    length = np.linalg.norm(ranks)
    return ranks / length if length else ranks


class _Pairs:
    """Correlations of the rankings by the prompts of one question.

    Parameters
    ----------
    documents : the numbers of D documents.
    ranks : of heads by each of their prompts, standardised, (D, A, heads) for A depths.
    """

    def __init__(self, documents: list[int], ranks: np.ndarray):
        self.documents = np.array(documents)
        self._correlations = np.einsum("dah,ebh->daeb", ranks, ranks)  # (D, A, D, A)
        apart = ~np.eye(len(documents), dtype=bool)
        self._correlations *= apart[:, None, :, None]

    def means(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean over pairs at the same depth, and at different ones, with so much weight of each document.

        Parameters
        ----------
        weights : shape (R, documents of the study); a document makes no pair with itself.
        """
        weights, depths = weights[:, self.documents].astype(float), self._correlations.shape[1]
        same = np.einsum("daea->de", self._correlations)
        every = self._correlations.sum((1, 3))
        pairs = weights.sum(1) ** 2 - (weights**2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            at_same, at_any = (np.einsum("rd,de,re->r", weights, one, weights) / pairs for one in (same, every))
        return at_same / depths, (at_any - at_same) / (depths * (depths - 1))

    def exchanged(self, orders: np.ndarray) -> np.ndarray:
        """The difference of the two means, with the depths of each document in so many orders, (R,).

        Parameters
        ----------
        orders : shape (R, documents of the study, A).
        """
        count, depths = self._correlations.shape[:2]
        flat = self._correlations.reshape(count * depths, count * depths)
        places_at = np.arange(count)[:, None] * depths + orders[:, self.documents]  # (R, D, A)
        same = np.zeros(len(orders))
        for depth in range(depths):
            chosen = np.zeros((len(orders), count * depths))
            np.put_along_axis(chosen, places_at[:, :, depth], 1.0, axis=1)
            same += ((chosen @ flat) * chosen).sum(1)
        at_same, at_others = same / depths, (flat.sum() - same) / (depths * (depths - 1))
        return (at_same - at_others) / (count * (count - 1))


def _compared(pairs: list[_Pairs], documents: int, depths: int, seed: int, resamples: int) -> dict[str, float]:
    """The columns of one method, averaged over questions."""
    drawn = bootstrap_weights(documents, resamples, generator(seed, "depth_rankings", documents))
    weights = np.vstack([np.ones((1, documents)), drawn])
    means = np.array([one.means(weights) for one in pairs])  # (questions, 2, 1 + R)
    # A resample may have drawn no two documents of a question, or of any.
    drawn_any = ~np.isnan(means)
    with np.errstate(invalid="ignore"):
        same, other = np.where(drawn_any, means, 0.0).sum(0) / drawn_any.sum(0)
    row: dict[str, float] = {}
    for name, values in zip(_COLUMNS, (same, other, same - other), strict=True):
        low, high = np.nanquantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        row |= {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    rng = generator(seed, "exchanged depths", documents, depths)
    orders = rng.permuted(np.tile(np.arange(depths), (RELABELINGS, documents, 1)), axis=-1)
    exchanged = np.mean([one.exchanged(orders) for one in pairs], axis=0)
    # What differs by rounding alone is as far from 0.
    beyond = np.count_nonzero(exchanged >= row["difference"] - 1e-12)
    counted = {number for one in pairs for number in one.documents.tolist()}
    return row | {"p": (1 + beyond) / (1 + RELABELINGS), "depths": depths, "documents": len(counted)}
