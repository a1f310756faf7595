"""The four questions about questions: what ablation costs them, which heads and layers they share."""

import pandas as pd

from retrieval_heads.analysis.overlap import summarise, top_heads
from retrieval_heads.findings.sections.blocks import Block, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, costs, layers_with_shares, only_one, table
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import decimal, percent
from retrieval_heads.tables.heads import GRID, Grid

TABLES: dict[str, dict[str, int]] = {"overlap": {}, "rankings": {}, "unions": {}}

SHOWN = {
    "q1_drops": {"title": "Mean drop of accuracy by question", "needs": {"question": 2}},
    "q1_tests": {"title": "Differences between questions", "needs": {"question": 2}},
    "q2_overlap": {"title": "Top heads that questions share", "needs": {"question": 2}},
    "q3_drops": {"title": "Mean drop of accuracy by category", "needs": {"category": 2}},
    "q3_tests": {"title": "Differences between categories", "needs": {"category": 2}},
    "q4_layers": {"title": "Layers of the top heads by question", "needs": {"question": 2}},
}

_LAYERS = 5


def q1(study: Study, tables: Tables) -> Section:
    """Do the same number of ablated heads affect different questions equally?"""
    none = only_one(
        study, "question", tables["rankings"]["question"], "what ablation costs is not compared with another"
    )
    return Section("q1", none or costs(study, tables, "q1", "question", "q1"))


def q2(study: Study, tables: Tables) -> Section:
    """Are there similarities between the heads of questions of one category?"""
    none = only_one(study, "question", tables["rankings"]["question"], "there is no other that could share its heads")
    return Section("q2", none or [*claims_of("q2", study, tables), *_one_category(study), *_shared(study, tables)])


def q3(study: Study, tables: Tables) -> Section:
    """Are ablations equally effective across categories?"""
    return Section("q3", _one_category(study) or costs(study, tables, "q3", "category", "q3"))


def q4(study: Study, tables: Tables) -> Section:
    """Are there patterns within the categories?"""
    none = only_one(study, "question", tables["rankings"]["question"], "there is no other to compare its layers with")
    return Section("q4", none or [*claims_of("q4", study, tables), *_one_category(study), *_layers(study, tables)])


def _one_category(study: Study) -> list[Block]:
    return only_one(study, "category", study.categories.values(), "categories cannot be compared")


def _shared(study: Study, tables: Tables) -> list[TableBlock]:
    pairs = tables["overlap"][tables["overlap"]["dimension"] == "question"]
    means = {
        (Grid.of(row), frozenset((row["a"], row["b"]))): row
        for _, row in summarise(pairs.dropna(subset="jaccard"), [*GRID, "a", "b"]).iterrows()
    }
    unions = tables["unions"]
    category, rows = study.categories, []
    for _, union in unions[unions["dimension"].isin(["question", "category"])].iterrows():
        kind = union["dimension"]
        a, b = study.in_config_order(kind, [union["a"], union["b"]])
        if kind == "category":
            relation = "unions of categories"
        else:
            relation = f"within {category[a]}" if category[a] == category[b] else "different categories"
        grid = Grid.of(union)
        mean = means.get((grid, frozenset((a, b))))
        own = ["", "", "", "", ""] if mean is None else [
            decimal(mean["jaccard"]), f"{mean['lowest']:.3f} to {mean['highest']:.3f}", decimal(mean["chance"]),
            decimal(mean["rbo"]), decimal(mean["spearman"]) if pd.notna(mean["spearman"]) else "",
        ]  # fmt: skip
        names = [study.label(kind, value) for value in (a, b)]
        rows.append([str(grid), *names, relation, *own, percent(union["jaccard"]), percent(union["chance"])])
    header = [
        "Grid",
        "Question A",
        "Question B",
        "Relation",
        "Jaccard",
        "Range",
        "Chance",
        "RBO",
        "Spearman",
        "Union",
        "Union, chance",
    ]
    return table("q2_overlap", "Top heads that questions share", header, rows, 7)


def _layers(study: Study, tables: Tables) -> list[TableBlock]:
    top = top_heads(tables["rankings"], study.top_k)
    rows = []
    for model in study.in_config_order("model", top["model"]):
        for question in study.in_config_order("question", top["question"]):
            here = top[(top["model"] == model) & (top["question"] == question)]
            if here.empty:  # all its top sets are
                continue
            names = [study.label("model", model), study.label("question", question), study.categories.get(question, "")]
            rows.append([*names, layers_with_shares(here["layer"], _LAYERS), f"{here['layer'].mean():.1f}"])
    header = ["Model", "Question", "Category", f"The {_LAYERS} layers with most top heads", "Mean layer"]
    return table("q4_layers", "Layers of the top heads by question", header, rows, 1)
