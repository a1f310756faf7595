"""Where models come from, one file for each kind of source; see ``model.py``."""

from types import ModuleType

from retrieval_heads import folder


def source_module(source: dict) -> ModuleType:
    """The file that handles a source."""
    (kind,) = set(source) & set(folder.names("model_sources"))
    return folder.module("model_sources", kind)
