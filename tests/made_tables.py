"""Made-up tables with a known shape, for tests of what comes after ablation."""

import tracemalloc
from dataclasses import replace
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

import made_transfer
from retrieval_heads.analysis import head_profiles, overlap
from retrieval_heads.analysis.compensation import summarise_heads, summarise_sets
from retrieval_heads.analysis.drops import mean_drops
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.head_effects import summarise_effects
from retrieval_heads.analysis.hypotheses import run_tests
from retrieval_heads.analysis.key_value_groups import group_overlap, touched_groups
from retrieval_heads.analysis.looks import summarise_looks
from retrieval_heads.analysis.needed_or_carrying import pair_effects
from retrieval_heads.analysis.outcomes import as_outcomes, summarise
from retrieval_heads.analysis.ranking_quality import Asked, measure_quality
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.analysis.specificity import measure_specificity
from retrieval_heads.analysis.transfer import measure_transfer
from retrieval_heads.study.controls import CONTROLS, control
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.study.forms import schema
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.study.study import Study
from retrieval_heads.tables.close_calls import CLOSE_CALLS
from retrieval_heads.tables.compensation import COMPENSATION
from retrieval_heads.tables.compensation_heads import COMPENSATION_HEADS
from retrieval_heads.tables.cuts import CUTS
from retrieval_heads.tables.dataset_counts import DATASET_COUNTS
from retrieval_heads.tables.depth_rankings import DEPTH_RANKINGS
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.head_effects import HEAD_EFFECTS, effects_row
from retrieval_heads.tables.labels import INDUCTION, LABELS
from retrieval_heads.tables.looks import (
    ANSWER,
    ANSWER_CHANCE,
    DISTRACTOR,
    DISTRACTOR_CHANCE,
    ELSEWHERE,
    LOOKS,
    SINK,
    looks_row,
)
from retrieval_heads.tables.other_sets import OTHER_SETS
from retrieval_heads.tables.same_heads import SAME_HEADS
from retrieval_heads.tables.scores import SCORES, score_row
from retrieval_heads.tables.specificity import FEWEST_ITEMS, SPECIFICITY
from retrieval_heads.tables.variant_accuracy import VARIANT_ACCURACY

TEMPLATES = Path(__file__).parents[1] / "report"
"""Templates, style sheet, scripts and captions of the findings."""

ANALYSIS = {key: rule["default"] for key, rule in schema()["properties"]["analysis"]["properties"].items()}
METHODS = {
    "summed_attention": {"label": "Summed attention", "definition": "Attention to the needle.", "paper": "none"},
    "wu24": {"label": "Wu24", "definition": "Copying.", "paper": "arXiv 2404.15574"},
    "qrhead": {"label": "QRHead", "definition": "Query attention.", "paper": "arXiv 2506.09944"},
}
ELEVEN_METHODS = METHODS | {
    name: {"label": label, "definition": f"What {label.lower()} says of a head.", "paper": "arXiv 2607.01002"}
    for name, label in (
        ("direct_logit", "Direct logit"),
        ("locos", "LOCOS"),
        ("attention_contrast", "Attention contrast"),
        ("positional_copy", "Positional copy"),
        ("attribution_patching", "Attribution patching"),
        ("value_flow", "Value flow"),
        ("single_head_effect", "Single-head effect"),
        ("core", "CoRe"),
    )
}
"""More methods than can be told apart side by side, some of them with long names."""
TWELVE_METHODS = ELEVEN_METHODS | {
    "attribution_patching_twin": {
        "label": "Attribution patching (twin)",
        "definition": "What gradients toward a twin say of a head.",
        "paper": "arXiv 2310.10348",
    }
}

QUESTIONS = {
    "inc_state": {
        "label": "State of incorporation",
        "text": "In which state was it incorporated?",
        "type": "state",
        "category": "categorical",
    },
    "inc_year": {
        "label": "Year of incorporation",
        "text": "In which year was it incorporated?",
        "type": "year",
        "category": "numerical",
    },
    "employee_count": {
        "label": "Number of employees",
        "text": "How many employees has it?",
        "type": "count",
        "category": "numerical",
    },
    "hq_state": {
        "label": "Headquarters state",
        "text": "In which state is its headquarters?",
        "type": "state",
        "category": "categorical",
    },
}


def make_study(
    models=("small",),
    methods=tuple(METHODS),
    questions=tuple(QUESTIONS),
    lengths=(512, 1024),
    levels=(5, 10, 20),
    interventions={"zero_all": {"mode": "zero", "scope": "all"}},  # noqa: B006 – never changed
    controls={},  # noqa: B006 – never changed
    depths=(),
    **analysis,
):
    config = {
        "study": "made",
        "seed": 7,
        "models": {model: {"source": {"folder": f"models/{model}"}} for model in models},
        "documents": {"source": "generator", "train": 12, "test": 10},
        "methods": {method: {} for method in methods},
        "questions": {question: QUESTIONS[question] for question in questions},
        "prompts": {"context_lengths": list(lengths), **({"depths": list(depths)} if depths else {})},
        "ablation": {
            "levels": list(levels),
            "random_draws": {"matched": 2, "unmatched": 1},
            "headline": next(iter(interventions)),
            "interventions": {
                name: {
                    "context_lengths": None,
                    "variants": None,
                    "without_induction": False,
                    "levels": list(levels),
                    "random_draws": {"matched": 2, "unmatched": 1},
                    **how,
                }
                for name, how in interventions.items()
            },
        },
        "analysis": {**ANALYSIS, "resamples": 200, **analysis},
        "imports": {},
        "published": None,
        "controls": {name: controls.get(name) for name in CONTROLS},
        "yardstick": {
            "documents": 4,
            "questions": list(questions),
            "context_lengths": list(lengths),
            "variants": ["plain"],
            "modes": [next(iter(interventions.values()))["mode"]],
        },
    }
    return Study(config, {method: TWELVE_METHODS[method] for method in methods})


def with_long_names(study):
    """The same study with models, methods and questions that are called by whole phrases, as labels of a config may be.

    Of some, only the end tells which is which, of others the middle.
    """
    config, ways = study.config, ("asked with the question's own rows", "summed over all rows of the answer")
    models = {
        name: {**entry, "label": f"Retrieval tuned instruct model {name} 1.7B of ten checkpoints, step {100 * place}"}
        for place, (name, entry) in enumerate(config["models"].items(), start=1)
    }
    methods = {
        name: {**entry, "label": f"{entry['label']}, {ways[place % 2]}"}
        for place, (name, entry) in enumerate(study.methods.items())
    }
    questions = {
        name: {**entry, "label": f"{entry['label']} as the annual report states it"}
        for name, entry in config["questions"].items()
    }
    return replace(study, config={**config, "models": models, "questions": questions}, methods=methods)


def with_twins(study):
    """The same study with a yardstick that measures under resample too, which has twins."""
    modes = [*study.config["yardstick"]["modes"], "resample"]
    return replace(study, config={**study.config, "yardstick": {**study.config["yardstick"], "modes": modes}})


def make_rankings(study, layers=6, heads=4, seed=0, shared=1.0):
    """Rankings whose scores mix one vector shared by all configurations (weight ``shared``) with noise of their own."""
    rng = np.random.default_rng(seed)
    grid = pd.MultiIndex.from_product([range(layers), range(heads)], names=["layer", "head"]).to_frame(index=False)
    common = {}
    frames = []
    for model, method, question, length in _configurations(study):
        base = common.setdefault(None, rng.exponential(size=len(grid)))
        taste = common.setdefault((model, method), rng.exponential(size=len(grid)))
        score = shared * (base + taste) + rng.exponential(size=len(grid))
        frame = grid.assign(
            model=model, method=method, question=question, context_length=length, variant="plain", score=score
        )
        frames.append(frame.assign(n_samples=12, score_sd=0.1))
    return placed(pd.concat(frames, ignore_index=True))


def make_ablation(
    study, documents=10, seed=0, baseline=0.95, top=None, random=0.92, levels=None, guess=0.1, intervention=None
):
    """Ablation rows of one intervention (the headline); ``top`` and ``random`` give the chance of a right answer, for
    all sets or for (method, k), ``guess`` without heads ablated and without the document (None: not asked)."""
    rng = np.random.default_rng(seed)
    guesses = np.random.default_rng([seed, 1])  # of its own, so that what is guessed changes nothing else
    name = intervention or study.headline
    settings = study.interventions[name]
    draws = settings["random_draws"]
    levels = settings["levels"] if levels is None else levels
    top = (lambda method, k: baseline - 0.04 * k) if top is None else top
    top = top if callable(top) else (lambda method, k, value=top: value)
    random = random if callable(random) else (lambda method, k, value=random: value)
    sets = [("baseline", None, None, None, 0, baseline)]
    sets += [] if guess is None else [("no_needle", None, None, None, 0, guess)]
    for method, k in product(study.methods, levels):
        sets.append(("method", method, None, None, k, top(method, k)))
        for matching, kind in MATCHINGS.items():
            count = draws.get(kind.draws, 0)
            sets += [("random", method, matching, draw, k, random(method, k)) for draw in range(count)]
    rows = []
    config = study.config
    for model, question, length in product(config["models"], config["questions"], config["prompts"]["context_lengths"]):
        for document in range(documents):
            luck = rng.uniform()  # shared by all head sets, so that outcomes are paired
            for source, method, matching, draw, k, chance in sets:
                own = guesses if source == "no_needle" else rng
                correct = bool(0.7 * luck + 0.3 * own.uniform() < chance)
                rows.append(
                    {
                        "model": model,
                        "question": question,
                        "context_length": length,
                        "variant": "plain",
                        "depth": 0.5,
                        "prompt_id": f"{model}/{question}/{length}/{document}",
                        "doc_id": f"doc{document}",
                        "source": source,
                        "method": method,
                        "matching": matching,
                        "draw": draw,
                        "k": k,
                        "size": k,
                        "matched": {"layer": 1.0, "group": 0.75}.get(matching),
                        "intervention": name,
                        "mode": settings["mode"],
                        "scope": settings["scope"],
                        "answer": "Ohio",
                        "generated": "Ohio" if correct else "Utah",
                        "correct": correct,
                        "contains": correct,
                        "outcome": "correct" if correct else "other",
                        "answer_logprob": -1.0,
                        "margin": 1.0,
                    }
                )
    return pd.DataFrame(rows).astype({"matched": float})


def ablation_by_depth(study, how):
    """Ablation rows whose prompts are asked at several depths.

    Parameters
    ----------
    how : depth → what :func:`make_ablation` is given there.
    """
    parts = [(depth, make_ablation(study, **given)) for depth, given in how.items()]
    return pd.concat(
        [part.assign(depth=float(depth), prompt_id=part["prompt_id"] + f"/{depth}") for depth, part in parts],
        ignore_index=True,
    )


def make_depth_rankings(study, difference=0.1, p=0.01, documents=12, width=0.02):
    """The depth_rankings table, with as much less agreement at another depth."""
    config, rows = study.config, []
    for model, length, method in product(config["models"], config["prompts"]["context_lengths"], study.methods):
        row = {"model": model, "context_length": length, "variant": "plain", "method": method}
        for name, value in (("same_depth", 0.8), ("other_depth", 0.8 - difference), ("difference", difference)):
            row |= {name: value, f"{name}_low": value - width, f"{name}_high": value + width}
        rows.append(row | {"p": p, "p_holm": p, "depths": len(study.configured("depth")), "documents": documents})
    return pd.DataFrame(rows, columns=DEPTH_RANKINGS.columns)


def make_guard(study, top=None, random=-0.01, levels=None, baseline=-3.0, intervention=None):
    """The guard table of one intervention (the headline); ``top`` and ``random`` give the change in nats per token for
    (method, k, question)."""
    name = intervention or study.headline
    settings = study.interventions[name]
    draws = settings["random_draws"]
    top = top or (lambda method, k, question: -0.002 * k)
    random = random if callable(random) else (lambda method, k, question, value=random: value)
    rows = []
    for model, question, length in product(
        study.config["models"], study.config["questions"], study.config["prompts"]["context_lengths"]
    ):
        sets = [("baseline", None, None, None, 0, 0.0)]
        for method, k in product(study.methods, settings["levels"] if levels is None else levels):
            sets.append(("method", method, None, None, k, top(method, k, question)))
            for matching, kind in MATCHINGS.items():
                count = draws.get(kind.draws, 0)
                sets += [("random", method, matching, i, k, random(method, k, question)) for i in range(count)]
        rows += [
            (
                *(
                    model,
                    question,
                    length,
                    "plain",
                    *head_set,
                    k,
                    {"layer": 1.0, "group": 0.75}.get(head_set[2], np.nan),
                ),
                *(name, settings["mode"], settings["scope"], baseline + change, change, 128),
            )
            for *head_set, change in sets
            for k in [head_set[-1]]
        ]
    return pd.DataFrame(rows, columns=GUARD.columns)


def make_items(study, top=0.1, random=0.1, facts=24, sums=24, seed=0, draws=2):
    """The specificity table under the headline: of so many items of each kind the whole model answers all but two, and
    loses the shares ``top`` and ``random`` of them with heads ablated."""
    rng, config = np.random.default_rng(seed), study.config
    how = study.interventions[study.headline]
    items = pd.DataFrame(
        [("facts", f"fact {i}", i > 1) for i in range(facts)] + [("sums", f"sum {i}", i > 1) for i in range(sums)],
        columns=["kind", "item", "right"],
    )
    cells = pd.DataFrame(
        product(config["models"], config["prompts"]["context_lengths"]), columns=["model", "context_length"]
    )
    whole = cells.merge(items, how="cross").assign(source="baseline", k=0, size=0)
    asked = items[items["right"] & (items.groupby("kind")["right"].transform("sum") >= FEWEST_ITEMS)]
    drawn = [("method", None, None, None), *(("random", "layer", draw, 1.0) for draw in range(draws))]
    sets = pd.DataFrame(
        [(*one, *cell) for one in drawn for cell in product(config["questions"], study.methods, how["levels"])],
        columns=["source", "matching", "draw", "matched", "question", "method", "k"],
    )
    ablated = cells.merge(sets.assign(size=sets["k"]), how="cross").merge(asked, how="cross")
    lost = rng.uniform(size=len(ablated)) < np.where(ablated["source"] == "method", top, random)
    found = pd.concat([whole, ablated.assign(right=~lost)], ignore_index=True)
    return SPECIFICITY.typed(
        found.assign(
            variant="plain",
            intervention=study.headline,
            mode=how["mode"],
            scope=how["scope"],
            answer="Paris",
            generated=np.where(found["right"], "Paris", "Rome"),
            correct=found["right"].astype(bool),
            contains=found["right"].astype(bool),
            outcome=np.where(found["right"], "correct", "other"),
            answer_logprob=-1.0,
            margin=1.0,
        ).reindex(columns=SPECIFICITY.columns)
    )


def make_effects(study, rankings, documents=4, seed=0, told=1.0):
    """The head_effects table of a study's yardstick: noise, and ``told`` times what the first method's scores say.

    The mode resample has twins, and its log-odds are twice its effects.
    """
    rng = np.random.default_rng(seed)
    first = rankings["method"].isin(rankings["method"].head(1))
    known = {key: rows for key, rows in rankings[first].groupby(CELL)}
    held, rows = study.config["yardstick"], []
    for model, grid in overlap.grids(rankings).items():
        for question, length, mode in product(held["questions"], held["context_lengths"], held["modes"]):
            score = np.zeros(grid)
            if (of_cell := known.get((model, question, length, "plain"))) is not None:
                score[of_cell["layer"], of_cell["head"]] = of_cell["score"]
            for document in range(documents):
                prompt = SimpleNamespace(
                    model=model,
                    question=question,
                    context_length=length,
                    variant="plain",
                    depth=0.5,
                    prompt_id=f"d{document}/{question}/{length}/0.5",
                    doc_id=f"d{document}",
                )
                effects = told * score + rng.normal(size=score.shape) - 2
                odds = (3.0, 2 * effects) if mode == "resample" else ()
                rows.append(effects_row(prompt, mode, -1.5, effects, *odds))
    return pd.DataFrame(rows, columns=HEAD_EFFECTS.columns)


def make_looks(study, rankings, documents=8, seed=0, hits=0.4, at_answer=0.9, sink=0.3):
    """The looks table: a head of better rank by the first method hits more often, up to ``hits`` of the rows, and of
    its hits so many are at the answer, where half would be by chance; it rests on the first token so often."""
    rng = np.random.default_rng(seed)
    rows = []
    known = rankings[rankings["method"] == next(iter(study.methods))]
    for cell, of_cell in known.groupby(CELL):
        of_cell = of_cell.sort_values(["layer", "head"])
        grid = (of_cell["layer"].max() + 1, of_cell["head"].max() + 1)
        often = (hits / of_cell["rank"].to_numpy()).reshape(grid)
        for document in range(documents):
            here = np.clip(often * rng.uniform(0.7, 1.3, grid), 0, 0.6)
            inside = here * np.clip(rng.normal(at_answer, 0.05, grid), 0, 1)
            shares = {SINK: np.clip(rng.normal(sink, 0.05, grid), 0, 0.4), ANSWER: inside}
            shares |= {DISTRACTOR: (here - inside) * 0.3, ELSEWHERE: (here - inside) * 0.7}
            shares |= {ANSWER_CHANCE: here * 0.5, DISTRACTOR_CHANCE: here * 0.1}
            named = dict(zip(CELL, cell, strict=True)) | {"depth": 0.5, "doc_id": f"d{document}"}
            named["prompt_id"] = f"d{document}/{named['question']}/{named['context_length']}/0.5"
            rows.append(looks_row(SimpleNamespace(**named), rng.uniform() < 0.9, 5, shares))
    return pd.DataFrame(rows, columns=LOOKS.columns)


def asked_of(study, planted=None):
    """What the quality of a made study's rankings is asked with; a document costs each method one pass more."""
    costs = {
        (model, length): {method: 1.0 + place for place, method in enumerate(study.methods)}
        for model, length in product(study.config["models"], study.config["prompts"]["context_lengths"])
    }
    return Asked(study.levels, study.quality_level, planted or {}, costs, study.seed, study.resamples)


def make_labels(rankings, seed=0, written=True):
    """The labels table of the models of some rankings."""
    rng = np.random.default_rng(seed)
    frames = []
    for model, (layers, heads) in overlap.grids(rankings).items():
        total = layers * heads
        induction = rng.uniform(size=total) ** 4
        frame = pd.DataFrame(
            {
                "model": model,
                "layer": np.arange(total) // heads,
                "head": np.arange(total) % heads,
                "key_value_group": np.arange(total) % heads // 2,
                "induction": induction,
                "is_induction": induction >= INDUCTION,
                "sink_share": rng.uniform(size=total),
                "write_norm": rng.exponential(size=total) if written else np.nan,
            }
        )
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else LABELS.empty()


def make_counts(study):
    rows = [
        (model, question, length, "plain", split, status, None, prompts)
        for model, question, length in product(
            study.config["models"], study.config["questions"], study.config["prompts"]["context_lengths"]
        )
        for split, status, prompts in (
            ("train", "ok", 11),
            ("train", "no answer in the document", 1),
            ("test", "ok", 10),
        )
    ]
    return pd.DataFrame(rows, columns=DATASET_COUNTS.columns)


def make_reliability(study, seed=0, splits=3):
    rng = np.random.default_rng(seed)
    rows = []
    for model, method, question, length in _configurations(study):
        for split in range(splits):
            agreement = dict(zip(("jaccard", "rbo", "spearman"), rng.uniform(0.6, 0.9, 3), strict=True))
            agreement |= {"size_a": 4, "size_b": 4, "chance": 0.1, "p": 0.01, "rbo_chance": 0.2}
            names = {
                "model": model,
                "method": method,
                "question": question,
                "context_length": length,
                "variant": "plain",
            }
            rows.append({**names, "split": split, "documents": 12, "k": 4, **agreement})
    return pd.DataFrame(rows)


def make_cuts(study, rankings, gap=0.5, low=0.4, noise=1e-5):
    """The cuts table: each ranking is cut at every level of the study, with this gap in shares of its range."""
    rows = []
    for key, heads in rankings.groupby(list(DIMENSIONS)):
        for k in sorted({study.top_k_of(len(heads)), *study.levels}):
            if 0 < (size := int((heads["last"] <= k).sum())) < len(heads):
                named = dict(zip(DIMENSIONS, key, strict=True)) | {"k": k, "size": size}
                width = np.ptp(heads["score"])
                values = {"gap": gap, "gap_low": low, "gap_high": 2 * gap - low, "noise": noise}
                scaled = {name: width * value for name, value in values.items()}
                rows.append(named | scaled | {"prompts": 12, "documents": 12})
    return pd.DataFrame(rows, columns=CUTS.columns)


def make_close_calls(study, close=0):
    """The close_calls table: so many in each row of 100 choices."""
    rows = []
    for model, length in product(study.config["models"], study.config["prompts"]["context_lengths"]):
        named = {"model": model, "context_length": length, "variant": "plain", "method": None, "intervention": None}
        sources = [("generations", {}), ("unablated", {}), *(("scores", {"method": name}) for name in study.methods)]
        sources += [("ablation", {"intervention": name}) for name in study.interventions]
        counts = {"choices": 100, "close": close, "smallest": 1e-6 if close else 0.1, "noise": 1e-4}
        rows += [named | told | counts | {"source": source} for source, told in sources]
    return pd.DataFrame(rows, columns=CLOSE_CALLS.columns)


VARIANTS = ("plain", "no_prefix", "decoy")
"""The variants of the prompts that made tables about variants know of."""


def make_variant_accuracy(study, accuracies=(0.95, 0.6, 0.8)):
    """The variant_accuracy table, in which a variant is answered so well; p values are what they would about be."""
    rows = []
    questions, lengths = study.config["questions"], study.config["prompts"]["context_lengths"]
    for model, question, length in product(study.config["models"], (None, *questions), (None, *lengths)):
        for place, (variant, accuracy) in enumerate(zip(VARIANTS, accuracies, strict=True)):
            aside = 0.0 if question is None else 0.03 * list(questions).index(question) - 0.05
            lower, p = accuracy - accuracies[0], 1.0 if accuracy == accuracies[0] else 0.001
            rows.append(
                {
                    "model": model,
                    "question": question,
                    "context_length": length,
                    "variant": variant,
                    **_estimate("accuracy", accuracy + aside, 0.05),
                    **_estimate("guess", 0.1, 0.05),
                    "decoyed": 0.15 if variant == "decoy" else 0.0,
                    **(_estimate("difference", lower, 0.1) if place else _estimate("difference", np.nan, 0)),
                    "p": p if place else np.nan,
                    "p_holm": p if place else np.nan,
                    "prompts": 40,
                    "documents": 10,
                    "shared_prompts": 40,
                }
            )
    return pd.DataFrame(rows, columns=VARIANT_ACCURACY.columns).astype({"context_length": "Int64"})


def make_same_heads(study, sameness=0.95, told=True, documents=12):
    """The same_heads table: every two variants and questions of each method have this sameness, or are not told."""
    rows = []
    pairs = [("variant", one, "plain") for one in ("no_prefix", "decoy")]
    pairs += [("question", a, b) for a, b in pairwise(study.config["questions"])]
    for model, method, (dimension, a, b) in product(study.config["models"], study.methods, pairs):
        known = _estimate("sameness", sameness if told else np.nan, 0.05)
        low, high = known["sameness_low"], known["sameness_high"]
        rows.append(
            {
                "dimension": dimension,
                "a": a,
                "b": b,
                "model": model,
                "method": method,
                "variant": None if dimension == "variant" else "plain",
                "k": 4,
                "between": 0.5 * sameness if told else 0.01,
                **_estimate("within_a", 0.5 if told else 0.01, 0.2),
                **_estimate("within_b", 0.5, 0.2),
                **known,
                "verdict": "same" if low > 0.8 else "different" if high < 0.8 else "untold",
                "configurations": 4,
                "splits": 3,
                "documents": documents,
            }
        )
    frame = pd.DataFrame(rows, columns=SAME_HEADS.columns)
    return frame.astype({"context_length": "Int64"})


def make_other_sets(study, difference=0.3, p=0.001, width=0.1, documents=10):
    """The other_sets table under each intervention: sets cost so much more than random heads."""
    rows = []
    every = study.interventions.items()
    for model, method, (name, how) in product(study.config["models"], study.methods, every):
        for source, k in product(("plain", "without_induction"), how["levels"]):
            rows.append(
                {
                    "source": source,
                    "model": model,
                    "variant": "no_prefix" if source == "plain" else "plain",
                    "intervention": name,
                    "mode": how["mode"],
                    "scope": how["scope"],
                    "method": method,
                    "k": k,
                    "size": k - 1.5 if source == "without_induction" else k,
                    "matching": "layer",
                    "matched": 1.0,
                    **_estimate("baseline", 0.9, 0.05),
                    **_estimate("drop", difference + 0.05, 0.05),
                    **_estimate("own_drop", difference + 0.1, 0.05),
                    **_estimate("random_drop", 0.05, 0.05),
                    **_estimate("difference", difference, width),
                    "p": p,
                    "p_holm": p,
                    "p_every": p,
                    "prompts": 4 * documents,
                    "documents": documents,
                }
            )
    frame = pd.DataFrame(rows, columns=OTHER_SETS.columns)
    return frame.astype({"context_length": "Int64", "depth": float})


def _estimate(name, value, width):
    return {name: value, f"{name}_low": value - width, f"{name}_high": value + width}


def analyse(study, rankings, results, reliability=None):
    """All tables of the analysis, from rankings and from the ablation or ablation_summary table."""
    outcomes = as_outcomes(results, study.seed, study.resamples)
    found = estimate_effects(outcomes)
    tables = {
        "rankings": rankings,
        "ablation_summary": summarise(results) if "doc_id" in results else results,
        "overlap": overlap.pairwise(rankings, study.top_k),
        "unions": overlap.unions(rankings, study.categories, study.top_k),
        "profiles": head_profiles.profile_heads(rankings, study.top_k),
        "effects": found.effects,
        "against_random": found.against_random,
        "steps": found.steps,
        "mean_drops": mean_drops(outcomes, study.categories, overlap.grids(rankings)),
    }
    if "doc_id" in results:  # else there was no model to try
        # The guard reads prose with the heads that are ablated.
        levels = None if (results["source"] == "method").any() else ()
        tables["labels"] = make_labels(rankings)
        tables |= {"cuts": make_cuts(study, rankings), "close_calls": make_close_calls(study)}
        tables["key_value_groups"] = touched_groups(rankings, tables["labels"], study.levels, study.top_k)
        tables["group_overlap"] = group_overlap(rankings, tables["labels"], study.top_k)
        if study.config["yardstick"] is not None:
            tables["head_effects"] = make_effects(study, rankings)
            tables["head_effect_summary"] = summarise_effects(tables["head_effects"], study.seed, study.resamples)
            tables["needed_or_carrying"] = pair_effects(
                tables["head_effects"], study.alpha, study.seed, study.resamples
            )
        tables["variant_accuracy"] = make_variant_accuracy(study)
        tables["same_heads"] = make_same_heads(study, told=len(overlap.top_heads(rankings)) > 0)
        tables["other_sets"] = make_other_sets(study) if levels is None else OTHER_SETS.empty()
        if len(study.configured("depth")) > 1:
            tables["depth_rankings"] = make_depth_rankings(study)
        if study.config["controls"]["looks"] is not None:
            looks = make_looks(study, rankings)
            tables |= summarise_looks(looks, rankings, study.quality_level, study.seed, study.resamples)._asdict()
        effects, labels = tables.get("head_effects", HEAD_EFFECTS.empty()), tables["labels"]
        tables |= measure_quality(effects, rankings, labels, outcomes, asked_of(study))._asdict()
        if control(study.config, "specificity") is not None:
            ablated = None if (results["source"] == "method").any() else "baseline"
            items = make_items(study)
            tables["specificity"] = items if ablated is None else items[items["source"] == ablated]
            tables["specificity_summary"] = measure_specificity(
                results, tables["specificity"], study.seed, study.resamples
            )
        if control(study.config, "compensation") is not None:
            # Of no heads, as where no ranking tells heads apart; others are made in made_compensation.
            tables["head_compensation"] = summarise_heads(COMPENSATION_HEADS.empty(), study.alpha, study.seed, 100)
            tables["set_compensation"] = summarise_sets(COMPENSATION.empty(), study.seed, 100)
        if control(study.config, "transfer") is not None:
            ablated = bool((results["source"] == "method").any())
            tables["transfer"] = made_transfer.of_study(study, ablated)
            made = measure_transfer(tables["transfer"], study.seed, study.resamples)
            tables |= dict(zip(("transfer_drops", "transfer_tests"), made, strict=True))
        tables["guard"] = pd.concat([make_guard(study, levels=levels, intervention=i) for i in study.interventions])
    tables["tests"] = run_tests(study, rankings, tables["overlap"], tables["profiles"], outcomes, reliability)
    return tables if reliability is None else {**tables, "reliability": reliability}


SMALL = make_study(controls={"specificity": {}, "transfer": {}})


@cache
def small_tables():
    """All tables of the study as it is made unless told otherwise, made once for all tests: none may change them."""
    return analyse(SMALL, make_rankings(SMALL, 10, 8), make_ablation(SMALL), make_reliability(SMALL))


def _configurations(study):
    config = study.config
    return product(config["models"], study.methods, config["questions"], config["prompts"]["context_lengths"])


def make_scores(by_prompt, method="wu24", **cell):
    """The scores table of one method and question, from prompt_id → scores of shape (layers, heads)."""
    cell = {"model": "small", "question": "hq_state", "context_length": 512, "variant": "plain"} | cell
    rows = [
        score_row(SimpleNamespace(**cell, prompt_id=prompt), method, np.asarray(scores, float))
        for prompt, scores in by_prompt.items()
    ]
    return pd.DataFrame(rows, columns=SCORES.columns)


def peak_of(work, parts, size=50, shape=(8, 32)):
    """Peak memory in bytes of work on a scores table in so many parts, which are made as they are asked for."""

    class Parts:
        def __iter__(self):
            for part in range(parts):
                prompts = [f"d{number:05d}/hq_state/512/0.5" for number in range(part * size, (part + 1) * size)]
                yield make_scores({prompt: np.full(shape, 0.5) for prompt in prompts})

    tracemalloc.start()
    try:
        work(Parts())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
