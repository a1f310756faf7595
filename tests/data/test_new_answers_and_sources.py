"""What is one file and one line in a config: a type of answers, a source of documents, a source of models."""

import pytest
import yaml

from projects import TINY

pytestmark = pytest.mark.thorough

COLOUR = '''"""Colours, of which there are three."""

import re
from collections.abc import Iterator

from retrieval_heads.data.answers._letters import Value, fold
from retrieval_heads.data.answers._type import AnswerType


class Colour(AnswerType):
    """One of three colours."""

    after = re.compile(r"[.!?]")

    def values(self, text: str) -> Iterator[Value]:
        for match in re.finditer(r"\\b(?:red|green|blue)\\b", fold(text), re.IGNORECASE):
            yield Value(match[0].lower(), match.start(), match.end())
'''
LISTED = '''"""Documents that a config lists."""

from collections.abc import Iterator

KEYS = {
    "texts": {"type": "array", "items": {"type": "string"}, "description": "The texts."},
    "end": {"type": "string", "default": ".", "description": "What ends each."},
}


def check(config: dict, packages: bool) -> None:
    pass


def files(config: dict) -> list[str]:
    return []


def make(config: dict, seed: int) -> Iterator[dict]:
    from retrieval_heads.data.answers import locate

    for number, text in enumerate(config["documents"]["texts"]):
        text += config["documents"]["end"]
        value = locate(text, "red", "colour")
        yield {
            "doc_id": f"listed-{number}",
            "split": ("train", "test")[number % 2],
            "text": text,
            "colour": value.value,
            "colour_start": value.start,
        }
'''


BESIDE = '''"""A folder beside another one."""

from pathlib import Path

KEYS = {
    "beside": {"type": "string", "format": "path", "description": "The other one."},
    "called": {"type": "string", "description": "The folder."},
}


def check(source: dict, key: str) -> None:
    pass


def files(source: dict) -> list[Path]:
    return sorted(Path(source["beside"]).parent.joinpath(source["called"]).iterdir())


def prepare(source: dict, folder: Path) -> None:
    for file in files(source):
        (folder / file.name).symlink_to(file.resolve())
'''


@pytest.fixture
def extended(project):
    """The tiny study about documents of a source, and with a question of a type, that have a file each."""
    package = project.path("workflow", "retrieval_heads", "data")
    (package / "answers" / "colour.py").write_text(COLOUR, encoding="utf-8")
    (package / "documents" / "listed.py").write_text(LISTED, encoding="utf-8")
    path = project.path("config", "tiny.yaml")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["documents"] = {"source": "listed", "texts": ["The door is red", "We chose Red", "Red it is", "A red one"]}
    config["questions"] = {"colour": {"text": "Which colour?", "type": "colour"}}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return project


def test_a_type_of_answers_and_a_source_of_documents_are_a_file_each(extended):
    extended.snakemake("--cores", "1", "--until", "write_documents", *TINY)
    said = extended.python(
        "-c",
        "import sys; sys.path.insert(0, 'workflow'); import pandas as pd\n"
        "from retrieval_heads.data.answers import judge, is_settled\n"
        "print(*pd.read_parquet('results/tiny/documents.parquet')['text'], sep='|')\n"
        "print(judge('It is green.', 'red', 'colour', 'red or green').outcome, is_settled('Red.', 'red', 'colour'))",
    ).stdout
    assert said.splitlines() == ["The door is red.|We chose Red.|Red it is.|A red one.", "distractor True"]
    assert "score_heads" in extended.plan(*TINY)


def test_their_keys_are_refused_to_others(extended):
    extended.change("config/tiny.yaml", "source: listed", "source: generator")
    said = extended.plan(*TINY, succeed=False)
    assert "documents.texts: this key has no meaning for source generator" in said


def test_a_source_of_models_is_a_file(project):
    package = project.path("workflow", "retrieval_heads", "model", "sources")
    (package / "beside.py").write_text(BESIDE, encoding="utf-8")
    project.change("config/tiny.yaml", "path: .cache/planted-model", "{beside: .cache/other, called: planted-model}")
    results = project.path("results")
    before = set(results.glob("models/*/config.json"))
    project.snakemake("--cores", "1", "--until", "prepare_model", *TINY)
    assert len(set(results.glob("models/*/config.json")) - before) == 1
    project.change("config/tiny.yaml", "called: planted-model", "named: planted-model")
    assert "is no source of models; write one of {beside: …, called: …}; " in project.plan(*TINY, succeed=False)
