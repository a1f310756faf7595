"""Checks of rankings, of the head sets that are made from them, and of their exports."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.exchange.exports import export_rankings
from retrieval_heads.study.dimensions import CELL, DIMENSIONS, PLAIN
from retrieval_heads.tables import Stream
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.scores import SCORES
from retrieval_heads.verification.check import Problem, again, check, problem, stages, tables_of
from retrieval_heads.verification.comparing import keys, told
from retrieval_heads.verification.made import Made


@check("rankings", stages("rankings", "scores"))
def other_rankings(made: Made) -> Iterator[Problem]:
    """Heads are ranked by the scores that are there."""
    parts: dict[Path, list[Path]] = {}
    for path in made.parts("scores"):
        parts.setdefault(path.parent, []).append(path)
    values = ["score", "score_sd", "rank", "last", "n_samples"]
    for path, files in zip(made.parts("rankings"), parts.values(), strict=True):
        by = [*DIMENSIONS, "layer", "head"]
        wanted = rank_heads(Stream(files, SCORES)).sort_values(by)
        here = made.read(path).sort_values(by)
        if not (
            keys(here, by).equals(keys(wanted, by))
            and np.allclose(here[values].astype(float), wanted[values].astype(float), rtol=1e-9, equal_nan=True)
        ):
            yield problem(made, path, "does not rank heads by the scores that are there")


@check("places of heads", tables_of("rankings"))
def other_places(made: Made) -> Iterator[Problem]:
    """Places follow scores: equal heads share the mean of theirs, and all places are taken."""
    for path in [*made.parts("rankings"), made.file_of("rankings")]:
        for key, rows in made.read(path).groupby(list(DIMENSIONS), sort=False):
            rows = rows.sort_values("last")
            size = rows.groupby("last")["last"].transform("size")
            ends = rows["last"].drop_duplicates().to_numpy()
            wrong = (
                not np.array_equal(ends, rows.groupby("last").size().cumsum().to_numpy())
                or not np.allclose(rows["rank"], rows["last"] - (size - 1) / 2)
                # Equal heads differ by rounding.
                or (rows["score"].diff() > 1e-6 * rows["score"].abs().max()).any()
            )
            if wrong:
                yield problem(made, path, f"has places that its scores do not give, in {told(pd.Index([key]))}")
                break


def _sets(made: Made) -> Iterator[tuple[Path, pd.DataFrame]]:
    """Each file of head sets, with its sets as frozen sets of names."""
    for path in made.parts("head_sets"):
        rows = made.read(path)
        yield path, rows.assign(heads=rows["heads"].map(frozenset))


def set_name(row: Mapping) -> str:
    """What a head set is called in a message."""
    return f"the one of {row['source']} by {row['method']} at {row['k']} for {row['question']}"


@check("sizes of head sets", stages("head_sets"))
def wrong_sizes(made: Made) -> Iterator[Problem]:
    """A head set has the size that it says, which is at most its level."""
    for path, rows in _sets(made):
        wrong = (rows["heads"].map(len) != rows["size"]) | (rows["size"] > rows["k"])
        if wrong.any():
            yield problem(made, path, f"has a set of another size than it says, {set_name(rows[wrong].iloc[0])}")


@check("nested sets", stages("head_sets"))
def not_nested(made: Made) -> Iterator[Problem]:
    """The top sets of a ranking are nested."""
    for path, rows in _sets(made):
        top = rows[rows["source"].isin(["method", "equal"])].sort_values(["k", "size"])
        for _, of_ranking in top.groupby([*CELL, "method"]):
            for before, behind in zip(of_ranking["heads"], of_ranking["heads"][1:], strict=False):
                if not before <= behind:
                    yield problem(made, path, f"has top sets that are not nested, {set_name(of_ranking.iloc[-1])}")
                    break


@check("tie rule", stages("head_sets", "rankings"))
def not_first(made: Made) -> Iterator[Problem]:
    """A top set at level k is the heads whose last place in their ranking is at most k."""
    rankings = pd.concat([made.read(path) for path in made.parts("rankings")], ignore_index=True)
    rankings["name"] = [head_name(*head) for head in zip(rankings["layer"], rankings["head"], strict=True)]
    groups = {key: rows for key, rows in rankings.groupby(list(DIMENSIONS))}
    for path, rows in _sets(made):
        for row in rows[rows["source"].isin(["method", "equal", "plain"])].to_dict("records"):
            ranked = {**row, "variant": PLAIN} if row["source"] == "plain" else row
            ranking = groups.get(tuple(ranked[name] for name in DIMENSIONS))
            if ranking is None or set(ranking.loc[ranking["last"] <= row["k"], "name"]) != row["heads"]:
                yield problem(made, path, f"has a top set that is not the first heads of its ranking, {set_name(row)}")
                break


@check("random sets", stages("head_sets"))
def wrong_controls(made: Made) -> Iterator[Problem]:
    """A random set has as many heads as its top set, and none of them."""
    by = [*CELL, "method", "k"]
    for path, rows in _sets(made):
        tops = rows[rows["source"] == "method"].set_index(by)["heads"]
        for row in rows[rows["source"] == "random"].to_dict("records"):
            top = tops.get(tuple(row[name] for name in by))
            if top is None or len(row["heads"]) != len(top) or row["heads"] & top:
                yield problem(made, path, f"has a random set that is no control of its top set, {set_name(row)}")
                break


@check("sets without induction", stages("head_sets", "labels"))
def with_induction(made: Made) -> Iterator[Problem]:
    """Such a set is its top set without the heads that are labelled induction heads."""
    by = [*CELL, "method", "k"]
    for path, rows in _sets(made):
        tops = rows[rows["source"] == "method"].set_index(by)["heads"]
        for row in rows[rows["source"] == "without_induction"].to_dict("records"):
            labels = made.table("labels", ["model", "layer", "head", "is_induction"])
            labelled = labels[labels["is_induction"] & (labels["model"] == row["model"])]
            left = {head_name(*head) for head in zip(labelled["layer"], labelled["head"], strict=True)}
            if row["heads"] != tops[tuple(row[name] for name in by)] - left:
                yield problem(made, path, f"has a set that is not its top set without induction heads, {set_name(row)}")
                break


@check("exports", lambda made: made.parts("exports"))
def other_exports(made: Made) -> Iterator[Problem]:
    """Exported rankings are the rankings, and their scores the scores."""
    rankings = made.table("rankings")
    for folder in made.parts("exports"):
        model, variant, length = made.name(folder).split("/")[1:]
        own = {"model": model, "variant": variant, "context_length": int(length)}
        scores = (
            [] if made.config["published"] else made.paths.shards("scores", model=model, variant=variant, length=length)
        )
        with TemporaryDirectory() as scratch:
            wanted = Path(scratch, "exports")
            export_rankings(rankings[(rankings[list(own)] == own).all(axis=1)], Stream(scores, SCORES), wanted)
            for file in sorted(wanted.rglob("*.*")):
                here = folder / file.relative_to(wanted)
                if not here.is_file() or here.read_bytes() != file.read_bytes():
                    name = made.name(folder)
                    yield Problem(made.name(here), "is not the ranking that is there", again(name))


RANKINGS = (
    other_rankings, other_places, wrong_sizes, not_nested, not_first, wrong_controls, with_induction, other_exports
)  # fmt: skip
"""The checks of rankings and head sets."""
