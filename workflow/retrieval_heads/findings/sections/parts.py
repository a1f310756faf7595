"""Parts that several sections are built from."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pandas as pd

from retrieval_heads.analysis.overlap import unequal_totals
from retrieval_heads.findings.claims import about
from retrieval_heads.findings.claims.outcome import of_tests
from retrieval_heads.findings.sections.blocks import Block, Findings, Paragraph, TableBlock, Tables
from retrieval_heads.study.dimensions import DIMENSION, described
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, estimate, hundredths, listed, p_cell, percent, sizes
from retrieval_heads.tables.select import of_intervention
from retrieval_heads.tables.tests import DROP

MATCHING = {"layer": "matched by layer", "none": "of any layer"}
"""How random heads were drawn."""


def matched(matching: str, share: float) -> str:
    """Where random heads are from: any layer, the same layers, or how many of them are from the same.

    Parameters
    ----------
    matching, share : the columns ``matching`` and ``matched`` of ``against_random``.
    """
    if matching == "none":
        return "any layer"
    return "the same layers" if share == 1 else f"{percent(share)} from the same layers, the rest from the nearest"


NONE_CUT = Paragraph("No top heads were cut beside an uncut baseline.")
"""What a section about cuts says where there are none."""


def how(study: Study) -> Paragraph:
    """How heads were ablated in what a section shows."""
    shown, *others = (study.label("intervention", name) for name in study.interventions)
    if not others:
        return Paragraph(f"Heads were ablated in one way: {shown}.")
    return Paragraph(
        f"Heads were ablated in {count(len(others) + 1, 'way')}. Tables and figures show the headline ({shown}), but "
        f"where they name others ({'; '.join(others)}); a claim holds if it does under all."
    )


def findings(key: str, study: Study, tables: Tables) -> list[Findings]:
    """The claims of a section, as a list of one block or none."""
    found = about(key, tables, study)
    return [Findings(found)] if found else []


def only_one(study: Study, dimension: str, values: Iterable, what: str) -> list[Block]:
    """A line that says so if a dimension has fewer than two values, and so nothing to compare."""
    order = study.in_config_order(dimension, values)
    if len(order) > 1:
        return []
    there = f"only {study.label(dimension, order[0])}" if order else f"no {described(dimension).plural}"
    return [Paragraph(f"There is {there} in these results, so {what}.")]


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
    """What a cut costs for each value of a dimension: the section's claims, mean drops, and tests of differences.

    Where models differ in their number of heads, their names say of how many.

    Parameters
    ----------
    key : the section's.
    name : what the tables' names begin with.
    """
    if tables["effects"].empty:
        return [NONE_CUT]
    found, tables = findings(key, study, tables), of_intervention(tables, study.headline)
    level = study.level(tables["effects"])
    by = "category of question" if dimension == "category" else dimension.replace("_", " ")
    return [
        how(study),
        *found,
        *_drops_by_level(study, tables, dimension, f"{name}_drops", f"Mean drop of accuracy by {by}, in points"),
        *_tests(
            study,
            tables,
            of_tests(tables, DROP, dimension=dimension, k=level),
            dimension,
            f"{name}_tests",
            f"Differences with the top {level} heads cut, in points",
        ),
    ]


def _drops_by_level(study: Study, tables: Tables, dimension: str, name: str, title: str) -> list[TableBlock]:
    """Mean drop of each value of a dimension at each level, and of random heads beside it."""
    rows, lines = mean_drops(study, tables, dimension), []
    levels = [*sorted(rows["k"].dropna().unique()), None]
    for value in study.in_config_order(dimension, rows["value"]):
        of_value = rows[rows["value"] == value]
        for source, matching, heads in (
            ("method", None, "top heads"),
            *(("random", kind, f"random, {MATCHING[kind]}") for kind in ("layer", "none")),
        ):
            here = of_value[of_value["source"] == source]
            here = here[here["matching"].isna() if matching is None else here["matching"] == matching]
            if len(here):
                cells = [here[here["k"].isna() if k is None else here["k"].eq(k).fillna(False)] for k in levels]
                lines.append(
                    [
                        _named(study, tables, dimension, value),
                        heads,
                        *(estimate(cell.iloc[0], "drop", "") if len(cell) else "" for cell in cells),
                        f"{100 * cells[-1].iloc[0]['drop_sd']:.1f}",
                        str(here["configurations"].max()),
                    ]
                )
    header = [described(dimension).label, "Heads cut", *(f"{k} cut" for k in levels[:-1]), "All levels", "SD", "n"]
    return table(name, title, header, lines, len(levels) + 2)


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
        compared = "all" if every else " − ".join(_named(study, tables, dimension, row[end]) for end in ("a", "b"))
        lines.append(
            [
                compared,
                sizes(row),
                "" if every else estimate(row, "difference", ""),
                f"{row['test']}, {row['units']} {row['unit']}s",
                p_cell(row["p"]),
                p_cell(row["p_holm"]),
                hundredths(row["effect_size"]),
                row["effect"],
            ]
        )
    header = ["Compared", "Heads", "Difference", "Test", "p", "Holm p", "Effect size", "Measure"]
    return [replace(block, numeric=frozenset({1, 2, 4, 5, 6})) for block in table(name, title, header, lines)]


def leading_layers(layers: pd.Series, number: int) -> str:
    """The layers that hold most of some heads, with their shares: 14 (12.2%), 16 (11.5%)."""
    shares = layers.value_counts(normalize=True).sort_index().sort_values(ascending=False, kind="stable")
    return ", ".join(f"{layer} ({percent(share)})" for layer, share in shares.head(number).items())


def sentence(study: Study, dimension: str, values: Iterable) -> str:
    """The values of a dimension in a sentence."""
    return listed([study.label(dimension, value) for value in study.in_config_order(dimension, values)])
