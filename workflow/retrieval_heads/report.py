"""The findings as a document: put together once, written as Markdown and as a page that needs nothing else."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from retrieval_heads.errors import StudyError
from retrieval_heads.figures import declarations
from retrieval_heads.sections import SECTIONS, FigureBlock, Paragraph, Section, TableBlock, Tables
from retrieval_heads.study import Study

TEMPLATES = Path(__file__).parents[2] / "report"
"""Templates, style sheet and captions."""

_ARXIV = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Report:
    """Everything that a findings document says."""

    title: str
    sections: list[Section]
    captions: Mapping[str, str]
    """Of each figure and table, by name; plain text."""

    numbers: Mapping[str, int]
    """Of each figure and table among its kind, by name."""


def build(study: Study, tables: Tables, figures: Iterable[str]) -> Report:
    """Put the findings together.

    Parameters
    ----------
    study : the study.
    tables : rankings, ablation_summary, effects, against_random, overlap and, where prompts were made, dataset_counts.
    figures : names of the figures that were drawn.
    """
    drawn = set(figures)
    sections = [section(study, tables) for section in SECTIONS]
    sections = [
        replace(
            section,
            blocks=[
                *section.blocks,
                *(
                    FigureBlock(figure.name, figure.title)
                    for figure in declarations().values()
                    if figure.name in drawn and figure.section == section.key
                ),
            ],
        )
        for section in sections
    ]
    numbers = {}
    for kind in (TableBlock, FigureBlock):
        named = [block.name for section in sections for block in section.blocks if isinstance(block, kind)]
        numbers.update({name: number for number, name in enumerate(named, start=1)})
    captions = {name: caption(name, study.config) for name in numbers}
    return Report(f"Retrieval heads: {study.name}", sections, captions, numbers)


def caption(name: str, config: Mapping) -> str:
    """The caption of a figure or table, from the file that the workflow's own report uses too.

    Raises
    ------
    StudyError
        when it has none.
    """
    path = TEMPLATES / "captions" / f"{name}.rst"
    if not path.is_file():
        raise StudyError(f"report/captions/{name}.rst: no such file; write what {name} shows and how to read it.")
    text = Environment().from_string(path.read_text(encoding="utf-8")).render(snakemake=SimpleNamespace(config=config))
    return " ".join(text.split())


def markdown(report: Report, figures: str = "figures") -> str:
    """The findings as Markdown.

    Parameters
    ----------
    figures : the folder with the figures' PNG files, as seen from the Markdown file.
    """
    environment = _environment(autoescape=False, inline=_markdown_inline)
    environment.filters["cell"] = lambda text: _markdown_inline(text).replace("|", "\\|").replace("\n", " ")
    return environment.get_template("findings.md.j2").render(report=report, figures=figures)


def html(report: Report, figures: str | Path) -> str:
    """The findings as one HTML page that asks for nothing from outside.

    Parameters
    ----------
    figures : the folder with the figures' SVG files.

    Raises
    ------
    StudyError
        when a figure's file is missing.
    """
    style = (TEMPLATES / "findings.css").read_text(encoding="utf-8")
    environment = _environment(autoescape=True, inline=_html_inline)
    environment.filters["data_uri"] = lambda name: _data_uri(Path(figures) / f"{name}.svg")
    return environment.get_template("findings.html.j2").render(report=report, style=Markup(style))


def table_names(report: Report) -> list[str]:
    """The tables that the findings show."""
    return [block.name for section in report.sections for block in section.blocks if isinstance(block, TableBlock)]


def table_page(report: Report, name: str) -> str:
    """One of the findings' tables as a page of its own, for the workflow's report."""
    blocks = [
        block
        for section in report.sections
        for block in section.blocks
        if isinstance(block, TableBlock) and block.name == name
    ]
    title = blocks[0].title if blocks else name
    blocks = blocks or [Paragraph("This study has nothing to show in this table.")]
    return html(replace(report, title=title, sections=[Section(name, "", blocks)]), ".")


def save(text: str, path: str | Path) -> None:
    """Write a text file whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _environment(autoescape: bool, inline: Callable[[str], str]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = inline
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment


def _markdown_inline(text: str) -> str:
    return _ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", re.sub(r"([\\`*_<\[\]])", r"\\\1", str(text)))


def _html_inline(text: str) -> Markup:
    return Markup(_ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>', str(escape(text))))


def _data_uri(path: Path) -> str:
    if not path.is_file():
        raise StudyError(f"{path}: no such figure; run the rule that draws it.")
    return f"data:image/svg+xml;base64,{b64encode(path.read_bytes()).decode()}"
