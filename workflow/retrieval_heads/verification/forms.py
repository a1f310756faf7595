"""Checks of tables by themselves: columns, values, and places."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from retrieval_heads.errors import StudyError
from retrieval_heads.tables import Stream
from retrieval_heads.tables.heads import GRID
from retrieval_heads.verification.check import Problem, check, problem, stages, tables_of
from retrieval_heads.verification.made import Made


def _parquet(made: Made) -> list[Path]:
    return [path for name in made.outputs if (path := made.path(name)).suffix == ".parquet" and path.exists()]


@check("form", _parquet)
def misfit(made: Made) -> Iterator[Problem]:
    """Every table has its columns and types, numbers that are finite, and one row for each key."""
    for path in _parquet(made):
        try:
            for _ in Stream([path], made.form(path)):
                pass
        except StudyError as error:
            yield problem(made, path, f"does not hold its table ({str(error).removeprefix(f'{path}: ').rstrip('.')})")


_OF_WILDCARDS = {"model": "model", "variant": "variant", "length": "context_length"}
_OF_WILDCARDS |= {"intervention": "intervention", "mode": "mode", "table": "", "shard": ""}
"""Wildcard of a path → the column that has its value in every row of the file."""


@check("rows in their place", _parquet)
def elsewhere(made: Made) -> Iterator[Problem]:
    """Rows are of the model, variant, length and intervention that their path names."""
    for path in _parquet(made):
        manifest = made.manifests.get(made.name(path))
        for wildcard, value in (manifest.wildcards if manifest else {}).items():
            column = _OF_WILDCARDS.get(wildcard)
            if column in made.form(path).columns:
                others = set(made.read(path, [column])[column].astype(str)) - {value}
                if others:
                    yield problem(made, path, f"has rows of {column} {min(others)}, and its place is that of {value}")


_PROBABILITIES = (
    *("p", "p_holm", "p_every", "p_family", "logprob_p", "logprob_p_holm", "p_in_layers", "p_in_layers_holm"),
    *("beyond_share_p", "beyond_share_p_family", "more_sink_p", "more_sink_p_family"),
)
_SHARES = (
    *("accuracy", "guess", "decoyed", "baseline", "unablated", "own", "others", "random", "matched", "depth"),
    *("jaccard", "rbo", "rbo_chance", "top_share", "top_chance", "sink_share", "induction"),
    *("sink", "at_answer", "at_distractor", "elsewhere", "answer_chance", "distractor_chance"),
)
_CORRELATIONS = ("spearman", "same_depth", "other_depth")
RANGES = {
    **dict.fromkeys((*_PROBABILITIES, *_SHARES), (0, 1)),
    **dict.fromkeys(_CORRELATIONS, (-1, 1)),
    **dict.fromkeys(("answer_logprob", "logprob"), (-np.inf, 0)),
    **dict.fromkeys(("score_sd", "sd_rank", "drop_sd", "write_norm", "margin", "prompts", "documents"), (0, np.inf)),
    **dict.fromkeys(("rank", "mean_rank", "best_rank", "worst_rank", "last"), (1, np.inf)),
}
"""Column of any table → the least and the largest value that can stand in it."""

_ROUNDED = 1e-5
"""By how much a share may be beyond its range, as numbers of single precision and sums of them are rounded."""


@check("ranges", _parquet)
def out_of_range(made: Made) -> Iterator[Problem]:
    """Probabilities and shares are from 0 to 1, correlations from -1 to 1, log-probabilities at most 0."""
    for path in _parquet(made):
        form = dict(made.form(path).fields)
        numbers = [name for name in form if name in RANGES]
        for group in Stream([path], made.form(path)) if numbers else ():
            for name in numbers:
                column = group[name].dropna()
                values = np.concatenate([*column]) if pa.types.is_list(form[name]) and len(column) else column
                values = np.asarray(values, dtype=float)
                least, most = RANGES[name]
                wrong = values[(values < least - _ROUNDED) | (values > most + _ROUNDED)]
                if len(wrong):
                    yield problem(made, path, f"has {wrong[0]:g} as {name}, which lies from {least} to {most}")


@check("order of numbers", _parquet)
def inverted(made: Made) -> Iterator[Problem]:
    """Intervals begin before they end, and corrected p values are not below those they correct."""
    for path in _parquet(made):
        columns = made.form(path).columns
        for name in columns:
            for low, high, how in (
                (f"{name}_low", f"{name}_high", "an interval that ends before it begins"),
                (name, f"{name}_holm", "a corrected p value below the p value"),
                (name, f"{name}_family", "a corrected p value below the p value"),
            ):
                if low in columns and high in columns:
                    frame = made.read(path, [low, high])
                    if (frame[low].astype(float) > frame[high].astype(float) + 1e-9).any():
                        yield problem(made, path, f"has {how}, in {low} and {high}")


@check("verdicts", stages("unablated"))
def verdicts(made: Made) -> Iterator[Problem]:
    """An answer counts as right where its outcome is correct, and nowhere else."""
    for path in _parquet(made):
        if {"correct", "outcome"} <= set(made.form(path).columns):
            frame = made.read(path, ["correct", "outcome"]).dropna()
            wrong = frame[frame["correct"].astype(bool) != (frame["outcome"] == "correct")]
            if len(wrong):
                yield problem(made, path, f"has {len(wrong)} answers with another outcome than verdict")


def _whole_grids(made: Made) -> list[Path]:
    """Tables with a row for each head of a model."""
    if made.config["published"]:
        return []
    names = ("labels", "head_effect_summary", "look_summary")
    return [*made.parts("rankings"), *made.parts("labels"), *(made.file_of(name) for name in names if made.has(name))]


@check("whole grids", _whole_grids)
def lacking_heads(made: Made) -> Iterator[Problem]:
    """Rankings, labels and effects have every head of a model once."""
    for path in _whole_grids(made):
        form = made.form(path)
        by = [name for name in form.key if name not in ("layer", "head")]
        frame = made.read(path, {*by, *({*GRID, "layer", "head"} & set(form.columns))})
        for key, rows in frame.groupby(by, dropna=False):
            layers, heads = rows["layer"].max() + 1, rows["head"].max() + 1
            if set(GRID) <= set(rows):
                layers, heads = rows["layers"].iloc[0], rows["heads"].iloc[0]
            if len(rows) != layers * heads:
                told = ", ".join(map(str, key))
                yield problem(made, path, f"has {len(rows)} of {layers * heads} heads of {told}")


@check("profiles", tables_of("profiles"))
def ranks_apart(made: Made) -> Iterator[Problem]:
    """A head's mean rank lies between its best and its worst."""
    rows = made.table("profiles", ["best_rank", "mean_rank", "worst_rank", "listed", "configurations"])
    if not (
        (rows["best_rank"] <= rows["mean_rank"] + 1e-9).all()
        and (rows["mean_rank"] <= rows["worst_rank"] + 1e-9).all()
        and (rows["listed"] <= rows["configurations"]).all()
    ):
        yield problem(made, made.file_of("profiles"), "has a mean rank that is not between the best and the worst")


FORMS = (misfit, elsewhere, out_of_range, inverted, verdicts, lacking_heads, ranks_apart)
"""The checks of tables by themselves."""
