"""The claims of two studies side by side."""

from collections.abc import Iterable, Mapping
from typing import Any

APART, OVERLAPPING = "apart", "overlapping"

_UNDECIDED = "not enough data"

Claim = Mapping[str, Any]


def compare_claims(a: Iterable[Claim], b: Iterable[Claim]) -> dict[str, Any]:
    """The claims of two studies, matched by their rule and what they are about.

    Parameters
    ----------
    a, b : as findings.json has them.

    Returns
    -------
    ``both``: the outcome and effect of each claim in either, whether the outcome changed, and the difference of the
    effects; ``a`` and ``b``: the claims in one alone. ``untold``: of each study, the statements that are left out, for
    it has several claims of one rule about the same.
    """
    of_a, of_b = _by_key(a), _by_key(b)
    twice = {key for one in (of_a, of_b) for key, claims in one.items() if len(claims) > 1}
    both = [_beside(claim, *of_b[key]) for key, (claim, *_) in of_a.items() if key in of_b and key not in twice]
    alone = [
        [_shown(claim) for key, (claim, *_) in own.items() if key not in other and key not in twice]
        for own, other in ((of_a, of_b), (of_b, of_a))
    ]
    untold = [
        [claim["statement"] for key, claims in own.items() if len(claims) > 1 for claim in claims]
        for own in (of_a, of_b)
    ]
    return {"both": both, "a": alone[0], "b": alone[1], "untold": dict(zip("ab", untold, strict=True))}


def _by_key(claims: Iterable[Claim]) -> dict[tuple, list[Claim]]:
    """Claims by their rule and what they are about: one for each, unless a study does not tell them apart."""
    found: dict[tuple, list[Claim]] = {}
    for claim in claims:
        found.setdefault((claim["rule"], frozenset(claim["of"].items())), []).append(claim)
    return found


def _shown(claim: Claim) -> dict[str, Any]:
    return {key: claim[key] for key in ("section", "rule", "of", "statement", "outcome", "effect")}


def _beside(a: Claim, b: Claim) -> dict[str, Any]:
    outcomes = {a["outcome"], b["outcome"]}
    change = None
    if len(outcomes) > 1:
        change = "decided in one" if _UNDECIDED in outcomes else "reversed"
    return {
        **{key: a[key] for key in ("section", "rule", "of", "statement")},
        "outcome_a": a["outcome"],
        "outcome_b": b["outcome"],
        "change": change,
        "effect_a": a["effect"],
        "effect_b": b["effect"],
        **_difference(a["effect"], b["effect"]),
    }


def _difference(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> dict[str, Any]:
    """B's effect without A's, and whether their intervals are apart; null for what two effects do not tell."""
    if a is None or b is None or a["unit"] != b["unit"]:
        return {"difference": None, "intervals": None}
    return {"difference": b["value"] - a["value"], "intervals": intervals(a, b, "low", "high")}


def intervals(a: Mapping[str, Any], b: Mapping[str, Any], low: str, high: str) -> str | None:
    """Whether two intervals are apart or overlap; None where an end is not known."""
    if any(one[end] is None or one[end] != one[end] for one in (a, b) for end in (low, high)):
        return None
    return APART if a[high] < b[low] or b[high] < a[low] else OVERLAPPING
