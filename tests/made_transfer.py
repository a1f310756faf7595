"""Made-up transfer tables, with as many right answers in each cell as a test asks for."""

from itertools import product

import numpy as np
import pandas as pd

from retrieval_heads.analysis.transfer import measure_transfer
from retrieval_heads.tables.transfer import TRANSFER

SIZE = 64
READING = {"intervention": "reading", "mode": "zero", "scope": "suffix"}


def transfer_rows(correct, *, method="wu24", unablated=None, random=None, guessed=None, logprob=None, **values):
    """The transfer table of one method.

    Parameters
    ----------
    correct : whether each answer is right, (documents, sources, targets).
    unablated, random, guessed : the same without ablation, with random heads, without document: (documents, targets);
        by default all are right without ablation, none is guessed, and no random heads are ablated.
    logprob : of the answer, shaped as ``correct``; that of the whole model is 0.
    values : of other columns, such as context_length.
    """
    documents, number, _ = correct.shape
    questions = [f"q{place}" for place in range(number)] if "questions" not in values else values.pop("questions")
    every = np.ones((documents, number), bool)
    unablated = every if unablated is None else unablated
    guessed = ~every if guessed is None else guessed
    nats = np.where(correct, -0.1, -3.0) if logprob is None else logprob
    rows = []

    def add(document, target, source, right, nats=0.0, **names):
        known = {
            "model": "small", "context_length": 512, "variant": "plain", "depth": 0.5, **READING, "k": 0, "size": 0,
            "method": None, "matching": None, "draw": None, "matched": None, "answer": "Ohio", "generated": "",
            "source_question": None,
        } | values  # fmt: skip
        prompt = {"prompt_id": f"d{document}/{target}/{known['context_length']}", "doc_id": f"d{document}"}
        told = {"correct": bool(right), "contains": bool(right), "outcome": "correct" if right else "other"}
        rows.append(
            known
            | prompt
            | told
            | {"question": target, "source": source, "answer_logprob": nats, "margin": 1.0}
            | names
        )

    for d, (t, target) in product(range(documents), enumerate(questions)):
        add(d, target, "baseline", unablated[d, t])
        add(d, target, "no_needle", guessed[d, t])
        heads = {"method": method, "k": SIZE, "size": SIZE}
        for s, source in enumerate(questions):
            add(d, target, "method", correct[d, s, t], nats[d, s, t], source_question=source, **heads)
        if random is not None:
            drawn = {"source_question": target, "matching": "layer", "draw": 0, "matched": 1.0}
            add(d, target, "random", random[d, t], **heads | drawn)
    frame = pd.DataFrame(rows, columns=TRANSFER.columns)
    return frame.astype({"draw": "Int32", "matched": float})


def of_study(study, ablated=True, documents=6, **chances):
    """The transfer table of a made study under its headline: its methods' top sets, or none."""
    how = study.interventions[study.headline]
    chances = {"own": 0.3, "others": 0.6} | chances
    config = study.config
    frames = [
        transfer_rows(
            right_answers(documents=documents, number=len(config["questions"]), seed=seed, **chances),
            method=method,
            questions=list(config["questions"]),
            model=model,
            context_length=length,
            intervention=study.headline,
            mode=how["mode"],
            scope=how["scope"],
        )
        for seed, (model, length, method) in enumerate(
            product(config["models"], config["prompts"]["context_lengths"], study.methods)
        )
    ]
    whole = together(*frames)
    return whole if ablated else whole[whole["method"].isna()]


def together(*frames):
    """The tables of several methods of one setting as one, what the whole model answers once."""
    whole = pd.concat(frames, ignore_index=True)
    return whole.drop_duplicates(list(TRANSFER.key), ignore_index=True)


def right_answers(own, others, documents=40, number=4, seed=0):
    """Whether answers are right, (documents, sources, targets): with these chances under own heads and others'."""
    rng = np.random.default_rng(seed)
    chances = np.where(np.eye(number, dtype=bool), own, others)
    return rng.uniform(size=(documents, number, number)) < chances


def counted(right, shape, seed):
    """An array in which exactly so many are right, anywhere."""
    made = np.zeros(shape, bool)
    made.flat[np.random.default_rng(seed).permutation(made.size)[:right]] = True
    return made


def published_answers(documents=100, number=9):
    """Nine facts of filings, asked of Llama-3-8B without 64 heads: as often right without a question's own heads (.353)
    as without other questions' (.356), and far more often without random ones (.878)."""
    own, others = counted(318, (documents, number), 1), counted(2563, (documents, number, number - 1), 2)
    correct = np.empty((documents, number, number), bool)
    for target in range(number):
        correct[:, target, target] = own[:, target]
        correct[:, [source for source in range(number) if source != target], target] = others[:, target]
    return transfer_rows(
        correct,
        unablated=counted(880, own.shape, 3),
        random=counted(790, own.shape, 4),
        guessed=counted(20, own.shape, 5),
    )


def measured(*frames, seed=1, resamples=200):
    """The tables of the analysis by name."""
    drops, tests = measure_transfer(together(*frames), seed, resamples)
    return {"transfer_drops": drops, "transfer_tests": tests}
