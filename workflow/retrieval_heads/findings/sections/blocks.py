"""What a section of the findings is made of: blocks that know nothing of how they will look."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from retrieval_heads.findings.claims import Claim
from retrieval_heads.findings.claims.outcome import Effect
from retrieval_heads.findings.glossary import Terms

Tables = Mapping[str, pd.DataFrame]

PARTS: dict[str, dict[str, str]] = {
    "": {
        "summary": "Executive summary",
    },
    "Do these heads matter?": {
        "ablation": "Ablation against random heads",
        "models": "Model comparison",
        "lengths": "Context-length effect",
        "every_head": "What every head does",
        "carrying": "Needed or carrying",
        "compensation": "Compensation, redundancy, sufficiency",
    },
    "For what?": {
        "specificity": "Is it retrieval?",
        "transfer": "Is a question special?",
        "q1": "Q1: Does ablation affect all questions equally?",
        "q2": "Q2: Do questions of one category share heads?",
        "q3": "Q3: Is ablation equally effective across categories?",
        "q4": "Q4: Are there patterns within categories?",
        "specialists": "Question specialists",
        "variants": "Other ways of asking",
        "depths": "Depth of the needle",
        "looks": "What heads look at",
    },
    "Which method finds them?": {
        "quality": "Which method is right?",
        "universal": "Universal heads by method",
        "map": "Map of all heads",
        "layers": "Layers by method",
        "groups": "Key-value groups",
        "dominance": "Score dominance",
    },
    "Do the methods agree?": {
        "agreement": "Agreement of the methods",
        "consensus": "Consensus heads",
        "overlap": "Overlap of the top heads",
        "imports": "Imported lists of heads",
        "model_differences": "Differences between models",
    },
    "Can it be trusted?": {
        "setup": "Set-up",
        "made_with": "What made the results",
        "data": "Data and baseline",
        "volatility": "Volatility and stability",
        "conclusions": "Conclusions",
    },
    "To look up": {
        "glossary": "Glossary",
        "figures": "Index of figures",
    },
}
"""What a reader asks, in that order, and the titles of the sections that answer it, by key. What has no question above
it stands before them all."""

TITLES = {key: title for part in PARTS.values() for key, title in part.items()}
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
class Said:
    """A sentence, and the numbers behind it."""

    text: str
    """Without its full stop."""

    behind: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.behind})." if self.behind else f"{self.text}."


@dataclass(frozen=True)
class Answer:
    """What the findings come to, in so many sentences."""

    sentences: list[Said]


@dataclass(frozen=True)
class Signs:
    """Signs of trouble: claims, each with the key of its section; none where there is no such sign."""

    claims: list[tuple[Claim, str]]


@dataclass(frozen=True)
class ClaimRow:
    """A claim, or claims of a family that are summed up, in a table of claims."""

    claim: Claim
    section: str
    """The key of the section in which it stands with its sentence."""

    @property
    def members(self) -> list["ClaimRow"]:
        """A row for each of the claims that it sums up."""
        return [ClaimRow(part, self.section) for part in self.claim.parts]

    @property
    def effects(self) -> list[Effect]:
        """That of the claim, or those of the claims that it sums up; of one unit, the first's."""
        every = [claim.effect for claim in (self.claim.parts or [self.claim])]
        found = [effect for effect in every if effect is not None and math.isfinite(effect.value)]
        return [effect for effect in found if effect.unit == found[0].unit]


@dataclass(frozen=True)
class ClaimTable:
    """Claims with their effects drawn, by the parts of the findings. The caption is the file of this name."""

    name: str
    title: str
    parts: Mapping[str, Sequence[ClaimRow]]

    @property
    def effects(self) -> list[Effect]:
        """Every effect that it shows."""
        return [effect for rows in self.parts.values() for row in rows for effect in row.effects]


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
class PreviewBlock:
    """A figure, small, before its own place."""

    name: str
    title: str


@dataclass(frozen=True)
class MapBlock:
    """The interactive map of all heads."""

    name: str
    title: str
    small: bool = False
    """Whether it is a small one that shows where the top heads are, and leads to the map."""


@dataclass(frozen=True)
class Glossary:
    """What words mean."""

    groups: Sequence[Terms]


Block = (
    Answer
    | Paragraph
    | Items
    | ClaimList
    | ClaimTable
    | Signs
    | TableBlock
    | FigureBlock
    | PreviewBlock
    | MapBlock
    | Glossary
)


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    key: str
    blocks: Sequence[Block] = ()

    @property
    def title(self) -> str:
        """What stands above it; a page of a single table has none."""
        return TITLES.get(self.key, "")
