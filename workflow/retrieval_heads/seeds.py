"""Random generators that depend on what they are for, never on what was drawn before."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def generator(seed: int, stage: str, *key: object) -> np.random.Generator:
    """A generator for one decision, seeded by (seed, stage, key).

    Two different keys give independent streams, so that adding a question, a level or a document leaves every other
    random choice as it was.

    Parameters
    ----------
    seed : the study's seed.
    stage : what is being drawn, such as ``"documents"``.
    key : whatever tells this draw from its siblings, such as a document's number.
    """
    # Imported here, as the check of a config draws nothing.
    import numpy as np

    text = "\x1f".join(str(part) for part in (seed, stage, *key))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))
