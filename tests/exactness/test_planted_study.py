"""On a model with planted heads the methods find exactly those, and the model fails without them alone."""

import pandas as pd
import pytest
import torch

from planted import planted_model
from retrieval_heads.ablation.head_sets import choose_head_sets
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.ablation.running import ablate_split, leave_open
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import score_split

pytestmark = pytest.mark.thorough

QUESTIONS = {
    "inc_state": ("state", " The company was incorporated under the laws of the state of"),
    "inc_year": ("year", " The company was first incorporated in the year"),
    "employee_count": ("count", " The total number of people whom the company employs is"),
    "hq_state": ("state", " The headquarters of the company are located in"),
}
CONFIG = {
    "seed": 3,
    "documents": {
        **{"source": "generator", "train": 3, "test": 3, "missing_rate": 0.0, "variety": 1, "distractors": 0.0},
        "templates": "resources/documents",
    },
    "questions": {
        key: {"text": f"What is the {key}?", "type": type, "answer_prefix": prefix}
        for key, (type, prefix) in QUESTIONS.items()
    },
    "prompts": {
        "suffix_budget": 64,
        "depths": [0.3],
        "question": "\n\nQuestion: {question}\n",
        "answer": "Answer:",
        "null_question": "N/A",
        "chat_template": False,
    },
}
GENERATION = {"max_new_tokens": 10, "stop": ["\n", "."]}


BUDGET = Budget(4096, 16384)


@pytest.fixture(scope="module")
def study():
    """The stages from documents to ablation, run without Snakemake."""
    documents, haystack = make_documents(CONFIG, CONFIG["seed"]), load_haystack("resources/haystack")
    asked = " ".join(f"{q['text']}{q['answer_prefix']}" for q in CONFIG["questions"].values())
    planted = planted_model(" ".join([haystack, *documents["text"], asked, "\n\nQuestion: N/A\nAnswer:"]))
    builder = Builder(
        "planted", planted.tokenizer, haystack, CONFIG["questions"], CONFIG["prompts"], 600, CONFIG["seed"]
    )
    prompts = builder.build(documents)
    types = {key: q["type"] for key, q in CONFIG["questions"].items()}
    methods = make_methods({"summed_attention": {}, "wu24": {}, "qrhead": {}})
    runner = Runner(planted.model, planted.tokenizer, BUDGET, Decoding(**GENERATION))
    scores, generations = score_split(runner, usable(prompts, "train", "here"), methods, types)
    rankings = rank_heads([scores])
    sets = choose_head_sets(rankings, [len(planted.retrieval_heads)], {"matched": 1, "unmatched": 0}, CONFIG["seed"])
    tests, intervention = usable(prompts, "test", "here"), Intervention("zero_all", "zero", "all")
    ablated = ablate_split(runner, tests, sets, intervention, types)
    shard = pd.concat([leave_open(tests, sets, intervention), ablated])
    ablation = join_unablated(shard, answer_unablated(runner, tests, types))
    return planted, generations, rankings, ablation


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_model_answers(study):
    _, generations, _, _ = study
    assert generations["success"].mean() > 0.95


@pytest.mark.parametrize("method", ["summed_attention", "wu24", "qrhead"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_every_method_ranks_the_planted_heads_first(study, method, question):
    planted, _, rankings, _ = study
    ranking = rankings[(rankings["method"] == method) & (rankings["question"] == question)]
    first = ranking[ranking["rank"] <= len(planted.retrieval_heads)]
    assert set(zip(first["layer"], first["head"], strict=True)) == set(planted.retrieval_heads)


def test_only_the_planted_heads_matter(study):
    planted, _, _, ablation = study
    accuracy = ablation.assign(matching=ablation["matching"].fillna("")).groupby(["source", "k"])["correct"].mean()
    every = len(planted.retrieval_heads)
    assert accuracy["baseline", 0] > 0.95
    assert accuracy["method", every] < 0.1
    assert accuracy["random", every] > 0.9


def test_the_answer_becomes_unlikely_without_them(study):
    _, _, _, ablation = study
    logprob = ablation.groupby("source")["answer_logprob"].mean()
    assert logprob["method"] < logprob["random"] - 1
