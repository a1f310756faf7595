"""How much a study asks of a model, in plain passes. With the time of one, that tells how long the study will take."""

from collections.abc import Sequence
from itertools import product

from retrieval_heads import plugins
from retrieval_heads.engine.pace import SUFFIX_WORTH, passes_behind, passes_over
from retrieval_heads.study.controls import ITEM_KINDS, control, control_ways, transferred_sets
from retrieval_heads.study.interventions import (
    ablated_lengths,
    ablated_methods,
    ablated_variants,
    count_head_sets,
    guarded_interventions,
    interventions,
)
from retrieval_heads.study.method_entries import file_of, parameters_of
from retrieval_heads.study.methods import fitted_methods, methods_at, twin_methods
from retrieval_heads.study.modes import fitted_modes, twin_modes
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.study.twins import twinned_documents, unablated_documents, unablated_lengths
from retrieval_heads.study.variants import variant_lengths, variants
from retrieval_heads.study.yardstick import yardstick

_ANSWER_EVERYWHERE = 0.70
"""Time of answering one prompt under one head set in scope ``all``, in passes over the context. It is below 1, since
sets share what they can of the context."""

_ANSWER_SUFFIX = 0.45
"""The same in the other scopes, without the context, which is run once for all sets: in passes over the most tokens
that question and answer may have."""

GUARD_TOKENS = 257
"""Tokens of the guard's prose, with the first token that many models want."""

_GUARD_SCORED = 0.5
"""The share of them that is scored. In scopes other than ``all``, only these are run under each head set."""


_SINGLE_HEADS = 0.44
"""Time of ablating every head of a prompt by itself, in that of reading its rows behind the context, each with the most
tokens that question and answer may have."""

_TWIN_OF_SUFFIX, _TWIN_OF_SINGLE_HEADS = 1.1, 1.2
"""So many times as long it takes where outputs come from the twin, whose rows run beside and whose answer is read too:
to answer in question and answer, and to ablate heads by themselves. In scope ``all`` it takes no longer."""

_TRACED = {"trace": 0.6, "gradients": 0.6, "direct": 0.4}
"""Time of one more reading of a prompt with all that its heads do, of the gradients on it, and of the direct path: in
that of reading, behind the context, the most tokens that question and answer may have."""

_ITEMS = 200
"""How many facts and sums the whole model is asked."""

_ITEM = 0.37
"""Time of answering one of them under one head set, in passes over the most tokens that question and answer may have.
"""
_UNDER_A_SET = 0.3
"""Time of reading a prompt's answer without one set of heads, beside others that share layers with it: in that of
reading, behind the context, the most tokens that question and answer may have."""

_NEW_IN_TOP_SETS = 0.25
"""The share of a top set's heads that are in no other method's, about."""

_LABELS = 4
"""Plain passes that the labels of a model's heads take: a few short sequences, and a pass over single tokens."""

DEFAULT_GRID = (30, 9)
"""Layers of the default model, and heads in each."""


def single_head_passes(grid: tuple[int, int], length: int, asked: int) -> float:
    """About how many plain passes it takes as long as to ablate every head of a model by itself in one prompt.

    A head's row leaves the others at its layer. So of L layers with H heads each, H · L · (L + 1) / 2 rows go through
    one layer, which are as many as H · (L + 1) / 2 through the whole model.

    Parameters
    ----------
    grid : layers, and heads in each.
    length : tokens of the prompt.
    asked : the most tokens that question and answer may have.
    """
    layers, heads = grid
    return _SINGLE_HEADS * passes_behind(length, asked * heads * (layers + 1) / 2)


def method_passes(config: dict, grid: tuple[int, int], length: int) -> dict[str, float]:
    """About how many plain passes each method takes by itself for a document, at one context length, all depths.

    Whatever the method, the document's context is run, and its questions are asked and answered. Methods that share
    their reading of a prompt with others take less together.

    Parameters
    ----------
    config : a complete one.
    grid : layers, and heads in each.
    length : tokens of a prompt.
    """
    depths, needing, passes = config["prompts"]["depths"], twin_methods(config), {}
    for name, entry in methods_at(config, length).items():
        file = plugins.files("methods")[file_of(name, entry)]
        each, told = passes_behind(length, _asked(config)), plugins.constants(file)
        behind, twin = 0.0, 0.0
        if file_of(name, entry) == "single_head_effect":
            behind = single_head_passes(grid, length, _asked(config)) * (
                _TWIN_OF_SINGLE_HEADS if name in needing else 1
            )
        elif plugins.base(file) == "TraceScorer":
            kinds = [key for key in _TRACED if key == "trace" or told.get(key)]
            behind = each * sum(_TRACED[key] for key in kinds)
        if name in needing:
            # The twin is answered too, and read with the prompt's answer.
            twin = _twins(length, depths)
            behind += (_ANSWER_SUFFIX + _TRACED["trace"]) * each
        passes[name] = len(depths) * (_answering(length) + len(config["questions"]) * behind) + twin
    return passes


def plain_passes(config: dict, documents_of_a_table: int, grid: tuple[int, int] = DEFAULT_GRID) -> float:
    """About how many plain passes a study takes of one of its models: the sum of :func:`passes_by_stage`."""
    return sum(passes_by_stage(config, documents_of_a_table, grid).values())


def passes_by_stage(config: dict, documents_of_a_table: int, grid: tuple[int, int] = DEFAULT_GRID) -> dict[str, float]:
    """About how many plain passes each stage of a study takes of one of its models.

    Parameters
    ----------
    config : a complete one.
    documents_of_a_table : how many each split of a table of the user's is taken to have.
    grid : the model's layers, and heads in each.

    Returns
    -------
    ``labels``, ``scoring``, ``fits``, ``unablated``, an ``ablation NAME`` for each intervention with its guard, a
    ``yardstick MODE`` for each mode, and each control that is asked for by its name.
    """
    documents, asked = config["documents"], variants(config)
    train, test = (documents.get(split, documents_of_a_table) for split in ("train", "test"))
    stated = 1 - documents["missing_rate"] if "missing_rate" in documents else 1
    passes: dict[str, float] = {
        "labels": _LABELS,
        "scoring": sum(_scoring(config, variant, train, stated, grid) for variant in asked),
        "fits": sum(_fits(config, variant, train, stated) for variant in asked),
        "unablated": sum(_unablated(config, variant, test) for variant in asked),
        **{
            f"ablation {name}": sum(
                _ablation(config, name, variant, test, stated) for variant in ablated_variants(config, name)
            )
            for name in interventions(config)
        },
    }
    if (held := yardstick(config)) is not None:
        for mode in held["modes"]:
            passes[f"yardstick {mode}"] = len(held["variants"]) * _yardstick(config, mode, test, stated, grid)
    for name, reckon in (
        ("transfer", lambda _: _transfer(config, test, stated)),
        ("specificity", lambda _: _specificity(config)),
        ("compensation", lambda name: _compensation(config, name, test, stated, grid)),
        ("looks", lambda _: _looks(config, test)),
    ):
        if control(config, name) is not None:
            passes[name] = sum(reckon(way) for way, _ in control_ways(config, name))
    return passes


def _asked(config: dict) -> int:
    """The most tokens that question and answer may have."""
    return config["prompts"]["suffix_budget"] + config["generation"]["max_new_tokens"]


def _answering(length: int) -> float:
    return passes_over(length) * (1 + SUFFIX_WORTH / length)


def _scoring(config: dict, variant: str, train: int, stated: float, grid: tuple[int, int]) -> float:
    lengths, depths = variant_lengths(config, variant), len(config["prompts"]["depths"])
    passes = sum(train * depths * _answering(length) for length in lengths)
    questions = len(config["questions"])
    for length in lengths:
        methods, needing = methods_at(config, length, variant), twin_methods(config, length, variant)
        one_by_one = [name for name, entry in methods.items() if file_of(name, entry) == "single_head_effect"]
        for name in one_by_one:
            documents = parameters_of(name, methods[name])["documents"]
            rows = questions * stated * single_head_passes(grid, length, _asked(config))
            rows *= _TWIN_OF_SINGLE_HEADS if name in needing else 1
            passes += min(train, documents) * depths * (passes_over(length) + rows)
        if set(needing) - set(one_by_one):
            # A twin is answered, and then read with the prompt's answer, in one trace for all methods.
            rows = questions * stated * passes_behind(length, _asked(config)) * (_ANSWER_SUFFIX + _TRACED["trace"])
            passes += train * (_twins(length, config["prompts"]["depths"]) + depths * rows)
    return passes


def _fits(config: dict, variant: str, train: int, stated: float) -> float:
    """Of replacements that are fitted to the train split of a variant, each once at every length."""
    questions, depths, fitted = len(config["questions"]), len(config["prompts"]["depths"]), fitted_modes()
    return sum(
        train * depths * (passes_over(length) + questions * stated * passes_behind(length, _asked(config)))
        for mode, length in _modes_at_lengths(config, variant)
        if mode in fitted
    )


def _unablated(config: dict, variant: str, test: int) -> float:
    depths, passes = config["prompts"]["depths"], 0.0
    for length in set(unablated_lengths(config)).intersection(variant_lengths(config, variant)):
        asked_of, twins = (
            test if most is None else most
            for most, _ in (unablated_documents(config, length), twinned_documents(config, length, variant))
        )
        # Each document is in a context at every depth, and so is its twin; the haystack stands once without it.
        passes += asked_of * (len(depths) + 1) * _answering(length) + twins * _twins(length, depths)
        passes += twins * len(depths) * (_answering(length) - passes_over(length))
    return passes


def _ablation(config: dict, name: str, variant: str, test: int, stated: float) -> float:
    questions, depths, passes = len(config["questions"]), config["prompts"]["depths"], 0.0
    one = interventions(config)[name]
    sets = questions * count_head_sets(config, name, variant)
    asked_of = test if one["documents"] is None else one["documents"]
    everywhere, twin = SCOPES[one["scope"]].in_context, one["mode"] in twin_modes()
    for length in ablated_lengths(config, name):
        once, rows = passes_over(length), asked_of * len(depths) * stated * (sets - questions)
        if everywhere:
            passes += rows * _ANSWER_EVERYWHERE * once + twin * asked_of * len(depths) * once
        else:
            each = _ANSWER_SUFFIX * _asked(config) / length * (_TWIN_OF_SUFFIX if twin else 1)
            passes += (asked_of * len(depths) + rows * each) * once
            passes += twin * asked_of * _twins(length, depths)
        if name in guarded_interventions(config):
            passes += sets * passes_over(GUARD_TOKENS) * (_ANSWER_EVERYWHERE if everywhere else _GUARD_SCORED)
    return passes


def _yardstick(config: dict, mode: str, test: int, stated: float, grid: tuple[int, int]) -> float:
    passes, depths, twin = 0.0, config["prompts"]["depths"], mode in twin_modes()
    if (one := yardstick(config)) is None:
        return passes
    asked_of = test if one["documents"] is None else one["documents"]
    for length in one["context_lengths"]:
        rows = len(one["questions"]) * stated * single_head_passes(grid, length, _asked(config))
        rows *= _TWIN_OF_SINGLE_HEADS if twin else 1
        passes += asked_of * len(depths) * (passes_over(length) + rows) + twin * asked_of * _twins(length, depths)
    return passes


def _transfer(config: dict, test: int, stated: float) -> float:
    """Of documents that state all facts: each question with the heads of every question ablated, and random ones."""
    if (one := control(config, "transfer")) is None:
        return 0.0
    questions, depths, passes = len(config["questions"]), config["prompts"]["depths"], 0.0
    asked_of = (test if one["documents"] is None else one["documents"]) * stated**questions
    twin = interventions(config)[one["intervention"]]["mode"] in twin_modes()
    for length in one["context_lengths"]:
        each = _ANSWER_SUFFIX * _asked(config) / length * (_TWIN_OF_SUFFIX if twin else 1)
        rows = questions * transferred_sets(config)
        passes += asked_of * len(depths) * (1 + rows * each) * passes_over(length)
        passes += twin * asked_of * _twins(length, depths)
    return passes


def _compensation(config: dict, name: str, test: int, stated: float, grid: tuple[int, int]) -> float:
    """Of top sets and of their heads by themselves under one intervention, in the prompts of this control."""
    if (one := control(config, "compensation")) is None:
        return 0.0
    how, depths, passes = interventions(config)[name], config["prompts"]["depths"], 0.0
    methods = [method for method in ablated_methods(config, name) if method in one["methods"]]
    twin, heads = how["mode"] in twin_modes(), grid[0] * grid[1]
    sets = len(methods) * len(how["levels"]) * (1 + how["random_draws"]["matched"])
    singly = min(1, (1 + _NEW_IN_TOP_SETS * (len(methods) - 1)) * max(how["levels"]) / heads)
    asked_of = test if one["documents"] is None else one["documents"]
    for length in one["context_lengths"]:
        each = passes_behind(length, _asked(config))
        rows = singly * single_head_passes(grid, length, _asked(config)) + sets * _UNDER_A_SET * each
        rows *= _TWIN_OF_SINGLE_HEADS if twin else 1
        # Sets are tried behind the twin's context too.
        rows += twin * sets * _UNDER_A_SET * each * _TWIN_OF_SINGLE_HEADS
        rows += (_TRACED["trace"] * (1 + twin) + _TRACED["direct"]) * each
        passes += asked_of * len(depths) * (passes_over(length) + len(one["questions"]) * stated * rows)
        passes += twin * asked_of * _twins(length, depths)
    return passes


def _specificity(config: dict) -> float:
    """Of facts and sums, all behind one context: first without ablation, then under each head set."""
    if (one := control(config, "specificity")) is None:
        return 0.0
    name, passes = one["intervention"], 0.0
    draws = min(1, sum(interventions(config)[name]["random_draws"].values()))
    sets = len(config["questions"]) * len(one["methods"]) * len(one["levels"]) * (1 + draws)
    everywhere = SCOPES[interventions(config)[name]["scope"]].in_context
    for length in one["context_lengths"]:
        once = passes_over(length)
        each = _ITEM * _asked(config) / length
        passes += once * (1 + each * (_ITEMS + len(ITEM_KINDS) * one["items"] * sets) + everywhere * sets)
    return passes


def _looks(config: dict, test: int) -> float:
    if (one := control(config, "looks")) is None:
        return 0.0
    asked_of = test if one["documents"] is None else one["documents"]
    return sum(asked_of * len(config["prompts"]["depths"]) * _answering(length) for length in one["context_lengths"])


def _twins(length: int, depths: Sequence[float]) -> float:
    """Of the contexts of a document's twin at all depths: each is run from the needle on."""
    return sum(passes_over(length) - passes_over(round(length * depth)) for depth in depths)


def _modes_at_lengths(config: dict, variant: str) -> set[tuple[str, int]]:
    """What replaces outputs in a variant, in ablation, yardstick or methods, with every context length at which it
    does."""
    found = {
        (one["mode"], length)
        for name, one in interventions(config).items()
        if variant in ablated_variants(config, name)
        for length in ablated_lengths(config, name)
    }
    lengths = variant_lengths(config, variant)
    found |= {(mode, length) for length in lengths for mode in fitted_methods(config, length, variant).values()}
    held = yardstick(config)
    if held is None or variant not in held["variants"]:
        return found
    return found | set(product(held["modes"], held["context_lengths"]))
