"""Is it still a language model without these heads?

An answer that is lost with heads ablated may be lost because the model no longer finds the fact, or because it no
longer does anything. What it makes of ordinary prose, in which there is nothing to retrieve, tells the two apart.
"""

import math
from collections.abc import Sequence

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.ablation.running import MODES, kept_heads, require_offered, side_by_side
from retrieval_heads.engine.budget import Budget, Limit
from retrieval_heads.engine.inference import continue_prefix, prefill, room_for
from retrieval_heads.engine.self_check import require_measurable
from retrieval_heads.errors import StudyError
from retrieval_heads.job import progress
from retrieval_heads.tables import GUARD

READ, SCORED = 128, 128
"""How many tokens of the prose are read first, and how many behind them are scored."""

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
            f"resources/guard/prose.txt: this model's tokenizer makes {len(ids)} tokens of it, and the guard needs "
            f"{READ + SCORED}; add prose to the end of the file."
        )
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return bos + ids[: READ + SCORED]


def measure_guard(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[int],
    head_sets: pd.DataFrame,
    *,
    intervention: str,
    mode: str,
    scope: str,
    budget: Budget,
) -> pd.DataFrame:
    """The mean log-probability of the last 128 tokens of some prose with each head set ablated.

    In scope ``all`` heads are ablated in every token; in ``suffix`` and ``decode`` from the first scored token on, so
    that what comes before is read by the whole model, as a context is. A set that stands there for several questions,
    lengths or methods is asked once.

    Parameters
    ----------
    ids : from :func:`prose_ids`.
    head_sets : the head_sets table, of any context lengths. The baseline is among its sets.
    intervention, mode, scope : how heads are ablated, and its name; see :mod:`retrieval_heads.ablation.running`.

    Returns
    -------
    The guard table. A model that would not be measured exactly is refused first.
    """
    require_offered(mode, scope)
    require_measurable(model)
    number = head_sets.groupby(head_sets["heads"].map(sorted).map(tuple), sort=False).ngroup()
    keep = kept_heads(model, head_sets.loc[~number.duplicated(), "heads"])
    # The row of the token before produces the first scored one: it stands behind the context, but is never ablated
    # where that is read by the whole model.
    before = len(ids) - SCORED - 1
    context, suffix, scored = list(ids[:before]), [ids[before]], list(ids[before + 1 :])
    room = room_for([suffix], [scored], 0)
    unablated = None if scope == "all" else prefill(model, [context])

    def read(places: Sequence[int]) -> tuple[Sequence[int], list[float]]:
        kept, count = keep[list(places)].to(model.device), len(places)
        read = continue_prefix(
            model,
            tokenizer,
            unablated
            or prefill(model, [context], kept, instead=MODES[mode], room=room, batch_tokens=budget.batch_tokens),
            [suffix] * count,
            keep=kept,
            keep_from=None if scope == "all" else [1] * count,
            instead=MODES[mode],
            answers=[scored] * count,
            generate=[False] * count,
            max_new_tokens=0,
            stop=[],
        )
        assert read.answer_logprob is not None  # answers were given
        return places, read.answer_logprob

    limit: Limit = "cache_tokens" if scope == "all" else "batch_tokens"
    # Logits of so many tokens outweigh all else that is held of a set.
    rows = max(1, _LOGITS // ((SCORED + 1) * model.config.get_text_config().vocab_size))
    tokens = max(before + room if scope == "all" else room, math.ceil(getattr(budget, limit) / rows))
    logprob = [0.0] * len(keep)
    with progress(len(keep), "head sets to read prose under"):
        for places, found in budget.batches(side_by_side(keep), tokens, limit, read):
            for place, total in zip(places, found, strict=True):
                logprob[place] = total / SCORED
    how = {"intervention": intervention, "mode": mode, "scope": scope}
    measured = head_sets.assign(logprob=[logprob[place] for place in number], **how, tokens=SCORED)
    whole = measured.loc[measured["source"] == "baseline", "logprob"].iloc[0]
    return measured.assign(change=measured["logprob"] - whole)[GUARD.columns].reset_index(drop=True)
