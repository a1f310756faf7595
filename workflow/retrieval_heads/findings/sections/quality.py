"""Which method is right: what heads are needed for and what they carry, and how well rankings tell it."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pandas as pd

from retrieval_heads.analysis.needed_or_carrying import agreement
from retrieval_heads.analysis.ranking_quality import against, standing
from retrieval_heads.analysis.similarity import spearman
from retrieval_heads.analysis.ties import told_apart
from retrieval_heads.findings.claims.quality import missing, modes, of_setting, settings
from retrieval_heads.findings.sections.blocks import Block, Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, mode_label, table
from retrieval_heads.study.methods import CHANCE, LAYER, WRITE_NORM
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    MANY,
    count,
    decimal,
    hundredths,
    least_and_most,
    listed,
    p_cell,
    percent,
    plain,
)
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.ranking_quality import (
    AREA,
    AUROC,
    CAPTURED,
    CEILING,
    METHOD,
    PRECISION,
    SHARE,
    SPEARMAN,
)

TABLES: dict[str, dict[str, int]] = {
    "head_effect_summary": {"yardstick": 1},
    "head_effects": {"yardstick": 1},
    "needed_or_carrying": {"yardstick": 1},
    "quality_tests": {"documents": 1},
    "ranking_quality": {"documents": 1},
}

SHOWN: dict[str, dict[str, Any]] = {
    "both_numbers": {"title": "What heads are needed for, and what they carry", "needs": {"yardstick": 2}},
    "shares_held": {"title": "What the first heads of each ranking hold", "needs": {"yardstick": 1}},
    "quality_of_rankings": {"title": "How well each ranking tells what heads do", "needs": {"yardstick": 1}},
    "quality_differences": {"title": "The first method against each other", "needs": {"yardstick": 1, "method": 2}},
    "areas": {"title": "What the first heads cost beyond others", "needs": {"documents": 1}},
}

_EACH = 10
"""How many of the heads that are needed most, and of those that carry most, the table names."""

_NAMED = 4
"""How many of them a sentence names."""

_RIVALS = {CHANCE: "heads by lot", LAYER: "deepest layers first", WRITE_NORM: "‖W_O z‖"}


def carrying(study: Study, tables: Tables) -> Section:
    """What an answer needs each head for, beside what the head carries of it."""
    if "head_effect_summary" not in tables or tables["head_effect_summary"].empty:
        return Section("carrying")
    blocks: list[Block] = [
        Paragraph(
            "Every head has two numbers. With its output replaced by nothing of use, the answer loses what it needs "
            "the head for, for whatever reason. With the output that the head has on a twin, whose answer alone is "
            "another, it loses what the head carries of this answer. A head that works alike whatever the answer is "
            "needed, and carries nothing. One that others stand in for carries more than is needed of it. Rankings are "
            "judged by what heads carry."
        )
    ]
    if not all(modes(tables, study)):
        blocks.append(Paragraph(missing(tables, study)))
    blocks += [Paragraph(text) for text in _orders(study, tables)]
    blocks += [Paragraph(text) for text in _shares(study, tables)]
    return Section(
        "carrying",
        [*blocks, *claims_of("carrying", study, tables), *_both_numbers(study, tables), *_shares_held(study, tables)],
    )


def _orders(study: Study, tables: Tables) -> list[str]:
    """How far both numbers put heads in the same order, and which are first by each."""
    pairs = tables["needed_or_carrying"]
    if pairs.empty:
        return []
    agree = agreement(tables["head_effects"], study.seed, study.resamples)
    found: list[str] = []
    for (model, length), where in settings(tables, study):
        rows, told = of_setting(pairs, model, length), of_setting(agree, model, length)
        if rows.empty:
            continue
        row = told.iloc[0]
        asked = f"{count(row['prompts'], 'prompt')} about {count(row['documents'], 'document')}"
        known = asked if pd.isna(row["spearman_low"]) else f"{plain(row, 'spearman')}; {asked}"
        text = (
            f"{where}, the orders of heads by the two numbers agree at Spearman {decimal(row['spearman'])} "
            f"({known}){'' if found else ' ({figure:needed_and_carrying})'}."
        )
        firsts = []
        for name, words in (("needed", "Needed most"), ("carrying", "Carrying most")):
            first = told_apart(rows[rows[name] > 0], [name], [False], _NAMED)
            if len(first):
                heads = [
                    f"{head_name(row.layer, row.head)} ({hundredths(row.needed)} / {hundredths(row.carrying)})"
                    for row in first.itertuples()
                ]
                firsts.append(f"{words}, in nats needed / carried: {listed(heads)}.")
        found.append(" ".join([text, *firsts, *_log_odds(study, tables, model, length)]))
    return found


def _log_odds(study: Study, tables: Tables, model: str, length: int) -> list[str]:
    """Whether what heads carry is the same where it is told by the odds of this answer against the twin's."""
    rows = of_setting(tables["head_effect_summary"], model, length).dropna(subset="logodds_effect")
    same = spearman(rows["effect"].rank().to_numpy(), rows["logodds_effect"].rank().to_numpy())
    if pd.isna(same):
        return []
    return [
        f"By log-odds against the twin's answer, the order of what is carried is the same at Spearman {decimal(same)}."
    ]


def _both_numbers(study: Study, tables: Tables) -> list[TableBlock]:
    lines = []
    for (model, length), _ in settings(tables, study):
        rows = of_setting(tables["needed_or_carrying"], model, length)
        first = pd.concat([told_apart(rows[rows[n] > 0], [n], [False], _EACH) for n in ("needed", "carrying")])
        first = first[~first.index.duplicated()].sort_values(["carrying", "needed"], ascending=False, kind="stable")
        for row in first.to_dict("records"):
            lines.append(
                [
                    study.label("model", model),
                    study.label("context_length", length),
                    head_name(row["layer"], row["head"]),
                    *(_nats(row, name) for name in ("needed", "carrying", "difference")),
                    p_cell(row["p_family"]),
                    row["role"] if isinstance(row["role"], str) else "",
                ]
            )
    header = ["Model", "Context", "Head", "Needed", "Carried", "Difference", "Corrected p", "The two say"]
    (block,) = table("both_numbers", SHOWN["both_numbers"]["title"], header, lines, 5) or (None,)
    return [] if block is None else [_numeric_but_last(block)]


def _numeric_but_last(block: TableBlock) -> TableBlock:
    last = len(block.header) - 1
    numeric = frozenset(range(last - 4, last))
    return TableBlock(block.name, block.title, block.header, block.rows, numeric)


def _pooled(tables: Tables, model: str, length: int, **values: object) -> pd.DataFrame:
    """Rows of ranking_quality of a setting over all questions, with these values."""
    rows = of_setting(tables["ranking_quality"], model, length)
    rows = rows[rows["question"].isna()]
    for name, value in values.items():
        rows = rows[(rows[name] == value).fillna(False).astype(bool)]
    return rows


def _named(study: Study, ranking: str, ceiling: str = "other documents") -> str:
    if ranking == CEILING:
        return ceiling
    return _RIVALS.get(ranking) or study.label("method", ranking)


def _in_order(study: Study, rows: pd.DataFrame) -> list[str]:
    """The rankings that are there: methods in the study's order, then rivals, then the ceiling."""
    methods = study.in_config_order("method", rows.loc[rows["kind"] == METHOD, "ranking"])
    return [*methods, *(name for name in (*_RIVALS, CEILING) if (rows["ranking"] == name).any())]


def _cell(rows: pd.DataFrame, ranking: str, written: Callable[[float], str]) -> str:
    """The value of a ranking among rows of one measure, with its interval."""
    rows = rows[rows["ranking"] == ranking]
    if rows.empty or pd.isna(rows["value"].iloc[0]):
        return ""
    row = rows.iloc[0]
    exact = pd.isna(row["value_low"]) or row["value_low"] == row["value_high"]
    return (
        written(row["value"])
        if exact
        else f"{written(row['value'])} [{written(row['value_low'])}, {written(row['value_high'])}]"
    )


def _shares(study: Study, tables: Tables) -> list[str]:
    """What the first heads of each method hold of what is needed, and of what is carried."""
    level, found = study.quality_level, []
    for (model, length), where in settings(tables, study):
        said: list[str] = []
        start = f"{where}, the first {level} heads of a method"
        for mode, words in zip(modes(tables, study), ("needed", "carried"), strict=True):
            rows = _pooled(tables, model, length, measure=SHARE, mode=mode, k=level)
            methods = rows[rows["kind"] == METHOD].dropna(subset="value").set_index("ranking")["value"]
            if len(methods):
                best, lot = (rows.loc[rows["ranking"] == name, "value"].iloc[0] for name in (CEILING, CHANCE))
                span, named = _some(study, methods)
                beside = f"best possible {percent(best)}, by lot {percent(lot)}"
                said.append(f"{'They' if said else start} hold {span} of what is {words} ({named}; {beside}).")
        if said:
            said[-1] = f"{said[-1].removesuffix('.')} ({{table:shares_held}})."
            found.append(" ".join(said))
    return found


def _some(study: Study, values: pd.Series) -> tuple[str, str]:
    """The least and the most of some methods' values, and which methods have what: all of few, or these two of many."""
    least, most = least_and_most(values.to_dict())
    ends = list(dict.fromkeys(percent(values[name]) for name in (least, most)))
    order = study.in_config_order("method", values.index)
    shown = list(dict.fromkeys([least, most])) if len(order) > MANY else order
    return " to ".join(ends), ", ".join(f"{study.label('method', name)} {percent(values[name])}" for name in shown)


def _shares_held(study: Study, tables: Tables) -> list[TableBlock]:
    lines, told = [], [mode for mode in modes(tables, study) if mode]
    for (model, length), _ in settings(tables, study):
        names = [study.label("model", model), study.label("context_length", length)]
        each = [_pooled(tables, model, length, measure=SHARE, mode=mode) for mode in told]
        # With many methods, the level that sentences are about says enough; the others are in `ranking_quality`.
        levels = sorted({int(k) for rows in each for k in rows["k"]})
        for k in [study.quality_level] if len(study.methods) > MANY else levels:
            at_k = [rows[rows["k"] == k] for rows in each]
            for ranking in _in_order(study, pd.concat(at_k)):
                cells = [_cell(rows, ranking, percent) for rows in at_k]
                lines.append([*names, str(k), _named(study, ranking, "best possible"), *cells])
    words = dict(zip(modes(tables, study), ("needed", "carried"), strict=True))
    header = ["Model", "Context", "First", "Ranking", *(f"Of what is {words[mode]}" for mode in told)]
    return table("shares_held", SHOWN["shares_held"]["title"], header, lines, len(told))


def quality(study: Study, tables: Tables) -> Section:
    """How well each ranking tells which heads matter, beside rivals and ceiling, and whether one method is best."""
    if "ranking_quality" not in tables or tables["ranking_quality"].empty:
        return Section("quality")
    measured = "head_effect_summary" in tables and not tables["head_effect_summary"].empty
    blocks: list[Block] = [
        Paragraph(
            "Each ranking, which is from training documents, is held against what heads do for answers about test "
            "documents. Rivals stand beside: heads drawn by lot, the deepest layers first, and heads by the length of "
            "what they write whatever they are asked. The ceiling is the order by the effects in the other test "
            "documents. A method is called best only if effects of heads and ablation agree."
        )
    ]
    if not measured:
        text = (
            "Effects of single heads were not measured here: that takes a section called `yardstick` in the config. "
            "What ablation of the first heads costs is all that rankings are judged by."
        )
        return Section("quality", [*blocks, Paragraph(text), *_areas(study, tables)])
    if modes(tables, study)[1] is None:
        blocks.append(Paragraph(f"{missing(tables, study)} Rankings are judged by what is needed instead."))
    blocks += [Paragraph(text) for text in _first(study, tables)]
    return Section(
        "quality",
        [
            *blocks,
            *claims_of("quality", study, tables),
            *_quality_table(study, tables),
            *_differences(study, tables),
            *_areas(study, tables),
        ],
    )


def _main(study: Study, tables: Tables) -> str | None:
    needed, carried = modes(tables, study)
    return carried or needed


def _first(study: Study, tables: Tables) -> list[str]:
    """How much the first heads of the methods capture, and how well whole rankings tell the effects."""
    level, mode, found = study.quality_level, _main(study, tables), []
    what = "carried" if mode == modes(tables, study)[1] else "needed"
    for (model, length), where in settings(tables, study):
        rows = _pooled(tables, model, length, mode=mode)
        captured = rows[(rows["measure"] == CAPTURED) & (rows["k"] == level).fillna(False).astype(bool)]
        methods = captured[captured["kind"] == METHOD].dropna(subset="value").set_index("ranking")["value"]
        text = []
        if len(methods):
            span, named = _some(study, methods)
            text.append(
                f"{where}, the first {level} heads of a method capture {span} of what the ceiling's do "
                f"({named}) ({{figure:quality_and_cost}}, {{table:quality_of_rankings}}). What counts is what is "
                f"{what} beyond chance."
            )
        else:
            text.append(f"{where}, the documents do not agree on which heads matter, so nothing can be captured.")
        order = rows[rows["measure"] == SPEARMAN].set_index("ranking")["value"]
        own = order[[name for name in order.index if name in study.methods]].dropna()
        if len(own):
            low, high = decimal(own.min()), decimal(own.max())
            ceiling = order.get(CEILING)
            known = "" if ceiling is None or pd.isna(ceiling) else f"; the ceiling is {decimal(ceiling)}"
            span = low if low == high else f"{low} to {high}"
            text.append(f"Whole rankings correlate with the effects in a prompt at Spearman {span}{known}.")
        found.append(" ".join(text))
    return found


def _quality_table(study: Study, tables: Tables) -> list[TableBlock]:
    _, carried = modes(tables, study)
    every = [mode for mode in dict.fromkeys([carried, *study.config["yardstick"]["modes"]]) if mode]
    lines, level = [], study.quality_level
    for (model, length), _ in settings(tables, study):
        auroc = _pooled(tables, model, length, measure=AUROC)
        for mode in every:
            rows = _pooled(tables, model, length, mode=mode)
            at_level = rows[(rows["k"] == level).fillna(False).astype(bool)]
            rows = rows[rows["intervention"].isna()]
            for ranking in _in_order(study, rows):
                own = rows[rows["ranking"] == ranking].iloc[0]
                lines.append(
                    [
                        study.label("model", model),
                        study.label("context_length", length),
                        mode_label(study, mode),
                        _named(study, ranking),
                        _cell(rows[rows["measure"] == SPEARMAN], ranking, decimal),
                        _cell(at_level[at_level["measure"] == PRECISION], ranking, percent),
                        _cell(at_level[at_level["measure"] == CAPTURED], ranking, percent),
                        _cell(auroc, ranking, decimal),
                        "" if pd.isna(own["cost"]) else f"{own['cost']:.2g}",
                        "" if pd.isna(own["train_prompts"]) else str(own["train_prompts"]),
                    ]
                )
    header = ["Model", "Context", "Mode", "Ranking", "Spearman", f"Precision at {level}", f"Captured at {level}",
              "AUROC", "Passes", "Train prompts"]  # fmt: skip
    kept = [i for i, name in enumerate(header) if not (name == "Mode" and len(every) == 1)]
    kept = [i for i in kept if header[i] != "AUROC" or any(line[i] for line in lines)]
    header, lines = [header[i] for i in kept], [[line[i] for i in kept] for line in lines]
    numbers = len(header) - header.index("Ranking") - 1
    return table("quality_of_rankings", SHOWN["quality_of_rankings"]["title"], header, lines, numbers)


def _differences(study: Study, tables: Tables) -> list[TableBlock]:
    mode, lines = _main(study, tables), []
    for (model, length), _ in settings(tables, study):
        tests = of_setting(tables["quality_tests"], model, length)
        tests = tests[tests["mode"] == mode]
        captured, order = (tests[tests["measure"] == measure] for measure in (CAPTURED, SPEARMAN))
        if (first := standing(captured, study.alpha)) is None:
            continue
        correlated = against(order, first.method).set_index("b")
        beside = against(captured, first.method).set_index("b")
        for other in study.in_config_order("method", beside.index):
            row = beside.loc[other]
            cells = [percent(row["difference"]), percent(row["difference_low"]), percent(row["difference_high"])]
            known = other in correlated.index
            lines.append(
                [
                    study.label("model", model),
                    study.label("context_length", length),
                    f"{study.label('method', first.method)} − {study.label('method', other)}",
                    f"{cells[0]} [{cells[1]}, {cells[2]}]".replace("%", ""),
                    p_cell(row["p"]),
                    p_cell(row["p_family"]),
                    _plain(correlated.loc[other], "difference") if known else "",
                    p_cell(correlated.loc[other, "p_family"]) if known else "",
                    str(row["documents"]),
                ]
            )
    header = [
        "Model",
        "Context",
        "Compared",
        "Captured, points",
        "p",
        "Corrected p",
        "Spearman",
        "Its corrected p",
        "Documents",
    ]
    return table("quality_differences", SHOWN["quality_differences"]["title"], header, lines, 6)


def _areas(study: Study, tables: Tables) -> list[TableBlock]:
    rows = tables["ranking_quality"]
    rows = rows[(rows["measure"] == AREA) & rows["question"].isna()]
    names, lines = study.in_config_order("intervention", rows["intervention"]), []
    for model in study.in_config_order("model", rows["model"]):
        for length in study.in_config_order("context_length", rows.loc[rows["model"] == model, "context_length"]):
            here = of_setting(rows, model, length)
            cells = {name: here[here["intervention"] == name] for name in names}
            behind = {name: _behind(study, tables, model, length, name) for name in names}
            for ranking in study.in_config_order("method", here.loc[here["kind"] == METHOD, "ranking"]):
                values = [
                    (_cell(cells[name], ranking, hundredths) or "not told", behind[name].get(ranking, ""))
                    for name in names
                ]
                lines.append(
                    [
                        study.label("model", model),
                        study.label("context_length", length),
                        _named(study, ranking),
                        *chain.from_iterable(values),
                    ]
                )
    areas = ((f"Area: {study.label('intervention', name)}", "p") for name in names)
    header = ["Model", "Context", "Ranking", *chain.from_iterable(areas)]
    return table("areas", SHOWN["areas"]["title"], header, lines, 2 * len(names))


def _behind(study: Study, tables: Tables, model: str, length: int, intervention: str) -> dict[str, str]:
    """Of each method but that of the largest area, the p of the test that it is behind that one."""
    tests = of_setting(tables["quality_tests"], model, length)
    tests = tests[(tests["measure"] == AREA) & (tests["intervention"] == intervention)]
    first = standing(tests, study.alpha)
    beside = [] if first is None else against(tests, first.method).itertuples()
    return {row.b: p_cell(row.p) for row in beside}


def _plain(row: pd.Series, name: str) -> str:
    """A number such as a correlation, with its interval where it has one."""
    if pd.isna(row[f"{name}_low"]):
        return decimal(row[name])
    return f"{decimal(row[name])} [{decimal(row[f'{name}_low'])}, {decimal(row[f'{name}_high'])}]"


def _nats(row: dict, name: str) -> str:
    if pd.isna(row[f"{name}_low"]):
        return hundredths(row[name])
    return f"{hundredths(row[name])} [{hundredths(row[f'{name}_low'])}, {hundredths(row[f'{name}_high'])}]"
