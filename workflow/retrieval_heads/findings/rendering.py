"""The findings as a document: put together once, written as Markdown and as a page that needs nothing else."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError
from retrieval_heads.figures import Declaration, declarations
from retrieval_heads.findings import bars, head_map
from retrieval_heads.findings.claims import Claim
from retrieval_heads.findings.claims.outcome import Effect
from retrieval_heads.findings.glossary import Term, Words
from retrieval_heads.findings.markdown import escaped, paragraph
from retrieval_heads.findings.provenance import provenance
from retrieval_heads.findings.sections import (
    PARTS,
    SECTIONS,
    TITLES,
    Answer,
    ClaimTable,
    FigureBlock,
    Glossary,
    MapBlock,
    Paragraph,
    PreviewBlock,
    Section,
    Signs,
    TableBlock,
    Tables,
)
from retrieval_heads.study.checks import REFERENCE
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import listed, p_cell
from retrieval_heads.tables.select import of_variant

_ONLY_REFERENCES = re.compile(rf"( ?)\(({REFERENCE}(?:(?:, | and ){REFERENCE})*)\)")
_LINK = re.compile(rf"({REFERENCE}|arXiv[: ]\d{{4}}\.\d{{4,5}})")
_TABLES = (ClaimTable, TableBlock)
_KINDS: dict[str, tuple[type, ...]] = {"table": _TABLES, "figure": (FigureBlock,)}
"""What texts refer to, by the word with which they do."""

_HIGH = 0.75
"""From how many times its width on a figure is too high for the first screen."""

_LONG_NUMBER = 30
"""From how many characters on a cell of numbers has names in it."""

FIRST_FIGURE = "figure8_option_b_by_method"
"""The figure that stands small on the first screen, where a study has it; else the first that it has."""


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

    words: Words
    """What words mean."""

    made_with: str
    """What made them, in a line."""

    templates: Path
    """The folder with templates, style sheet, scripts, captions and glossary."""

    @property
    def parts(self) -> dict[str, list[Section]]:
        """The sections by the question of a reader that they answer; those without one under none."""
        part_of = {key: part for part, titles in PARTS.items() for key in titles}
        found: dict[str, list[Section]] = {}
        for section in self.sections:
            found.setdefault(part_of.get(section.key, ""), []).append(section)
        return found

    @property
    def answer(self) -> list[str]:
        """What the findings come to, in three sentences."""
        return [str(sentence) for block in _blocks(self.sections, Answer) for sentence in block.sentences]

    @property
    def signs(self) -> list[Claim]:
        """The claims whose outcomes are signs of trouble."""
        return [claim for block in _blocks(self.sections, Signs) for claim, _ in block.claims]


def build(study: Study, tables: Tables, figures: Mapping[str, str | None], templates: str | Path) -> Findings:
    """Put the findings together.

    Parameters
    ----------
    study : the study.
    tables : those that sections and claims read, by name (see :mod:`retrieval_heads.findings.declarations`).
    figures : the figures that were drawn, by name; for one that has nothing to show the sentence that says why, which
        then stands in its place, else None.
    templates : the folder with templates, style sheet, scripts, captions and glossary: the project's ``report``.
    """
    templates = Path(templates)
    words = Words.read(templates / "glossary.yaml", _names(study))
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
    sections += [Section("glossary", [Glossary(words.groups)]), _index(sections)]
    sections = sorted(sections, key=lambda section: list(TITLES).index(section.key))
    sections = _with_preview(sections)
    captions, labels = {}, {}
    for word, kind in _KINDS.items():
        for number, block in enumerate(_blocks(sections, kind), start=1):
            captions[block.name] = caption(block.name, study.config, templates)
            labels[f"{word}:{block.name}"] = f"{word.capitalize()} {number}"
    heads = head_map.data(study, tables["rankings"], tables.get("labels"))
    return Findings(
        f"Retrieval heads: {study.name}", sections, captions, labels, heads, words, provenance(study).head, templates
    )


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
        shown = [reference for reference in re.findall(REFERENCE, match[2]) if reference[1:-1] in labels]
        return f"{match[1]}({listed(shown)})" if shown else ""

    def one(match: re.Match) -> str:
        return match[0] if match[0].strip()[1:-1] in labels else ""

    return re.sub(rf" ?{REFERENCE}", one, _ONLY_REFERENCES.sub(kept, text))


def markdown(findings: Findings, figures: str = "figures") -> str:
    """The findings as Markdown.

    Parameters
    ----------
    figures : the folder with the figures' PNG files, as seen from the Markdown file.
    """

    def inline(text: str) -> str:
        return "".join(_pieces(text, findings.labels, escaped, "[{}]({})".format))

    environment = _environment(findings.templates, autoescape=False, inline=inline)
    environment.filters["paragraph"] = lambda text: paragraph(inline(text))
    environment.filters["cell"] = lambda text: " ".join(inline(text).replace("|", "\\|").splitlines())
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

    explained = any(_blocks(findings.sections, Glossary))
    known: dict[str, set[str]] = defaultdict(set)

    def inline(text: str, within: str = "") -> Markup:
        """A text with its links; within a section, the first use of each word of the glossary leads there."""

        def plain(piece: str) -> Markup:
            if not (explained and within):
                return escape(piece)
            return Markup().join(_term(part, term) for part, term in findings.words.first_uses(piece, known[within]))

        link = Markup('<a href="{1}">{0}</a>').format
        return Markup().join(_pieces(text, findings.labels, plain, link))

    environment = _environment(findings.templates, autoescape=True, inline=inline)
    environment.filters["number"] = _number
    environment.filters["marked"] = _marked
    environment.globals["scales"], environment.globals["bar"] = bars.scales, bars.bar
    environment.globals["image"] = lambda name: _image(Path(figures) / f"{name}.svg")
    style, script, map_script = (
        Markup((findings.templates / name).read_text(encoding="utf-8"))
        for name in ("findings.css", "findings.js", "head_map.js")
    )
    has_map = any(_blocks(findings.sections, MapBlock))
    map_scripts = head_map.scripts(findings.heads, map_script) if has_map else ""
    template = environment.get_template("findings.html.j2")
    sections = {section.key for section in findings.sections}
    return template.render(findings=findings, sections=sections, style=style, script=script, map_scripts=map_scripts)


def table_names(findings: Findings) -> list[str]:
    """The tables that the findings show."""
    return [block.name for block in _blocks(findings.sections, _TABLES)]


def table_page(findings: Findings, name: str) -> str:
    """One of the findings' tables as a page of its own, for Snakemake's report."""
    blocks = [block for block in _blocks(findings.sections, _TABLES) if block.name == name]
    title = blocks[0].title if blocks else name
    blocks = blocks or [Paragraph("This study has nothing to show in this table.")]
    return _page(findings, title, blocks)


def map_page(findings: Findings) -> str:
    """The map of all heads as a page of its own, for Snakemake's report."""
    (section,) = (section for section in findings.sections if section.key == "map")
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


def _names(study: Study) -> list[str]:
    """What the study's values are called, in which words mean nothing else."""
    named = ("model", "method", "question", "intervention", "import")
    return [study.label(dimension, value) for dimension in named for value in study.configured(dimension)]


def _with_preview(sections: list[Section]) -> list[Section]:
    """The sections with a small figure behind the answer, where there is any figure."""
    figures = sorted(_blocks(sections, FigureBlock), key=lambda block: block.name != FIRST_FIGURE)
    first, *others = sections
    if not figures:
        return sections
    answer, *blocks = first.blocks
    return [replace(first, blocks=[answer, PreviewBlock(figures[0].name, figures[0].title), *blocks]), *others]


def _shown(figure: Declaration, note: str | None) -> FigureBlock | Paragraph:
    if note is None:
        return FigureBlock(figure.name, figure.title)
    return Paragraph(f"{figure.title}: there is nothing to show. {note}")


def _blocks(sections: Iterable[Section], kind: type | tuple[type, ...]) -> Iterator:
    return (block for section in sections for block in section.blocks if isinstance(block, kind))


def _page(findings: Findings, title: str, blocks: list) -> str:
    """A page with these blocks alone, which so refers to nothing else."""
    page = Section("page", blocks)
    shown = {f"{word}:{block.name}" for word, kind in _KINDS.items() for block in _blocks([page], kind)}
    labels = {key: label for key, label in findings.labels.items() if key in shown}
    return html(replace(findings, title=title, sections=[page], labels=labels), ".")


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
    environment.globals["titles"] = TITLES
    environment.filters["effect"] = bars.text
    environment.filters["p"] = _largest_p
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


def _term(text: str, term: Term | None) -> Markup:
    """A piece of a text, which leads to the glossary where it is a word of it."""
    if term is None:
        return escape(text)
    return Markup('<a class="term" href="#{}" title="{}">{}</a>').format(term.anchor, term.plain, text)


def _marked(term: Term) -> Markup:
    """What a word means, with its markup."""
    tags = {"": Markup("{}"), "*": Markup("<em>{}</em>"), "**": Markup("<strong>{}</strong>")}
    return Markup().join(tags[mark].format(text) for mark, text in term.parts())


def _largest_p(effects: Sequence[Effect]) -> str:
    """The p value of an effect, or the largest of several."""
    known = [effect.p for effect in effects if effect.p is not None and math.isfinite(effect.p)]
    return f"{'≤ ' if len(known) > 1 else ''}{p_cell(max(known))}".replace("≤ <", "all <") if known else ""


def _anchor(title: str) -> str:
    """The anchor of a Markdown heading, as it is made where the repository is shown."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _number(cell: str) -> str:
    """A cell of numbers that breaks before an interval, and nowhere else; one with a long name breaks anywhere."""
    return cell if len(cell) > _LONG_NUMBER else cell.replace(" ", "\u00a0").replace("\u00a0[", " [")


def _image(path: Path) -> SimpleNamespace:
    """A figure's address, which is its whole content, its width in inches, and whether it is high for its width.

    Where the file gives no size, the width is None.
    """
    if not path.is_file():
        raise StudyError(f"{path}: no such figure; run the rule that draws it.")
    content = path.read_text(encoding="utf-8")
    size = [re.search(rf"""<svg[^>]*\s{side}=["']([\d.]+)pt""", content) for side in ("width", "height")]
    width, height = (float(found[1]) if found else None for found in size)
    # As text, which escapes make longer by a tenth; base64 would make it longer by a third.
    content = content if "'" in content else content.replace('"', "'")
    return SimpleNamespace(
        address=Markup("data:image/svg+xml," + quote(content, safe=" '/:;=(),!*+@")),
        inches=round(width / 72, 2) if width else None,
        high=bool(width and height and height > _HIGH * width),
    )
