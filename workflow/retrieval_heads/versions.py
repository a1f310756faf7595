"""Versions of the libraries that a model's results depend on."""

from importlib.metadata import version

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")


def library_versions() -> dict[str, str]:
    """Library → its version here. None of them is imported, which would take seconds."""
    return {name: version(name) for name in LIBRARIES}
