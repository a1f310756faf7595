"""What the methods of a study are: each a file of the package, with values for its parameters.

A config's entry is called like the file, or has a name of its own and says under ``method`` which file it is, so that
one study can rank heads by the same method with other values. What a method says of itself is read without importing
it: ``replaced_by`` names the parameter that tells what takes the place of heads' outputs.
"""

from collections.abc import Mapping

from retrieval_heads import plugins
from retrieval_heads.study.interventions import fitted_modes, twin_modes

# A method is taken "toward" a twin, by the replacement that comes from it.
_REPLACEMENTS = {"twin": "resample"}


def file_of(name: str, entry: Mapping) -> str:
    """The name of the file that an entry of a config's ``methods`` is."""
    return entry.get("method", name)


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


def twin_methods(config: Mapping) -> list[str]:
    """The methods of a complete config that need twins of its prompts; none where results are published."""
    return _methods_by(config, twin_modes())


def fitted_methods(config: Mapping) -> dict[str, str]:
    """Those that need a replacement which is fitted to the model, each with its name."""
    found = {name: replacement_of(name, config["methods"][name]) for name in _methods_by(config, fitted_modes())}
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
