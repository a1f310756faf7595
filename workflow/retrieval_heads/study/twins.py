"""Which parts of a study need twins of its prompts, and what the whole model is asked for that."""

import math
from collections.abc import Mapping

from retrieval_heads.study.controls import control
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.interventions import ablated_lengths, ablated_variants, interventions
from retrieval_heads.study.methods import twin_methods
from retrieval_heads.study.modes import twin_modes
from retrieval_heads.study.yardstick import yardstick, yardstick_modes


def uses_twins(config: Mapping) -> bool:
    """Whether any intervention or method of a complete config, or its yardstick, needs twins."""
    modes = {one["mode"] for one in interventions(config).values()} | set(yardstick_modes(config))
    return bool(twin_methods(config)) or not modes.isdisjoint(twin_modes())


def unablated_lengths(config: Mapping) -> list[int]:
    """The context lengths at which the whole model is asked about test documents."""
    lengths = config["prompts"]["context_lengths"]
    return [length for length in lengths if _asking(config, length) or _asking(config, length, twins=True)]


def unablated_documents(config: Mapping, length: int) -> tuple[int | None, str]:
    """How many test documents the whole model is asked about at a context length, None for all, and the key that says
    so: as many as the intervention or control that asks about most of them, or as a yardstick that needs twins. They
    are the same in all variants, so that these are compared on the same documents.
    """
    return _most(_asking(config, length) | _asking(config, length, twins=True))


def twinned_documents(config: Mapping, length: int, variant: str = PLAIN) -> tuple[int | None, str]:
    """The same for the twins of test documents: 0 where nothing needs them at this length in this variant."""
    return _most(_asking(config, length, twins=True, variant=variant) or {"documents": 0})


def _asking(config: Mapping, length: int, twins: bool = False, variant: str | None = None) -> dict[str, float]:
    """Key → number of test documents that it asks for at a length: of interventions and controls, or of all that need
    twins; in any variant or in one."""
    asking = {
        f"ablation.interventions.{name}.documents": _number(one["documents"])
        for name, one in interventions(config).items()
        if length in ablated_lengths(config, name)
        and (variant is None or variant in ablated_variants(config, name))
        and (not twins or one["mode"] in twin_modes())
    }
    if (asked := control(config, "transfer")) is not None and length in asked["context_lengths"]:
        needs_twins = interventions(config)[asked["intervention"]]["mode"] in twin_modes()
        if needs_twins or not twins:
            asking["controls.transfer.documents"] = _number(asked["documents"])
    one = yardstick(config)
    held = one is not None and length in one["context_lengths"] and (variant is None or variant in one["variants"])
    if twins and one is not None and held and set(one["modes"]) & set(twin_modes()):
        asking["yardstick.documents"] = _number(one["documents"])
    one = control(config, "compensation")
    if twins and one is not None and length in one["context_lengths"]:
        for name in one["interventions"]:
            asked_in = variant is None or variant in ablated_variants(config, name)
            if asked_in and interventions(config)[name]["mode"] in twin_modes():
                asking["controls.compensation.documents"] = _number(one["documents"])
    return asking


def _number(documents: int | None) -> float:
    return math.inf if documents is None else documents


def _most(asking: dict[str, float]) -> tuple[int | None, str]:
    key = max(asking, key=lambda key: asking[key])
    return None if asking[key] == math.inf else int(asking[key]), key
