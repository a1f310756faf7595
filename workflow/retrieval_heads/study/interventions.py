"""The ways of ablating heads that a config asks for, each under its name, and what each takes from all of them."""

import copy
from collections.abc import Mapping

from retrieval_heads.errors import StudyError
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.modes import twin_modes
from retrieval_heads.study.variants import variants


def require_one_form(ablation: dict) -> None:
    """Refuse a mode or scope beside the interventions, each of which has its own."""
    if ablation.get("interventions"):
        for key in ("mode", "scope"):
            if key in ablation:
                raise StudyError(f"ablation.{key}: each of ablation.interventions has its own; write it there.")


def name_interventions(ablation: dict) -> None:
    """Write out the interventions: the one of mode and scope, and what each takes from all of them."""
    mode, scope = ablation.pop("mode"), ablation.pop("scope")
    if not ablation["interventions"]:
        ablation["interventions"] = {f"{mode}_{scope}": {"mode": mode, "scope": scope, "documents": None}}
    for one in ablation["interventions"].values():
        for key in ("levels", "context_lengths", "methods", "variants", "without_induction"):
            one.setdefault(key, copy.copy(ablation[key]))
        one["random_draws"] = ablation["random_draws"] | one.get("random_draws", {})
    ablation["headline"] = ablation["headline"] or next(iter(ablation["interventions"]))


def interventions(config: Mapping) -> dict[str, dict]:
    """The interventions of a complete config, each with all that holds for it; none where results are published."""
    return {} if config["published"] else config["ablation"]["interventions"]


def guarded_interventions(config: Mapping) -> list[str]:
    """The interventions under which prose can be read too, in the config's order: prose has no twin."""
    return [name for name, one in interventions(config).items() if one["mode"] not in twin_modes()]


def ablated_lengths(config: Mapping, name: str | None = None) -> list[int]:
    """The context lengths at which heads are ablated, by one intervention or by any."""
    chosen = interventions(config) if name is None else {name: interventions(config)[name]}
    every = config["prompts"]["context_lengths"]
    found = {length for one in chosen.values() for length in one["context_lengths"] or every}
    # What is no length of the study comes last, to be refused.
    return [length for length in every if length in found] + sorted(found.difference(every))


def ablated_methods(config: Mapping, name: str) -> list[str]:
    """The methods whose top heads an intervention ablates, in the config's order."""
    chosen, every = interventions(config)[name]["methods"], list(config["methods"])
    # What is no method of the study comes last, to be refused.
    return every if chosen is None else sorted(chosen, key=lambda one: every.index(one) if one in every else len(every))


def ablated_variants(config: Mapping, name: str | None = None) -> list[str]:
    """The variants in which heads are ablated, by one intervention or by any, in the config's order."""
    chosen = interventions(config) if name is None else {name: interventions(config)[name]}
    every = variants(config)
    found = {variant for one in chosen.values() for variant in one["variants"] or every}
    # What is no variant of the study comes last, to be refused.
    return [variant for variant in every if variant in found] + sorted(found.difference(every))


def count_head_sets(config: Mapping, name: str, variant: str = PLAIN) -> int:
    """How many sets of heads an intervention ablates for a question at each length, one of them without any head.

    Beside the top sets and their random ones these are the top sets without induction heads, where the intervention
    asks for them, and, in another variant, the plain one's top sets.
    """
    one = interventions(config)[name]
    beside = one["without_induction"] + (variant != PLAIN)
    sets = 1 + sum(one["random_draws"].values()) + beside
    return 1 + len(ablated_methods(config, name)) * len(one["levels"]) * sets


def key_path(config: dict, name: str, key: str) -> str:
    """The key that an intervention has something from: its own, or that of all of them."""
    own = interventions(config)[name][key] != config["ablation"][key]
    return f"ablation.interventions.{name}.{key}" if own else f"ablation.{key}"
