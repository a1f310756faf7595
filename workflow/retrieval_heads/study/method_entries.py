"""What an entry of a config's ``methods`` is: a file of the package, with values for its parameters.

A config's entry is called like the file, or has a name of its own and says under ``method`` which file it is, so that
one study can rank heads by the same method with other values. What a method says of itself is read without importing
it: ``replaced_by`` names the parameter that tells what takes the place of heads' outputs.
"""

from collections.abc import Mapping

from retrieval_heads import plugins

# A method is taken "toward" a twin, by the replacement that comes from it.
_REPLACEMENTS = {"twin": "resample"}


def file_of(name: str, entry: Mapping) -> str:
    """The name of the file that an entry of a config's ``methods`` is."""
    return entry.get("method", name)


def ranks_at(entry: Mapping, length: int) -> bool:
    """Whether an entry's method ranks heads at a context length of the study."""
    return length in entry.get("context_lengths", [length])


def parameters_of(name: str, entry: Mapping) -> dict:
    """The values of all parameters of an entry, those that it leaves to defaults included."""
    file = plugins.files("methods")[file_of(name, entry)]
    defaults = plugins.constants(file)
    return {key: entry.get(key, defaults[key]) for key in plugins.parameters(file)}


def replacement_named(value: str) -> str:
    """The file of ``ablation/replacements`` that the value of such a parameter means."""
    return _REPLACEMENTS.get(value, value)


def replacement_of(name: str, entry: Mapping) -> str | None:
    """What takes the place of heads' outputs in an entry's method; None for one that replaces nothing."""
    parameter = plugins.constants(plugins.files("methods")[file_of(name, entry)]).get("replaced_by")
    return None if parameter is None else replacement_named(parameters_of(name, entry)[parameter])
