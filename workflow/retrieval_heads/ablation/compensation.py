"""What other heads make up for, what heads do together, and what they restore by themselves, prompt by prompt."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from retrieval_heads.ablation.distinct_sets import in_sharing_order
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.data.selection import expected_answer, group_by_context, lengths, twin_of
from retrieval_heads.engine.runner import Runner, naming
from retrieval_heads.job import finished_units, progress
from retrieval_heads.study.dimensions import CELL, PROMPT
from retrieval_heads.tables.columns import HEAD_SET
from retrieval_heads.tables.compensation import COMPENSATION
from retrieval_heads.tables.compensation_heads import COMPENSATION_HEADS
from retrieval_heads.tables.heads import Head, parse_head

_SET = [name for name, _ in HEAD_SET]


def measure_compensation(
    runner: Runner, prompts: pd.DataFrame, head_sets: pd.DataFrame, intervention: Intervention
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each prompt's answer loses without head sets, and without each head of the top sets.

    Heads are ablated in suffix and answer. What a head writes is z − z′ along the direct path, z′ being what it puts
    out ablated; what is lost is the fall of the answer's centred logit. Where z′ comes from the twin, the other
    direction is measured too: the twin's context is read, and the heads of a set put out what they do in the prompt.

    Parameters
    ----------
    prompts : usable rows of the prompts table of one model and context length, in the table's order; perhaps none. They
        have a twin where the replacement needs one.
    head_sets : rows of the head_sets table of that model and length: top sets, and random ones that are matched.
    intervention : what ablated heads put out; of scope ``suffix``.

    Returns
    -------
    The compensation table and the compensation_heads table.

    Raises
    ------
    StudyError
        when the model would not be measured exactly, or its direct path is not known, with the architecture's name.
    """
    asked = prompts[prompts["question"].isin(head_sets["question"])]
    if asked.empty:
        return COMPENSATION.empty(), COMPENSATION_HEADS.empty()
    runner.require_measurable(*lengths(asked, 0))
    runner.require_direct_path()
    of_sets: list[dict] = []
    of_heads: list[dict] = []
    with progress(len(asked), "prompts to answer without heads"):
        for group in group_by_context(asked):
            for prompt in group.itertuples():
                with finished_units(1), naming([prompt.prompt_id]):
                    sets = head_sets[head_sets["question"] == prompt.question]
                    more_sets, more_heads = _measure(runner, prompt, sets, intervention)
                of_sets += more_sets
                of_heads += more_heads
    return (
        COMPENSATION.typed(pd.DataFrame(of_sets, columns=COMPENSATION.columns)),
        pd.DataFrame(of_heads, columns=COMPENSATION_HEADS.columns),
    )


def _measure(
    runner: Runner, prompt: Any, head_sets: pd.DataFrame, intervention: Intervention
) -> tuple[list[dict], list[dict]]:
    """The rows of both tables about one prompt."""
    ids, answer = list(prompt.input_ids), expected_answer(runner.tokenizer, prompt)
    context, suffix = ids[: prompt.suffix_start], ids[prompt.suffix_start :]
    twin = twin_of(runner.tokenizer, prompt) if intervention.needs_twin else None
    sets = [frozenset(map(parse_head, heads)) for heads in head_sets["heads"]]
    top = head_sets["source"] == "method"
    singly = sorted({head for heads, is_top in zip(sets, top, strict=True) for head in heads if is_top})
    every = _in_sharing_order(runner, {*sets, *(frozenset([head]) for head in singly)})
    ablated = runner.answer_losses(context, suffix, answer, every, intervention.replacement, twin=twin)
    place = {heads: number for number, heads in enumerate(map(frozenset, every))}
    direct = direct_effects(runner, context, suffix, answer, intervention, twin[0] if twin else None)
    restoring = None
    if twin is not None:
        patched = _in_sharing_order(runner, set(sets))
        # The same answers are read behind the other context, and what heads put out comes from the prompt's own.
        restoring = runner.answer_losses(
            twin[0], suffix, answer, patched, intervention.replacement, twin=(context, twin[1])
        )
        gained = dict(zip(map(frozenset, patched), (-_known(restoring.logodds_losses)).tolist(), strict=True))
    about = {name: getattr(prompt, name) for name in (*PROMPT, "prompt_id", "doc_id")} | dict(intervention.columns)

    def losses(heads: frozenset[Head]) -> dict[str, float]:
        at = place[heads]
        return {
            "effect": ablated.logprob_losses[at].item(),
            "direct": sum(direct[head].item() for head in sorted(heads)),
            "total": ablated.logit_losses[at].item(),
        }

    of_heads = [about | {"layer": layer, "head": head} | losses(frozenset([(layer, head)])) for layer, head in singly]
    effect = {(row["layer"], row["head"]): row["effect"] for row in of_heads}
    of_sets = []
    for heads, row in zip(sets, head_sets[[*CELL, *_SET]].to_dict("records"), strict=True):
        singles = sum(effect[head] for head in sorted(heads)) if row["source"] == "method" else None
        odds = dict.fromkeys(("answer_logodds", "twin_logodds", "restored_logodds"))
        if restoring is not None:
            behind_twin = _known(restoring.logodds)
            odds = {
                "answer_logodds": _known(ablated.logodds),
                "twin_logodds": behind_twin,
                "restored_logodds": behind_twin + gained[heads],
            }
        of_sets.append(row | about | losses(heads) | {"singles": singles} | odds)
    return of_sets, of_heads


def direct_effects(
    runner: Runner,
    context: Sequence[int],
    suffix: Sequence[int],
    answer: Sequence[int],
    intervention: Intervention,
    twin: Sequence[int] | None = None,
) -> Tensor:
    """What each head's output adds to the answer's centred logit beyond what it would ablated, (L, H).

    φ(z) − φ(z′), the mean over the answer's tokens: along the direct path, on which every norm is frozen at what it is
    in the prompt, so that the effects of several heads add up.

    Parameters
    ----------
    context, suffix, answer : token ids.
    intervention : what ablated heads put out.
    twin : token ids of the twin's context, where that comes from there.
    """
    trace = runner.trace(context, suffix, answer, direct=True, keep_rows=False)
    if twin is not None:
        runner.twin(twin)
        trace = replace(trace, twin=runner.trace(twin, suffix, answer, keep_rows=False))
    rows, found = trace.answer_rows, []
    for layer in trace.layers:
        # Of few rows each, (H, A, D).
        change = (
            trace.outputs(layer)[:, rows].float() - trace.replaced(layer, intervention.replacement)[:, rows].float()
        )
        found.append((trace.direct_gradients(layer).float() * change).sum(-1).mean(-1))
    return torch.stack(found).double().cpu()


def _in_sharing_order(runner: Runner, sets: set[frozenset[Head]]) -> list[list[Head]]:
    """Sets in an order in which those that begin alike are neighbours."""
    every = sorted(map(sorted, sets))
    return [every[number] for number in in_sharing_order(runner.head_mask(every))]


def _known(value: Any) -> Any:
    assert value is not None  # a twin was given
    return value


def compared_sets(head_sets: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """The head sets that compensation is measured of: top sets of these methods, and random ones matched by layer.

    Parameters
    ----------
    head_sets : the head_sets table of a model and length.
    """
    top, matched = head_sets["source"] == "method", head_sets["matching"] == "layer"
    return head_sets[(top | matched) & head_sets["method"].isin(methods)]
