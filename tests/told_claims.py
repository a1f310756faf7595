"""What every claim of the findings must be: said plainly, known to programs, with the number of its sentence."""

import json

from plain_sentences import faults
from retrieval_heads.findings.claims import Claim
from retrieval_heads.study.wording import decimal, hundredths, points

_WRITTEN = {"points": lambda value: points(value / 100), "correlation": decimal, "heads": lambda value: f"{value:.0f}"}

_OF_MEANS = ("depths_are_answered_differently", "depths_cost_differently")
"""Rules whose claims tell the mean of each value."""


def told(*claims: Claim) -> None:
    """Assert that claims of one study are: no two of a rule about the same, each with its number in its sentence."""
    for claim in claims:
        assert claim.sentence.endswith(".") and "nan" not in claim.sentence.lower().split(), claim.sentence
        assert not faults(claim.sentence)
        if claim.effect is not None:
            number = _WRITTEN.get(claim.effect.unit, hundredths)(claim.effect.value)
            # That it is no head may be said in other words, and means stand in place of their difference.
            otherwise = (claim.effect.value, claim.effect.unit) == (0, "heads") or claim.rule in _OF_MEANS
            assert number in claim.sentence or otherwise
            if claim.effect.low is not None:
                assert claim.effect.low <= claim.effect.value <= claim.effect.high
    known = [(claim.rule, json.dumps(claim.of, sort_keys=True)) for claim in claims]
    assert len(set(known)) == len(known)
