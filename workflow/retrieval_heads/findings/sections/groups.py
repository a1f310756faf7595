"""Heads that share keys and values: how many such groups the top sets touch, and how far rankings of groups agree."""

from typing import Any

import pandas as pd

from retrieval_heads.analysis.overlap import summarise
from retrieval_heads.findings.sections.blocks import Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import in_order, table
from retrieval_heads.study.dimensions import DIMENSION, DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY, count, decimal

TABLES: dict[str, dict[str, int]] = {
    "group_overlap": {"documents": 1},
    "key_value_groups": {"documents": 1},
    "overlap": {},
    "rankings": {},
}

SHOWN: dict[str, dict[str, Any]] = {
    "touched_groups": {"title": "Key-value groups that the top heads touch", "needs": {"documents": 1}},
    "group_overlap": {"title": "Agreement of rankings of key-value groups", "needs": {"documents": 1}},
}

_AGREEMENT = {
    "jaccard": "Jaccard",
    "chance": "Chance",
    "rbo": "RBO",
    "rbo_chance": "RBO, chance",
    "spearman": "Spearman",
}


def groups(study: Study, tables: Tables) -> Section:
    """What is known of groups of heads; nothing where heads were not labelled."""
    if "key_value_groups" not in tables:
        return Section("groups")
    touched, models = tables["key_value_groups"], tables["rankings"]["model"]
    alone = [
        Paragraph(f"No two heads of {study.label('model', model)} share keys and values: its groups are its heads.")
        for model in study.in_config_order("model", set(models) - set(touched["model"]))
    ]
    found = [Paragraph(_touched(study, model, rows)) for (model,), rows in in_order(study, touched, ["model"])]
    return Section("groups", [*alone, *found, *_by_method(study, touched), *_agreement(tables)])


def _touched(study: Study, model: str, rows: pd.DataFrame) -> str:
    """How many groups the largest top sets of a model touch."""
    here = rows[rows["k"] == rows["k"].max()]
    means = {name: f"{here[name].mean():.1f}" for name in ("touched", "chance", "chance_in_layers")}
    few = int((here["p_in_layers_holm"] < study.alpha).sum())
    shared = count(rows["groups"].iloc[0], "group")
    return (
        f"In {study.label('model', model)}, heads share keys and values in {shared}. The top {here['k'].iloc[0]} heads "
        f"touch {means['touched']} of them (mean over {count(len(here), 'ranking')}). As many heads of any layer "
        f"would touch {means['chance']} by chance, and as many in each of the same layers {means['chance_in_layers']}. "
        f"The top heads touch significantly fewer than these in {few or 'none'} of the rankings (Holm)."
    )


def _by_method(study: Study, touched: pd.DataFrame) -> list[TableBlock]:
    """By method and level; of many methods at the largest level alone."""
    if touched["method"].nunique() > MANY:
        touched = touched[touched["k"] == touched.groupby("model")["k"].transform("max")]
    rows = [
        [
            study.label("model", model),
            study.label("method", method),
            str(k),
            *(f"{group[name].mean():.1f}" for name in ("size", "touched", "chance", "chance_in_layers")),
            str(len(group)),
        ]
        for (model, method), of_method in in_order(study, touched, ["model", "method"])
        for k, group in of_method.groupby("k")
    ]
    header = ["Model", "Method", "Level", "Heads", "Groups", "Chance", "Chance, same layers", "Rankings"]
    return table("touched_groups", "Key-value groups that the top heads touch, on average", header, rows, 6)


def _agreement(tables: Tables) -> list[TableBlock]:
    """How far rankings agree on groups, and beside it on heads."""
    of_groups = tables["group_overlap"].assign(of="groups")
    # The same pairs: those of models whose groups are no more than heads are left out.
    pairs = ["dimension", "a", "b", *DIMENSIONS]
    of_heads = tables["overlap"].merge(of_groups[pairs], on=pairs).assign(of="heads")
    rows = []
    for layers, both in pd.concat([of_heads, of_groups]).groupby("layers"):
        for dimension in both["dimension"].unique():
            for of, group in both[both["dimension"] == dimension].groupby("of", sort=False):
                row = summarise(group, ["dimension"]).iloc[0]
                shape = f"{layers} × {group['heads'].iloc[0]}"
                numbers = [decimal(row[name]) if pd.notna(row[name]) else "" for name in _AGREEMENT]
                rows.append([DIMENSION[dimension].label, f"{shape} {of}", *numbers, str(row["pairs"])])
    header = ["Dimension", "Ranked", *_AGREEMENT.values(), "Pairs"]
    return table("group_overlap", "Agreement of rankings of heads, and of key-value groups", header, rows, 6)
