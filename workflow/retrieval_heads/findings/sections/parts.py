"""Parts that several sections are built from."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pandas as pd

from retrieval_heads.analysis.layers import leading_layers
from retrieval_heads.analysis.overlap import unequal_totals
from retrieval_heads.analysis.shapes import equal_shares, results_by_grid
from retrieval_heads.findings.claims import of_section, together
from retrieval_heads.findings.claims.outcome import of_tests
from retrieval_heads.findings.sections.blocks import Block, ClaimList, Paragraph, TableBlock, Tables
from retrieval_heads.study.dimensions import DIMENSION, described
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, estimate, hundredths, listed, p_cell, percent, sizes
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.select import of_intervention
from retrieval_heads.tables.tests import DROP

TABLES: dict[str, dict[str, int]] = {"effects": {}, "mean_drops": {}, "rankings": {}, "tests": {}}

NONE_ABLATED = Paragraph("No top heads were ablated beside an unablated baseline.")
"""What a section about ablation says where there is none."""


def how_ablated(study: Study) -> Paragraph:
    """How heads were ablated in what a section shows."""
    shown, *others = (study.label("intervention", name) for name in study.interventions)
    if not others:
        return Paragraph(f"Heads were ablated in one way: {shown}.")
    return Paragraph(
        f"Heads were ablated in {count(len(others) + 1, 'way')}, called interventions. Tables and figures show the "
        f"headline, “{shown}”, unless they name another ({'; '.join(f'“{other}”' for other in others)}). A claim is "
        "supported only if it is under all of them."
    )


def claims_of(key: str, study: Study, tables: Tables) -> list[ClaimList]:
    """The claims of a section, those of many methods summed up, as a list of one block or none."""
    found = together(of_section(key, tables, study))
    return [ClaimList(found)] if found else []


def mode_label(study: Study, mode: str) -> str:
    """What replaces a head's output, as it is shown."""
    return study.replacements.get(mode, {}).get("label", mode)


def only_one(study: Study, dimension: str, values: Iterable, what: str) -> list[Block]:
    """A line that says so if a dimension has fewer than two values, and so nothing to compare."""
    order = study.in_config_order(dimension, values)
    if len(order) > 1:
        return []
    if not order:
        return [Paragraph(f"There are no {described(dimension).plural} in these results, so {what}.")]
    only = f"{study.label(dimension, order[0])} is the only {dimension.replace('_', ' ')}"
    return [Paragraph(f"{only} in these results, so {what}.")]


def table(name: str, title: str, header: list[str], rows: list[list[str]], numbers: int = 0) -> list[TableBlock]:
    """A table as a list of one block, or of none where it has no rows.

    Columns of a model, context or grid that is the same in all rows are left out.

    Parameters
    ----------
    numbers : how many of the last columns hold numbers.
    """
    same = {
        i
        for i, column in enumerate(header)
        if column in (DIMENSION["model"].label, DIMENSION["context_length"].label, "Grid")
        and len({row[i] for row in rows}) == 1
    }
    kept = [i for i in range(len(header)) if i not in same]
    numeric = frozenset(range(len(header) - numbers, len(header)))
    block = TableBlock(
        name,
        title,
        [header[i] for i in kept],
        [[row[i] for i in kept] for row in rows],
        frozenset(place for place, i in enumerate(kept) if i in numeric),
    )
    return [block] if rows else []


def in_order(study: Study, frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[tuple, pd.DataFrame]]:
    """Groups in the study's order of each dimension."""
    places = {name: {value: i for i, value in enumerate(study.in_config_order(name, frame[name]))} for name in by}
    groups = {key: group for key, group in frame.groupby(by)}
    for key in sorted(groups, key=lambda key: [places[name][value] for name, value in zip(by, key, strict=True)]):
        yield key, groups[key]


def mean_drops(study: Study, tables: Tables, dimension: str) -> pd.DataFrame:
    """Rows of the mean_drops table about a dimension, its values as they are elsewhere."""
    rows = tables["mean_drops"]
    rows = rows[rows["grouping"] == dimension]
    return rows.assign(value=rows["value"].astype(int)) if dimension == "context_length" else rows


def costs(study: Study, tables: Tables, key: str, dimension: str, name: str) -> list[Block]:
    """What ablation costs for each value of a dimension: the section's claims, mean drops, and tests of differences.

    Where models differ in their number of heads, their names say of how many.

    Parameters
    ----------
    key : the section's.
    name : what the tables' names begin with.
    """
    if tables["effects"].empty:
        return [NONE_ABLATED]
    found, tables = claims_of(key, study, tables), of_intervention(tables, study.headline)
    level, by = study.level(tables["effects"]), dimension.replace("_", " ")
    return [
        how_ablated(study),
        *found,
        *_drops_by_level(study, tables, dimension, f"{name}_drops", f"Mean drop of accuracy by {by}, in points"),
        *_tests(
            study,
            tables,
            of_tests(tables, DROP, dimension=dimension, k=level),
            dimension,
            f"{name}_tests",
            f"Differences with {_ablated(tables, dimension, level)} ablated, in points",
        ),
    ]


def _ablated(tables: Tables, dimension: str, level: int) -> str:
    """How many heads were ablated where values of a dimension are compared."""
    total = unequal_totals(tables["rankings"]) if dimension == "model" else {}
    shares = [
        f"{number} of {total[model]:,}" for model, number in (equal_shares(level, total) if total else {}).items()
    ]
    return f"equal shares of heads ({listed(list(dict.fromkeys(shares)))})" if total else f"the top {level} heads"


def _by_grid(study: Study, tables: Tables, dimension: str) -> list[tuple[str, Tables]]:
    """The results of the models of each grid, which are compared apart, unless it is the models that are compared."""
    if dimension == "model":
        return [("", tables)]
    return [(str(grid or ""), part) for grid, _, part in results_by_grid(tables, study.config["models"])]


def _drops_by_level(study: Study, tables: Tables, dimension: str, name: str, title: str) -> list[TableBlock]:
    """Mean drop of each value of a dimension at each level, and of random heads beside it."""
    levels = [*sorted(mean_drops(study, tables, dimension)["k"].dropna().unique()), None]
    lines = [
        [grid, *line]
        for grid, part in _by_grid(study, tables, dimension)
        for line in _drops_of_grid(study, part, dimension, levels)
    ]
    header = [
        "Grid",
        described(dimension).label,
        "Heads ablated",
        *(f"{k} ablated" for k in levels[:-1]),
        "All levels",
        "SD",
        "n",
    ]
    return table(name, title, header, lines, len(levels) + 2)


def _drops_of_grid(study: Study, tables: Tables, dimension: str, levels: list[int | None]) -> Iterator[list[str]]:
    rows = mean_drops(study, tables, dimension)
    for value in study.in_config_order(dimension, rows["value"]):
        of_value = rows[rows["value"] == value]
        for source, matching, heads in (
            ("method", None, "top heads"),
            *(("random", kind, f"random heads, {drawn.label}") for kind, drawn in MATCHINGS.items()),
        ):
            here = of_value[of_value["source"] == source]
            here = here[here["matching"].isna() if matching is None else here["matching"] == matching]
            if len(here):
                cells = [here[here["k"].isna() if k is None else here["k"].eq(k).fillna(False)] for k in levels]
                yield [
                    _named(study, tables, dimension, value),
                    heads,
                    *(estimate(cell.iloc[0], "drop", "") if len(cell) else "" for cell in cells),
                    f"{100 * cells[-1].iloc[0]['drop_sd']:.1f}",
                    str(here["configurations"].max()),
                ]


def _named(study: Study, tables: Tables, dimension: str, value: object) -> str:
    total = unequal_totals(tables["rankings"]) if dimension == "model" else {}
    return f"{study.label(dimension, value)}{f' ({total[value]:,} heads)' if value in total else ''}"


def _tests(
    study: Study, tables: Tables, tests: pd.DataFrame, dimension: str, name: str, title: str
) -> list[TableBlock]:
    """Named tests along one dimension, of each pair of values and of all together."""
    lines = []
    for _, row in tests.iterrows():
        every = pd.isna(row["a"])
        pair = [] if every else [_named(study, tables, dimension, row[end]) for end in ("a", "b")]
        compared = " − ".join(pair) if pair else f"all {described(dimension).plural}"
        lines.append(
            [
                str(Grid.of(row)) if pd.notna(row["layers"]) else "",
                compared,
                sizes(row),
                "" if every else estimate(row, "difference", ""),
                f"{row['test']}, {count(row['units'], row['unit'])}",
                p_cell(row["p"]),
                p_cell(row["p_holm"]),
                f"{hundredths(row['effect_size'])} ({row['effect']})",
            ]
        )
    header = ["Grid", "Compared", "Heads", "Difference", "Test", "p", "Holm p", "Effect size"]
    numbers = {"Heads", "Difference", "p", "Holm p"}
    return [
        replace(block, numeric=frozenset(i for i, column in enumerate(block.header) if column in numbers))
        for block in table(name, title, header, lines)
    ]


def layers_with_shares(layers: pd.Series, number: int) -> str:
    """The layers that hold most of some heads, with their shares: 14 (12.2%), 16 (11.5%). None where all hold
    equally many."""
    leading = leading_layers(layers, number)
    return ", ".join(f"{layer} ({percent(share)})" for layer, share in leading.items()) or "none"


def in_words(study: Study, dimension: str, values: Iterable) -> str:
    """The values of a dimension in a sentence."""
    return listed([study.label(dimension, value) for value in study.in_config_order(dimension, values)])
