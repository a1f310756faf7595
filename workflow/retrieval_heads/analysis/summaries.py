"""Mean, spread and extremes of values that figures and tables show together."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """What is shown of several values; all of it is NaN where there are none."""

    mean: float
    sd: float
    """The population standard deviation."""

    lowest: float
    highest: float


def summary(values: Iterable[float]) -> Summary:
    """Mean, standard deviation and extremes of values; those that are missing are left out."""
    known = np.asarray(list(values), dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return Summary(np.nan, np.nan, np.nan, np.nan)
    return Summary(*map(float, (known.mean(), known.std(), known.min(), known.max())))
