"""What tests of methods ask planted models about: two questions, and models whose answers leave room to lose."""

import pandas as pd
import torch
from torch import Tensor

from planted import HEAD_DIM, HEADS, PlantedModel, Stream, planted_model
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.study.config import complete

CONFIG = complete(
    {
        "study": "planted",
        "seed": 3,
        "models": {"planted": {"source": {"path": "x"}}},
        "documents": {"train": 2, "test": 2, "missing_rate": 0.0, "variety": 1, "distractors": 0.0},
        "questions": {
            "hq_state": {
                **{"text": "In which state is the headquarters?", "type": "state"},
                "answer_prefix": " The headquarters of the company are located in",
            },
            "employee_count": {
                **{"text": "How many people?", "type": "count"},
                "answer_prefix": " The total number of people whom the company employs is",
            },
        },
        "prompts": {"context_lengths": [900], "haystack": "documents", "depths": [0.5]},
    }
)
# One of each split will do, as tests bring prose of their own for the haystack.
CONFIG["documents"] |= {"train": 1, "test": 1}
TYPES = {question: entry["type"] for question, entry in CONFIG["questions"].items()}
FAINT = 0.1
"""So that one head's copy less still shows: with all of them the planted model is as good as certain."""


def faintly_planted(*texts: str, share: float = FAINT) -> PlantedModel:
    """A model that knows the words of texts and of what is asked, and in which what is copied counts so much less."""
    asked = [f"{q['text']}{q['answer_prefix']}" for q in CONFIG["questions"].values()]
    planted = planted_model(" ".join([*texts, *asked, "\n\nQuestion: N/A\nAnswer:"]))
    with torch.no_grad():
        planted.model.lm_head.weight[:, Stream.COPY] *= share
    return planted


def among_prose(documents: pd.DataFrame) -> pd.DataFrame:
    """A documents table, and behind it others of prose that state no fact: heads that look for the words before an
    answer find them in one place."""
    prose = load_haystack("resources/haystack").split("\n\n")
    others = [
        dict.fromkeys(documents.columns)
        | {"doc_id": f"prose-{number}", "split": "train", "text": text, "source": "prose"}
        for number, text in enumerate(prose[:40])
    ]
    return pd.concat([documents, pd.DataFrame(others).astype(documents.dtypes)], ignore_index=True)


def silence(model: torch.nn.Module, head: tuple[int, int]) -> None:
    """Let a head look where it did, and write nothing."""
    layer, number = head
    with torch.no_grad():
        model.model.layers[layer].self_attn.o_proj.weight[:, number * HEAD_DIM : (number + 1) * HEAD_DIM] = 0


def first(made: Tensor, count: int) -> set[tuple[int, int]]:
    """The heads of the highest scores (L, H)."""
    return {divmod(number, HEADS) for number in made.flatten().topk(count).indices.tolist()}
