"""Effects of claims as text, and as small bars on one scale for all effects of one unit."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from retrieval_heads.findings.claims.outcome import Effect

_WIDTH, _HEIGHT, _MARGIN, _ARROW = 180, 14, 4, 4
"""Of a bar, and of the arrow at the end of one that goes on, in pixels."""

_DIGITS = {"points": 1, "nats": 2, "overlap": 3, "correlation": 3}
"""After the decimal point, by unit; numbers of other things have two where they are no counts."""

_BEYOND = 2
"""How many times the median width of a unit's intervals a scale reaches beyond its values at most."""

Scale = tuple[float, float]
"""The values at which bars of a unit begin and end."""


def scales(effects: Iterable[Effect]) -> dict[str, Scale]:
    """From unit to the scale that holds every effect in it, and what it would be if there were none.

    It holds their intervals too, but for the ends of one so wide that it would leave the others no room.
    """
    of_unit: dict[str, list[Effect]] = {}
    for effect in effects:
        of_unit.setdefault(effect.unit, []).append(effect)
    return {unit: _scale(found) for unit, found in of_unit.items()}


def _scale(effects: Sequence[Effect]) -> Scale:
    values = [value for effect in effects for value in (effect.value, effect.none)]
    intervals = [found for effect in effects if (found := interval(effect))]
    beyond = _BEYOND * statistics.median([high - low for low, high in intervals if high > low] or [0.0])
    lows, highs = [low for low, _ in intervals], [high for _, high in intervals]
    return (
        max(min([*values, *lows]), min(values) - beyond),
        min(max([*values, *highs]), max(values) + beyond),
    )


def bar(effects: Sequence[Effect], every: Mapping[str, Scale]) -> Markup:
    """A drawing of an effect, or of those of several claims: intervals, values, and the line where there is none.

    An interval that goes on beyond the scale ends in an arrow.

    Parameters
    ----------
    effects : of one unit.
    every : what :func:`scales` gives.
    """
    low, high = every[effects[0].unit]

    def at(value: float) -> str:
        share = (min(max(value, low), high) - low) / (high - low) if high > low else 0.5
        return f"{_MARGIN + share * (_WIDTH - 2 * _MARGIN):.1f}".removesuffix(".0")

    middle = _HEIGHT // 2
    nones = dict.fromkeys(at(effect.none) for effect in effects)
    ends = [found for effect in effects if (found := interval(effect))]
    intervals = dict.fromkeys(f"M{at(start)} {middle}H{at(end)}" for start, end in ends)
    intervals |= dict.fromkeys(_arrow(at(low), 1) for start, _ in ends if start < low)
    intervals |= dict.fromkeys(_arrow(at(high), -1) for _, end in ends if end > high)
    values = dict.fromkeys(at(effect.value) for effect in effects)
    several = len(effects) > 1
    lines = f'<path class="interval" d="{"".join(intervals)}"/>' if intervals else ""
    marks = (
        f'<path class="values" d="{"".join(f"M{x} 3V{_HEIGHT - 3}" for x in values)}"/>'
        if several
        else "".join(f'<circle cx="{x}" cy="{middle}" r="3.2"/>' for x in values)
    )
    return Markup(
        f'<svg class="bar{" several" if several else ""}" width="{_WIDTH}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'aria-hidden="true">'
        f'<path class="none" d="{"".join(f"M{x} 0V{_HEIGHT}" for x in nones)}"/>{lines}{marks}</svg>'
    )


def _arrow(tip: str, back: int) -> str:
    """An arrow's head, whose ends lie to the right of its tip (1) or to the left (-1)."""
    wing, middle = _ARROW, _HEIGHT // 2
    return f"M{tip} {middle}l{back * wing} {-wing}m0 {2 * wing}l{-back * wing} {-wing}"


def text(effects: Sequence[Effect]) -> str:
    """An effect with its unit and interval, or the least and the greatest of several of one unit."""
    if not effects:
        return ""
    if len(effects) > 1:
        ends = [written(extreme(effect.value for effect in effects), effects[0].unit) for extreme in (min, max)]
        return f"{' to '.join(dict.fromkeys(ends))} {effects[0].unit}"
    (effect,) = effects
    value = f"{written(effect.value, effect.unit)} {effect.unit}"
    ends = [written(end, effect.unit) for end in interval(effect) or ()]
    return f"{value} ({' to '.join(ends)})" if ends else value


def interval(effect: Effect) -> tuple[float, float] | None:
    """The ends of its interval, where both are known."""
    if effect.low is None or effect.high is None or not (math.isfinite(effect.low) and math.isfinite(effect.high)):
        return None
    return effect.low, effect.high


def written(value: float, unit: str) -> str:
    """A number as sentences write one of this unit."""
    if unit not in _DIGITS and value == round(value):
        return f"{value:,.0f}".replace("-", "−")
    digits = _DIGITS.get(unit, 2)
    # Rounding first keeps a tiny negative number from becoming −0.0.
    return f"{round(value, digits) + 0:,.{digits}f}".replace("-", "−")
