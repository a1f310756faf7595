"""What was studied: models, methods, questions, settings, prompts, and how the unablated model does."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from retrieval_heads.analysis.coverage import gaps, twin_counts
from retrieval_heads.analysis.overlap import grids
from retrieval_heads.findings.provenance import FACTS, provenance, shown
from retrieval_heads.findings.sections.blocks import Block, Items, Paragraph, Section, TableBlock, Tables
from retrieval_heads.findings.sections.parts import claims_of, in_order, in_words, table
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import estimate, layers_of, listed
from retrieval_heads.tables.select import by_matching, of_intervention, select

TABLES: dict[str, dict[str, int]] = {
    "ablation_summary": {},
    "against_random": {},
    "close_calls": {"documents": 1},
    "dataset_counts": {"documents": 1},
    "effects": {},
    "rankings": {},
}

_WITH = "with the document"

SHOWN = {
    "models": {"title": "Models", "needs": {}},
    "methods": {"title": "Methods", "needs": {}},
    "questions": {"title": "Questions", "needs": {}},
    "settings": {"title": "Settings", "needs": {}},
    "made_with": {"title": "Models, and how they ran", "needs": {"documents": 1}},
    "dataset_counts": {"title": "Prompts", "needs": {"documents": 1}},
    "baseline": {"title": "Accuracy with no head ablated", "needs": {}},
}


def setup(study: Study, tables: Tables) -> Section:
    """Models, methods, questions and settings."""
    config, grid = study.config, grids(tables["rankings"])
    models = [
        [study.label("model", model), _source(study, model), f"{layers} × {heads} = {layers * heads:,}",
         str(study.top_k_of(layers * heads))]
        for model in study.in_config_order("model", grid)
        for layers, heads in [grid[model]]
    ]  # fmt: skip
    methods = [
        [study.label("method", method), about.get("definition", ""), about.get("paper", "")]
        for method in study.in_config_order("method", tables["rankings"]["method"])
        for about in [study.methods.get(method, {})]
    ]
    questions = [
        [study.label("question", question), about.get("text", ""), about.get("type", ""), about.get("category", "")]
        for question in study.in_config_order("question", tables["rankings"]["question"])
        for about in [config["questions"].get(question, {})]
    ]
    settings = [[name, value] for name, value in _settings(study, tables) if value]
    blocks: list[Block] = [
        TableBlock(
            "models", "Models", ["Model", "Source", "Heads (layers × heads)", "Top heads"], models, frozenset({3})
        ),
        TableBlock("methods", "Methods", ["Method", "What it measures", "Source"], methods),
    ]
    if study.published:
        blocks.append(
            Paragraph(
                "The rankings were made elsewhere. The table above says what each method measures by its definition; "
                "the published scores may have been computed in another way."
            )
        )
    blocks += [
        TableBlock("questions", "Questions", ["Question", "As asked", "Answer", "Category"], questions),
        TableBlock("settings", "Settings", ["Setting", "Value"], settings),
    ]
    return Section("setup", blocks)


def made_with(study: Study, tables: Tables) -> Section:
    """Which weights, versions, code and config made the results."""
    made = provenance(study)
    blocks: list[Block] = [
        Paragraph(
            f"{made.workflow} made these results, with seed {study.seed}. "
            "A study with the same code, config and seed asks the same things in the same way."
        )
    ]
    if not study.model_runs:
        blocks.append(
            Paragraph(
                "The rankings were made elsewhere. Which weights and versions they rest on is not known here."
                if study.published
                else "The tables do not tell which weights and versions they rest on."
            )
        )
        return Section("made_with", blocks)
    models = study.in_config_order("model", study.model_runs)
    known = [name for name in FACTS if any(name in run for run in study.model_runs.values())]
    rows = [[FACTS[name], *(shown(name, study.model_runs[model].get(name, "")) for model in models)] for name in known]
    header = ["Of the model", *(study.label("model", model) for model in models)]
    blocks += [
        TableBlock("made_with", "Models, and how they ran", header, rows),
        Paragraph("Whole digests, and one of the code of each rule, are in findings.json under made_with."),
    ]
    return Section("made_with", blocks)


def data(study: Study, tables: Tables) -> Section:
    """How many prompts there are, which were left out, what is missing, and how the unablated model does."""
    blocks: list[Block] = [*claims_of("data", study, tables)]
    if (counts := tables.get("dataset_counts")) is not None:
        blocks += [*_dataset_counts(study, counts), *_twins(counts)]
    if (calls := tables.get("close_calls")) is not None:
        blocks += _close_calls(study, calls)
    missing = gaps(study, tables["rankings"], tables["ablation_summary"])
    blocks.append(Paragraph("What is missing:" if missing else "No configuration of the study is missing."))
    blocks += [Items(missing)] if missing else []
    headline = of_intervention(tables, study.headline)
    return Section("data", [*blocks, *_baseline(study, headline["effects"])])


def _dataset_counts(study: Study, counts: pd.DataFrame) -> list[TableBlock]:
    reasons = sorted(set(counts["status"]) - {"ok"})
    rows = []
    for (model, length, question), group in in_order(study, counts, ["model", "context_length", "question"]):
        used = group[group["status"] == "ok"].groupby("split")["prompts"].sum()
        left_out = group[group["status"] != "ok"].groupby("status")["prompts"].sum()
        names = [study.label("model", model), study.label("context_length", length), study.label("question", question)]
        why = "; ".join(f"{left_out[reason]} × {reason}" for reason in reasons if reason in left_out)
        rows.append([*names, why, str(used.get("train", 0)), str(used.get("test", 0)), str(left_out.sum())])
    header = ["Model", "Context", "Question", "Why left out", "Train", "Test", "Left out"]
    return table("dataset_counts", "Prompts", header, rows, 3)


def _twins(counts: pd.DataFrame) -> list[Paragraph]:
    """How many prompts have a twin, and why others have none."""
    by_status = twin_counts(counts)
    if by_status.empty:
        return []
    total, having = by_status.sum(), by_status.get("ok", 0)
    without = [f"{count:,} × {reason}" for reason, count in by_status.items() if reason != "ok"]
    told = (
        f"{having:,} of {total:,} prompts ({having / total:.0%}) have a twin, which states another value of the fact."
    )
    return [Paragraph(told + (f" The others have none: {'; '.join(without)}." if without else ""))]


def _close_calls(study: Study, calls: pd.DataFrame) -> list[Block]:
    """How many answers and scores hang on a choice that rounding may turn, of a token or of a strongest key."""
    bounds = listed([f"{bound:g}" for bound in sorted(calls["noise"].unique())])
    told = f"Of {calls['choices'].sum():,} answers and scores that hang on choices, "
    if not calls["close"].any():
        return [Paragraph(f"{told}none is decided within numerical noise ({bounds} in ln of a probability).")]
    lines = []
    for (source, method, intervention), rows in calls.groupby(["source", "method", "intervention"], dropna=False):
        what = {
            "generations": "answers to training prompts",
            "scores": f"scores by {study.label('method', method)}",
            "unablated": "answers of the whole model to test prompts",
            "ablation": f"answers with heads ablated ({study.label('intervention', intervention)})",
        }[source]
        if close := rows["close"].sum():
            lines.append(f"{close:,} of {rows['choices'].sum():,} {what}")
    number = calls["close"].sum()
    told += (
        f"{number:,} {'is' if number == 1 else 'are'} decided within numerical noise ({bounds} in ln of a probability)."
    )
    return [Paragraph(f"{told} On another machine, or in other batches, these may come out otherwise:"), Items(lines)]


def _baseline(study: Study, effects: pd.DataFrame) -> list[TableBlock]:
    cells = select(effects)
    lengths = study.in_config_order("context_length", cells["context_length"])
    rows = []
    for (model, question), group in in_order(study, cells, ["model", "question"]):
        by_length = group.drop_duplicates("context_length").set_index("context_length")
        names = [study.label("model", model), study.label("question", question)]
        for prompt, name in ((_WITH, "baseline"), ("without the document", "guess")):
            known = by_length[by_length[name].notna()]
            if len(known):
                values = [estimate(known.loc[length], name) if length in known.index else "" for length in lengths]
                rows.append([*names, prompt, *values])
    header = ["Model", "Question", "Prompt", *(study.label("context_length", length) for length in lengths)]
    if all(row[2] == _WITH for row in rows):  # what guessing gives is not known
        header, rows = [*header[:2], *header[3:]], [[*row[:2], *row[3:]] for row in rows]
    return table("baseline", "Accuracy with no head ablated", header, rows, len(lengths))


def _settings(study: Study, tables: Tables) -> list[tuple[str, str]]:
    config = study.config
    controls = tables["against_random"]
    draws = by_matching(controls).groupby("matching", sort=False)
    draws = draws.agg(draws=("draws", "max"), matched=("matched", "mean")).itertuples()
    bootstrap = tables["effects"]["documents"].notna().any()
    documents = config.get("documents") or {}
    rankings = tables["rankings"]
    return [
        ("Study", study.name),
        ("Published results", str(study.published.get("folder", ""))),
        ("Seed", str(study.seed)),
        ("Documents", ", ".join(f"{key} {value}" for key, value in documents.items())),
        ("Context lengths", in_words(study, "context_length", rankings["context_length"])),
        ("Variants", _variants(study)),
        ("Heads ablated", listed([str(k) for k in sorted(tables["effects"]["k"].unique())])),
        ("Random heads", "; ".join(_random_heads(row) for row in draws)),
        ("Interventions", "; ".join(_intervention(study, name) for name in study.interventions)),
        ("Bootstrap resamples", f"{study.resamples:,}" if bootstrap else ""),
        ("Significance level", f"{study.alpha:g}"),
        ("Smallest effect that matters", f"{study.smallest_effect:g}"),
    ]


def _random_heads(row: Any) -> str:
    """How often random heads were drawn beside a top set, and from where."""
    times = "once" if row.draws == 1 else f"up to {row.draws} times"
    return f"drawn {times} beside each top set, {layers_of(row.Index, row.matched)}"


def _variants(study: Study) -> str:
    """The variants of the prompts, where there are several."""
    shown, *others = (study.label("variant", name) for name in study.configured("variant"))
    return f"{shown} (in tables and figures), {', '.join(others)}" if others else ""


def _intervention(study: Study, name: str) -> str:
    """An intervention with its name, and where it stands beside others with what it was measured on."""
    one, label = study.interventions[name], study.label("intervention", name)
    documents = f", first {one['documents']} test documents" if one.get("documents") else ""
    return f"{label if label.startswith(name) else f'{name} ({label})'}{documents}"


def _source(study: Study, model: str) -> str:
    source = (study.config["models"].get(model) or {}).get("source")
    if isinstance(source, Mapping):
        # Several packages may ship the parts of a file.
        told = {key: ", ".join(value) if isinstance(value, list) else value for key, value in source.items()}
        return ", ".join(f"{key} {value}" for key, value in told.items())
    return "published results" if study.published else ""
