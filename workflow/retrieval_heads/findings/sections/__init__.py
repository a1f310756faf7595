"""The findings, section by section.

A section function takes the study and its tables and returns a :class:`Section`. Figures come after a section's own
blocks: those that declare its key. What a module reads and shows, it declares as ``TABLES`` and ``SHOWN`` (see
:mod:`retrieval_heads.findings.declarations`).
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
    TITLES,
    Block,
    ClaimList,
    FigureBlock,
    Items,
    MapBlock,
    Paragraph,
    Section,
    TableBlock,
    Tables,
)
from retrieval_heads.study.study import Study

__all__ = [
    "SECTIONS",
    "TITLES",
    "Block",
    "ClaimList",
    "FigureBlock",
    "Items",
    "MapBlock",
    "Paragraph",
    "Section",
    "TableBlock",
    "Tables",
]

SECTIONS: tuple[Callable[[Study, Tables], Section], ...] = (
    overview.summary,
    setup.setup,
    setup.data,
    questions.q1,
    questions.q2,
    questions.q3,
    questions.q4,
    heads.consensus,
    heads.layers,
    heads.specialists,
    heads.model_differences,
    heads.volatility,
    heads.dominance,
    agreement.overlap,
    agreement.agreement,
    agreement.imports,
    groups.groups,
    yardstick.every_head,
    quality.carrying,
    quality.quality,
    transfer.transfer,
    specificity.specificity,
    variants.variants,
    compensation.compensation,
    depths.depths,
    looks.looks,
    heads.universal,
    heads.head_map,
    ablation.ablation,
    ablation.models,
    ablation.lengths,
    overview.conclusions,
)
