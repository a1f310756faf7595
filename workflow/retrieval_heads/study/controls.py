"""The controls that a study asks for: each is a rule and a table of its own, and costs nothing unless asked for."""

from collections.abc import Mapping

from retrieval_heads.study.interventions import ablated_lengths, ablated_methods, ablated_variants, interventions
from retrieval_heads.study.modes import twin_modes

CONTROLS = ("transfer", "specificity", "compensation", "looks")
"""Every control by its name in the config, in the order in which they are told of."""

ITEM_KINDS = {"facts": "text", "sums": "count"}
"""What specificity asks where there is nothing to retrieve: each kind of items, with the type of its answers."""


def write_out_controls(config: dict) -> None:
    """Write out what each control that is asked for takes from the rest of a config."""
    given, every = config["controls"], interventions(config)
    in_suffix = [name for name, one in every.items() if one["scope"] == "suffix"]
    twinless = [name for name in in_suffix if every[name]["mode"] not in twin_modes()]
    for name, fitting in (("transfer", in_suffix), ("specificity", twinless)):
        if (one := given[name]) is not None:
            # Null where none fits: the checks refuse that.
            one["intervention"] = one["intervention"] or next(iter(fitting), None)
            _take_from(config, one, one["intervention"])
            if one["intervention"] in every:
                levels = every[one["intervention"]]["levels"]
                if name == "transfer":
                    one["level"] = one["level"] or max(levels)
                else:
                    one["levels"] = one["levels"] or list(levels)
    if (one := given["compensation"]) is not None:
        one["questions"] = one["questions"] or list(config["questions"])
        # Empty where none fits: the checks refuse that.
        names = one["interventions"] = one["interventions"] or in_suffix
        known = [name for name in names if name in every]
        lengths = {length for name in known for length in ablated_lengths(config, name)}
        methods = {method for name in known for method in ablated_methods(config, name)}
        one["context_lengths"] = one["context_lengths"] or [
            length for length in config["prompts"]["context_lengths"] if length in lengths
        ]
        one["methods"] = one["methods"] or [method for method in config["methods"] if method in methods]
    if (one := given["looks"]) is not None:
        one["context_lengths"] = one["context_lengths"] or list(config["prompts"]["context_lengths"])


def _take_from(config: dict, one: dict, name: str | None) -> None:
    """Fill in lengths and methods from an intervention; from all of them where there is none of this name."""
    known = name if name in interventions(config) else None
    one["context_lengths"] = one["context_lengths"] or ablated_lengths(config, known)
    one["methods"] = one["methods"] or (list(config["methods"]) if known is None else ablated_methods(config, known))


def control(config: Mapping, name: str) -> dict | None:
    """A control of a complete config, with all that it needs written out; None where it is not asked for."""
    return None if config["published"] else config["controls"][name]


def transferred_sets(config: Mapping) -> int:
    """How many sets of heads the control of transfer ablates for a question: each question's and random ones."""
    one = control(config, "transfer")
    return 0 if one is None else len(one["methods"]) * (len(config["questions"]) + 1)


def control_ways(config: Mapping, name: str) -> list[tuple[str | None, str]]:
    """The interventions of a control, each with a variant in which it ablates heads; None for a control that ablates
    nothing, which is made in all variants in which heads are ablated."""
    if (one := control(config, name)) is None:
        return []
    names = one.get("interventions") or [one.get("intervention")]
    return [(way, variant) for way in names for variant in ablated_variants(config, way)]
