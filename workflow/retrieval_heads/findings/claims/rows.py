"""What a claim is about, from the row of a table that decides it."""

from collections.abc import Mapping

import pandas as pd

from retrieval_heads.study.dimensions import DIMENSION


def of_row(row: Mapping, *names: str) -> dict[str, str | int]:
    """What a claim from this row is about (:attr:`~retrieval_heads.findings.claims.outcome.Claim.of`).

    Parameters
    ----------
    names : the columns that tell it; a dimension that the row is pooled over is left out, and so is a value that goes
        without saying, as the plain variant does.
    """
    known = {name: row[name] for name in names if pd.notna(row[name])}
    return {
        name: value if isinstance(value, str) else int(value)
        for name, value in known.items()
        if name not in DIMENSION or value != DIMENSION[name].unsaid
    }
