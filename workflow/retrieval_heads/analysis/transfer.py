"""Does a question depend on heads of its own, or on heads that serve other questions as well?

The top heads of each source question are ablated while each target question is asked. If heads served one question
alone, a question would lose most to its own: drops would stand on the diagonal of the matrix of sources and targets.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import (
    Estimate,
    bootstrap_mean,
    bootstrap_ratio,
    bootstrap_weights,
    diagonal_test,
    holm,
    interactions,
)
from retrieval_heads.seeds import generator
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS, PROMPT_KEY
from retrieval_heads.tables.transfer_drops import TRANSFER_DROPS
from retrieval_heads.tables.transfer_tests import TRANSFER_TESTS

_SETTING = ("model", "context_length", "variant", *INTERVENTION_COLUMNS)
_MEASURES = {"": "correct", "logprob_": "answer_logprob"}
"""What columns of results begin with → the column of answers that they are about."""

_BOUNDS = (-1.0, 1.0)
"""The least and the most that a difference of two accuracies can be."""


def measure_transfer(transfer: pd.DataFrame, seed: int, resamples: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The drops of each source and target question, and whether they stand on the diagonal.

    Parameters
    ----------
    transfer : the transfer table. Each document is asked all questions at all depths.
    seed : the study's.
    resamples : bootstrap resamples of the documents, which all drops of a setting take together.

    Returns
    -------
    The tables transfer_drops and transfer_tests. Documents have equal weight. ``p`` is that of the permutation of
    sources within each document (:func:`~retrieval_heads.analysis.statistics.diagonal_test`). ``p_holm`` of a row about
    all questions is corrected over the methods of a setting, that of a single question over the questions of a method.
    """
    drops: list[pd.DataFrame] = []
    tests: list[dict] = []
    for values, rows in transfer.groupby(list(_SETTING), sort=False):
        setting = dict(zip(_SETTING, values, strict=True))
        of_setting: list[dict] = []
        for method, ablated in rows.groupby("method", sort=False):
            names = setting | {"method": method}
            found = _Matrix(rows, ablated)
            weights = bootstrap_weights(found.documents, resamples, generator(seed, "transfer", found.documents))
            drops.append(pd.DataFrame(found.drops(weights)).assign(**names))
            rng = generator(seed, "transfer", *names.values())
            of_setting += [names | row for row in found.tests(weights, rng)]
        tests += _corrected(of_setting) if of_setting else []
    return (
        pd.concat(drops, ignore_index=True)[TRANSFER_DROPS.columns] if drops else TRANSFER_DROPS.empty(),
        pd.DataFrame(tests, columns=TRANSFER_TESTS.columns) if tests else TRANSFER_TESTS.empty(),
    )


def _corrected(tests: list[dict]) -> list[dict]:
    """The tests of a setting with p values corrected over methods, and over the questions of each."""
    frame = pd.DataFrame(tests)
    every = frame["question"].isna()
    for name in _MEASURES:
        for _, family in frame.groupby(frame["method"].mask(every)):
            frame.loc[family.index, f"{name}p_holm"] = holm(family[f"{name}p"])
        frame.loc[every, f"{name}p_holm"] = holm(frame.loc[every, f"{name}p"])
    return frame.to_dict("records")


class _Matrix:
    """What one method's top sets cost in one setting.

    Parameters
    ----------
    rows : the setting's rows of the transfer table, of which the unablated ones are used.
    ablated : those of the method.
    """

    def __init__(self, rows: pd.DataFrame, ablated: pd.DataFrame):
        random = ablated["source"] == "random"
        tops = ablated[~random]
        self.size = int(tops["size"].iloc[0])
        self.questions: Sequence[str] = list(dict.fromkeys(tops["question"]))
        key = list(PROMPT_KEY)
        asked = tops[key].drop_duplicates()
        before, guessed = (rows[rows["source"] == source].merge(asked, on=key) for source in ("baseline", "no_needle"))
        self._means = {
            name: frame.groupby("question")["correct"].mean().reindex(self.questions).to_numpy(float)
            for name, frame in (("unablated", before), ("random", ablated[random]), ("guess", guessed))
        }
        beside = tops.merge(before[[*key, *_MEASURES.values()]], on=key, suffixes=("", "_before"))
        by = ["doc_id", "source_question", "question"]
        places = pd.MultiIndex.from_product([beside["doc_id"].unique(), self.questions, self.questions], names=by)
        self._prompts = len(asked) // (len(places.levels[0]) * len(self.questions))
        self._lost = {}
        for name, column in _MEASURES.items():
            lost = beside[f"{column}_before"].astype(float) - beside[column].astype(float)
            means = lost.groupby([beside[one] for one in by]).mean().reindex(places)
            self._lost[name] = means.to_numpy().reshape(-1, len(self.questions), len(self.questions))

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return len(self._lost[""])

    def drops(self, weights: np.ndarray) -> Iterator[dict]:
        """A row for each source and target."""
        counts = np.full(self.documents, self._prompts)
        for s, source in enumerate(self.questions):
            for t, target in enumerate(self.questions):
                lost = {name: values[:, s, t] for name, values in self._lost.items()}
                yield {
                    "question": target,
                    "source_question": source,
                    "size": self.size,
                    **_columns("drop", bootstrap_mean(lost[""] * counts, counts, weights, _BOUNDS)),
                    **_columns("logprob_drop", _mean(lost["logprob_"], weights)),
                    "prompts": int(counts.sum()),
                    "documents": self.documents,
                }

    def tests(self, weights: np.ndarray, rng: np.random.Generator) -> Iterator[dict]:
        """A row about all questions, and one for each."""
        number = len(self.questions)
        p = {name: diagonal_test(lost, rng) for name, lost in self._lost.items()}
        # Mean of the diagonal less the mean beside it is the sum of the diagonal's interactions over N − 1.
        own = {name: interactions(lost).diagonal(axis1=1, axis2=2) for name, lost in self._lost.items()}
        tested = {name: np.column_stack([one.sum(1) / (number - 1), one]) for name, one in own.items()}
        left = self._means["unablated"] - self._lost[""].mean(0)
        accuracies = self._means | {
            "own": left.diagonal(),
            "others": (left.sum(0) - left.diagonal()) / (number - 1),
        }
        once = np.ones(self.documents, int)
        for place, question in enumerate([None, *self.questions]):
            mine = slice(None) if question is None else slice(place - 1, place)
            yield {
                "question": question,
                "size": self.size,
                **{name: float(np.mean(values[mine])) for name, values in accuracies.items()},
                **_columns("difference", bootstrap_mean(tested[""][:, place], once, weights, _BOUNDS)),
                **_columns("logprob_difference", _mean(tested["logprob_"][:, place], weights)),
                **{f"{name}p": float(values[place]) for name, values in p.items()},
                "questions": number,
                "prompts": self.documents * self._prompts * (number if question is None else 1),
                "documents": self.documents,
            }


def _mean(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """The mean over documents of what has no bounds, with its interval; of a single document the ends are NaN."""
    found = bootstrap_ratio(values[:, None], np.ones((len(values), 1)), weights)
    return Estimate(*(float(one[0]) for one in found))


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
