"""Where models come from, one file for each kind of source; see ``model/loading.py``."""

from types import ModuleType

from retrieval_heads import plugins


def source_module(source: dict) -> ModuleType:
    """The file that handles a source."""
    (kind,) = set(source) & set(plugins.names("model.sources"))
    return plugins.module("model.sources", kind)
