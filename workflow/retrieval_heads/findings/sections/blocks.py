"""What a section of the findings is made of: blocks that know nothing of how they will look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from retrieval_heads.findings.claims import Claim

Tables = Mapping[str, pd.DataFrame]

TITLES = {
    "summary": "Executive summary",
    "setup": "Set-up",
    "data": "Data and baseline",
    "q1": "Q1: Does ablation affect all questions equally?",
    "q2": "Q2: Do questions of one category share heads?",
    "q3": "Q3: Is ablation equally effective across categories?",
    "q4": "Q4: Are there patterns within categories?",
    "consensus": "Consensus heads",
    "layers": "Layers by method",
    "specialists": "Question specialists",
    "model_differences": "Differences between models",
    "volatility": "Volatility and stability",
    "dominance": "Score dominance",
    "overlap": "Overlap of the top heads",
    "agreement": "Agreement of the methods",
    "imports": "Imported lists of heads",
    "groups": "Key-value groups",
    "every_head": "What every head does",
    "carrying": "Needed or carrying",
    "quality": "Which method is right?",
    "transfer": "Is a question special?",
    "specificity": "Is it retrieval?",
    "variants": "Other ways of asking",
    "compensation": "Compensation, redundancy, sufficiency",
    "depths": "Depth of the needle",
    "looks": "What heads look at",
    "universal": "Universal heads by method",
    "map": "Map of all heads",
    "ablation": "Ablation against random heads",
    "models": "Model comparison",
    "lengths": "Context-length effect",
    "conclusions": "Conclusions",
    "figures": "Index of figures",
}
"""The sections in their order, by key."""


@dataclass(frozen=True)
class Paragraph:
    """One paragraph of text."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    texts: list[str]


@dataclass(frozen=True)
class ClaimList:
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


@dataclass(frozen=True)
class MapBlock:
    """The interactive map of all heads."""

    name: str
    title: str


Block = Paragraph | Items | ClaimList | TableBlock | FigureBlock | MapBlock


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    key: str
    blocks: Sequence[Block] = ()

    @property
    def title(self) -> str:
        """What stands above it; a page of a single table has none."""
        return TITLES.get(self.key, "")
