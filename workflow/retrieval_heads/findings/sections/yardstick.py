"""What every head does by itself: the effects that rankings are held against, and what is known of heads besides."""

from typing import Any

import pandas as pd

from retrieval_heads.analysis.head_effects import best_ranks, half_of_all, strongest
from retrieval_heads.findings.sections.blocks import Block, Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import in_order, mode_label, table
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, hundredths, listed, percent
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.labels import INDUCTION

TABLES: dict[str, dict[str, int]] = {
    "head_effect_summary": {"yardstick": 1},
    "labels": {"documents": 1},
    "rankings": {},
}

SHOWN: dict[str, dict[str, Any]] = {
    "strongest_heads": {"title": "Heads that answers need most", "needs": {"yardstick": 1}},
}

_STRONGEST = 12
_NAMED = 8
_IN_ORDER = ["model", "context_length"]


def every_head(study: Study, tables: Tables) -> Section:
    """The exact effect of every head and the labels of heads."""
    blocks: list[Block]
    if "head_effect_summary" in tables:
        blocks = _effects(study, tables)
    elif study.published:
        blocks = [
            Paragraph("Published results do not tell what single heads do, so rankings are held against no effects.")
        ]
    else:
        blocks = [
            Paragraph("This study measures no effects of single heads: its config has no section called yardstick.")
        ]
    return Section("every_head", [*blocks, *_labels(study, tables)])


def _effects(study: Study, tables: Tables) -> list[Block]:
    summary = tables["head_effect_summary"]
    if summary.empty:
        return [Paragraph("No prompt of the yardstick could be asked, so nothing is known of single heads.")]
    return [
        Paragraph(
            "Every head was ablated by itself, in question and answer, in prompts about documents by which no head was "
            "ranked. Its effect is what the log-probability of the right answer loses, in nats: exact, with all other "
            "heads left to react. Above 0, the answer needs the head."
        ),
        *(Paragraph(_most_needed(study, where, rows)) for where, rows in _settings(study, summary)),
        *_strongest(study, tables),
    ]


def _settings(study: Study, frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each model, context length and mode, with how a sentence begins that is about them."""
    found = []
    for (model, length), of_cell in in_order(study, frame, _IN_ORDER):
        for mode, rows in of_cell.groupby("mode", sort=False):
            where = f"In {study.label('model', model)} at {study.label('context_length', length)}"
            several = frame["mode"].nunique() > 1
            found.append((f"{where} ({mode_label(study, mode)})" if several else where, rows))
    return found


def _most_needed(study: Study, where: str, rows: pd.DataFrame) -> str:
    first = strongest(rows, 1)
    asked = f"{count(rows['prompts'].iloc[0], 'prompt')} about {count(rows['documents'].iloc[0], 'document')}"
    if first.empty:
        return f"{where}, no head is needed most ({asked})."
    head = first.iloc[0]
    largest = f"{head_name(head['layer'], head['head'])} has the largest effect, {_estimate(head)} nats"
    certain = int((rows["effect_low"] > 0).sum())
    known = f"; the interval of {count(certain, 'head')} lies above 0" if rows["effect_low"].notna().any() else ""
    return (
        f"{where}, over {asked}, {largest}. Of {count(len(rows), 'head')}, the first {half_of_all(rows)} hold "
        f"half of all effects above 0{known}."
    )


def _estimate(row: pd.Series) -> str:
    """An effect in nats, with its interval where it has one."""
    if pd.isna(row["effect_low"]):
        return hundredths(row["effect"])
    return f"{hundredths(row['effect'])} [{hundredths(row['effect_low'])}, {hundredths(row['effect_high'])}]"


def _strongest(study: Study, tables: Tables) -> list[TableBlock]:
    best, lines = best_ranks(tables["rankings"]), []
    labels = tables["labels"].set_index(["model", "layer", "head"])
    for _, rows in _settings(study, tables["head_effect_summary"]):
        for row in strongest(rows, _STRONGEST).to_dict("records"):
            of_head = (row["layer"], row["head"])
            names = [study.label("model", row["model"]), study.label("context_length", row["context_length"])]
            key = (*(row[name] for name in OVER), *of_head)
            ranked = ""
            if key in best.index:
                rank = f"{best.loc[key, 'rank']:.1f}".removesuffix(".0")
                ranked = f"{rank} ({study.label('method', best.loc[key, 'method'])})"
            label = labels.loc[(row["model"], *of_head)]
            lines.append(
                [*names, mode_label(study, row["mode"]), head_name(*of_head), _estimate(pd.Series(row)), ranked,
                 hundredths(label["induction"]), percent(label["sink_share"]), str(label["key_value_group"]),
                 "" if pd.isna(label["write_norm"]) else hundredths(label["write_norm"])]
            )  # fmt: skip
    header = ["Model", "Context", "Mode", "Head", "Effect", "Best rank", "Induction", "Sink", "Group", "‖W_O z‖"]
    if tables["head_effect_summary"]["mode"].nunique() == 1:
        header, lines = header[:2] + header[3:], [line[:2] + line[3:] for line in lines]
    return table("strongest_heads", SHOWN["strongest_heads"]["title"], header, lines, 6)


def _labels(study: Study, tables: Tables) -> list[Block]:
    """Which heads continue what is repeated, and which rest on the first token."""
    if "labels" not in tables:
        return []
    found = []
    for (model,), rows in in_order(study, tables["labels"], ["model"]):
        induction = rows[rows["is_induction"]].sort_values("induction", ascending=False, kind="stable")
        first = [head_name(row.layer, row.head) for row in induction.head(_NAMED).itertuples()]
        named = "" if not first else f" ({'the first ' if len(induction) > _NAMED else ''}{listed(first)})"
        name = study.label("model", model)
        text = (
            f"Of the {count(len(rows), 'head')} of {name}, {len(induction)} are induction heads{named}. Such a head "
            f"gives at least {INDUCTION:g} of its attention to what followed the same token before, in random tokens "
            f"that are repeated. Of all heads, {int((rows['sink_share'] > 0.5).sum()):,} rest on the first token more "
            "often than not."
        )
        if rows["write_norm"].isna().any():
            text += (
                f" How much the heads of {name} write is not known. In this architecture, attention is not linear in "
                "its heads' outputs, as where these are normalised together."
            )
        found.append(text)
    return [Paragraph(text) for text in found]
