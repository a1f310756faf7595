"""What ablating heads does to accuracy: against random heads, by model and by context length."""

from collections.abc import Iterator

import pandas as pd

from retrieval_heads.analysis.shapes import results_by_grid
from retrieval_heads.findings.claims.outcome import of_tests
from retrieval_heads.findings.sections.blocks import Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import (
    NONE_ABLATED,
    claims_of,
    costs,
    how_ablated,
    in_order,
    mean_drops,
    only_one,
    table,
)
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, estimate, hundredths, layers_of, nats, p_cell
from retrieval_heads.tables.guard import guard_at
from retrieval_heads.tables.select import at_level, by_matching, controls_beside, of_intervention, select
from retrieval_heads.tables.tests import AGAINST_RANDOM

TABLES: dict[str, dict[str, int]] = {
    "against_random": {},
    "effects": {},
    "guard": {"guard": 1},
    "mean_drops": {},
    "rankings": {},
    "steps": {},
    "tests": {},
}

SHOWN = {
    "ablation_drops": {"title": "Mean drop against random heads, by method", "needs": {}},
    "against_random": {"title": "Top heads against random ones", "needs": {}},
    "interventions": {"title": "Top heads against random ones by intervention", "needs": {"intervention": 2}},
    "effects": {"title": "Accuracy with the top heads ablated", "needs": {}},
    "guard": {"title": "Log-probability of prose with heads ablated", "needs": {"guard": 1}},
    "recoveries": {"title": "Where ablating more heads raised accuracy most", "needs": {}},
    "model_drops": {"title": "Mean drop of accuracy by model", "needs": {"model": 2}},
    "model_tests": {"title": "Differences between models in the drop", "needs": {"model": 2}},
    "length_drops": {"title": "Mean drop of accuracy by context length", "needs": {"ablated_length": 2}},
    "length_tests": {"title": "Differences between context lengths in the drop", "needs": {"ablated_length": 2}},
}

_RECOVERIES = 10


def ablation(study: Study, tables: Tables) -> Section:
    """What ablating the top heads does, against random heads."""
    if tables["effects"].empty:
        return Section("ablation", [NONE_ABLATED])
    found, by_intervention = claims_of("ablation", study, tables), _by_intervention(study, tables)
    tables = of_intervention(tables, study.headline)
    return Section(
        "ablation",
        [
            how_ablated(study),
            *found,
            *by_intervention,
            *_by_method(study, tables),
            *_against_random(study, tables),
            *_curves(study, tables["effects"]),
            *(_guard(study, tables) if "guard" in tables else []),
            *_recoveries(study, tables["steps"]),
        ],
    )


def _by_intervention(study: Study, tables: Tables) -> list[TableBlock]:
    """Top heads against random ones under each intervention, at the level of the headline."""
    level = study.level(of_intervention(tables, study.headline)["effects"])
    top = at_level(select(tables["effects"], pooled=["question", "context_length"]), level)
    controls = controls_beside(tables["against_random"], top)
    if controls["intervention"].nunique() < 2:
        return []
    rows = [
        [
            study.label("model", model),
            study.label("method", method),
            MATCHINGS[row["matching"]].label,
            study.label("intervention", intervention),
            str(row["documents"]),
            estimate(row, "accuracy"),
            estimate(row, "difference", ""),
            p_cell(row["p_holm"]),
            p_cell(row["p_every"]),
        ]
        for (model, method, _, intervention), group in in_order(
            study, controls, ["model", "method", "matching", "intervention"]
        )
        for _, row in group.iterrows()
    ]
    header = ["Model", "Method", "Random heads", "Intervention", "Documents", "Accuracy, random", "Difference"]
    title = f"Top {level} heads against as many random ones by intervention, in points of accuracy"
    return table("interventions", title, [*header, "Holm p", "Holm p, every intervention"], rows, 5)


def models(study: Study, tables: Tables) -> Section:
    """Whether ablating an equal share of heads costs more in one model than in another."""
    why = "what ablation costs is not compared with another"
    return Section("models", _compared(study, tables, "models", "model", "model", why))


def lengths(study: Study, tables: Tables) -> Section:
    """Whether ablating as many heads costs more at some lengths."""
    why = "what ablation costs is not compared with another"
    return Section("lengths", _compared(study, tables, "lengths", "context_length", "length", why))


def _compared(study: Study, tables: Tables, key: str, dimension: str, name: str, why: str) -> list:
    if tables["effects"].empty:
        return [NONE_ABLATED]
    values = mean_drops(study, of_intervention(tables, study.headline), dimension)["value"]
    none = only_one(study, dimension, values, why)
    return none or costs(study, tables, key, dimension, name)


def _by_method(study: Study, tables: Tables) -> list[TableBlock]:
    level = study.level(tables["effects"])
    rows = [
        [str(grid or ""), *row]
        for grid, _, part in results_by_grid(tables)
        for row in _methods_of_grid(study, part, level)
    ]
    header = ["Grid", "Method", "Random heads", "Drop, top", "Drop, random", "Difference", "Holm p", "Effect size", "n"]
    return table("ablation_drops", f"Mean drop with {level} heads ablated, by method, in points", header, rows, 6)


def _methods_of_grid(study: Study, tables: Tables, level: int) -> Iterator[list[str]]:
    """Rows of the methods in the models of one grid."""
    means = mean_drops(study, tables, "method")
    means = means[means["k"].eq(level).fillna(False)]
    tests = of_tests(tables, AGAINST_RANDOM, k=level, b=None)
    pooled = at_level(select(tables["effects"], pooled=["question", "context_length"]), level)
    share = controls_beside(tables["against_random"], pooled).groupby(["method", "matching"])["matched"].mean()
    for method in study.in_config_order("method", means["value"]):
        here = means[means["value"] == method]
        top = here[here["source"] == "method"].iloc[0]
        for kind in MATCHINGS:
            of_kind = here[here["matching"] == kind]
            test = tests[(tests["method"] == method) & (tests["a"] == kind)]
            if len(of_kind):
                random, more = (of_kind[of_kind["source"] == source].iloc[0] for source in ("random", "difference"))
                p = p_cell(test.iloc[0]["p_holm"]) if len(test) else ""
                effect = hundredths(test.iloc[0]["effect_size"]) if len(test) else ""
                names = [study.label("method", method), layers_of(kind, share.get((method, kind)))]
                numbers = [estimate(row, "drop", "") for row in (top, random, more)]
                yield [*names, *numbers, p, effect, str(top["configurations"])]


def _against_random(study: Study, tables: Tables) -> list[TableBlock]:
    level = study.level(tables["effects"])
    accuracy = at_level(select(tables["effects"], pooled=["question"]), level)
    controls = controls_beside(tables["against_random"], accuracy)
    accuracy = accuracy.set_index(["model", "context_length", "method"])
    rows = []
    for key, group in in_order(study, controls, ["model", "context_length", "method"]):
        model, length, method = key
        for _, row in by_matching(group).iterrows():
            rows.append(
                [
                    study.label("model", model),
                    study.label("context_length", length),
                    study.label("method", method),
                    f"{layers_of(row['matching'], row['matched'])} ({count(row['draws'], 'draw')})",
                    f"{row['size']:.4g}",
                    estimate(accuracy.loc[key], "drop", ""),
                    estimate(row, "drop", ""),
                    estimate(row, "difference", ""),
                    p_cell(row["p_holm"]),
                ]
            )
    header = [
        "Model",
        "Context",
        "Method",
        "Random heads",
        "Heads",
        "Drop, top",
        "Drop, random",
        "Difference",
        "Holm p",
    ]
    if all(not row[-1] for row in rows):  # counts alone allow no paired test
        header, rows = header[:-1], [row[:-1] for row in rows]
    title = f"Top {level} heads against as many random ones, all questions, in points of accuracy"
    return table("against_random", title, header, rows, len(header) - 5)


def _curves(study: Study, effects: pd.DataFrame) -> list[TableBlock]:
    pooled = select(effects, pooled=["question"])
    levels, guessed = sorted(pooled["k"].unique()), pooled["guess"].notna().any()
    rows = []
    for (model, length, method), group in in_order(study, pooled, ["model", "context_length", "method"]):
        by_k = group.set_index("k")
        cells = [estimate(by_k.loc[k], "accuracy") if k in by_k.index else "" for k in levels]
        names = [study.label("model", model), study.label("context_length", length), study.label("method", method)]
        guess = [estimate(group.iloc[0], "guess") if pd.notna(group["guess"].iloc[0]) else ""] if guessed else []
        rows.append([*names, *guess, estimate(group.iloc[0], "baseline"), *cells])
    header = ["Model", "Context", "Method", *(["Guessing"] if guessed else []), "None ablated"]
    header += [f"{k} ablated" for k in levels]
    return table("effects", "Accuracy with the top heads ablated, all questions", header, rows, len(header) - 3)


def _guard(study: Study, tables: Tables) -> list[TableBlock]:
    """What ablation does to prose, beside what it does to answers: retrieval lost, or the model broken?"""
    if tables["guard"].empty:
        return []
    prose = guard_at(tables["guard"]).set_index(["source", "matching", "model", "method", "k"])
    effects = select(tables["effects"], pooled=["question", "context_length"])
    kinds = [("method", ""), *(("random", kind) for kind in MATCHINGS if ("random", kind) in prose.index)]
    rows = []
    for (model, method), group in in_order(study, effects, ["model", "method"]):
        for _, row in group.sort_values("k").iterrows():
            changes = [
                _nats(prose.loc[key]) if (key := (*kind, model, method, row["k"])) in prose.index else ""
                for kind in kinds
            ]
            names = [study.label("model", model), study.label("method", method), str(row["k"])]
            rows.append([*names, estimate(row, "drop", ""), *changes])
    random = [f"Prose, random heads {MATCHINGS[kind].label}" for source, kind in kinds if source == "random"]
    header = ["Model", "Method", "Heads ablated", "Drop of accuracy", "Prose, top heads", *random]
    title = "Drop of accuracy in points, and change of the log-probability of prose in nats per token"
    return table("guard", title, header, rows, len(header) - 2)


def _nats(row: pd.Series) -> str:
    return f"{nats(row['change'])} [{nats(row['lowest'])}, {nats(row['highest'])}]"


def _recoveries(study: Study, steps: pd.DataFrame) -> list[TableBlock]:
    """The steps to more ablated heads after which accuracy is higher, the largest first."""
    single = select(steps)
    rising = single[single["change"] > 0].sort_values(["change", "k"], ascending=[False, True], kind="stable")
    rows = [
        [
            study.label("model", row["model"]),
            study.label("context_length", row["context_length"]),
            study.label("method", row["method"]),
            study.label("question", row["question"]),
            f"{row['k_before']} to {row['k']}",
            estimate(row, "change", ""),
            p_cell(row["p_holm"]),
        ]
        for _, row in rising.head(_RECOVERIES).iterrows()
    ]
    header = ["Model", "Context", "Method", "Question", "Heads ablated", "Change", "Holm p"]
    return table("recoveries", "Where ablating more heads raised accuracy most, in points", header, rows, 2)
