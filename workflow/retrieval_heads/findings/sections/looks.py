"""What heads look at in the rows that produce the answer."""

from typing import Any

import pandas as pd

from retrieval_heads.findings.sections.blocks import Block, Paragraph, Section, Tables
from retrieval_heads.findings.sections.parts import claims_of, in_order, table
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, listed, p_cell, percent
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.look_sets import BEYOND_SHARE, MORE_SINK
from retrieval_heads.tables.look_summary import BEYOND
from retrieval_heads.tables.looks import ANSWER, ANSWER_CHANCE, DISTRACTOR, ELSEWHERE, SINK

TABLES: dict[str, dict[str, int]] = {"look_sets": {"looks": 1}, "look_summary": {"looks": 1}}

SHOWN: dict[str, dict[str, Any]] = {
    "look_sets": {"title": "What the first heads of each method look at, in % of the rows", "needs": {"looks": 1}},
}

_NAMED = 8


def looks(study: Study, tables: Tables) -> Section:
    """Sinks, and where hits are; nothing where a study does not ask for it."""
    if "look_sets" not in tables:
        return Section("looks")
    if tables["look_sets"].empty:
        return Section("looks", [Paragraph("The model answers none of the prompts, so it has no rows to look at.")])
    blocks: list[Block] = [
        Paragraph(
            "In each row that produces a token of a right answer, a head has one strongest key. It may be the first "
            "token, on which heads rest that have nothing to do (a sink). Or it is a place that holds the very token "
            "which is produced (a hit): at the answer, at a distractor (another value of the question's type), or "
            "elsewhere. A head that looks for the token alone, wherever it stands, hits the answer too. It does so as "
            "often as the answer holds the token among all places that do: so much is chance."
        ),
        *(Paragraph(_sure(study, where, rows)) for where, rows in _settings(study, tables["look_summary"])),
        *claims_of("looks", study, tables),
        *_sets(study, tables["look_sets"]),
    ]
    return Section("looks", blocks)


def _settings(study: Study, frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [
        (
            f"In {study.label('model', model)} at {study.label('context_length', length)}{_in_variant(study, variant)}",
            rows,
        )
        for (model, length, variant), rows in in_order(study, frame, ["model", "context_length", "variant"])
    ]


def _in_variant(study: Study, variant: str) -> str:
    several = len(study.configured("variant")) > 1
    return f" in the variant {study.label('variant', variant)}" if several else ""


def _sure(study: Study, where: str, rows: pd.DataFrame) -> str:
    """Which heads hit the answer beyond chance, and how many rest on the first token."""
    asked = f"{count(rows['prompts'].iloc[0], 'prompt')} from {count(rows['documents'].iloc[0], 'document')}"
    sure = rows[(rows["p_family"] < study.alpha) & (rows[BEYOND] > 0)]
    sure = sure.sort_values(ANSWER, ascending=False, kind="stable")
    named = [
        f"{head_name(row.layer, row.head)} {percent(getattr(row, ANSWER))}" for row in sure.head(_NAMED).itertuples()
    ]
    first = f"{'the first ' if len(sure) > _NAMED else ''}{listed(named)} of rows at the answer"
    beside = "; ".join([asked, "p corrected over all heads", *([first] if named else [])])
    return (
        f"{where}, {count(len(sure), 'head')} of {len(rows):,} look at the answer beyond chance ({beside}). On the "
        f"first token, {count(int((rows[SINK] > 0.5).sum()), 'head')} rest more often than not."
    )


def _sets(study: Study, frame: pd.DataFrame) -> list[Block]:
    lines = []
    for where, rows in in_order(study, frame, ["model", "context_length", "variant"]):
        named = [
            study.label(name, value) for name, value in zip(("model", "context_length", "variant"), where, strict=True)
        ]
        order = [None, *study.in_config_order("method", rows["method"])]
        for method in order:
            chosen = rows[rows["method"].isna() if method is None else rows["method"].eq(method).fillna(False)]
            for row in chosen.to_dict("records"):
                lines.append(
                    [*named, "all heads" if method is None else study.label("method", method), f"{row['size']:.3g}",
                     *(_share(row[name]) for name in (SINK, ANSWER, ANSWER_CHANCE, DISTRACTOR, ELSEWHERE)),
                     _estimate(row, BEYOND_SHARE), p_cell(row[f"{BEYOND_SHARE}_p_family"]),
                     _estimate(row, MORE_SINK), p_cell(row[f"{MORE_SINK}_p_family"])]
                )  # fmt: skip
    header = [
        *("Model", "Context", "Variant", "First heads of", "Heads", "Sink", "Answer", "by chance", "Distractor"),
        *("Elsewhere", "Of hits, beyond chance", "p", "Sink, beyond others", "p"),
    ]
    if len(study.configured("variant")) == 1:
        header, lines = header[:2] + header[3:], [line[:2] + line[3:] for line in lines]
    return [*table("look_sets", SHOWN["look_sets"]["title"], header, lines, 10)]


def _share(value: float) -> str:
    return percent(value).removesuffix("%")


def _estimate(row: dict, name: str) -> str:
    if pd.isna(row[name]):
        return ""
    if pd.isna(row[f"{name}_low"]):
        return _share(row[name])
    return f"{_share(row[name])} [{_share(row[f'{name}_low'])}, {_share(row[f'{name}_high'])}]"
