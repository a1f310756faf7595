"""Other ways of asking: how well they are answered, whether the same heads serve them, and whether these are more than
induction heads."""

from typing import Any

import pandas as pd

from retrieval_heads.analysis.same_heads import against_plain
from retrieval_heads.findings.sections.blocks import Block, Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, in_order, table
from retrieval_heads.study.dimensions import DIMENSION, PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    count,
    decimal,
    estimate,
    hundredths,
    interval,
    listed,
    p_cell,
    p_value,
    percent,
    points,
)
from retrieval_heads.tables.same_heads import DIFFERENT, SAME, UNTOLD
from retrieval_heads.tables.select import by_matching, of_intervention, select

TABLES: dict[str, dict[str, int]] = {
    "other_sets": {"other_sets": 1},
    "same_heads": {"variant": 2, "split_halves": 1},
    "variant_accuracy": {"variant": 2},
}

SHOWN: dict[str, dict[str, Any]] = {
    "variant_accuracy": {"title": "Accuracy in each variant of the prompts", "needs": {"variant": 2}},
    "same_heads": {
        "title": "Whether the same heads are on top in two variants",
        "needs": {"variant": 2, "split_halves": 1},
    },
    "other_sets": {"title": "Sets of heads made from top sets", "needs": {"other_sets": 1}},
}

_SOURCES = {"plain": "of the plain variant", "without_induction": "without induction heads"}


def variants(study: Study, tables: Tables) -> Section:
    """What is known of the variants; nothing in a study that asks in one way and ablates whole top sets alone."""
    blocks: list[Block] = []
    if "variant_accuracy" in tables:
        blocks += _accuracy(study, tables["variant_accuracy"])
    blocks += claims_of("variants", study, tables)
    if "same_heads" in tables:
        blocks += _same(study, tables["same_heads"])
    if "other_sets" in tables:
        blocks += _sets(study, of_intervention(tables, study.headline)["other_sets"])
    return Section("variants", blocks)


def _accuracy(study: Study, accuracy: pd.DataFrame) -> list[Block]:
    pooled = select(accuracy, pooled=("question", "context_length"))
    texts, lines = [], []
    for (model, variant), rows in in_order(study, pooled, ["model", "variant"]):
        row, name = rows.iloc[0], study.label("variant", variant)
        if variant != PLAIN and row["shared_prompts"]:
            decoyed = f" In all, {percent(row['decoyed'])} of the answers are a decoy's." if row["decoyed"] else ""
            p = f", Holm p {p_value(row['p_holm'])}" if pd.notna(row["p_holm"]) else ""
            texts.append(
                f"In the variant {name}, {study.label('model', model)} answers {percent(row['accuracy'])} of the test "
                f"prompts with all its heads.{decoyed} Of the same prompts, that is {_compared(row['difference'])} in "
                f"the plain variant (difference {interval(row, 'difference')} points{p})."
            )
        lines.append(
            [
                study.label("model", model),
                name,
                estimate(row, "accuracy"),
                percent(row["guess"]),
                percent(row["decoyed"]),
                "" if pd.isna(row["difference"]) else estimate(row, "difference", ""),
                p_cell(row["p_holm"]),
                str(row["prompts"]),
                str(row["documents"]),
            ]
        )
    header = [
        "Model",
        "Variant",
        "Accuracy",
        "Guessing",
        "Decoy’s value",
        "Difference",
        "Holm p",
        "Prompts",
        "Documents",
    ]
    others = [
        study.label("variant", name) for name in study.in_config_order("variant", pooled["variant"]) if name != PLAIN
    ]
    start = Paragraph(
        "The same questions were asked about the same documents in other ways, called variants "
        f"({', '.join(others)}). All else in the findings is about the plain one."
    )
    title = "Accuracy of the whole model in each variant"
    return [start, *map(Paragraph, texts), *table("variant_accuracy", title, header, lines, 7)]


def _compared(difference: float) -> str:
    """How much an accuracy is above or below another one."""
    if round(100 * difference, 1) == 0:
        return "as many as"
    return f"{points(abs(difference))} points {'more' if difference > 0 else 'fewer'} than"


def _same(study: Study, same: pd.DataFrame) -> list[Block]:
    """Each variant against the plain one, and how many other settings have the same heads."""
    lines = [
        [
            study.label("model", row["model"]),
            study.label("method", row["method"]),
            study.label("variant", row["variant"]),
            *(decimal(row[name]) if pd.notna(row[name]) else "" for name in ("between", *_within(row))),
            ""
            if pd.isna(row["sameness_low"])
            else f"{hundredths(row['sameness'])} [{hundredths(row['sameness_low'])}, "
            f"{hundredths(row['sameness_high'])}]",
            row["verdict"],
        ]
        for _, row in against_plain(study, same).iterrows()
    ]
    header = ["Model", "Method", "Variant", "Between", "Within plain", "Within variant", "Sameness", "Heads"]
    others = [
        f"Between two {DIMENSION[dimension].plural}, it says {counted}."
        for dimension in ("question", "context_length")
        if (counted := _verdicts(same[(same["dimension"] == dimension) & (same["variant"] == PLAIN)], dimension))
    ]
    blocks: list[Block] = [*table("same_heads", SHOWN["same_heads"]["title"], header, lines, 5)]
    if others:
        start = "The same measure was taken of each method in the plain variant."
        blocks.append(Paragraph(" ".join([start, *others])))
    return blocks


def _within(row: pd.Series) -> tuple[str, str]:
    """The columns of the agreement within the plain variant, and within the other."""
    return ("within_a", "within_b") if row["a"] == PLAIN else ("within_b", "within_a")


def _verdicts(rows: pd.DataFrame, dimension: str) -> str:
    """How many comparisons have each verdict, of those pooled over what else prompts differ in."""
    rows = rows[rows["context_length" if dimension == "question" else "question"].isna()]
    tally = [
        f"{number} {verdict}" for verdict in (SAME, DIFFERENT, UNTOLD) if (number := (rows["verdict"] == verdict).sum())
    ]
    return f"{listed(tally)} (of {count(len(rows), 'comparison')})" if len(rows) else ""


def _sets(study: Study, sets: pd.DataFrame) -> list[TableBlock]:
    pooled = select(sets, pooled=("question", "context_length"))
    lines = []
    for (model, variant, method), rows in in_order(study, pooled, ["model", "variant", "method"]):
        for (source, k), of_set in rows.groupby(["source", "k"]):
            row = by_matching(of_set).iloc[0]
            lines.append(
                [
                    study.label("model", model),
                    study.label("variant", variant),
                    study.label("method", method),
                    f"{_SOURCES[source]}",
                    str(k),
                    f"{row['size']:.1f}".removesuffix(".0"),
                    *(estimate(row, name, "") for name in ("drop", "own_drop", "random_drop", "difference")),
                    p_cell(row["p_holm"]),
                ]
            )
    asked = ["Model", "Variant", "Method", "Top set", "Level", "Heads"]
    header = [*asked, "Drop", "Own top set", "Random", "More than random", "Holm p"]
    return table("other_sets", "What such sets cost, in points of accuracy", header, lines, 7)
