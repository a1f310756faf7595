"""Whether it matters where in the haystack the needle stands."""

from typing import Any

from retrieval_heads.findings.sections.blocks import Block, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, how_ablated, in_order, only_one, table
from retrieval_heads.study.dimensions import DIMENSION
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import decimal, estimate, p_cell, plain
from retrieval_heads.tables.select import at_level, by_matching, controls_beside, of_intervention, select

TABLES: dict[str, dict[str, int]] = {"against_random": {}, "depth_rankings": {"depth": 2}, "effects": {}}

SHOWN: dict[str, dict[str, Any]] = {
    "depth_accuracy": {"title": "Accuracy by depth of the needle", "needs": {"depth": 2}},
    "depth_rankings": {"title": "Rankings by two documents, at the same depth and at two", "needs": {"depth": 2}},
}


def depths(study: Study, tables: Tables) -> Section:
    """Accuracy and rankings by the needle's depth; nothing where a study has one."""
    if len(study.configured("depth")) < 2:
        return Section("depths")
    headline = of_intervention(tables, study.headline)
    lengths = headline["effects"]["context_length"]
    grid = "there is no grid of accuracy over depth and length"
    blocks: list[Block] = [
        how_ablated(study),
        *(only_one(study, "context_length", lengths, grid) if lengths.notna().any() else []),
        *claims_of("depths", study, tables),
        *_accuracy(study, headline),
        *_rankings(study, tables),
    ]
    return Section("depths", blocks)


def _accuracy(study: Study, tables: Tables) -> list[TableBlock]:
    """At each depth: with no head ablated, with each method's top heads, and with random ones; over all questions."""
    effects, lines = tables["effects"], []
    if effects.empty:
        return []
    level = study.level(effects)
    for depth in study.in_config_order("depth", effects["depth"]):
        rows = at_level(select(effects, pooled=["question"], depth=depth), level)
        for (model, length, variant, method), here in in_order(
            study, rows, ["model", "context_length", "variant", "method"]
        ):
            random = by_matching(controls_beside(tables["against_random"], here))
            named = zip(("model", "context_length", "variant", "method"), (model, length, variant, method), strict=True)
            lines.append(
                [
                    *(study.label(name, value) for name, value in named),
                    study.label("depth", depth),
                    estimate(here.iloc[0], "baseline", ""),
                    estimate(here.iloc[0], "accuracy", ""),
                    "" if random.empty else estimate(random.iloc[0], "accuracy", ""),
                ]
            )
    lines.sort(key=lambda line: line[:4])
    header = ["Model", "Context", "Variant", "Method", "Depth", "None ablated", f"Top {level}", "Random"]
    if len(study.configured("variant")) == 1:
        header, lines = header[:2] + header[3:], [line[:2] + line[3:] for line in lines]
    return table("depth_accuracy", SHOWN["depth_accuracy"]["title"], header, lines, 3)


def _rankings(study: Study, tables: Tables) -> list[TableBlock]:
    if "depth_rankings" not in tables:
        return []
    by, lines = ["model", "context_length", "variant", "method"], []
    for where, rows in in_order(study, tables["depth_rankings"], by):
        row = rows.iloc[0]
        numbers = [f"{decimal(row[name])} ({plain(row, name)})" for name in ("same_depth", "other_depth", "difference")]
        named = [study.label(name, value) for name, value in zip(by, where, strict=True)]
        lines.append([*named, *numbers, p_cell(row["p_holm"]), str(row["documents"])])
    header = [*(DIMENSION[name].label for name in by), "Same depth", "Two depths", "Difference", "p", "Documents"]
    if len(study.configured("variant")) == 1:
        header, lines = header[:2] + header[3:], [line[:2] + line[3:] for line in lines]
    return table("depth_rankings", SHOWN["depth_rankings"]["title"], header, lines, 5)
