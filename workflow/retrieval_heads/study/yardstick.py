"""What rankings are held against: the exact effect of every head by itself, and on which prompts it is measured."""

from collections.abc import Mapping

from retrieval_heads.study.interventions import ablated_lengths, ablated_variants, interventions


def write_out_yardstick(config: dict) -> None:
    """Write out what the yardstick takes from the rest of a config, where it has one."""
    if (one := config["yardstick"]) is None:
        return
    one["questions"] = one["questions"] or list(config["questions"])
    one["context_lengths"] = one["context_lengths"] or ablated_lengths(config)
    one["variants"] = one["variants"] or ablated_variants(config)
    one["modes"] = one["modes"] or list(dict.fromkeys(way["mode"] for way in interventions(config).values()))


def yardstick(config: Mapping) -> dict | None:
    """The yardstick of a complete config; None where none is measured, as of published results."""
    return None if config["published"] else config["yardstick"]


def yardstick_modes(config: Mapping) -> list[str]:
    """What replaces heads' outputs in the yardstick; nothing where none is measured."""
    one = yardstick(config)
    return [] if one is None else one["modes"]
