"""Rankings in the forms that other programs of the field read: scores as JSON, a CSV table, a plain list of heads.

``docs/formats.md`` describes them for readers.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval_heads.atomic_write import atomic_folder

COLUMNS = ["rank", "last", "layer", "head", "score", "n_samples", "score_sd"]
"""The columns of an exported CSV table."""


def export_rankings(rankings: pd.DataFrame, scores: Iterable[pd.DataFrame], folder: str | Path) -> None:
    """Write ``{method}/{question}.json``, ``.csv`` and ``.txt`` into a folder, whole or not at all.

    Parameters
    ----------
    rankings : the rankings table of one model and context length.
    scores : its scores table, in parts; without any where only the rankings are known. The JSON then has a head's score
        in place of the list. They are gone through for each ranking, of which all scores are held at a time.
    folder : is made anew.
    """
    with atomic_folder(folder) as made:
        for (method, question), ranking in rankings.groupby(["method", "question"]):
            ranking = ranking.sort_values(["rank", "layer", "head"])
            (made / method).mkdir(exist_ok=True)
            for suffix, lines in (
                ("json", _json(ranking, _by_prompt(scores, method, question))),
                ("csv", [ranking.to_csv(columns=COLUMNS, index=False, lineterminator="\n")]),
                ("txt", _places(ranking)),
            ):
                with (made / method / f"{question}.{suffix}").open("w", encoding="utf-8", newline="\n") as file:
                    file.writelines(lines)


def _by_prompt(scores: Iterable[pd.DataFrame], method: str, question: str) -> np.ndarray | None:
    """The scores of a ranking, of shape (prompts, layers × heads), in the order of the prompts' ids."""
    prompts = {}
    for part in scores:
        rows = part[(part["method"] == method) & (part["question"] == question)]
        for prompt, values in zip(rows["prompt_id"], rows["scores"], strict=True):
            prompts[prompt] = values.copy()  # so that the rest of the part is not held
    return np.stack([prompts[prompt] for prompt in sorted(prompts)]) if prompts else None


def _json(ranking: pd.DataFrame, by_prompt: np.ndarray | None) -> Iterator[str]:
    """The text of a JSON file, head by head in the order of layers and heads."""
    ordered = ranking.sort_values(["layer", "head"])
    values = ordered["score"].tolist() if by_prompt is None else by_prompt.T
    before = "{"
    for layer, head, value in zip(ordered["layer"], ordered["head"], values, strict=True):
        yield f'{before}"{_key(layer, head)}": {json.dumps(value if by_prompt is None else value.tolist())}'
        before = ", "
    yield "}\n"


def _places(ranking: pd.DataFrame) -> Iterator[str]:
    """The heads of each place, best first: heads that tie share a line, for none of them comes before another."""
    for _, heads in ranking.groupby("rank"):
        yield " ".join(_key(*head) for head in zip(heads["layer"], heads["head"], strict=True)) + "\n"


def _key(layer: int, head: int) -> str:
    return f"{layer}-{head}"
