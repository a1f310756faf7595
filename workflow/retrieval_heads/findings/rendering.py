"""The findings as a document: put together once, written as Markdown and as a page that needs nothing else."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError
from retrieval_heads.figures import Declaration, declarations
from retrieval_heads.findings import head_map
from retrieval_heads.findings.sections import SECTIONS, FigureBlock, MapBlock, Paragraph, Section, TableBlock, Tables
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import listed
from retrieval_heads.tables.select import of_variant

_REFERENCE = r"\{(?:figure|table):\w+\}"
_ONLY_REFERENCES = re.compile(rf"( ?)\(({_REFERENCE}(?:(?:, | and ){_REFERENCE})*)\)")
_LINK = re.compile(rf"({_REFERENCE}|arXiv[: ]\d{{4}}\.\d{{4,5}})")
_KINDS = {TableBlock: "table", FigureBlock: "figure"}


@dataclass(frozen=True)
class Findings:
    """Everything that the findings say, and the templates to write them with."""

    title: str
    sections: list[Section]
    captions: Mapping[str, str]
    """Of each figure and table, by name; plain text."""

    labels: Mapping[str, str]
    """How each figure and table is called, by what texts refer to it with: ``figure:NAME`` → Figure 3."""

    heads: Mapping[str, list]
    """What the map of all heads shows (see :func:`retrieval_heads.findings.head_map.data`)."""

    templates: Path
    """The folder with templates, style sheet, scripts and captions."""


def build(study: Study, tables: Tables, figures: Mapping[str, str | None], templates: str | Path) -> Findings:
    """Put the findings together.

    Parameters
    ----------
    study : the study.
    tables : those that sections and claims read, by name (see :mod:`retrieval_heads.findings.declarations`).
    figures : the figures that were drawn, by name; for one that has nothing to show the sentence that says why, which
        then stands in its place, else None.
    templates : the folder with templates, style sheet, scripts and captions: the project's ``report``.
    """
    templates = Path(templates)
    tables = of_variant(tables, PLAIN)
    drawn = [figure for figure in declarations().values() if figure.name in figures]
    sections = [section(study, tables) for section in SECTIONS]
    sections = [
        replace(
            section,
            blocks=[
                *section.blocks,
                *(_shown(figure, figures[figure.name]) for figure in drawn if figure.section == section.key),
            ],
        )
        for section in sections
    ]
    # A study without imported lists has nothing to say about them.
    sections = [section for section in sections if section.blocks]
    sections.append(_index(sections))
    captions, labels = {}, {}
    for kind, word in _KINDS.items():
        for number, block in enumerate(_blocks(sections, kind), start=1):
            captions[block.name] = caption(block.name, study.config, templates)
            labels[f"{word}:{block.name}"] = f"{word.capitalize()} {number}"
    heads = head_map.data(study, tables["rankings"], tables.get("labels"))
    return Findings(f"Retrieval heads: {study.name}", sections, captions, labels, heads, templates)


def caption(name: str, config: Mapping, templates: Path) -> str:
    """The caption of a figure or table, from the file that Snakemake's report uses too.

    Raises
    ------
    StudyError
        when it has none.
    """
    path = templates / "captions" / f"{name}.rst"
    if not path.is_file():
        raise StudyError(f"{path}: no such file; write what {name} shows and how to read it.")
    text = Environment().from_string(path.read_text(encoding="utf-8")).render(snakemake=SimpleNamespace(config=config))
    return " ".join(text.split())


def without_missing_references(text: str, labels: Mapping[str, str]) -> str:
    """A text without its references to what is not shown.

    Parentheses that hold nothing but references, as in ``({figure:a}, {table:b})``, keep those that are shown, and go
    when none is. Any other reference to what is not shown goes by itself, with the space before it; so what may be
    missing belongs into parentheses.
    """

    def kept(match: re.Match) -> str:
        shown = [reference for reference in re.findall(_REFERENCE, match[2]) if reference[1:-1] in labels]
        return f"{match[1]}({listed(shown)})" if shown else ""

    def one(match: re.Match) -> str:
        return match[0] if match[0].strip()[1:-1] in labels else ""

    return re.sub(rf" ?{_REFERENCE}", one, _ONLY_REFERENCES.sub(kept, text))


def markdown(findings: Findings, figures: str = "figures") -> str:
    """The findings as Markdown.

    Parameters
    ----------
    figures : the folder with the figures' PNG files, as seen from the Markdown file.
    """

    def inline(text: str) -> str:
        return "".join(_pieces(text, findings.labels, _markdown_text, "[{}]({})".format))

    environment = _environment(findings.templates, autoescape=False, inline=inline)
    environment.filters["cell"] = lambda text: inline(text).replace("|", "\\|").replace("\n", " ")
    environment.filters["anchor"] = _anchor
    return environment.get_template("findings.md.j2").render(findings=findings, figures=figures)


def html(findings: Findings, figures: str | Path) -> str:
    """The findings as one HTML page that asks for nothing from outside.

    Parameters
    ----------
    figures : the folder with the figures' SVG files.

    Raises
    ------
    StudyError
        when a figure's file is missing.
    """

    def inline(text: str) -> Markup:
        link = Markup('<a href="{1}">{0}</a>').format
        return Markup().join(_pieces(text, findings.labels, escape, link))

    environment = _environment(findings.templates, autoescape=True, inline=inline)
    environment.filters["number"] = _number
    environment.globals["image"] = lambda name: _image(Path(figures) / f"{name}.svg")
    style, script, map_script = (
        Markup((findings.templates / name).read_text(encoding="utf-8"))
        for name in ("findings.css", "findings.js", "head_map.js")
    )
    has_map = any(_blocks(findings.sections, MapBlock))
    map_scripts = head_map.scripts(findings.heads, map_script) if has_map else ""
    template = environment.get_template("findings.html.j2")
    return template.render(findings=findings, style=style, script=script, map_scripts=map_scripts)


def table_names(findings: Findings) -> list[str]:
    """The tables that the findings show."""
    return [block.name for block in _blocks(findings.sections, TableBlock)]


def table_page(findings: Findings, name: str) -> str:
    """One of the findings' tables as a page of its own, for Snakemake's report."""
    blocks = [block for block in _blocks(findings.sections, TableBlock) if block.name == name]
    title = blocks[0].title if blocks else name
    blocks = blocks or [Paragraph("This study has nothing to show in this table.")]
    return _page(findings, title, blocks)


def map_page(findings: Findings) -> str:
    """The map of all heads as a page of its own, for Snakemake's report."""
    (section,) = (section for section in findings.sections if any(_blocks([section], MapBlock)))
    return _page(
        findings, section.title, [block for block in section.blocks if isinstance(block, Paragraph | MapBlock)]
    )


def save(text: str, path: str | Path) -> None:
    """Write a text file whole or not at all."""
    with atomic_file(path) as file:
        file.write_text(text, encoding="utf-8")


def _index(sections: Iterable[Section]) -> Section:
    """Where each figure is."""
    rows = [
        [f"{{figure:{block.name}}}", block.title, section.title, f"{block.name}.png, {block.name}.svg"]
        for section in sections
        for block in _blocks([section], FigureBlock)
    ]
    if not rows:
        return Section("figures", [Paragraph("No figure was drawn.")])
    header = ["Figure", "What it shows", "Section", "Files in figures/"]
    return Section("figures", [TableBlock("figure_index", "All figures", header, rows)])


def _shown(figure: Declaration, note: str | None) -> FigureBlock | Paragraph:
    if note is None:
        return FigureBlock(figure.name, figure.title)
    return Paragraph(f"{figure.title}: there is nothing to show. {note}")


def _blocks(sections: Iterable[Section], kind: type) -> Iterator:
    return (block for section in sections for block in section.blocks if isinstance(block, kind))


def _page(findings: Findings, title: str, blocks: list) -> str:
    """A page with these blocks alone, which so refers to nothing else."""
    shown = {f"{_KINDS[type(block)]}:{block.name}" for block in blocks if type(block) in _KINDS}
    labels = {key: label for key, label in findings.labels.items() if key in shown}
    return html(replace(findings, title=title, sections=[Section("page", blocks)], labels=labels), ".")


def _environment(templates: Path, autoescape: bool, inline: Callable[[str], str]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = inline
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment


def _pieces(
    text: str, labels: Mapping[str, str], plain: Callable[[str], str], link: Callable[[str, str], str]
) -> Iterator[str]:
    """A text's plain parts and its links (references, and papers), each as a format writes them."""
    for i, piece in enumerate(_LINK.split(without_missing_references(str(text), labels))):
        if i % 2 == 0:
            yield plain(piece)
        elif piece.startswith("{"):
            yield link(labels[piece[1:-1]], "#" + piece[1:-1].replace(":", "-"))
        else:
            number = piece.removeprefix("arXiv")[1:]
            yield link(f"arXiv {number}", f"https://arxiv.org/abs/{number}")


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_<\[\]])", r"\\\1", text)


def _anchor(title: str) -> str:
    """The anchor of a Markdown heading, as it is made where the repository is shown."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _number(cell: str) -> str:
    """A cell of numbers that breaks before an interval, and nowhere else."""
    return cell.replace(" ", "\u00a0").replace("\u00a0[", " [")


def _image(path: Path) -> SimpleNamespace:
    """A figure's address, which is its whole content, and its width in inches where the file gives one."""
    if not path.is_file():
        raise StudyError(f"{path}: no such figure; run the rule that draws it.")
    content = path.read_bytes()
    width = re.search(rb'<svg[^>]*\swidth="([\d.]+)pt"', content)
    return SimpleNamespace(
        address=f"data:image/svg+xml;base64,{b64encode(content).decode()}",
        inches=round(float(width[1]) / 72, 2) if width else None,
    )
