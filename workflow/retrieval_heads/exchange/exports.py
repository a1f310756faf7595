"""Rankings in the forms that other programs of the field read: scores as JSON, a CSV table, a plain list of heads.

``docs/formats.md`` describes them for readers.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from retrieval_heads.atomic_write import whole_folder

COLUMNS = ["rank", "last", "layer", "head", "score", "n_samples", "score_sd"]
"""The columns of an exported CSV table."""


def export_rankings(rankings: pd.DataFrame, scores: pd.DataFrame, folder: str | Path) -> None:
    """Write ``{method}/{question}.json``, ``.csv`` and ``.txt`` into a folder, whole or not at all.

    Parameters
    ----------
    rankings : the rankings table of one model and context length.
    scores : its scores table, with one score for each prompt; without rows where only the rankings are known. The JSON
        then has a head's score in place of the list.
    folder : is made anew.
    """
    with whole_folder(folder) as made:
        for (method, question), ranking in rankings.groupby(["method", "question"]):
            ranking = ranking.sort_values(["rank", "layer", "head"])
            of_prompts = scores[(scores["method"] == method) & (scores["question"] == question)]
            listed = ranking.set_index(["layer", "head"])["score"] if of_prompts.empty else _by_head(of_prompts)
            (made / method).mkdir(exist_ok=True)
            for suffix, text in (
                ("json", json.dumps({_key(*head): values for head, values in listed.sort_index().items()}) + "\n"),
                ("csv", ranking.to_csv(columns=COLUMNS, index=False, lineterminator="\n")),
                ("txt", "".join(f"{line}\n" for line in _lines(ranking))),
            ):
                (made / method / f"{question}.{suffix}").write_text(text, encoding="utf-8", newline="\n")


def _key(layer: int, head: int) -> str:
    return f"{layer}-{head}"


def _lines(ranking: pd.DataFrame) -> Iterator[str]:
    """The heads of each place, best first: heads that tie share a line, for none of them comes before another."""
    for _, heads in ranking.groupby("rank"):
        yield " ".join(_key(*head) for head in zip(heads["layer"], heads["head"], strict=True))


def _by_head(scores: pd.DataFrame) -> pd.Series:
    """(layer, head) → scores of the prompts, which have the same order for every head."""
    return scores.sort_values("prompt_id", kind="stable").groupby(["layer", "head"])["score"].agg(list)
