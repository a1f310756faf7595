"""Where models come from: each kind of source is a file of this package, named as the key that tells it in a config.

``check(source, key)`` finds out before any work whether a model can be had; ``files(source)`` lists the files whose
bytes are its content; ``prepare(source, folder)`` fills a folder with it. ``KEYS`` has the JSON schema of each of the
source's keys, as a literal.
"""

from types import ModuleType

from retrieval_heads import plugins


def source_module(source: dict) -> ModuleType:
    """The file that handles a source."""
    (kind,) = set(source) & set(plugins.names("model.sources"))
    return plugins.module("model.sources", kind)
