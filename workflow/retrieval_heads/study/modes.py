"""What may take the place of heads' outputs, and what that needs: read without importing any of it."""

from retrieval_heads import plugins


def fitted_modes() -> list[str]:
    """The replacements of heads' outputs that must be fitted to a model first."""
    return _replacements_with("needs_fit")


def twin_modes() -> list[str]:
    """The replacements of heads' outputs that come from the twin of a prompt."""
    return _replacements_with("needs_twin")


def _replacements_with(attribute: str) -> list[str]:
    files = plugins.files("ablation.replacements")
    return [name for name, file in files.items() if plugins.constants(file).get(attribute)]
