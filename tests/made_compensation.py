"""Tables of compensation that are written by hand: what heads and sets do is what a test says, and noise."""

from itertools import product

import numpy as np
import pandas as pd

from made_tables import make_study
from retrieval_heads.tables.columns import HEAD_SET
from retrieval_heads.tables.compensation import COMPENSATION
from retrieval_heads.tables.compensation_heads import COMPENSATION_HEADS
from retrieval_heads.tables.steps import STEPS

SUFFIX = {"reading": {"mode": "zero", "scope": "suffix"}}
BOTH = SUFFIX | {"other_value": {"mode": "resample", "scope": "suffix"}}


def study_of(methods=("wu24",), questions=("hq_state",), lengths=(512,), levels=(5, 20), interventions=BOTH, **how):
    return make_study(
        methods=methods, questions=questions, lengths=lengths, levels=levels, interventions=interventions, **how
    )


def _prompts(study, documents):
    """What each row is about, with the document."""
    asked = product(
        study.config["models"],
        study.config["questions"],
        study.config["prompts"]["context_lengths"],
        study.interventions,
    )
    for (model, question, length, name), document in product(asked, range(documents)):
        how = study.interventions[name]
        yield {
            **{"model": model, "question": question, "context_length": length, "variant": "plain", "depth": 0.5},
            **{"prompt_id": f"d{document}/{question}/{length}/0.5", "doc_id": f"d{document}"},
            **{"intervention": name, "mode": how["mode"], "scope": "suffix"},
        }


def made_sets(study, documents=8, noise=0.05, seed=0, random=0.05, matched=1.0, **of_level):
    """The compensation table.

    Parameters
    ----------
    random : the share of the log-odds that random heads restore.
    matched : the share of them that lie in the layers of the top set.
    of_level : ``effect``, ``singles``, ``direct``, ``total`` and ``restored``: what each is, a function of level k.
    """
    usual = {"effect": lambda k: k / 5, "singles": lambda k: k / 5, "direct": lambda k: k / 10}
    usual |= {"total": lambda k: k / 10, "restored": lambda k: 0.9}
    told, rng, rows = usual | of_level, np.random.default_rng(seed), []
    for about in _prompts(study, documents):
        for method, k, draw in product(study.methods, study.levels, (None, 0, 1)):
            row = {name: told[name](k) + noise * rng.normal() for name in ("effect", "singles", "direct", "total")}
            share = told["restored"](k) if draw is None else random
            if about["mode"] == "resample":
                share += noise * rng.normal() / 10
                row |= {"answer_logodds": 6.0, "twin_logodds": -4.0, "restored_logodds": -4.0 + 10 * share}
            head_set = dict.fromkeys(name for name, _ in HEAD_SET) | {"method": method, "k": k, "size": k}
            head_set |= (
                {"source": "method"} if draw is None else {"source": "random", "matching": "layer", "draw": draw}
            )
            row |= {"singles": row["singles"] if draw is None else None}
            rows.append(about | head_set | row | {"matched": None if draw is None else matched})
    return COMPENSATION.typed(pd.DataFrame(rows, columns=COMPENSATION.columns))


def made_heads(study, heads, documents=8, noise=0.02, seed=0):
    """The compensation_heads table, from head → what it writes and what is lost without it."""
    rng = np.random.default_rng(seed)
    rows = [
        about
        | {"layer": layer, "head": head, "effect": total}
        | {"direct": direct + noise * rng.normal(), "total": total + noise * rng.normal()}
        for about in _prompts(study, documents)
        for (layer, head), (direct, total) in heads.items()
    ]
    return pd.DataFrame(rows, columns=COMPENSATION_HEADS.columns)


def made_steps(study, changes, intervention="other_value"):
    """The steps table of the first model, from (k_before, k) → the change of accuracy; pooled over questions."""
    rows = [
        dict.fromkeys(STEPS.columns)
        | {"model": next(iter(study.config["models"])), "context_length": 512, "variant": "plain"}
        | {"intervention": intervention, "mode": "resample", "scope": "suffix", "method": next(iter(study.methods))}
        | {"k_before": before, "k": k, "size": k, "change": change}
        | {"change_low": change - 0.1, "change_high": change + 0.1, "p": 0.1, "prompts": 40, "documents": 10}
        for (before, k), change in changes.items()
    ]
    return pd.DataFrame(rows, columns=STEPS.columns)
