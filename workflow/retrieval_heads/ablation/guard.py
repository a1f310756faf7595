"""Is it still a language model without these heads?

An answer that is lost with heads ablated may be lost because the model no longer finds the fact, or because it no
longer does anything. What it makes of ordinary prose, in which there is nothing to retrieve, tells the two apart.
"""

import math
from collections.abc import Sequence

import pandas as pd
from transformers import PreTrainedTokenizerBase

from retrieval_heads.ablation.distinct_sets import in_sharing_order, number_distinct
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.engine.budget import Limit
from retrieval_heads.engine.runner import Ablation, Decoding, Runner, naming, reserved_tokens
from retrieval_heads.errors import StudyError
from retrieval_heads.job import progress
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.heads import parse_head

READ, SCORED = 128, 128
"""How many tokens of the prose are read first, and how many behind them are scored."""

_PROSE = "resources/guard/prose.txt"
"""What is read."""

_LOGITS = 2**26
"""How many logits are held at a time, for every scored token and word of the vocabulary: 256 MB in float32."""


def prose_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The tokens of the guard: BOS, where the tokenizer has one as in a prompt, and the first 256 of the prose.

    Raises
    ------
    StudyError
        when the prose has fewer.
    """
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) < READ + SCORED:
        raise StudyError(
            f"{_PROSE}: this model's tokenizer makes {len(ids)} tokens of it, and the guard needs "
            f"{READ + SCORED}; add prose to the end of the file."
        )
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return bos + ids[: READ + SCORED]


def measure_guard(
    runner: Runner, ids: Sequence[int], head_sets: pd.DataFrame, intervention: Intervention
) -> pd.DataFrame:
    """The mean log-probability of the last 128 tokens of some prose with each head set ablated.

    In scope ``all`` heads are ablated in every token; in ``suffix`` and ``decode`` from the first scored token on, so
    that what comes before is read by the whole model, as a context is. A replacement that goes by the part of a prompt
    takes BOS for the opening, what is read first for the context, the token before the scored ones for the suffix, and
    these for the answer, in whose place they are. One that needs a twin cannot be measured: prose has none. A set that
    stands there for several questions, lengths or methods is asked once.

    Parameters
    ----------
    ids : from :func:`prose_ids`.
    head_sets : the head_sets table, of any context lengths. The baseline is among its sets.

    Returns
    -------
    The guard table. A model that would not be measured exactly is refused first.
    """
    runner.require_measurable()
    number = number_distinct(head_sets)
    distinct = head_sets.loc[~number.duplicated(), "heads"]
    head_mask = runner.head_mask(map(parse_head, heads) for heads in distinct)
    # The token before the first scored one produces it. It is read behind the context, but with all heads where the
    # context is.
    before = len(ids) - SCORED - 1
    context, suffix, scored = list(ids[:before]), [ids[before]], list(ids[before + 1 :])
    in_context = intervention.in_context
    reserved = reserved_tokens([suffix], [scored], 0)
    with naming([_PROSE]):
        whole_context = None if in_context else runner.prefill([context])

    def read(batch: Sequence[int]) -> tuple[Sequence[int], list[float]]:
        start = None if in_context else [len(suffix)] * len(batch)
        ablation = Ablation(head_mask[list(batch)], start, intervention.replacement, opening=len(ids) - READ - SCORED)
        with naming([f"{_PROSE} with {int((mask == 0).sum())} heads ablated" for mask in head_mask[list(batch)]]):
            read = runner.answer(
                whole_context or runner.prefill([context], ablation, reserved=reserved),
                [suffix] * len(batch),
                Decoding(0, []),
                answers=[scored] * len(batch),
                generate=[False] * len(batch),
                ablation=ablation,
            )
        assert read.answer_logprob is not None  # answers were given
        return batch, read.answer_logprob

    limit: Limit = "cache_tokens" if in_context else "batch_tokens"
    # Logits of so many tokens outweigh all else that is held of a set.
    rows = max(1, _LOGITS // ((SCORED + 1) * runner.model.config.get_text_config().vocab_size))
    tokens = max(reserved + before * in_context, math.ceil(getattr(runner.budget, limit) / rows))
    logprob = [0.0] * len(head_mask)
    with progress(len(head_mask), "head sets to read prose under"):
        for batch, found in runner.budget.batches(in_sharing_order(head_mask), tokens, limit, read):
            for index, total in zip(batch, found, strict=True):
                logprob[index] = total / SCORED
    measured = head_sets.assign(logprob=[logprob[index] for index in number], **intervention.columns, tokens=SCORED)
    whole = measured.loc[measured["source"] == "baseline", "logprob"].iloc[0]
    return measured.assign(change=measured["logprob"] - whole)[GUARD.columns].reset_index(drop=True)
