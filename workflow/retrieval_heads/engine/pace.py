"""How long a pass takes on the machine that a job runs on, and so the whole study.

The constants here and in :mod:`retrieval_heads.engine.extent` were measured by ``make bench`` in plain passes of the
default model. They serve to tell the time; no result depends on them.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval_heads.job import log

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN_TOKENS = 512
"""Tokens of a plain pass, the unit in which work is counted: a forward pass that keeps the last token's logits."""

SUFFIX_WORTH = 205
"""Tokens: a context of so many takes about as long as all that is read and decoded behind it when it is scored."""

_ATTENTION_EQUALS = 5300
"""Tokens at which attention takes about as long as all the rest of a pass."""


def passes_over(tokens: int) -> float:
    """How many plain passes a pass over so many tokens takes as long as."""
    return tokens * (1 + tokens / _ATTENTION_EQUALS) / (PLAIN_TOKENS * (1 + PLAIN_TOKENS / _ATTENTION_EQUALS))


def passes_behind(context: int, tokens: float) -> float:
    """How many plain passes it takes as long as to read so many tokens behind a context, each by itself."""
    return tokens * (1 + 2 * context / _ATTENTION_EQUALS) / (PLAIN_TOKENS * (1 + PLAIN_TOKENS / _ATTENTION_EQUALS))


def log_expected_time(model: "PreTrainedModel", ids: Sequence[int], passes: float) -> None:
    """Run a plain pass, and log how long a study takes at this pace.

    Parameters
    ----------
    ids : of a prompt, of which the first 512 are run.
    passes : plain passes that the study takes of this model (:func:`retrieval_heads.engine.extent.plain_passes`).
    """
    # Imported here, since the number of passes is found where there is no torch.
    import torch

    given = torch.tensor([list(ids[:PLAIN_TOKENS])], device=model.device)
    seconds = []
    for _ in range(2):  # the first one warms up
        start = time.monotonic()
        with torch.inference_mode():
            model(input_ids=given, use_cache=False, logits_to_keep=1).logits.sum().item()
        seconds.append(time.monotonic() - start)
    plain_pass = min(seconds) / passes_over(given.shape[1])
    log.info(
        "a pass over %d tokens takes %.2g s here: all passes of the study with this model take about %s, and what else "
        "there is a minute or two",
        PLAIN_TOKENS, plain_pass, _spoken(plain_pass * passes),
    )  # fmt: skip


def _spoken(seconds: float) -> str:
    """A time in words, with as many digits as an estimate deserves."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"
