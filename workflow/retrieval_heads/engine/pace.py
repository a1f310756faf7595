"""How long passes take on the machine that a job runs on, and so the whole study.

What shares and constants stand here and in :mod:`retrieval_heads.engine.extent` were measured by ``make bench`` beside
plain passes of the default model. They hold for telling the time, and nothing else depends on them.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval_heads.job import log

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN = 512
"""Tokens of a plain pass, the unit in which work is counted: a forward pass that keeps the last token's logits."""

CONTINUING = 205
"""A context of so many tokens takes about as long as all that continues it when it is scored."""

_ATTENTION = 5300
"""At so many tokens attention takes about as long as all the rest of a pass."""


def passes_over(tokens: int) -> float:
    """How many plain passes a pass over so many tokens takes as long as."""
    return tokens * (1 + tokens / _ATTENTION) / (PLAIN * (1 + PLAIN / _ATTENTION))


def tell_time(model: "PreTrainedModel", ids: Sequence[int], passes: float) -> None:
    """Run a plain pass, and log how long a study takes at this pace.

    Parameters
    ----------
    ids : of a prompt, of which the first 512 are run.
    passes : plain passes that the study takes of this model (:func:`retrieval_heads.engine.extent.plain_passes`).
    """
    # Imported here, for how much a study asks is found without a model.
    import torch

    given = torch.tensor([list(ids[:PLAIN])], device=model.device)
    seconds = []
    for _ in range(2):  # the first one warms up
        start = time.monotonic()
        with torch.inference_mode():
            model(input_ids=given, use_cache=False, logits_to_keep=1).logits.sum().item()
        seconds.append(time.monotonic() - start)
    each = min(seconds) / passes_over(given.shape[1])
    log.info(
        "a pass over %d tokens takes %.2g s here: all passes of the study with this model take about %s, and what else "
        "there is a minute or two",
        PLAIN, each, _spoken(each * passes),
    )  # fmt: skip


def _spoken(seconds: float) -> str:
    """A time as one says it, with no more digits than an estimate has."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"
