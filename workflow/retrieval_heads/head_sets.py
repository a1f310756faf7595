"""Which heads to cut: nested top-k sets of each ranking, and random sets of the same size to hold them against."""

from collections.abc import Sequence

import pandas as pd

from retrieval_heads.errors import StudyError
from retrieval_heads.seeds import generator
from retrieval_heads.tables import HEAD_SETS

Head = tuple[int, int]


def head_name(layer: int, head: int) -> str:
    """``L14H31``; layers and heads count from 0."""
    return f"L{layer}H{head}"


def parse_head(name: str) -> Head:
    """(layer, head) of a head's name."""
    layer, _, head = name.removeprefix("L").partition("H")
    return int(layer), int(head)


def choose_head_sets(rankings: pd.DataFrame, levels: Sequence[int], draws: dict[str, int], seed: int) -> pd.DataFrame:
    """All head sets of a study's ablation.

    Parameters
    ----------
    rankings : the rankings table.
    levels : the sizes k. The top-k sets of a ranking are nested.
    draws : how many random draws: ``matched`` (layer by layer like the top-k set) and ``unmatched`` (any head).
    seed : the study's seed. A draw's order of heads depends on its model, question and number; its set at a level
        leaves out that level's top set. So no set depends on what other methods, lengths or levels there are.

    Returns
    -------
    The head_sets table: for each model, question and length the baseline (no heads), and for each method the top-k set
    and its controls, which share no head with it.

    Raises
    ------
    StudyError
        when a level is larger than the number of heads, or leaves too few heads to draw controls from.
    """
    rows = []
    for (model, question, length), group in rankings.groupby(["model", "question", "context_length"], sort=False):
        same = {"model": model, "question": question, "context_length": length}
        rows.append({**same, "source": "baseline", "method": None, "matching": None, "draw": None, "k": 0, "heads": []})
        for method, ranking in group.groupby("method", sort=False):
            order = list(ranking.sort_values("rank")[["layer", "head"]].itertuples(index=False, name=None))
            sets: list[tuple[str, str | None, int | None, int, list[Head]]] = []
            for k in sorted(levels):
                _require_enough(k, len(order), any(draws.values()))
                sets.append(("method", None, None, k, order[:k]))
            for among, count, pick in (
                ("layer", draws["matched"], draw_matched),
                ("none", draws["unmatched"], draw_unmatched),
            ):
                for number in range(count):
                    # The same order for every method, so that a difference between methods is not one between draws.
                    rng = generator(seed, "head_sets", model, question, among, number)
                    shuffled = [sorted(order)[i] for i in rng.permutation(len(order))]
                    sets.extend(("random", among, number, k, pick(order[:k], shuffled)) for k in sorted(levels))
            for source, matching, draw, k, heads in sets:
                rows.append(
                    {**same, "source": source, "method": method, "matching": matching, "draw": draw, "k": k}
                    | {"heads": [head_name(*head) for head in heads]}
                )
    return pd.DataFrame(rows, columns=HEAD_SETS.columns)


def draw_unmatched(top: Sequence[Head], shuffled: Sequence[Head]) -> list[Head]:
    """As many heads as ``top`` has: the first of all heads in shuffled order that are not in it."""
    return [head for head in shuffled if head not in top][: len(top)]


def draw_matched(top: Sequence[Head], shuffled: Sequence[Head]) -> list[Head]:
    """For each head of ``top`` another one of its layer; where a layer has too few left, of the nearest that has more.

    Every layer serves its own first. Of two equally near, the lower one is taken.
    """
    left: dict[int, list[Head]] = {}
    for head in shuffled:
        if head not in top:
            left.setdefault(head[0], []).append(head)
    drawn, short = [], []
    for layer, _ in top:
        if left.get(layer):
            drawn.append(left[layer].pop(0))
        else:
            short.append(layer)
    for layer in short:
        nearest = min((other for other in left if left[other]), key=lambda other: (abs(other - layer), other))
        drawn.append(left[nearest].pop(0))
    return drawn


def _require_enough(k: int, heads: int, controls: bool) -> None:
    if k > heads:
        raise StudyError(f"ablation.levels: {k} is more than the model's {heads} heads; give smaller levels.")
    if controls and 2 * k > heads:
        raise StudyError(
            f"ablation.levels: {k} of {heads} heads leave too few others to draw as many from; "
            f"give levels of at most {heads // 2}, or set ablation.random_draws to 0."
        )
