"""How long a study will take is told from passes that were run, and from how many it asks for."""

import copy
import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from retrieval_heads.engine import pace
from retrieval_heads.engine.extent import method_passes, plain_passes, single_head_passes
from retrieval_heads.engine.pace import PLAIN_TOKENS, log_expected_time, passes_over
from retrieval_heads.study.config import complete
from retrieval_heads.study.controls import ITEM_KINDS, transferred_sets
from retrieval_heads.study.interventions import count_head_sets
from tiny_models import MODELS, random_ids

TINY = yaml.safe_load((Path(__file__).parents[2] / "config" / "tiny.yaml").read_text())


def changed(**changes):
    """The tiny study's config, complete, with other values at some keys."""
    config = copy.deepcopy(TINY)
    for key, value in changes.items():
        *path, last = key.split("__")
        place = config
        for name in path:
            place = place.setdefault(name, {})
        place[last] = value
    return complete(config)


def passes(**changes):
    return plain_passes(changed(**changes), 200)


def test_a_pass_is_counted_in_plain_ones():
    assert passes_over(PLAIN_TOKENS) == 1
    # Processor time of the default model in float32: 1.61 s over 512 tokens, and so much over these.
    for tokens, seconds in {257: 0.79, 1024: 3.38, 2048: 8.38, 4096: 20.3}.items():
        assert passes_over(tokens) * 1.61 == pytest.approx(seconds, rel=0.05)


def test_work_grows_with_what_a_study_asks_for():
    least = passes()
    for more in (
        {"documents__train": 6},
        {"documents__test": 6},
        {"prompts__context_lengths": [512, 640, 700]},
        {"prompts__depths": [0.2, 0.8]},
        {"ablation__levels": [3, 6, 9]},
        {"ablation__random_draws": {"matched": 2, "unmatched": 1}},
        {"yardstick__documents": 3},
        {"yardstick__context_lengths": [512, 640]},
        {"yardstick__modes": ["zero", "uniform"]},
        {"yardstick__modes": ["resample"]},
        {"ablation__mode": "mean"},
    ):
        assert passes(**more) > least, more


SIZES = pytest.mark.parametrize(
    ("depths", "stated"),
    [([0.25], 1), ([0.25, 0.75], 1), ([0.25], 0.5)],
    ids=["one depth", "two depths", "half stated"],
)
"""Of a study of one length without a yardstick: its depths, and the share of facts that its documents state."""
ASKED = 64 + 8  # tokens, at most, behind the context
BEHIND = pace.passes_behind(512, ASKED)


def alone(depths, stated):
    return {
        "yardstick": None,
        "prompts__context_lengths": [512],
        "prompts__depths": depths,
        "documents__missing_rate": 1 - stated,
    }


@SIZES
def test_every_part_of_a_study_is_counted(depths, stated):
    settings, several = alone(depths, stated) | {"ablation__levels": [3]}, len(depths)
    sets = count_head_sets(complete(TINY | {"ablation": TINY["ablation"] | {"levels": [3]}}), "zero_all")
    answering, labels = 1 + pace.SUFFIX_WORTH / 512, 4
    scoring = 3 * several * answering
    unablated = 3 * (several + 1) * answering  # behind the document at each depth, and behind its haystack alone
    rows = 3 * several * stated * 2 * (sets - 1)
    guard = 2 * sets * passes_over(257) * 0.70
    assert passes(**settings) == pytest.approx(scoring + unablated + rows * 0.70 + guard + labels)
    guard = 2 * sets * passes_over(257) / 2
    parts = scoring + unablated + 3 * several + rows * 0.45 * ASKED / 512 + guard + labels
    assert passes(**settings, ablation__scope="suffix") == pytest.approx(parts)


@SIZES
def test_fits_and_twins_are_counted(depths, stated):
    settings, prompts = alone(depths, stated), 3 * len(depths)
    fit = prompts * (1 + 2 * stated * BEHIND)
    assert passes(**settings, ablation__mode="mean") - passes(**settings) == pytest.approx(fit)
    # Prose has no twin. The whole model answers each twin, which it runs from the needle on. The twin is then read as a
    # whole, once for all sets.
    sets = 2 * count_head_sets(complete(TINY), "zero_all")
    twins, asked = 3 * sum(1 - passes_over(round(512 * depth)) for depth in depths), prompts * pace.SUFFIX_WORTH / 512
    guard = sets * passes_over(257) * 0.70
    more = passes(**settings, ablation__mode="resample") - passes(**settings)
    assert more == pytest.approx(twins + asked + prompts - guard)
    # In the other scopes it is run from the needle on for them too.
    settings |= {"ablation__scope": "suffix"}
    rows, guard = prompts * stated * (sets - 2) * 0.1 * 0.45 * ASKED / 512, sets * passes_over(257) / 2
    more = passes(**settings, ablation__mode="resample") - passes(**settings)
    assert more == pytest.approx(twins + asked + twins + rows - guard)


@SIZES
def test_controls_are_counted(depths, stated):
    """By hand."""
    settings, several = alone(depths, stated) | {"ablation__scope": "suffix"}, len(depths)

    def more(control, **asked):
        """Than without the control."""
        asked = {"context_lengths": [512], **asked}
        return passes(**settings, controls={control: asked}) - passes(**settings)

    for documents in (2, 3):
        looked = documents * several * (1 + pace.SUFFIX_WORTH / 512)
        assert more("looks", documents=documents) == pytest.approx(looked)
        # Under every set, both questions are asked of the documents that state both facts.
        asked = {"transfer": {"documents": documents, "context_lengths": [512]}}
        rows = 2 * transferred_sets(changed(**settings, controls=asked))
        each = several * (1 + rows * 0.45 * ASKED / 512)
        assert rows > 0
        assert more("transfer", documents=documents) == pytest.approx(documents * stated**2 * each)

    # Facts and sums have no document.
    one = changed(**settings, controls={"specificity": {"context_lengths": [512]}})["controls"]["specificity"]
    sets = 2 * len(one["methods"]) * len(one["levels"]) * 2  # of both questions, and as many random ones
    items = 200 + len(ITEM_KINDS) * 20 * sets
    assert more("specificity", items=20) == pytest.approx(1 + 0.37 * ASKED / 512 * items)

    # Of 6 heads at most in the one method's top set, each is tried by itself; of 2 sets and 2 random ones, each too.
    singly, sets = 6 / (30 * 9) * single_head_passes((30, 9), 512, ASKED), 4 * 0.3 * BEHIND
    rows = singly + sets + (0.6 + 0.4) * BEHIND
    found = more("compensation", documents=3, methods=["wu24"])
    assert found == pytest.approx(3 * several * (1 + 2 * stated * rows))


@SIZES
def test_what_a_method_takes_by_itself_is_counted(depths, stated):
    """By hand: whatever is told of a method, it has all documents state all facts."""
    methods = {
        "wu24": {},
        "direct_logit": {},
        "attribution_patching": {},
        "toward": {"method": "attribution_patching", "toward": "twin", "label": "Toward the twin"},
        "single_head_effect": {},
    }
    config = changed(**alone(depths, stated), methods=methods)
    several, singly = len(depths), single_head_passes((30, 9), 512, ASKED)
    answering = several * (1 + pace.SUFFIX_WORTH / 512)
    twins = sum(1 - passes_over(round(512 * depth)) for depth in depths)
    found = method_passes(config, (30, 9), 512)
    assert found == pytest.approx(
        {
            "wu24": answering,
            "direct_logit": answering + 2 * several * (0.6 + 0.4) * BEHIND,
            "attribution_patching": answering + 2 * several * (0.6 + 0.6) * BEHIND,
            "toward": answering + 2 * several * (0.6 + 0.6 + 0.45 + 0.6) * BEHIND + twins,
            "single_head_effect": answering + 2 * several * singly,
        }
    )


def test_every_head_by_itself_is_counted_by_the_rows_that_go_through_each_layer():
    # The default model: measured, 11 plain passes a prompt of 512 tokens.
    asked, length, grid = 64 + 12, 512, (30, 9)
    assert single_head_passes(grid, length, asked) == pytest.approx(11, rel=0.1)
    # A layer of more heads costs as many more rows; twice the layers, four times as many.
    assert single_head_passes((30, 18), length, asked) == 2 * single_head_passes(grid, length, asked)
    assert single_head_passes((61, 9), length, asked) == pytest.approx(2 * single_head_passes((30, 9), length, asked))
    config = complete(TINY | {"yardstick": {"documents": 2, "questions": ["inc_state"], "context_lengths": [640]}})
    one = 1 * 0.9 * single_head_passes((5, 8), 640, 64 + 8)
    for depths in ([0.25], [0.25, 0.75]):
        held = config | {"prompts": config["prompts"] | {"depths": depths}}
        with_it = plain_passes(held, 200, (5, 8)) - plain_passes(held | {"yardstick": None}, 200, (5, 8))
        assert with_it == pytest.approx(2 * len(depths) * (passes_over(640) + one))
    # The method of that name asks about the first train documents, at every length.
    rest = config | {"ablation": config["ablation"] | {"interventions": {}}, "yardstick": None}
    ranking = rest | {"methods": config["methods"] | {"single_head_effect": {"documents": 1}}}
    each = sum(passes_over(tokens) + 2 * 0.9 * single_head_passes((5, 8), tokens, 64 + 8) for tokens in (512, 640))
    assert plain_passes(ranking, 200, (5, 8)) - plain_passes(rest, 200, (5, 8)) == pytest.approx(each)


@pytest.mark.parametrize(
    ("seconds", "asked", "told"),
    [(0.5, 10, "10 seconds"), (0.5, 100, "50 seconds"), (1.5, 600, "15 minutes"), (20, 1000, "5.6 hours")],
)
def test_the_time_is_that_of_a_pass_times_their_number(monkeypatch, caplog, seconds, asked, told):
    caplog.set_level(logging.INFO, "retrieval_heads")
    now = SimpleNamespace(time=0.0)
    monkeypatch.setattr(pace.time, "monotonic", lambda: now.time)
    ran = []

    def model(input_ids, **_):
        now.time += seconds * passes_over(input_ids.shape[1]) * (3 if not ran else 1)  # the first one warms up
        ran.append(input_ids.tolist())
        return SimpleNamespace(logits=torch.zeros(1))

    model.device = torch.device("cpu")
    for ids in (list(range(600)), list(range(100))):
        ran.clear()
        log_expected_time(model, ids, asked)
        assert ran == 2 * [[ids[:PLAIN_TOKENS]]]
        assert f"takes {seconds:.2g} s here" in caplog.messages[-1] and f" take about {told}," in caplog.messages[-1]


def test_a_real_model_can_be_timed(caplog):
    caplog.set_level(logging.INFO, "retrieval_heads")
    log_expected_time(MODELS["llama"](), random_ids(40, seed=1), 600)
    assert re.fullmatch(r"a pass over 512 tokens takes \S+ s here: .* take about .*", caplog.messages[-1])
