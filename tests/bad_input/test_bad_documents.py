"""A table of documents that is wrong is refused before any work, in one sentence with its file, row and column."""

import pytest
from bad_input_case import require_refused
from document_cases import COLUMNS, HEADER, QUESTIONS, ROWS, TABLES

from retrieval_heads.data.documents import document_source, make_documents
from retrieval_heads.study.config import complete


def config(file, keys):
    return complete(
        {
            "study": "own",
            "models": {"small": {"source": {"path": "model"}}},
            "documents": {"source": "file", "file": file, **keys},
            "questions": QUESTIONS,
            "prompts": {"context_lengths": [512]},
        }
    )


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_the_cases_change_is_right(tmp_path):
    (tmp_path / "table.csv").write_text(HEADER + "".join(ROWS), encoding="utf-8")
    documents = make_documents(config("table.csv", COLUMNS), seed=1)
    assert sorted(documents["staff"]) == ["120", "450", "780"] and documents["staff_twin"].notna().all()


@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.kind)
def test_a_table_that_is_wrong_is_refused(tmp_path, case):
    file, content, keys = case.given
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    named = config(file, (COLUMNS if file.endswith("csv") else {}) | keys)
    require_refused(case, lambda: document_source(named).check(named, True))
