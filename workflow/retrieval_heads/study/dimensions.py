"""What tells one result of a study from another: each dimension is described here, once.

Keys of tables, what results are pooled over, what a figure may need, headers and words come from this description. A
new dimension is a further entry of :data:`DIMENSION`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, Literal

from retrieval_heads.study.matchings import MATCHINGS

PUBLISHED = "published"
"""The intervention of results that others published."""

PLAIN = "plain"
"""The variant that asks as the config's ``prompts`` say; published results are of it."""


def _spoken(value: object) -> str:
    words = str(value).replace("_", " ")
    return words[:1].upper() + words[1:]


@dataclass(frozen=True)
class Dimension:
    """A dimension, or a grouping of the values of one.

    Parameters
    ----------
    name : the column's name in tables.
    label, plural : what heads a column of it, and what several of its values are called.
    values : what the config, with all defaults filled in, has of it, in the order in which to show it.
    kind : of a value in tables.
    belongs_to : what a value is a property of: a prompt, a method that ranks heads, or an ablation; None for what is no
        dimension of its own, but groups or lists something.
    pooled : over which of its values a result is. ``never``: always over one. ``also``: beside the results for single
        values there are those over all of them. ``always``: over all; where a study has several, those for single ones
        stand beside.
    labels_in : the section of the config whose entries may give values a label.
    show : how to write a value that has none.
    phrase : how a sentence says to which value a result belongs.
    silent_alone : whether a single value goes without saying.
    unsaid : a value that goes without saying beside others too.
    """

    name: str
    label: str
    plural: str
    values: Callable[[Mapping], list]
    kind: Literal["text", "integer", "number"] = "text"
    belongs_to: Literal["prompt", "method", "ablation"] | None = None
    pooled: Literal["never", "also", "always"] = "never"
    labels_in: str | None = None
    show: Callable[[Any], str] = _spoken
    phrase: str = "{}"
    silent_alone: bool = False
    unsaid: Any = None


def _interventions(config: Mapping) -> list[str]:
    """The names of the ways in which heads are ablated, the headline first."""
    if config["published"]:
        return [PUBLISHED]
    headline, every = config["ablation"]["headline"], config["ablation"]["interventions"]
    return list(dict.fromkeys([headline, *every]))


DIMENSION: dict[str, Dimension] = {
    dimension.name: dimension
    for dimension in (
        Dimension(
            "model",
            "Model",
            "models",
            lambda config: list(config["models"]),
            belongs_to="prompt",
            labels_in="models",
            show=str,
            phrase="in {}",
        ),
        Dimension("method", "Method", "methods", lambda config: list(config["methods"]), belongs_to="method"),
        Dimension(
            "question",
            "Question",
            "questions",
            lambda config: list(config["questions"]),
            belongs_to="prompt",
            pooled="also",
            labels_in="questions",
        ),
        Dimension(
            "context_length",
            "Context",
            "context lengths",
            lambda config: sorted(config["prompts"]["context_lengths"]),
            kind="integer",
            belongs_to="prompt",
            pooled="also",
            show=lambda value: f"{int(float(value)):,} tokens",
            phrase="at {}",
        ),
        Dimension(
            "variant",
            "Variant",
            "variants of the prompts",
            lambda config: list(dict.fromkeys([PLAIN, *(config["prompts"].get("variants") or ())])),
            belongs_to="prompt",
            phrase="in the variant {}",
            silent_alone=True,
            unsaid=PLAIN,
        ),
        Dimension(
            "depth",
            "Depth",
            "depths",
            # Nothing is known of the depths of published prompts.
            lambda config: sorted(config["prompts"].get("depths") or []),
            kind="number",
            belongs_to="prompt",
            pooled="always",
            show=lambda value: f"{100 * float(value):g}%",
            phrase="at a depth of {}",
            silent_alone=True,
        ),
        Dimension("intervention", "Intervention", "interventions", _interventions, belongs_to="ablation"),
    )
}
"""Every dimension by its name, in the order of columns."""


def _names(*belonging: str | None, pooled: Collection[str] = ("never", "also")) -> tuple[str, ...]:
    """The dimensions that belong to one of these and are pooled like this, in order."""
    return tuple(name for name, one in DIMENSION.items() if one.belongs_to in belonging and one.pooled in pooled)


DIMENSIONS = _names("prompt", "method")
"""What tells one ranking from another."""

CELL = list(_names("prompt"))
"""What tells the prompts of one ranking from those of another, whatever the method."""

PROMPT = _names("prompt", pooled=("never", "also", "always"))
"""What tells one prompt about a document from another."""

POOLED = _names("prompt", pooled=("also", "always"))
"""What effects of ablation are pooled over, each by itself and all together; null in a pooled row."""


def poolings(single: Collection[str] = ()) -> list[tuple[str, ...]]:
    """The sets of dimensions that effects are pooled over, the smallest first.

    Parameters
    ----------
    single : dimensions that are always pooled over (``pooled="always"``) of which a study has several values: effects
        are then also for single ones.
    """
    also, always = _names("prompt", pooled=["also"]), _names("prompt", pooled=["always"])
    apart = [set(), *({name} for name in always if name in single)]
    subsets = list(chain.from_iterable(combinations(also, size) for size in range(len(also) + 1)))
    return [(*subset, *(name for name in always if name not in left)) for left in apart for subset in subsets]


OTHERS: dict[str, Dimension] = {
    "category": Dimension(
        "category",
        "Category",
        "categories of questions",
        lambda config: list(dict.fromkeys(question["category"] for question in config["questions"].values())),
    ),
    "import": Dimension(
        "import", "Imported list", "imported lists", lambda config: list(config["imports"]), labels_in="imports"
    ),
    "matching": Dimension("matching", "Random heads", "kinds of random heads", lambda config: list(MATCHINGS)),
}
"""What has values with a label and an order as a dimension has, but tells no rankings apart: the groups of questions,
the lists of heads from elsewhere, and how random heads are drawn."""


def described(name: str) -> Dimension:
    """The description of a dimension, or of what is shown like one."""
    return DIMENSION[name] if name in DIMENSION else OTHERS[name]
