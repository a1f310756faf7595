"""Is it retrieval? What top heads cost where there is something to retrieve, and where there is nothing."""

from typing import Any

import pandas as pd

from retrieval_heads.findings.claims.specificity import largest_sets
from retrieval_heads.findings.sections.blocks import Block, Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, in_order, table
from retrieval_heads.study.controls import ITEM_KINDS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, estimate, p_cell, setting
from retrieval_heads.tables.specificity_summary import OK

TABLES: dict[str, dict[str, int]] = {
    "specificity": {"specificity": 1},
    "specificity_summary": {"specificity": 1},
}

SHOWN: dict[str, dict[str, Any]] = {
    "specificity_losses": {
        "title": "What is lost: retrieval, facts and sums, in percent",
        "needs": {"specificity": 1},
    },
}

_HEADS = {"method": "top", "random": "random"}


def specificity(study: Study, tables: Tables) -> Section:
    """What is lost of prompts, and of facts and sums that no context states."""
    if "specificity" not in tables:
        return Section("specificity", [])
    items, summary = tables["specificity"], tables["specificity_summary"]
    blocks: list[Block] = [
        Paragraph(
            "An answer may be lost because the model no longer finds the fact, or because it no longer does much at "
            "all. Facts that no context states and small sums take no retrieval. They were asked behind the same "
            "haystack, without a document, in the same form and with the same heads ablated. A loss is the share of "
            "what the whole model answers. Specificity is the loss of the study's prompts less that of facts and "
            "sums, both of which count the same. It is 100 points where retrieval alone is lost, and 0 where all is "
            "lost alike."
        ),
        *(Paragraph(text) for text in _answered(study, items)),
    ]
    if summary.empty:
        blocks.append(Paragraph("No top heads were ablated beside an unablated baseline."))
        return Section("specificity", blocks)
    named = study.label("intervention", summary["intervention"].iloc[0])
    blocks.append(Paragraph(f"Heads were ablated in one way: {named}."))
    return Section("specificity", [*blocks, *claims_of("specificity", study, tables), *_losses(study, summary)])


def _answered(study: Study, items: pd.DataFrame) -> list[str]:
    """How many facts and sums the whole model answers."""
    whole, found = items[items["source"] == "baseline"], []
    for _, rows in in_order(study, whole, ["model", "context_length", "variant"]):
        of_kind = [
            f"{int(right.sum())} of {count(len(right), kind.removesuffix('s'))}"
            for kind in ITEM_KINDS
            if len(right := rows.loc[rows["kind"] == kind, "correct"])
        ]
        where = setting(study, rows.iloc[0])
        found.append(f"{where[:1].upper()}{where[1:]}, the whole model answers {' and '.join(of_kind)}.")
    return found


def _losses(study: Study, summary: pd.DataFrame) -> list[TableBlock]:
    lines = []
    for _, pairs in largest_sets(summary, study):
        for method, (top, random) in pairs.items():
            for row in (top, random):
                if row is None:
                    continue
                both = ("control_loss", "specificity")
                own = row["source"] == "method"
                lines.append(
                    [
                        study.label("model", row["model"]),
                        study.label("context_length", row["context_length"]),
                        study.label("variant", row["variant"]),
                        study.label("method", method),
                        f"{_HEADS[row['source']]} {row['k']}",
                        *(_cell(row, f"{name}_loss") for name in ("retrieval", *ITEM_KINDS)),
                        *(_cell(row, name) if row["status"] == OK else row["status"] for name in both),
                        _cell(row, "difference") if own else "",
                        p_cell(row["p_holm"]) if own and pd.notna(row["p_holm"]) else "",
                    ]
                )
    header = ["Model", "Context", "Variant", "Method", "Heads", "Retrieval", "Facts", "Sums", "Facts and sums",
              "Specificity", "Beyond random", "Holm p"]  # fmt: skip
    if summary["variant"].nunique() == 1:
        header, lines = header[:2] + header[3:], [line[:2] + line[3:] for line in lines]
    return table("specificity_losses", SHOWN["specificity_losses"]["title"], header, lines, 7)


def _cell(row: pd.Series, name: str) -> str:
    return "" if pd.isna(row[name]) else estimate(row, name, "")
