"""Which heads the methods find: those that all agree on, specialists, differences between models, stability."""

from dataclasses import replace

import pandas as pd

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.coverage import leading_heads
from retrieval_heads.analysis.layers import middle_half
from retrieval_heads.analysis.noise import within_rounding, within_sampling
from retrieval_heads.analysis.overlap import grids, top_heads, with_grids
from retrieval_heads.analysis.score_gaps import score_gaps
from retrieval_heads.analysis.summaries import summary
from retrieval_heads.findings.sections.blocks import Block, MapBlock, Paragraph, Section, Tables
from retrieval_heads.findings.sections.parts import claims_of, in_order, layers_with_shares, only_one, table
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY, change, count, ends, least_and_most, listed, percent
from retrieval_heads.tables.heads import GRID, Grid, by_grid, head_name

TABLES: dict[str, dict[str, int]] = {"cuts": {"documents": 1}, "profiles": {}, "rankings": {}}

SHOWN = {
    "consensus_heads_table": {"title": "Heads that all methods rank high", "needs": {"method": 2}},
    "layers": {"title": "Layers of the top heads by method", "needs": {}},
    "specialists": {"title": "Heads for one question alone", "needs": {"question": 2}},
    "model_differences": {"title": "Heads that models rank most differently", "needs": {"model": 2}},
    "volatility": {"title": "Volatile and stable heads", "needs": {}},
    "dominance": {"title": "How far the first head stands out", "needs": {}},
    "universal_heads_table": {"title": "Heads in most top sets", "needs": {}},
    "top_heads": {"title": "Top heads of each method", "needs": {}},
}

_SHOWN = 8
_SPECIALISTS = 20
_LAYERS = 6
_VOLATILE = 3


def consensus(study: Study, tables: Tables) -> Section:
    """Heads that every method ranks high."""
    none = only_one(study, "method", tables["rankings"]["method"], "there is nothing to agree on")
    if none:
        return Section("consensus", none)
    every, rows = head_profiles.select(tables["profiles"]), []
    methods = study.in_config_order("method", every["method"])
    for grid, group in by_grid(every):
        by_head = group.set_index(["layer", "head", "method"]).sort_index()
        for head in head_profiles.consensus(group, study.consensus_k(grid.total)).index:
            cells = {method: by_head.loc[(*head, method)] for method in methods if (*head, method) in by_head.index}
            ranks = {
                method: f"{cell['mean_rank']:.1f} ({_rank(cell['best_rank'])} to {_rank(cell['worst_rank'])})"
                for method, cell in cells.items()
            }
            columns = list(ranks.values())
            if len(methods) > MANY:
                ends = least_and_most({method: cell["mean_rank"] for method, cell in cells.items()})
                columns = [text for method in ends for text in (ranks[method], study.label("method", method))]
            rows.append([str(grid), head_name(*head), *columns])
    columns = [study.label("method", method) for method in methods]
    if len(methods) > MANY:
        columns = ["Highest", "with", "Lowest", "with"]
    header = ["Grid", "Head", *columns]
    shown = table("consensus_heads_table", "Mean rank of the heads that all methods rank high", header, rows)
    numbers = {"Highest", "Lowest"} if len(methods) > MANY else set(columns)
    shown = [
        replace(one, numeric=frozenset(i for i, name in enumerate(one.header) if name in numbers)) for one in shown
    ]
    return Section("consensus", [*claims_of("consensus", study, tables), *shown])


def layers(study: Study, tables: Tables) -> Section:
    """In which layers each method finds its heads."""
    top, grid, rows, halves = top_heads(tables["rankings"], study.top_k), grids(tables["rankings"]), [], []
    for (model, method), group in in_order(study, top, ["model", "method"]):
        named, used = layers_with_shares(group["layer"], _LAYERS), group["layer"].nunique()
        low, high = middle_half(group["layer"])
        total = grid[model][0]
        name, where = study.label("method", method), study.label("model", model)
        rows.append([where, name, named, f"{low} to {high}", f"{group['layer'].mean():.1f}", f"{used} of {total}"])
        halves.append((low + high, f"{low} to {high} of {total} ({name} in {where})"))
    if not halves:
        text = "No ranking tells top heads apart from the rest, so that they lie in no layers."
    elif len(halves) > 2:
        (_, lowest), (_, highest) = min(halves), max(halves)
        text = (
            f"The middle half of the top heads lies lowest in layers {lowest}. It lies highest in layers {highest}. "
            "Layers count from 0."
        )
    else:
        lines = listed([half for _, half in halves])
        text = f"The middle half of the top heads lies in layers {lines}. Layers count from 0."
    header = [
        "Model",
        "Method",
        f"The {_LAYERS} layers with most top heads",
        "Middle half",
        "Mean layer",
        "Layers used",
    ]
    return Section("layers", [Paragraph(text), *table("layers", "Layers of the top heads by method", header, rows, 2)])


def specialists(study: Study, tables: Tables) -> Section:
    """Heads that matter to one question alone."""
    none = only_one(study, "question", tables["rankings"]["question"], "no head can be for one question alone")
    if none:
        return Section("specialists", none)
    rows = []
    by_question = head_profiles.select(tables["profiles"], "question")
    shown_of_each = _fewer(_SPECIALISTS, by_question)
    for (grid, method), group in _grids_and_methods(study, by_question):
        total = grid.total
        found = head_profiles.specialists(group, study.top_k_of(total), study.specialist_k(total), shown_of_each)
        for head, row in found.iterrows():
            names = [
                str(grid),
                study.label("method", method),
                head_name(*head),
                study.label("question", row["question"]),
            ]
            rows.append([*names, f"{row['rank']:.1f}", f"{row['others']:.1f}"])
    header = ["Grid", "Method", "Head", "For the question", "Mean rank there", "Mean rank for the others"]
    shown = table("specialists", "Heads for one question alone", header, rows, 2)
    return Section("specialists", [*claims_of("specialists", study, tables), *shown])


def model_differences(study: Study, tables: Tables) -> Section:
    """Heads that two models rank differently."""
    none = only_one(study, "model", tables["rankings"]["model"], "no head can be compared with its rank in another")
    if none:
        return Section("model_differences", none)
    rows = []
    by_model = head_profiles.select(tables["profiles"], "model")
    for (grid, method), group in _grids_and_methods(study, by_model):
        models = study.in_config_order("model", group["value"])
        for place, a in enumerate(models):
            for b in models[place + 1 :]:
                found = head_profiles.differences(group, a, b, study.specialist_k(grid.total), _SHOWN)
                for head, row in found.iterrows():
                    names = [study.label("model", a), study.label("model", b), study.label("method", method)]
                    ranks = [f"{row['rank_a']:.1f}", f"{row['rank_b']:.1f}"]
                    rows.append([*names, head_name(*head), *ranks, change(row["difference"] / 100)])
    header = ["Model A", "Model B", "Method", "Head", "Rank in A", "Rank in B", "Difference"]
    if len({(row[0], row[1]) for row in rows}) == 1:
        header[4:6] = [f"Rank in {name}" for name in rows[0][:2]]
        header, rows = header[2:], [row[2:] for row in rows]
    shown = table("model_differences", "Heads that models rank most differently", header, rows, 3)
    blocks: list[Block] = [*claims_of("model_differences", study, tables), *shown]
    return Section(
        "model_differences", blocks or [Paragraph("The heads of no two models can be matched: their grids differ.")]
    )


def volatility(study: Study, tables: Tables) -> Section:
    """Heads whose rank varies between configurations, and heads that stay where they are."""
    every, rows = head_profiles.select(tables["profiles"]), []
    by_length = head_profiles.select(tables["profiles"], "context_length").set_index(
        [*GRID, "method", "layer", "head", "value"]
    )
    for (grid, method), group in _grids_and_methods(study, every):
        if group["configurations"].max() < 2:
            continue
        shown = _fewer(_VOLATILE, every)
        swinging = head_profiles.volatile(group, shown)
        stable = head_profiles.stable(group, study.top_k_of(grid.total), shown)
        lengths = study.in_config_order("context_length", [int(value) for value in by_length.index.unique("value")])
        for kind, heads in (("most volatile", swinging), ("most stable top head", stable)):
            for _, row in heads.iterrows():
                at = [(*grid, method, row["layer"], row["head"], str(length)) for length in lengths]
                means = [f"{by_length.loc[key, 'mean_rank']:.0f}" if key in by_length.index else "–" for key in at]
                names = [str(grid), study.label("method", method), kind, head_name(row["layer"], row["head"])]
                rows.append(
                    [*names, " · ".join(means),
                     f"{row['mean_rank']:.1f}", f"{row['sd_rank']:.1f}", *map(_rank, row[["best_rank", "worst_rank"]])]
                )  # fmt: skip
    if not rows:
        return Section("volatility", [Paragraph("Each method has a single ranking, so no head's rank can vary.")])
    medians = {(grid, method): group["sd_rank"].median() for (grid, method), group in _grids_and_methods(study, every)}
    named = {
        (grid, method): f"{median:.0f} ({study.label('method', method)}{_where(every, grid)})"
        for (grid, method), median in medians.items()
    }
    spread = ends(named, medians, "medians")
    text = (
        f"The standard deviation of a head's rank over configurations has a median of {spread}. The mean ranks at each "
        "context length show whether a head's rank changes with the length. Where rankings break between lengths "
        "({table:overlap_pairs}), such changes are part of that break."
    )
    header = ["Grid", "Method", "Kind", "Head", "Mean rank by length", "Mean rank", "SD", "Best", "Worst"]
    return Section("volatility", [Paragraph(text), *table("volatility", "Volatile and stable heads", header, rows, 4)])


def dominance(study: Study, tables: Tables) -> Section:
    """How far the first head of each ranking stands above the second, and whether top sets end within noise."""
    gaps = with_grids(score_gaps(tables["rankings"]), tables["rankings"])
    header = ["Grid", "Method", "Mean gap", "SD", "Lowest", "Highest", "Rankings"]
    ends: dict[tuple, list[str]] = {}
    if "cuts" in tables:  # scores of single prompts are known
        header += ["Ends in numerical noise", "In sampling noise"]
        for key, rows in _grids_and_methods(study, with_grids(tables["cuts"], tables["rankings"])):
            ends[key] = [f"{within(rows).sum()} of {len(rows)}" for within in (within_rounding, within_sampling)]
    lines = []
    for (grid, method), group in _grids_and_methods(study, gaps):
        numbers = [*map(percent, summary(group["gap"])), str(len(group))]
        numbers += ends.get((grid, method), [""] * (len(header) - 7))
        lines.append([str(grid), study.label("method", method), *numbers])
    title = "How far the first head's score stands above the second's"
    shown = table("dominance", title, header, lines, len(header) - 2)
    return Section("dominance", [*claims_of("dominance", study, tables), *shown])


def universal(study: Study, tables: Tables) -> Section:
    """Heads that are in most top sets of a method."""
    every, rows = head_profiles.select(tables["profiles"]), []
    always_on_top: dict[str, float] = {}
    for (grid, method), group in _grids_and_methods(study, every):
        found, always = head_profiles.universal(group, _fewer(_SHOWN, every)), group[group["top_share"] == 1]
        k = study.top_k_of(grid.total)
        sentence = (
            f"{study.label('method', method)} has {count(len(always), 'head')} in the top {k} of all its "
            f"{count(group['configurations'].max(), 'ranking')}{_where(every, grid)}"
        )
        always_on_top[sentence] = len(always)
        for _, row in found.iterrows():
            names = [str(grid), study.label("method", method), head_name(row["layer"], row["head"])]
            rows.append([*names, percent(row["top_share"]), f"{row['mean_rank']:.1f}", percent(row["top_chance"])])
    sentences = list(always_on_top)
    if len(sentences) > MANY:
        least, most = least_and_most(always_on_top)
        of = count(every["method"].nunique(), "method")
        sentences = [f"{most} (the most of {of})", f"{least} (the fewest)"]
    header = ["Grid", "Method", "Head", "Share of top sets", "Mean rank", "Chance"]
    leading = leading_heads(tables["rankings"], study.top_k)
    leading = leading[leading["last"] <= _SHOWN]
    first = [
        [study.label("model", model), study.label("context_length", length), study.label("method", method),
         ", ".join(head_name(row.layer, row.head) for row in group.itertuples())]
        for (model, length, method), group in in_order(study, leading, ["model", "context_length", "method"])
    ]  # fmt: skip
    return Section(
        "universal",
        [
            Paragraph(" ".join(f"{sentence}." for sentence in sentences)),
            *table("universal_heads_table", "Heads in most top sets", header, rows, 3),
            *table(
                "top_heads", "Top heads of each method", ["Model", "Context", "Method", f"First {_SHOWN} heads"], first
            ),
        ],
    )


def head_map(study: Study, tables: Tables) -> Section:
    """All heads of all rankings, to look around in."""
    rankings = tables["rankings"]
    how = (
        "Each cell is a head: its layer from bottom to top, its place in the layer from left to right, both counted "
        "from 0. The brighter a cell, the higher the method ranks the head; the scale is logarithmic, so that the "
        "first places stand out. Heads with equal scores share the mean of their ranks. Point at a head to read its "
        "rank and score under every method."
    )
    sizes = rankings.groupby(list(DIMENSIONS)).size()
    if any(sizes[model].min() < grid.total for model, grid in grids(rankings).items()):
        how += (
            " A cell is blank where no ranking shown lists the head. In a mean over several rankings, the heads that "
            "one of them does not list share the mean of the ranks that are left."
        )
    return Section("map", [Paragraph(how), MapBlock("head_map", "All heads under each method")])


def _fewer(number: int, profiles_: pd.DataFrame) -> int:
    """How many heads of each method a table lists: fewer of many methods, so that it stays short."""
    return number if profiles_["method"].nunique() <= MANY else -(-number // 4)


def _rank(rank: float) -> str:
    """A rank that ties may have made a mean of several: 7, or 31.5."""
    return f"{rank:.1f}".removesuffix(".0")


def _where(profiles_: pd.DataFrame, grid: Grid) -> str:
    """Which models a number is about, where their grids of heads differ."""
    return f" in models of {grid} heads" if len(profiles_[list(GRID)].drop_duplicates()) > 1 else ""


def _grids_and_methods(study: Study, rows: pd.DataFrame):
    """Groups of a grid and method, in the study's order of methods."""
    for grid, of_one in by_grid(rows):
        for (method,), group in in_order(study, of_one, ["method"]):
            yield (grid, method), group
