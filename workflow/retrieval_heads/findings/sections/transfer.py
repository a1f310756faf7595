"""Is a question special: do its own top heads cost it more than other questions' do?"""

from typing import Any

import pandas as pd

from retrieval_heads.findings.claims.transfer import in_study_order, own_questions
from retrieval_heads.findings.sections.blocks import Block, Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, table
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY, count, estimate, hundredths, p_cell, percent

TABLES: dict[str, dict[str, int]] = {"transfer_tests": {"transfer": 1}}

SHOWN: dict[str, dict[str, Any]] = {
    "transfer_by_question": {"title": "Own heads against other questions' heads", "needs": {"transfer": 1}},
}


def transfer(study: Study, tables: Tables) -> Section:
    """Whether a question depends on heads of its own; nothing where that was not asked."""
    if "transfer_tests" not in tables:
        return Section("transfer")
    tests = tables["transfer_tests"]
    if tests.empty:
        return Section("transfer", [Paragraph("No two questions have top sets of one size, so none was compared.")])
    first = tests.iloc[0]
    how = study.label("intervention", first["intervention"])
    blocks: list[Block] = [
        Paragraph(
            "That rankings of questions differ does not show that questions depend on different heads. So the top "
            "heads of each question were ablated while each other question was asked, as many of all. This was done in "
            f"{count(first['documents'], 'document')} that {'states' if first['documents'] == 1 else 'state'} all "
            f"facts ({how}). If a question has heads of its own, they cost it more than other questions' heads do "
            "({figure:transfer_matrix}, {table:transfer_by_question})."
        ),
        *_left_out(study, tests),
    ]
    return Section("transfer", [*blocks, *claims_of("transfer", study, tables), *_by_question(study, tests)])


def _left_out(study: Study, tests: pd.DataFrame) -> list[Block]:
    asked = (study.config.get("controls") or {}).get("transfer") or {}
    missing = [name for name in asked.get("methods") or [] if name not in set(tests["method"])]
    names = ", ".join(study.label("method", name) for name in missing)
    return [Paragraph(f"Ties leave no two questions top sets of one size: {names}.")] if missing else []


def _by_question(study: Study, tests: pd.DataFrame) -> list[TableBlock]:
    """A line for all questions, and one for each; with many methods, for those that stand out alone."""
    lines, many = [], tests["method"].nunique() > MANY
    for row in in_study_order(study, tests[tests["question"].isna()]):
        each = own_questions(row, tests)
        each = each[each["p_holm"] < study.alpha] if many else each
        of_questions = {question: one for question, one in zip(each["question"], each.to_dict("records"), strict=True)}
        order = study.in_config_order("question", of_questions)
        for name, one in (("all", row), *((study.label("question", key), of_questions[key]) for key in order)):
            lines.append(
                [
                    study.label("model", row["model"]),
                    study.label("context_length", row["context_length"]),
                    study.label("method", row["method"]),
                    name,
                    str(one["size"]),
                    *(
                        "" if pd.isna(one[key]) else percent(one[key])
                        for key in ("unablated", "own", "others", "random")
                    ),
                    estimate(one, "difference", ""),
                    p_cell(one["p"]),
                    p_cell(one["p_holm"]),
                    hundredths(one["logprob_difference"]),
                    p_cell(one["logprob_p_holm"]),
                ]
            )
    header = [
        *("Model", "Context", "Method", "Question", "Heads", "All heads", "Without its own", "Without others'"),
        *("Without random", "Own cost more, points", "p", "Holm p", "Own cost more, nats", "Its Holm p"),
    ]
    return table("transfer_by_question", SHOWN["transfer_by_question"]["title"], header, lines, 10)
