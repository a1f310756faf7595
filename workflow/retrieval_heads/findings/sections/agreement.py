"""How far rankings agree: along each dimension, between the methods, and with lists of heads from elsewhere."""

from typing import Any

import pandas as pd

from retrieval_heads.analysis.overlap import summarise
from retrieval_heads.analysis.summaries import summary
from retrieval_heads.findings.sections.blocks import Block, Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, in_order, in_words, only_one, table
from retrieval_heads.study.dimensions import DIMENSION, DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY, count, decimal, least_and_most, listed, percent
from retrieval_heads.tables.heads import GRID, Grid, by_grid

TABLES: dict[str, dict[str, int]] = {
    "imports": {"import": 1},
    "overlap": {},
    "rankings": {},
    "reliability": {"split_halves": 1},
    "unions": {},
}

SHOWN: dict[str, dict[str, Any]] = {
    "overlap": {"title": "Overlap along each dimension", "needs": {}},
    "overlap_pairs": {"title": "Overlap of each pair of values", "needs": {}},
    "method_pairs": {"title": "Agreement of each two methods", "needs": {"method": 2}},
    "reliability": {"title": "Agreement of rankings from halves of the documents", "needs": {"split_halves": 1}},
    "imports": {"title": "Agreement of each method with each imported list", "needs": {"import": 1}},
}

_MEASURES = ["Jaccard", "SD", "Lowest", "Highest", "Chance", "RBO", "RBO, chance", "Spearman", "Pairs"]


def overlap(study: Study, tables: Tables) -> Section:
    """How much the top heads have in common along each dimension."""
    pairs = tables["overlap"]
    alone = [
        DIMENSION[dimension].plural
        for dimension in study.told(DIMENSIONS)
        if not (pairs["dimension"] == dimension).any()
    ]
    blocks: list[Block] = [*claims_of("overlap", study, tables)]
    if alone:
        blocks.append(Paragraph(f"No overlap can be measured between {listed(alone)}: no two can be compared."))
    by_dimension = [
        [str(Grid.of(row)), DIMENSION[row["dimension"]].label, *_measures(row)]
        for _, row in summarise(pairs, [*GRID, "dimension"]).iterrows()
    ]
    # Pairs of many methods are summed up where their agreement is told.
    many = tables["rankings"]["method"].nunique() > MANY
    by_pair = [
        [
            str(Grid.of(row)),
            DIMENSION[row["dimension"]].label,
            *(study.label(row["dimension"], row[end]) for end in ("a", "b")),
            *_measures(row),
        ]
        for _, row in summarise(pairs, [*GRID, "dimension", "a", "b"]).iterrows()
        if not (many and row["dimension"] == "method")
    ]
    numbers = len(_MEASURES)
    return Section(
        "overlap",
        [
            *blocks,
            *table("overlap", "Overlap along each dimension", ["Grid", "Dimension", *_MEASURES], by_dimension, numbers),
            *table(
                "overlap_pairs",
                "Overlap of each pair of values",
                ["Grid", "Dimension", "A", "B", *_MEASURES],
                by_pair,
                numbers,
            ),
        ],
    )


def agreement(study: Study, tables: Tables) -> Section:
    """How far the methods agree, and how much of their disagreement is noise."""
    none = only_one(study, "method", tables["rankings"]["method"], "there is no other that it could agree with")
    pairs = _nearest_and_farthest if tables["rankings"]["method"].nunique() > MANY else _method_pairs
    blocks = none or [*claims_of("agreement", study, tables), *pairs(study, tables)]
    return Section("agreement", [*blocks, *_reliability(study, tables.get("reliability"))])


def imports(study: Study, tables: Tables) -> Section:
    """How far the methods agree with lists of heads from elsewhere; nothing where there are none."""
    names = study.configured("import")
    if not names:
        return Section("imports")
    found, lines, without = tables["imports"], [], set(names)
    for (name, method), group in in_order(study, found, ["import", "method"]):
        without.discard(name)
        row = summarise(group, ["import", "model", "method", "k", "listed"]).iloc[0]
        labels = [study.label("import", name), study.label("model", row["model"]), study.label("method", method)]
        lines.append([*labels, f"{row['listed']:,}", f"{row['k']:,}", *_measures(row)])
    header = ["List", "Model", "Method", "Heads listed", "k", *_MEASURES]
    return Section(
        "imports",
        [
            *claims_of("imports", study, tables),
            *(
                Paragraph(f"{study.label('import', name)} has no ranking of this study to stand beside.")
                for name in names
                if name in without
            ),
            *table("imports", SHOWN["imports"]["title"], header, lines, len(_MEASURES) + 2),
        ],
    )


def _method_pairs(study: Study, tables: Tables) -> list[TableBlock]:
    pairs = summarise(tables["overlap"][tables["overlap"]["dimension"] == "method"], [*GRID, "a", "b"])
    means = {(Grid.of(row), frozenset((row["a"], row["b"]))): row for _, row in pairs.iterrows()}
    unions = tables["unions"][tables["unions"]["dimension"] == "method"]
    rows = []
    for _, union in unions.iterrows():
        a, b = study.in_config_order("method", [union["a"], union["b"]])
        grid = Grid.of(union)
        mean = means.get((grid, frozenset((a, b))))
        own = [""] * len(_MEASURES) if mean is None else _measures(mean)
        names = [str(grid), study.label("method", a), study.label("method", b)]
        rows.append([*names, *own, percent(union["jaccard"]), percent(union["chance"])])
    header = ["Grid", "Method A", "Method B", *_MEASURES, "Union", "Union, chance"]
    return table("method_pairs", "Agreement of each two methods", header, rows, len(_MEASURES) + 2)


def _nearest_and_farthest(study: Study, tables: Tables) -> list[Block]:
    """Of many methods: which two agree most and least, and for each the nearest and the farthest of the others."""
    pairs = tables["overlap"]
    pairs = pairs[pairs["dimension"] == "method"].dropna(subset="jaccard")
    sentences, rows = [], []
    for grid, of_one in by_grid(pairs):
        means = summarise(of_one, ["a", "b"])
        values = means.set_index(["a", "b"])["jaccard"].to_dict()
        least, most = least_and_most(values)
        where = f" in models of {grid} heads" if len(pairs[list(GRID)].drop_duplicates()) > 1 else ""
        sentences.append(
            f"Of {count(len(values), 'pair')} of methods{where}, {in_words(study, 'method', most)} share most of their "
            f"top heads (mean Jaccard {decimal(values[most])}). {in_words(study, 'method', least)} share fewest "
            f"({decimal(values[least])}, where chance gives {decimal(of_one['chance'].mean())}) "
            "({figure:method_head_overlap})."
        )
        for method in study.in_config_order("method", [*of_one["a"], *of_one["b"]]):
            of_others = {(a if b == method else b): value for (a, b), value in values.items() if method in (a, b)}
            of_method = of_one[(of_one["a"] == method) | (of_one["b"] == method)]
            farthest, nearest = least_and_most(of_others)
            names = [study.label("method", one) for one in (method, nearest, farthest)]
            numbers = [summary(of_method["jaccard"]).mean, of_others[nearest], of_others[farthest]]
            numbers += [summary(of_method[name]).mean for name in ("chance", "rbo", "spearman")]
            rows.append([str(grid), *names, *map(_known, numbers)])
    jaccards = [f"Jaccard, {others}" for others in ("all others", "nearest", "farthest")]
    header = ["Grid", "Method", "Nearest method", "Farthest method", *jaccards, "Chance", "RBO", "Spearman"]
    found = table("method_pairs", "Agreement of each method with the others", header, rows, 6)
    return [*([Paragraph(" ".join(sentences))] if sentences else []), *found]


def _reliability(study: Study, rows: pd.DataFrame | None) -> list[TableBlock]:
    if rows is None:
        return []
    lines = []
    for (model, length, method), group in in_order(study, rows, ["model", "context_length", "method"]):
        names = [study.label("model", model), study.label("context_length", length), study.label("method", method)]
        means = [_known(summary(group[name]).mean) for name in ("jaccard", "chance", "rbo", "spearman")]
        jaccard = summary(group["jaccard"])
        extremes = f"{jaccard.lowest:.3f} to {jaccard.highest:.3f}" if group["jaccard"].notna().any() else ""
        lines.append([*names, str(group["split"].nunique()), means[0], extremes, *means[1:]])
    header = ["Model", "Context", "Method", "Splits", "Jaccard", "Range", "Chance", "RBO", "Spearman"]
    return table("reliability", "Agreement of rankings from two halves of the documents", header, lines, 6)


def _measures(row: pd.Series) -> list[str]:
    names = ("jaccard", "sd", "lowest", "highest", "chance", "rbo", "rbo_chance", "spearman")
    return [*(_known(row[name]) for name in names), str(row["pairs"])]


def _known(value: float) -> str:
    return decimal(value) if pd.notna(value) else ""
