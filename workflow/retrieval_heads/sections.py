"""The findings, section by section, as blocks that know nothing of how they will look.

A section function takes the study and its tables and returns a :class:`Section`. Figures come after a section's own
blocks: those that declare its key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from retrieval_heads.analysis import gaps, leading_heads
from retrieval_heads.claims import Claim, claims
from retrieval_heads.effects import at
from retrieval_heads.head_sets import head_name
from retrieval_heads.overlap import grids, summarise, top_k_for
from retrieval_heads.study import DIMENSIONS, Study
from retrieval_heads.wording import estimate, listed, p_value

Tables = Mapping[str, pd.DataFrame]

_LEADING = 8
_MATCHING = {"layer": "the same layers", "none": "any layer"}
_DIMENSION = {"model": "Model", "method": "Method", "question": "Question", "context_length": "Context length"}


@dataclass(frozen=True)
class Paragraph:
    """One paragraph of text."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    texts: list[str]


@dataclass(frozen=True)
class Findings:
    """Claims, each with its outcome."""

    claims: list[Claim]


@dataclass(frozen=True)
class TableBlock:
    """A table of cells that are written already. The caption is the file of this name."""

    name: str
    title: str
    header: list[str]
    rows: list[list[str]]
    numeric: frozenset[int] = frozenset()
    """Columns to align by their digits."""


@dataclass(frozen=True)
class FigureBlock:
    """A figure. The caption is the file of this name."""

    name: str
    title: str


Block = Paragraph | Items | Findings | TableBlock | FigureBlock


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    key: str
    title: str
    blocks: list[Block] = field(default_factory=list)


def summary(study: Study, tables: Tables) -> Section:
    """The claims, and what each outcome means."""
    how = (
        "Each sentence is written by a rule from the results below. Supported takes a test that is significant after "
        f"correction (Holm, {study.alpha:g}); contradicted takes an interval that rules out a difference of "
        f"{100 * study.smallest_effect:g} points, or a significant result the other way; anything else is called not "
        "enough data."
    )
    return Section("summary", "Summary", [Paragraph(how), Findings(claims(tables, study))])


def setup(study: Study, tables: Tables) -> Section:
    """Models, methods, questions and settings."""
    config, grid = study.config, grids(tables["rankings"])
    models = [
        [study.label("model", model), _source(config["models"].get(model)), f"{layers} × {heads} = {layers * heads:,}",
         str(top_k_for(layers * heads, study.top_k))]
        for model in study.order("model", grid)
        for layers, heads in [grid[model]]
    ]  # fmt: skip
    methods = [
        [study.label("method", method), about.get("definition", ""), about.get("paper", "")]
        for method in study.order("method", tables["rankings"]["method"])
        for about in [study.methods.get(method, {})]
    ]
    questions = [
        [study.label("question", question), about.get("text", ""), about.get("type", ""), about.get("category", "")]
        for question in study.order("question", tables["rankings"]["question"])
        for about in [config["questions"].get(question, {})]
    ]
    settings = [[name, value] for name, value in _settings(study, tables) if value]
    return Section(
        "setup",
        "Set-up",
        [
            TableBlock("models", "Models", ["Model", "Source", "Heads (layers × heads)", "Top heads"], models,
                       frozenset({3})),
            TableBlock("methods", "Methods", ["Method", "What it measures", "Source"], methods),
            TableBlock("questions", "Questions", ["Question", "As asked", "Answer", "Category"], questions),
            TableBlock("settings", "Settings", ["Setting", "Value"], settings),
        ],
    )  # fmt: skip


def data(study: Study, tables: Tables) -> Section:
    """How many prompts there are, which were left out, what is missing, and how the uncut model does."""
    blocks: list[Block] = []
    if (counts := tables.get("dataset_counts")) is not None and len(counts):
        blocks.append(_dataset_counts(study, counts))
    missing = gaps(study, tables["rankings"], tables["ablation_summary"])
    blocks.append(Paragraph("What is missing:" if missing else "No configuration of the study is missing."))
    blocks += [Items(missing)] if missing else []
    return Section("data", "Data and baseline", [*blocks, _baseline(study, tables["effects"])])


def heads(study: Study, tables: Tables) -> Section:
    """Which heads the methods put first."""
    leading = leading_heads(tables["rankings"], study.top_k)
    leading = leading[leading["place"] <= _LEADING]
    rows = [
        [study.label("model", model), study.label("context_length", length), study.label("method", method),
         ", ".join(head_name(row.layer, row.head) for row in group.itertuples())]
        for (model, length, method), group in _in_order(study, leading, ["model", "context_length", "method"])
    ]  # fmt: skip
    header = ["Model", "Context", "Method", f"First {_LEADING} heads"]
    return Section("heads", "Top heads", [_table("top_heads", "Top heads of each method", header, rows)])


def ablation(study: Study, tables: Tables) -> Section:
    """What cutting them does."""
    if tables["effects"].empty:
        return Section("ablation", "Ablation", [Paragraph("No top heads were cut beside an uncut baseline.")])
    effects = at(tables["effects"], pooled=["question"])
    levels = sorted(effects["k"].unique())
    rows = []
    for (model, length, method), group in _in_order(study, effects, ["model", "context_length", "method"]):
        by_k = group.set_index("k")
        cells = [estimate(by_k.loc[k], "accuracy") if k in by_k.index else "" for k in levels]
        names = [study.label("model", model), study.label("context_length", length), study.label("method", method)]
        rows.append([*names, estimate(group.iloc[0], "baseline"), *cells])
    header = ["Model", "Context", "Method", "No cut", *(f"{k} cut" for k in levels)]
    curves = _table(
        "effects", "Accuracy with the top heads cut, all questions", header, rows, _last(len(levels) + 1, header)
    )
    return Section("ablation", "Ablation", [curves, _against_random(study, tables)])


def overlap(study: Study, tables: Tables) -> Section:
    """How much the top heads have in common."""
    pairs = tables["overlap"]
    blocks: list[Block] = [
        Paragraph(f"{_DIMENSION[dimension]}: only one value can be compared, so there is no overlap to report.")
        for dimension in DIMENSIONS
        if not (pairs["dimension"] == dimension).any()
    ]
    header = ["Mean", "Lowest", "Highest", "Pairs", "Chance"]
    if len(pairs):
        by_dimension = [
            [_DIMENSION[row["dimension"]], *_jaccards(row)] for _, row in summarise(pairs, ["dimension"]).iterrows()
        ]
        by_pair = [
            [_DIMENSION[row["dimension"]], study.label(row["dimension"], row["a"]),
             study.label(row["dimension"], row["b"]), *_jaccards(row)]
            for _, row in summarise(pairs, ["dimension", "a", "b"]).iterrows()
        ]  # fmt: skip
        first, second = ["Dimension", *header], ["Dimension", "One", "Other", *header]
        blocks += [
            TableBlock("overlap", "Overlap along each dimension", first, by_dimension, _last(5, first)),
            TableBlock("overlap_pairs", "Overlap of each pair of values", second, by_pair, _last(5, second)),
        ]
    return Section("overlap", "Overlap of the top heads", blocks)


SECTIONS: tuple[Callable[[Study, Tables], Section], ...] = (summary, setup, data, heads, ablation, overlap)


def _table(
    name: str, title: str, header: list[str], rows: list[list[str]], numeric: frozenset[int] = frozenset()
) -> TableBlock:
    """A table without the columns of a model or context length that is the same in all rows."""
    same = {
        i for i, column in enumerate(header) if column in ("Model", "Context") and len({row[i] for row in rows}) == 1
    }
    kept = [i for i in range(len(header)) if i not in same]
    return TableBlock(
        name,
        title,
        [header[i] for i in kept],
        [[row[i] for i in kept] for row in rows],
        frozenset(place for place, i in enumerate(kept) if i in numeric),
    )


def _dataset_counts(study: Study, counts: pd.DataFrame) -> TableBlock:
    reasons = sorted(set(counts["status"]) - {"ok"})
    rows = []
    for (model, length, question), group in _in_order(study, counts, ["model", "context_length", "question"]):
        used = group[group["status"] == "ok"].groupby("split")["prompts"].sum()
        left_out = group[group["status"] != "ok"].groupby("status")["prompts"].sum()
        names = [study.label("model", model), study.label("context_length", length), study.label("question", question)]
        why = "; ".join(f"{left_out[reason]} × {reason}" for reason in reasons if reason in left_out)
        rows.append([*names, str(used.get("train", 0)), str(used.get("test", 0)), str(left_out.sum()), why])
    header = ["Model", "Context", "Question", "Train", "Test", "Left out", "Why"]
    return _table("dataset_counts", "Prompts", header, rows, frozenset({3, 4, 5}))


def _baseline(study: Study, effects: pd.DataFrame) -> TableBlock:
    cells = at(effects)
    lengths = study.order("context_length", cells["context_length"])
    rows = []
    for (model, question), group in _in_order(study, cells, ["model", "question"]):
        by_length = group.drop_duplicates("context_length").set_index("context_length")
        values = [
            estimate(by_length.loc[length], "baseline") if length in by_length.index else "" for length in lengths
        ]
        rows.append([study.label("model", model), study.label("question", question), *values])
    header = ["Model", "Question", *(study.label("context_length", length) for length in lengths)]
    return _table("baseline", "Accuracy with no head cut", header, rows, _last(len(lengths), header))


def _against_random(study: Study, tables: Tables) -> TableBlock:
    level = study.level(tables["effects"])
    controls = at(tables["against_random"], pooled=["question"], k=level)
    accuracy = at(tables["effects"], pooled=["question"], k=level)
    accuracy = accuracy.set_index(["model", "context_length", "method"])
    rows = []
    for key, group in _in_order(study, controls, ["model", "context_length", "method"]):
        model, length, method = key
        for _, row in group.sort_values("matching").iterrows():
            rows.append(
                [
                    study.label("model", model),
                    study.label("context_length", length),
                    study.label("method", method),
                    f"{_MATCHING[row['matching']]}, {row['draws']} drawn",
                    estimate(accuracy.loc[key], "drop", ""),
                    estimate(row, "drop", ""),
                    estimate(row, "difference", ""),
                    p_value(row["p_holm"]).removeprefix("= "),
                ]
            )
    header = ["Model", "Context", "Method", "Random heads", "Drop, top", "Drop, random", "Difference", "Holm p"]
    title = f"Top {level} heads against as many random ones, all questions, in points of accuracy"
    return _table("against_random", title, header, rows, _last(4, header))


def _settings(study: Study, tables: Tables) -> list[tuple[str, str]]:
    config = study.config
    controls = tables["against_random"]
    draws = controls.groupby("matching")["draws"].max() if len(controls) else {}
    bootstrap = tables["effects"]["documents"].notna().any()
    documents = config.get("documents") or {}
    return [
        ("Study", study.name),
        ("Seed", str(study.seed)),
        ("Documents", ", ".join(f"{key} {value}" for key, value in documents.items())),
        ("Context lengths", listed([study.label("context_length", length) for length in
                                    study.order("context_length", tables["rankings"]["context_length"])])),
        ("Heads cut", listed([str(k) for k in sorted(tables["effects"]["k"].unique())])),
        ("Random draws", ", ".join(f"{number} of {_MATCHING[kind]}" for kind, number in draws.items())),
        ("Way of cutting", listed(sorted(set(tables["effects"]["mode"])))),
        ("Tokens it acts on", listed(sorted(set(tables["effects"]["scope"])))),
        ("Bootstrap resamples", f"{study.resamples:,}" if bootstrap else ""),
    ]  # fmt: skip


def _source(model: object) -> str:
    source = model.get("source", model) if isinstance(model, Mapping) else model
    return (
        ", ".join(f"{key} {value}" for key, value in source.items())
        if isinstance(source, Mapping)
        else str(source or "")
    )


def _in_order(study: Study, frame: pd.DataFrame, by: list[str]):
    """Groups in the study's order of each dimension."""
    places = {name: {value: i for i, value in enumerate(study.order(name, frame[name]))} for name in by}
    groups = {key: group for key, group in frame.groupby(by)}
    for key in sorted(groups, key=lambda key: [places[name][value] for name, value in zip(by, key, strict=True)]):
        yield key, groups[key]


def _jaccards(row: pd.Series) -> list[str]:
    values = [f"{row[name]:.3f}" for name in ("jaccard", "lowest", "highest")]
    return [*values, str(row["pairs"]), f"{row['chance']:.3f}"]


def _last(columns: int, header: list[str]) -> frozenset[int]:
    return frozenset(range(len(header) - columns, len(header)))
