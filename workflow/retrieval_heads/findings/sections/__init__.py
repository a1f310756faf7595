"""The findings, section by section.

A section function takes the study and its tables and returns a :class:`Section`; its place is that of its key in
:data:`PARTS`. Figures come after a section's own blocks: those that declare its key. What a module reads and shows, it
declares as ``TABLES`` and ``SHOWN`` (see :mod:`retrieval_heads.findings.declarations`).
"""

from collections.abc import Callable

from retrieval_heads.findings.sections import (
    ablation,
    agreement,
    compensation,
    depths,
    groups,
    heads,
    looks,
    overview,
    quality,
    questions,
    setup,
    specificity,
    transfer,
    variants,
    yardstick,
)
from retrieval_heads.findings.sections.blocks import (
    PARTS,
    TITLES,
    Answer,
    Block,
    ClaimList,
    ClaimRow,
    ClaimTable,
    FigureBlock,
    Glossary,
    Items,
    MapBlock,
    Paragraph,
    PreviewBlock,
    Section,
    Signs,
    TableBlock,
    Tables,
)
from retrieval_heads.study.study import Study

__all__ = [
    "PARTS",
    "SECTIONS",
    "TITLES",
    "Answer",
    "Block",
    "ClaimList",
    "ClaimRow",
    "ClaimTable",
    "FigureBlock",
    "Glossary",
    "Items",
    "MapBlock",
    "Paragraph",
    "PreviewBlock",
    "Section",
    "Signs",
    "TableBlock",
    "Tables",
]

SECTIONS: tuple[Callable[[Study, Tables], Section], ...] = (
    overview.summary,
    ablation.ablation,
    ablation.models,
    ablation.lengths,
    yardstick.every_head,
    quality.carrying,
    compensation.compensation,
    specificity.specificity,
    transfer.transfer,
    questions.q1,
    questions.q2,
    questions.q3,
    questions.q4,
    heads.specialists,
    variants.variants,
    depths.depths,
    looks.looks,
    quality.quality,
    heads.universal,
    heads.head_map,
    heads.layers,
    groups.groups,
    heads.dominance,
    agreement.agreement,
    heads.consensus,
    agreement.overlap,
    agreement.imports,
    heads.model_differences,
    setup.setup,
    setup.made_with,
    setup.data,
    heads.volatility,
    overview.conclusions,
)
