"""What other heads make up for, what heads do together, and what they restore by themselves."""

from typing import Any

import pandas as pd

from retrieval_heads.findings.claims.compensation import recoveries, settings
from retrieval_heads.findings.sections.blocks import Block, Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, table
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import hundredths, p_cell, percent
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.set_compensation import (
    DIRECT,
    EFFECT,
    INTERACTION,
    RANDOM_RESTORED,
    REPAIR,
    RESTORED,
    SINGLES,
    TOTAL,
)

TABLES: dict[str, dict[str, int]] = {
    "head_compensation": {"compensation": 1},
    "set_compensation": {"compensation": 1},
    "steps": {},
}

SHOWN: dict[str, dict[str, Any]] = {
    "heads_made_up_for": {"title": "Heads that most is made up for", "needs": {"compensation": 1}},
    "sets_together": {"title": "What top heads do together", "needs": {"compensation": 1}},
}

_EACH = 8
"""How many heads of a setting the table names."""


def compensation(study: Study, tables: Tables) -> Section:
    """Whether heads stand in for each other, and whether the top heads are enough."""
    if "set_compensation" not in tables:
        return Section("compensation")
    if tables["set_compensation"].empty:
        return Section("compensation", [Paragraph("No prompt could be asked without top heads, so nothing is known.")])
    blocks: list[Block] = [
        Paragraph(
            "Heads were ablated in question and answer. What a head writes is the difference between its output and "
            "what takes its place. It is followed straight to the answer's centred logit, with all norms frozen. Where "
            "less than that is lost without the head, other parts of the model make up for the rest (self-repair). A "
            "set's effect is what the answer's log-probability loses without all of its heads. It is held against the "
            "sum of what is lost without each. Where outputs come from the twin, the other direction is tried too. The "
            "model reads the twin's context, and the set's heads put out what they do in the prompt. Enough heads "
            "restore the log-odds of the answer against the twin's."
        ),
        *claims_of("compensation", study, tables),
    ]
    if not any(recoveries(tables["steps"], rows) for _, rows in settings(study, tables["set_compensation"])):
        blocks.append(Paragraph("At no step do more ablated heads do less damage, so there is no recovery to explain."))
    return Section("compensation", [*blocks, *_heads(study, tables), *_sets(study, tables)])


def _heads(study: Study, tables: Tables) -> list[TableBlock]:
    """The heads of each setting that most is made up for, among those that matter."""
    lines = []
    for _, heads in settings(study, tables["head_compensation"]):
        matter = heads[heads["p_family"].notna()].sort_values("repair", ascending=False, kind="stable")
        for row in matter.head(_EACH).to_dict("records"):
            told = {True: "yes", False: "no"}.get(row["backed_up"], "")
            lines.append(
                [
                    *_named(study, row),
                    head_name(row["layer"], row["head"]),
                    *(_nats(row, name) for name in ("direct", "total", "repair")),
                    p_cell(row["p_family"]),
                    told,
                    str(row["prompts"]),
                ]
            )
    header = ["Model", "Context", "Ablation", "Head", "Writes", "Lost without it", "Made up for", "Corrected p"]
    header += ["Backed up", "Prompts"]
    return _shown("heads_made_up_for", header, lines, 6)


def _sets(study: Study, tables: Tables) -> list[TableBlock]:
    """What each top set does, level by level."""
    lines = []
    for _, rows in settings(study, tables["set_compensation"]):
        sets = rows[rows["k_before"].isna()]
        for method in study.in_config_order("method", sets["method"]):
            for k, of_set in sets[sets["method"] == method].groupby("k"):
                known = of_set.set_index("measure")
                nats = {name: _nats(known.loc[name], "value") for name in (EFFECT, SINGLES, INTERACTION)}
                logits = [hundredths(known.loc[name, "value"]) for name in (DIRECT, TOTAL, REPAIR)]
                shares = [
                    percent(known.loc[name, "value"]) if name in known.index else ""
                    for name in (RESTORED, RANDOM_RESTORED)
                ]
                p = p_cell(known.loc[INTERACTION, "p_family"])
                named = [*_named(study, of_set.iloc[0]), study.label("method", method), str(k)]
                lines.append([*named, *nats.values(), p, *logits, *shares])
    header = ["Model", "Context", "Ablation", "Method", "Heads", "Effect", "Sum of heads", "Difference", "Corrected p"]
    header += ["Written", "Lost", "Made up for", "Restored", "By random heads"]
    return _shown("sets_together", header, lines, 10)


def _named(study: Study, row: pd.Series | dict) -> list[str]:
    return [study.label(name, row[name]) for name in ("model", "context_length", "intervention")]


def _shown(name: str, header: list[str], lines: list[list[str]], numbers: int) -> list[TableBlock]:
    """A table without the column of interventions where there is one."""
    place = header.index("Ablation")
    if len({line[place] for line in lines}) < 2:
        header, *lines = ([*line[:place], *line[place + 1 :]] for line in (header, *lines))
    return table(name, SHOWN[name]["title"], header, lines, numbers)


def _nats(row: pd.Series | dict, name: str) -> str:
    if pd.isna(row[f"{name}_low"]):
        return hundredths(row[name])
    return f"{hundredths(row[name])} [{hundredths(row[f'{name}_low'])}, {hundredths(row[f'{name}_high'])}]"
