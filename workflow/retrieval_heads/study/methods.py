"""Which methods a study has, what they need, and how they are described."""

from collections.abc import Mapping

from retrieval_heads import plugins
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.method_entries import file_of, ranks_at, replacement_of
from retrieval_heads.study.modes import fitted_modes, twin_modes
from retrieval_heads.study.variants import ranked_by

CHANCE, LAYER, WRITE_NORM, CEILING = RIVALS = ("chance", "layer", "write_norm", "ceiling")
"""What rankings by methods are held against, under the names that stand in place of a method's, so that none has one of
these: no order at all, the deepest layers first, how much a head writes, and effects in the other test documents."""


def methods_at(config: Mapping, length: int, variant: str = PLAIN) -> dict[str, dict]:
    """The entries of a complete config's methods that rank heads at a context length in a variant of the prompts, as
    methods are made of them."""
    return {
        name: {key: value for key, value in entry.items() if key != "context_lengths"}
        for name, entry in config["methods"].items()
        if ranks_at(entry, length) and name in ranked_by(config, variant)
    }


def twin_methods(config: Mapping, length: int | None = None, variant: str = PLAIN) -> list[str]:
    """The methods of a complete config that need twins of its prompts; none where results are published.

    Parameters
    ----------
    length, variant : the context length at which they rank heads, and the variant; without a length, any.
    """
    found = _methods_by(config, twin_modes())
    return found if length is None else [name for name in found if name in methods_at(config, length, variant)]


def fitted_methods(config: Mapping, length: int, variant: str = PLAIN) -> dict[str, str]:
    """Those at a context length in a variant that need a replacement which is fitted to the model, each with its
    name."""
    here = methods_at(config, length, variant)
    found = {name: replacement_of(name, here[name]) for name in _methods_by(config, fitted_modes()) if name in here}
    return {name: mode for name, mode in found.items() if mode is not None}


def _methods_by(config: Mapping, modes: list[str]) -> list[str]:
    if config["published"]:
        return []
    return [name for name, entry in config["methods"].items() if replacement_of(name, entry) in modes]


def described_methods(config: Mapping) -> dict[str, dict[str, str]]:
    """Label, definition and paper of each method of a config, as far as files and config tell them."""
    described, known = {}, plugins.files("methods")
    for name, entry in config["methods"].items():
        file = file_of(name, entry)
        told = plugins.describe("methods", [file])[file]
        replacement = replacement_of(name, entry) if file in known else None
        if replacement in twin_modes():
            told["definition"] += " What takes its place: the same behind the twin's context, with another value."
        elif replacement not in (None, "zero"):
            instead = plugins.summary(plugins.files("ablation.replacements")[replacement])
            told["definition"] += f" What takes its place: {instead[:1].lower()}{instead[1:]}"
        described[name] = told | ({"label": entry["label"]} if "label" in entry else {})
    return described
