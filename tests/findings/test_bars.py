"""Effects of claims in a table: as text, and as bars on one scale."""

import re

import pytest

from retrieval_heads.findings import bars
from retrieval_heads.findings.claims.outcome import Effect


def places(svg, kind):
    """Where a bar has what, in pixels from its left."""
    patterns = {"value": r'cx="([\d.]+)"', "none": r'class="none" d="M([\d.]+) ', "ends": r"M([\d.]+) 7H([\d.]+)"}
    found = re.findall(patterns[kind], svg)
    return [tuple(map(float, one)) if isinstance(one, tuple) else float(one) for one in found]


def test_effects_of_one_unit_have_one_scale():
    low, high = Effect(10, 0, 20, "points"), Effect(80, 60, 100, "points")
    other = Effect(3, None, None, "heads", none=1.0)
    every = bars.scales([low, high, other])
    assert every == {"points": (0, 100), "heads": (1.0, 3)}
    (left,), (right,) = (places(bars.bar([effect], every), "value") for effect in (low, high))
    (start, _), (_, end) = (places(bars.bar([effect], every), "ends")[0] for effect in (low, high))
    assert (left - start) / (end - start) == pytest.approx(0.1, abs=0.01)
    assert (right - start) / (end - start) == pytest.approx(0.8, abs=0.01)


def test_a_very_wide_interval_leaves_the_others_their_room_and_ends_in_arrows():
    narrow = [Effect(value, value - 0.1, value + 0.1, "nats") for value in (0.2, 0.3, 0.4)]
    wide, up = Effect(0.3, -9, 12, "nats"), Effect(0.3, 0.1, 12, "nats")
    every = bars.scales([*narrow, wide, up])
    assert every["nats"] == pytest.approx((-0.4, 0.8))
    ((start, end),) = places(bars.bar([wide], every), "ends")
    assert (start, end) == (4, 176)
    for effect, tips in ((wide, ["4", "176"]), (up, ["176"]), (narrow[0], [])):
        assert re.findall(r"M(\d+) 7l", bars.bar([effect], every)) == tips
    ((start, end),) = places(bars.bar([narrow[0]], every), "ends")
    assert end - start > 25
    assert bars.text([wide]) == "0.30 nats (−9.00 to 12.00)"


def test_intervals_without_a_width_do_not_say_how_wide_others_may_be():
    effects = [*[Effect(0, 0, 0, "nats")] * 3, Effect(1, 0.5, 1.5, "nats")]
    assert bars.scales(effects) == {"nats": (0, 1.5)}


def test_every_value_is_on_the_scale_however_far_it_lies():
    far, near = Effect(50, None, None, "nats"), Effect(0.3, 0.2, 0.4, "nats")
    assert bars.scales([far, near]) == {"nats": (0.0, 50)}


def test_the_line_is_where_there_is_nothing_to_find():
    half = Effect(0.8, 0.6, 1.0, "overlap", none=0.6)
    svg = bars.bar([half], bars.scales([half]))
    ((start, _),) = places(svg, "ends")
    assert places(svg, "none") == [start]


def test_what_has_no_interval_is_a_mark_alone():
    alone = Effect(11, None, None, "heads")
    svg = bars.bar([alone], bars.scales([alone]))
    assert places(svg, "value") and not places(svg, "ends")


def test_where_all_is_equal_the_mark_is_in_the_middle():
    nothing = Effect(0, 0, 0, "points")
    assert places(bars.bar([nothing], bars.scales([nothing])), "value") == [90]


def test_several_effects_are_drawn_in_one_bar():
    effects = [Effect(value, value - 5, value + 5, "points") for value in (10, 20, 30)]
    svg = bars.bar(effects, bars.scales(effects))
    assert len(places(svg, "ends")) == 3 and "several" in svg and "<circle" not in svg


@pytest.mark.parametrize(
    ("effects", "text"),
    [
        ([], ""),
        ([Effect(57.94, 48.1, 67.3, "points")], "57.9 points (48.1 to 67.3)"),
        ([Effect(-0.04, None, None, "points")], "0.0 points"),
        ([Effect(-0.126, -0.2, 0.1, "nats")], "−0.13 nats (−0.20 to 0.10)"),
        ([Effect(5.0, float("nan"), float("nan"), "points")], "5.0 points"),
        ([Effect(1234, None, None, "heads")], "1,234 heads"),
        ([Effect(0.1234, 0.1, 0.2, "overlap")], "0.123 overlap (0.100 to 0.200)"),
        ([Effect(2, None, None, "places"), Effect(7.5, None, None, "places")], "2 to 7.50 places"),
        ([Effect(2, None, None, "heads"), Effect(2, None, None, "heads")], "2 heads"),
    ],
)
def test_text(effects, text):
    assert bars.text(effects) == text
