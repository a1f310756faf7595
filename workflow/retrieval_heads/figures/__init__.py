"""One file per figure, named as the figure. A new figure is a new file here, and its caption in ``report/captions``.
What figures share lies in the files whose names begin with an underscore.

A figure's file declares ``TITLE``, ``SECTION`` (of the findings), ``TABLES`` (what it reads, and so what its job
depends on) and ``NEEDS`` (how many values of a dimension it takes to show anything), and has
``draw(tables, study) -> matplotlib Figure``, which is a ``_layout.note`` where there is nothing to show after all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from functools import partial
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from retrieval_heads import plugins
from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError
from retrieval_heads.plugins import constants
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.needs import meets

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from retrieval_heads.study.study import Study


@dataclass(frozen=True)
class Declaration:
    """What a figure says about itself."""

    name: str
    title: str
    section: str
    tables: tuple[str, ...]
    needs: Mapping[str, int]


def declarations() -> dict[str, Declaration]:
    """All figures by name, without importing them."""
    found = {}
    for name, path in plugins.files("figures").items():
        values = constants(path)
        found[name] = Declaration(name, values["TITLE"], values["SECTION"], values["TABLES"], values["NEEDS"])
    return found


def drawable(values: Mapping[str, Sized]) -> list[str]:
    """Names of the figures that have something to show.

    Parameters
    ----------
    values : from :func:`retrieval_heads.study.needs.available`.
    """
    return [name for name, figure in declarations().items() if meets(figure.needs, values, f"{name}.py: NEEDS")]


def note_in(file: Path) -> str | None:
    """Why a figure shows nothing: the sentence of a ``_layout.note``, as its SVG file tells it; None for any other."""
    found = re.search(r"<dc:description>(.*?)</dc:description>", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    return unescape(found[1]) if found else None


def draw(name: str, tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A figure of the headline intervention, which it names where it is about ablation, and of the plain variant.

    One that needs several variants, or several interventions, is given all of them. Long names are shortened where
    they have no room (see :func:`retrieval_heads.figures._labels.fitted`).
    """
    # Imported here, as the Snakefile asks for declarations where there is no plotting library.
    from retrieval_heads.figures import _labels

    return _labels.fitted(partial(_draw, name, tables), study)


def _draw(name: str, tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    from retrieval_heads.figures import _layout
    from retrieval_heads.tables import by_name
    from retrieval_heads.tables.select import of_intervention, of_variant

    declaration = declarations()[name]
    if "variant" not in declaration.needs:
        tables = of_variant(tables, PLAIN)
    if "intervention" in declaration.needs:
        return load(name).draw(tables, study)
    figure = load(name).draw(of_intervention(tables, study.headline), study)
    read = [by_name(table) for table in declaration.tables]
    # A test of rankings stands in a table with an intervention too, but in rows that have none.
    if any("intervention" in table.columns and "intervention" not in table.nullable for table in read):
        _layout.name_intervention(figure, study)
    return figure


def save(figure: Figure, *paths: str | Path) -> None:
    """Save a figure whole or not at all, in the format of each path's suffix; the same figure gives the same bytes.

    The description in a file's metadata is the sentence of a note (see :func:`note_in`); other figures have none.
    """
    # Imported here, as the rules ask for declarations and need none of this.
    from retrieval_heads.figures import _svg

    description = {"Description": figure.get_label()} if figure.get_label() else {}
    for path in map(Path, paths):
        metadata = {**description, "Date": None} if path.suffix == ".svg" else description
        with atomic_file(path) as file:
            figure.savefig(file, format=path.suffix[1:], dpi=200, metadata=metadata)
            if path.suffix == ".svg":
                file.write_text(_svg.smaller(file.read_text(encoding="utf-8")), encoding="utf-8")


def load(name: str) -> ModuleType:
    """A figure's module.

    Raises
    ------
    StudyError
        when there is no such figure.
    """
    if name not in declarations():
        raise StudyError(f"figures: there is no figure {name}; choose from {', '.join(declarations())}.")
    return plugins.module("figures", name)
