"""How many questions the default model answers with all its heads, for several wordings and kinds of documents.

Run in the project's environment: python benchmarks/wordings.py [SETTING ...]

Takes the settings of wordings.yaml, each a change of the default study, and asks all questions about as many test
documents as stand there. The seeds are not the study's, for nothing may be chosen on the documents that its results are
about. Prints a table in Markdown, and keeps it in wordings.md; settings that are measured alone replace their rows.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml

sys.path.insert(0, "workflow")

from bench import Setup, machine
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.reading import read_yaml

SETTINGS = Path(__file__).with_suffix(".yaml")
PAGE = Path(__file__).with_suffix(".md")


def answered(setup: Setup, length: int) -> pd.DataFrame:
    """What the model answers to all prompts about test documents with no head ablated: rows of the unablated table."""
    answers = answer_unablated(setup.runner, setup.prompts(length, "test"), setup.answer_types)
    return answers[answers["source"] == "baseline"]


def worded(facts: dict[str, str], folder: Path) -> dict:
    """Changes of a config: documents say facts in other words first, and answers begin with the same words.

    Parameters
    ----------
    facts : question → a sentence with ``{answer}`` in it.
    folder : where the templates for it are put.
    """
    shutil.copytree("resources/documents", folder)
    phrasings = read_yaml(folder / "facts.yaml", "correct it")
    phrasings |= {fact: [sentence, *phrasings[fact][1:]] for fact, sentence in facts.items()}
    (folder / "facts.yaml").write_text(yaml.safe_dump(phrasings), encoding="utf-8")
    prefixes = {fact: f" {sentence.partition('{answer}')[0].rstrip()}" for fact, sentence in facts.items()}
    return {
        "documents": {"templates": str(folder)},
        "questions": {fact: {"answer_prefix": prefix} for fact, prefix in prefixes.items()},
    }


def measured(settings: dict, names: list[str]) -> Iterator[dict]:
    """A row of the page for each setting, length and seed: the share of right answers to each question."""
    size = {"documents": {"train": 1, "test": settings["documents"]}}
    for name in names:
        setting = settings["settings"][name]
        with tempfile.TemporaryDirectory() as made:
            wording = worded(setting.get("facts", {}), Path(made, "templates"))
            for length in setting.get("context_lengths", settings["context_lengths"]):
                for seed in setting.get("seeds", settings["seeds"]):
                    setup = Setup({"seed": seed}, size, wording, setting.get("changes", {}))
                    right = answered(setup, length).groupby("question", sort=False)["correct"].agg(["sum", "size"])
                    asked = {f"`{question}`": f"{a / n:.0%} ({a} of {n})" for question, a, n in right.itertuples()}
                    yield {"Setting": name, "Tokens": f"{length:,}", "Seed": str(seed)} | asked


def kept_rows() -> list[dict]:
    """The rows of the page as it is."""
    if not PAGE.exists():
        return []
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def main(names: list[str]) -> None:
    """Measure settings, print and keep what was measured."""
    settings = read_yaml(SETTINGS, "correct it")
    names = names or list(settings["settings"])
    rows = [row for row in kept_rows() if row["Setting"] in settings["settings"] and row["Setting"] not in names]
    for row in measured(settings, names):
        rows.append(row)
        print(" | ".join(row.values()), flush=True)
    rows.sort(key=lambda row: list(settings["settings"]).index(row["Setting"]))
    lines = [rows[0].keys(), ["---", *["---:"] * (len(rows[0]) - 1)], *(row.values() for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    about = (
        f"By `python benchmarks/wordings.py`, on {machine()}, in float32:\n"
        f"right answers of the default study's model, with all its heads, about {settings['documents']} documents. "
        "What each setting\nchanges stands in [wordings.yaml](wordings.yaml)."
    )
    with atomic_file(PAGE) as file:
        file.write_text(f"# Wordings\n\n{about}\n\n{table}\n", encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main(sys.argv[1:])
