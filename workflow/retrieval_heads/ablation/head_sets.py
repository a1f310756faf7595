"""Which heads to ablate: nested top sets of each ranking, and random sets of the same size to hold them against."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from retrieval_heads.errors import StudyError
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.heads import Head, head_name

Groups = Mapping[Head, int]
"""The key-value group of each head of a model, counted within its layer."""


def choose_head_sets(
    rankings: pd.DataFrame,
    levels: Sequence[int],
    draws: Mapping[str, int],
    seed: int,
    labels: pd.DataFrame | None = None,
    plain: pd.DataFrame | None = None,
    without_induction: bool = False,
) -> pd.DataFrame:
    """All head sets of a study's ablation.

    Parameters
    ----------
    rankings : the rankings table, with all heads of each model.
    levels : the levels k. The top set is the heads with ``last`` ≤ k, so those of a ranking are nested, and it is
        smaller than k, or missing, where the ranking does not tell k heads apart.
    draws : how many random draws: ``matched`` (layer by layer like the top set), ``grouped`` (key-value group by group
        like it) and ``unmatched`` (any head); none of what is not named.
    seed : the study's seed. A draw's order of heads depends on its model, question and number; its set at a level
        leaves out that level's top set. So no random set depends on what other methods, lengths or levels there are.
    labels : the labels table, which tells key-value groups and induction heads; only draws of ``grouped`` and sets
        without induction heads need it.
    plain : the rankings in the plain variant, of the same models, methods, questions and lengths, whose top sets are
        ablated too; None where the rankings are those.
    without_induction : whether top sets are ablated without the heads that are labelled induction heads, too.

    Returns
    -------
    The head_sets table: for each model, question and length the baseline (no heads), and for each method the top sets
    and their controls, which share no head with them; draws that come out alike are there once. Where a ranking stops
    at fewer heads, the rankings of the same length that it is compared with, of another method or question, have a set
    of that size too (source equal). Other lengths do not, so that no length has to be ablated again for another.
    Beside a top set stands what it is without induction heads (source without_induction), which may be all of it, or no
    head at all; and in another variant the top set of the same level in the plain one (source plain).

    Raises
    ------
    StudyError
        when a level is larger than the number of heads, or leaves too few heads to draw controls from.
    """
    orders = [
        (dict(zip(DIMENSIONS, values, strict=True)), _Order.from_ranking(ranking))
        for values, ranking in rankings.groupby(list(DIMENSIONS), sort=False)
    ]
    groups = {} if labels is None else _groups(labels)
    induction = _induction_heads(labels) if without_induction and labels is not None else None
    rows: list[dict] = []
    for cell in dict.fromkeys(_cell_of(ranked) for ranked, _ in orders):
        rows.append(_row(dict(cell), "baseline", None, 0, []))
        for ranked, order in orders:
            if _cell_of(ranked) == cell:
                rows += _top_sets(ranked, order, orders, levels, draws, seed, groups.get(ranked["model"], {}))
                if induction is not None:
                    rows += _without(ranked, order, levels, induction[ranked["model"]])
    if plain is not None:
        rows += _of_plain(plain, levels, list(dict.fromkeys(_cell_of(ranked) for ranked, _ in orders)))
    return pd.DataFrame(rows, columns=HEAD_SETS.columns).astype({"draw": "Int32", "matched": float})


def _top_sets(
    ranked: dict,
    order: "_Order",
    orders: Sequence[tuple[dict, "_Order"]],
    levels: Sequence[int],
    draws: Mapping[str, int],
    seed: int,
    groups: Groups,
) -> Iterator[dict]:
    """The rows of one ranking's top sets and of their controls.

    Parameters
    ----------
    ranked : the ranking's value of each dimension.
    orders : all rankings.
    """
    cell, method = dict(_cell_of(ranked)), ranked["method"]
    for k in levels:
        _require_heads(k, order.heads, controls=any(draws.values()))
    tops = {k: top for k in sorted(levels) if (top := order.top(k))}
    for k, top in tops.items():
        yield _row(cell, "method", method, k, top)
    # Methods are compared with each other, and so are questions: always at sets of the same size.
    compared = [other for values, other in orders if _differences(values, ranked) in ({"method"}, {"question"})]
    sizes = {other.reach(k) for other in compared for k in levels} - {order.reach(k) for k in levels}
    for size in sorted(sizes):
        if order.reach(size) == size > 0:
            yield _row(cell, "equal", method, size, order.top(size))
    for matching, kind in MATCHINGS.items():
        # In a model whose heads share no keys, draws matched by group come out as those by layer do, to be asked once.
        drawn_as = "layer" if matching == "group" else matching
        shuffled = []
        for number in range(draws.get(kind.draws, 0)):
            # The same order for every method, so that a difference between methods is not one between draws.
            rng = generator(seed, "head_sets", ranked["model"], ranked["question"], drawn_as, number)
            shuffled.append([sorted(order.names)[i] for i in rng.permutation(order.heads)])
        for k, top in tops.items():
            yield from _controls(cell, method, matching, k, top, shuffled, groups)


def _without(ranked: dict, order: "_Order", levels: Sequence[int], left: Collection[Head]) -> Iterator[dict]:
    """The rows of one ranking's top sets without some heads."""
    for k in sorted(levels):
        if top := order.top(k):
            heads = [head for head in top if head not in left]
            yield _row(dict(_cell_of(ranked)), "without_induction", ranked["method"], k, heads)


def _of_plain(plain: pd.DataFrame, levels: Sequence[int], cells: Collection[tuple]) -> Iterator[dict]:
    """The rows of the plain variant's top sets in these cells of another one, where that has the same."""
    for cell in cells:
        asked = {name: value for name, value in cell if name != "variant"}
        here = plain[(plain[list(asked)] == pd.Series(asked)).all(axis=1)]
        for method, ranking in here.groupby("method", sort=False):
            order = _Order.from_ranking(ranking)
            for k in sorted(levels):
                if top := order.top(k):
                    yield _row(dict(cell), "plain", str(method), k, top)


def _induction_heads(labels: pd.DataFrame) -> dict[str, frozenset[Head]]:
    """Model → its heads that are labelled induction heads."""
    return {
        model: frozenset(rows.loc[rows["is_induction"], ["layer", "head"]].itertuples(index=False, name=None))
        for model, rows in labels.groupby("model")
    }


def _groups(labels: pd.DataFrame) -> dict[str, Groups]:
    """Model → the key-value group of each of its heads."""
    return {
        model: dict(zip(zip(rows["layer"], rows["head"], strict=True), rows["key_value_group"], strict=True))
        for model, rows in labels.groupby("model")
    }


def _cell_of(ranked: dict) -> tuple[tuple[str, object], ...]:
    """What tells the prompts of a ranking from others: dimensions with their values."""
    return tuple((name, ranked[name]) for name in CELL)


def _differences(one: dict, other: dict) -> set[str]:
    """The dimensions in which two rankings differ."""
    return {name for name in DIMENSIONS if one[name] != other[name]}


@dataclass(frozen=True)
class _Order:
    """One ranking: heads, best first, and the last place of each one's tie group."""

    names: list[Head]
    last: list[int]

    @classmethod
    def from_ranking(cls, ranking: pd.DataFrame) -> "_Order":
        ranking = ranking.sort_values(["last", "layer", "head"])
        return cls(list(ranking[["layer", "head"]].itertuples(index=False, name=None)), ranking["last"].tolist())

    @property
    def heads(self) -> int:
        return len(self.names)

    def reach(self, k: int) -> int:
        """How many heads the top set at level k has."""
        return bisect_right(self.last, k)

    def top(self, k: int) -> list[Head]:
        return self.names[: self.reach(k)]


def _controls(
    cell: dict, method: str, matching: str, k: int, top: list[Head], orders: Iterable[list[Head]], groups: Groups
) -> Iterator[dict]:
    """The rows of the draws for one top set, each set once; none that is called matched without a head that is."""
    seen = set()
    for number, shuffled in enumerate(orders):
        heads, matched = _drawn(matching, top, shuffled, groups)
        if frozenset(heads) not in seen and matched != 0:
            seen.add(frozenset(heads))
            yield _row(cell, "random", method, k, heads) | {"matching": matching, "draw": number, "matched": matched}


def _drawn(
    matching: str, top: Sequence[Head], shuffled: Sequence[Head], groups: Groups
) -> tuple[list[Head], float | None]:
    """The heads of one draw, and the share of them that are matched."""
    if matching == "layer":
        heads = draw_matched(top, shuffled)
        return heads, matched_share(top, heads)
    if matching == "group":
        heads = draw_grouped(top, shuffled, groups)
        return heads, grouped_share(top, heads, groups)
    return draw_unmatched(top, shuffled), None


def _row(cell: dict, source: str, method: str | None, k: int, heads: list[Head]) -> dict:
    names = [head_name(*head) for head in heads]
    return {**cell, "source": source, "method": method, "k": k, "size": len(heads), "heads": names}


def matched_share(top: Sequence[Head], drawn: Sequence[Head]) -> float:
    """The share of the drawn heads that stand for a head of the top set in the same layer."""
    layers, others = (Counter(layer for layer, _ in heads) for heads in (top, drawn))
    return (layers & others).total() / len(top)


def grouped_share(top: Sequence[Head], drawn: Sequence[Head], groups: Groups) -> float:
    """The share of the drawn heads that stand for as many of one key-value group of the top set as they are.

    They are those of a group of the same layer that the top set does not touch.
    """
    touched, others = (_by_group(heads, groups) for heads in (top, drawn))
    wanted, found = (
        Counter((layer, number) for (layer, _), number in counted)
        for counted in (touched.items(), [item for item in others.items() if item[0] not in touched])
    )
    return sum(number * count for (_, number), count in (wanted & found).items()) / len(top)


def _by_group(heads: Sequence[Head], groups: Groups) -> Counter[tuple[int, int]]:
    """(layer, key-value group) → how many of some heads it has, in the order of the heads."""
    return Counter((head[0], groups[head]) for head in heads)


def draw_unmatched(top: Sequence[Head], shuffled: Sequence[Head]) -> list[Head]:
    """As many heads as ``top`` has: the first of all heads in shuffled order that are not in it."""
    return [head for head in shuffled if head not in top][: len(top)]


def draw_matched(top: Sequence[Head], shuffled: Sequence[Head]) -> list[Head]:
    """For each head of ``top`` another one of its layer; where a layer has too few left, of the nearest that has more.

    Every layer serves its own first. Of two equally near, the lower one is taken.
    """
    return _nearest([layer for layer, _ in top], [head for head in shuffled if head not in top])


def _nearest(layers: Iterable[int], shuffled: Iterable[Head]) -> list[Head]:
    """A head for each of some layers, from it or from the nearest that has one left."""
    left: dict[int, list[Head]] = {}
    for head in shuffled:
        left.setdefault(head[0], []).append(head)
    drawn, short = [], []
    for layer in layers:
        if left.get(layer):
            drawn.append(left[layer].pop(0))
        else:
            short.append(layer)
    for layer in short:
        nearest = min((other for other in left if left[other]), key=lambda other: (abs(other - layer), other))
        drawn.append(left[nearest].pop(0))
    return drawn


def draw_grouped(top: Sequence[Head], shuffled: Sequence[Head], groups: Groups) -> list[Head]:
    """For the heads of ``top`` that share keys and values, as many of another key-value group of their layer.

    The drawn set touches as many groups as ``top``, with as many heads in each, and none that ``top`` touches. Where a
    layer has no such group left, it is one of the nearest layer that has (of two equally near, the lower); every layer
    serves its own first, the groups of most heads before others. Where no layer has one, heads come singly from what
    ``top`` leaves, of the same layer or the nearest.
    """
    touched = _by_group(top, groups)
    free: dict[int, dict[int, list[Head]]] = {}
    for head in shuffled:
        if (head[0], groups[head]) not in touched:
            free.setdefault(head[0], {}).setdefault(groups[head], []).append(head)
    drawn: list[Head] = []
    short: list[tuple[int, int]] = []
    for (layer, _), number in sorted(touched.items(), key=lambda item: -item[1]):
        found = _of_one_group([layer], number, free)
        drawn += found
        short += [] if found else [(layer, number)]
    singly: list[int] = []
    for layer, number in short:
        found = _of_one_group(sorted(free, key=lambda other: (abs(other - layer), other)), number, free)
        drawn += found
        singly += [] if found else [layer] * number
    return drawn + _nearest(singly, [head for head in shuffled if head not in top and head not in drawn])


def _of_one_group(layers: Iterable[int], number: int, free: dict[int, dict[int, list[Head]]]) -> list[Head]:
    """So many heads of the first group that has them, which is then no longer free; none where no group has."""
    for layer in layers:
        for group, heads in free.get(layer, {}).items():
            if len(heads) >= number:
                del free[layer][group]
                return heads[:number]
    return []


def _require_heads(k: int, heads: int, controls: bool) -> None:
    """Refuse a level for which a model has too few heads."""
    if k > heads:
        raise StudyError(f"ablation.levels: {k} is more than the model's {heads} heads; give smaller levels.")
    if controls and 2 * k > heads:
        raise StudyError(
            f"ablation.levels: {k} of {heads} heads leave too few others to draw as many from; "
            f"give levels of at most {heads // 2}, or set ablation.random_draws to 0."
        )
