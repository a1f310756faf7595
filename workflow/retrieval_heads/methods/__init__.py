"""Head-scoring methods. Each is a file in this folder, named as in a study's config.

A method that needs attention rows alone is an :class:`AttentionRowScorer`. One that needs values, outputs or gradients
of heads while the expected answer is read is a :class:`TraceScorer`. Each shares one pass with all others of its kind.
Any other is a :class:`HeadScorer`, and asks a runner for what it needs.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from retrieval_heads import plugins
from retrieval_heads.methods._attention_rows import AttentionRowScorer, Reading, Readings
from retrieval_heads.methods._base import Document, HeadScorer, Prompt, Scored
from retrieval_heads.methods._traces import TraceScorer
from retrieval_heads.study.method_entries import file_of, replacement_of

__all__ = [
    "AttentionRowScorer",
    "Document",
    "HeadScorer",
    "Prompt",
    "Reading",
    "Readings",
    "Scored",
    "TraceScorer",
    "make_methods",
]


def make_methods(
    settings: Mapping[str, Mapping], states: Mapping[str, Mapping[str, Tensor]] | None = None
) -> list[HeadScorer]:
    """The methods of a study, from its config's ``methods``: name → values for the method's parameters.

    Parameters
    ----------
    settings : those of a config that `config.complete` has checked. An entry with a name of its own has the method's
        under ``method``, and a ``label``.
    states : replacement → what it was fitted to, for the methods that put it in place of heads' outputs.
    """
    made = []
    for name, entry in settings.items():
        scorer = plugins.subclass("methods", file_of(name, entry), HeadScorer)
        own: dict[str, Any] = {"name": name, "label": entry["label"]} if "method" in entry else {}
        if (state := (states or {}).get(replacement_of(name, entry) or "")) is not None:
            own["state"] = state
        if own:
            scorer = type(scorer.__name__, (scorer,), own)
        # Where a study ranks by it is no parameter of a method.
        about = ("method", "label", "context_lengths")
        made.append(scorer(**{key: value for key, value in entry.items() if key not in about}))
    return made
