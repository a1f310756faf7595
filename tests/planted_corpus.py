"""The text that a planted model has to know the words of, to read a study: the tiny one, unless it says which.

Run as a script, it writes the model to the folder given.
"""

import sys
from pathlib import Path

import yaml

import planted
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.study.config import complete


def corpus(root: Path, study: str = "tiny") -> str:
    """Haystack, documents and questions of a study."""
    config = complete(yaml.safe_load((root / "config" / f"{study}.yaml").read_text()))
    for key in {"templates", "file"} & set(config["documents"]):
        config["documents"][key] = str(root / config["documents"][key])
    prompts = config["prompts"]
    asked = [
        prompts["question"].replace("{question}", question["text"]) + prompts["answer"] + question["answer_prefix"]
        for question in [*config["questions"].values(), {"text": prompts["null_question"], "answer_prefix": ""}]
    ]
    documents = make_documents(config, config["seed"])["text"]
    return "\n\n".join([load_haystack(root / "resources" / "haystack"), *documents, *asked])


if __name__ == "__main__":
    planted.save(Path(sys.argv[1]), corpus(Path(__file__).parents[1]))
