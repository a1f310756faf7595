"""Head-scoring methods. Each is a file in this folder, named as in a study's config.

A method that needs attention rows alone is an :class:`AttentionRowScorer`. One that needs values, outputs or gradients
of heads while the expected answer is read is a :class:`TraceScorer`. Each shares one pass with all others of its kind.
Any other is a :class:`HeadScorer`, and asks a runner for what it needs.
"""

from retrieval_heads import plugins
from retrieval_heads.methods._attention_rows import AttentionRowScorer, Reading, Readings
from retrieval_heads.methods._base import Document, HeadScorer, Prompt
from retrieval_heads.methods._traces import TraceScorer

__all__ = [
    "AttentionRowScorer",
    "Document",
    "HeadScorer",
    "Prompt",
    "Reading",
    "Readings",
    "TraceScorer",
    "make_methods",
]


def make_methods(settings: dict[str, dict]) -> list[HeadScorer]:
    """The methods of a study, from its config's ``methods``: name → values for the method's parameters.

    The values are those of a config that `config.complete` has checked.
    """
    return [plugins.subclass("methods", name, HeadScorer)(**parameters) for name, parameters in settings.items()]
