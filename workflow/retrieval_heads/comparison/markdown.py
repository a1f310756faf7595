"""A comparison of two studies in words and tables, as Markdown."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from retrieval_heads.comparison.claims import APART
from retrieval_heads.comparison.comparing import Comparison
from retrieval_heads.comparison.rankings import THIRDS
from retrieval_heads.comparison.results import Results
from retrieval_heads.findings.markdown import escaped
from retrieval_heads.plain_text import printable
from retrieval_heads.study.dimensions import DIMENSION, DIMENSIONS
from retrieval_heads.study.wording import count, decimal, listed, p_cell, percent, points
from retrieval_heads.tables.ranking_quality import AREA, CAPTURED, SPEARMAN

_LONGEST = 60
"""How many characters of a setting are shown."""

_ALPHA = 0.05
"""The level at which top heads are called shared beyond chance, after correction."""

_MEASURES = {CAPTURED: "effect captured", AREA: "area", SPEARMAN: "Spearman's correlation with the effects"}
"""The measures of a ranking that are shown; the file for programs has all."""


def markdown(found: Comparison) -> str:
    """A comparison for people."""
    parts = [
        f"# {_text(found.a.name)} and {_text(found.b.name)}",
        f"A is {_code(found.a.folder)}, B is {_code(found.b.folder)}.",
        "## What changed",
        _items(_summary(found)),
        "## What differs between the studies",
        *_studies(found),
        "## Claims that changed",
        *_changed(found),
        "## Effects",
        *_effects(found),
        "## Claims in one study alone",
        *_alone(found),
        "## Rankings",
        *_rankings(found),
        "## Quality of the rankings",
        *_quality(found),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(found: Comparison) -> Iterator[str]:
    both, claims = found.claims["both"], found.claims
    changes = [claim["change"] for claim in both]
    if both:
        same, reversed_, once = (changes.count(change) for change in (None, "reversed", "decided in one"))
        yield (
            f"{count(len(both), 'claim')} in both: {same} with the same outcome, {reversed_} reversed, {once} decided "
            "in one study alone."
        )
    else:
        yield "No claim is in both."
    if known := [claim for claim in both if claim["intervals"]]:
        apart = sum(claim["intervals"] == APART for claim in known)
        yield f"{count(len(known), 'effect')} with intervals in both: {apart} with intervals that are apart."
    yield f"In one study alone: {count(len(claims['a']), 'claim')} of A, {count(len(claims['b']), 'claim')} of B."
    if len(rows := found.rankings):
        yield (
            f"{count(len(rows), 'ranking')} in both: {(rows['p_holm'] < _ALPHA).sum()} with more top heads in common "
            f"than chance would have it (hypergeometric tests, Holm over all, p < {_ALPHA:g})."
        )
    if found.renamed:
        a, b = found.renamed
        yield f"Each study has one model: {_code(a)} of A is held against {_code(b)} of B."
    if untold := sum(map(len, claims["untold"].values())):
        yield f"Left out, as one study has several of the same rule about the same: {count(untold, 'claim')}."


def _studies(found: Comparison) -> Iterator[str]:
    a, b = found.a, found.b
    rows = [[_code(model), *(_model(results, model) for results in (a, b))] for model in {**a.grids, **b.grids}]
    yield _table(["Model", "A", "B"], rows)
    if a.findings["code"] != b.findings["code"]:
        yield "Different code wrote the findings, so a claim may have changed by its rule alone."
    if found.made_with:
        rows = [[_code(key), *map(_setting, values)] for key, values in found.made_with.items()]
        yield _table(["Made with", "A", "B"], rows)
    if not found.settings:
        yield "The configs are the same."
        return
    rows = [[_code(key), *map(_setting, values)] for key, values in found.settings.items()]
    yield _table(["Config key", "A", "B"], rows)


def _model(results: Results, model: str) -> str:
    """A model's label, grid and how it ran."""
    if model not in results.grids:
        return "–"
    ran = results.findings["models"].get(model, {})
    how = f", {ran['dtype']} on {ran['device']}" if "dtype" in ran else ""
    return _text(f"{results.label('model', model)}, {results.grids[model]}{how}")


def _setting(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _code(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _changed(found: Comparison) -> Iterator[str]:
    changed = [claim for claim in found.claims["both"] if claim["change"]]
    if not changed:
        yield "Every claim in both has the same outcome." if found.claims["both"] else "There is none to compare."
        return
    # What is reversed weighs most.
    changed.sort(key=lambda claim: claim["change"] != "reversed")
    rows = [
        [
            _text(claim["statement"]),
            *(f"{claim[f'outcome_{study}']}" for study in "ab"),
            *(_effect(claim[f"effect_{study}"]) for study in "ab"),
            claim["intervals"] or "",
        ]
        for claim in changed
    ]
    yield _table(["Claim", "A", "B", "Effect in A", "Effect in B", "Intervals"], rows)


def _effects(found: Comparison) -> Iterator[str]:
    known = [claim for claim in found.claims["both"] if claim["difference"] is not None]
    if not known:
        yield "No claim in both has an effect of one unit in either."
        return
    yield (
        "Where 95% intervals are apart, the effects differ. Where they overlap, the effects may differ or not. "
        "Studies that share documents share chance as well."
    )
    rows = [
        [
            _text(claim["statement"]),
            _text(claim["effect_a"]["unit"]),
            *(_effect(claim[f"effect_{study}"], unit=False) for study in "ab"),
            _value(claim["difference"], claim["effect_a"]["unit"], sign=True),
            claim["intervals"] or "",
        ]
        for claim in known
    ]
    yield _table(["Claim", "In", "A", "B", "B − A", "Intervals"], rows, numeric=range(2, 5))


def _alone(found: Comparison) -> Iterator[str]:
    rows = [
        [study.upper(), _text(claim["statement"]), claim["outcome"], _effect(claim["effect"])]
        for study in "ab"
        for claim in found.claims[study]
    ]
    yield _table(["Study", "Claim", "Outcome", "Effect"], rows) if rows else "There is none."


def _rankings(found: Comparison) -> Iterator[str]:
    if found.rankings.empty and found.depths.empty:
        yield "No ranking is in both: that takes a model, method, question, context length and variant of both."
        return
    if len(found.rankings):
        yield from _agreement(found)
    if len(found.depths):
        yield from _depths(found)


def _agreement(found: Comparison) -> Iterator[str]:
    rows = []
    for (model, method), of_method in found.rankings.groupby(["model", "method"], sort=False):
        shared = (of_method["p_holm"] < _ALPHA).sum()
        rows.append(
            [
                *(_label(found, dimension, value) for dimension, value in (("model", model), ("method", method))),
                f"{shared} of {len(of_method)}",
                _spread(of_method["spearman"]),
                _spread(of_method["jaccard"]),
                *(_mean(of_method[name]) for name in ("chance", "halves_a", "halves_b")),
            ]
        )
    yield (
        "Means over questions, lengths and variants, with the least and the greatest in brackets. Halves are top heads "
        "from two halves of one study's documents, which noise alone keeps from agreeing."
    )
    header = ["Model", "Method", "Beyond chance", "Spearman", "Jaccard", "Chance", "Halves of A", "Halves of B"]
    yield _table(header, rows, numeric=range(2, 8))
    each = [
        [
            *(_label(found, dimension, row[dimension]) for dimension in DIMENSIONS),
            str(row["k"]),
            decimal(row["spearman"]),
            decimal(row["jaccard"]),
            decimal(row["chance"]),
            p_cell(row["p_holm"]),
        ]
        for row in found.rankings.to_dict("records")
    ]
    yield "### Each ranking"
    header = [*_headers(), "Top heads", "Spearman", "Jaccard", "Chance", "Holm p"]
    yield _table(header, each, numeric=range(len(DIMENSIONS), len(header)))


def _depths(found: Comparison) -> Iterator[str]:
    unequal = [model for model, grid in found.a.grids.items() if found.b.grids.get(model, grid) != grid]
    named = listed(
        [f"{_label(found, 'model', model)} ({found.a.grids[model]}, {found.b.grids[model]})" for model in unequal]
    )
    yield (
        f"In A and B the heads of {named} form other grids, so heads cannot be matched. The same share of heads is "
        "taken of each, and the depth of their layers compared, from 0% (first layer) to 100% (last)."
    )
    rows = []
    for (model, method), of_method in found.depths.groupby(["model", "method"], sort=False):
        cells = [_label(found, dimension, value) for dimension, value in (("model", model), ("method", method))]
        for study in "ab":
            mean = of_method[[f"{name}_{study}" for name in ("size", "depth", *THIRDS)]].mean()
            size, *shares = mean
            cells += [f"{size:.1f}", *(percent(share) if pd.notna(share) else "" for share in shares)]
        rows.append(cells)
    columns = [f"{name} in {study}" for study in "AB" for name in ("Heads", "Depth", "first", "middle", "last third")]
    yield _table(["Model", "Method", *columns], rows, numeric=range(2, 12))


def _quality(found: Comparison) -> Iterator[str]:
    shown = found.quality[found.quality["measure"].isin(list(_MEASURES))]
    where = ["model", "context_length", "variant", "mode", "intervention", "measure"]
    # Of several numbers of first heads the largest; the best method of A first.
    largest = shown.groupby(where, dropna=False)["k"].transform("max")
    shown = shown[shown["k"].isna() | (shown["k"] == largest)]
    shown = shown.sort_values([*where, "value_a"], ascending=[*[True] * len(where), False], kind="stable")
    if shown.empty:
        yield "No quality of a ranking was measured alike in both."
        return
    yield "Over all questions, with 95% intervals over documents; the best method of A first."
    rows = []
    for row in shown.to_dict("records"):
        how = _MEASURES[row["measure"]] + (f", first {row['k']:.0f} heads" if pd.notna(row["k"]) else "")
        under = _label(found, "intervention", row["intervention"]) if row["intervention"] else _text(row["mode"])
        rows.append(
            [
                *(_label(found, name, row[name]) for name in ("model", "context_length", "variant")),
                how,
                under,
                _label(found, "method", row["ranking"]),
                *(_estimate({end: row[f"value{end}_{study}"] for end in ("", "_low", "_high")}) for study in "ab"),
                decimal(row["difference"]),
                row["intervals"] or "",
            ]
        )
    header = ["Model", "Context", "Variant", "Measure", "Under", "Method", "A", "B", "B − A", "Intervals"]
    yield _table(header, rows, numeric=range(6, 9))


def _headers() -> list[str]:
    return [DIMENSION[name].label for name in DIMENSIONS]


def _label(found: Comparison, dimension: str, value: object) -> str:
    return _text(found.a.label(dimension, value))


def _effect(effect: Mapping[str, Any] | None, unit: bool = True) -> str:
    if effect is None:
        return ""
    value, low, high = (
        _value(effect[name], effect["unit"]) if effect[name] is not None else "" for name in ("value", "low", "high")
    )
    interval = f" [{low}, {high}]" if low and high else ""
    p = f" (p {p_cell(effect['p'])})" if effect["p"] is not None else ""
    noun = f" {_text(effect['unit'])}" if unit else ""
    return f"{value}{interval}{noun}{p}"


def _value(value: float, unit: str, sign: bool = False) -> str:
    shown = points(value / 100) if unit == "points" else decimal(value)
    return f"+{shown}" if sign and value > 0 and re.search("[1-9]", shown) else shown


def _estimate(row: Mapping[str, float]) -> str:
    known = pd.notna(row["_low"]) and pd.notna(row["_high"])
    return decimal(row[""]) + (f" [{decimal(row['_low'])}, {decimal(row['_high'])}]" if known else "")


def _spread(values: pd.Series) -> str:
    return (
        f"{decimal(values.mean())} ({decimal(values.min())}, {decimal(values.max())})" if values.notna().any() else ""
    )


def _mean(values: pd.Series) -> str:
    return decimal(values.mean()) if values.notna().any() else ""


def _items(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = ()) -> str:
    right = set(numeric)
    rule = ["---:" if i in right else "---" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def _text(text: object) -> str:
    """Text from a study, in which nothing is markup or tells a terminal anything."""
    return escaped(printable(text)).replace("|", "\\|")


def _code(text: object) -> str:
    """A name or value from a study, as it stands there."""
    return f"`{printable(text).replace('`', '’').replace('|', chr(92) + '|')}`"
