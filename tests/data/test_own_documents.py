"""Documents that a user brings: a table of one's own, or sections of EDGAR-CORPUS with a table of true answers."""

import csv
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_heads import tables
from retrieval_heads.data import answers
from retrieval_heads.data.documents import document_source, make_documents
from retrieval_heads.errors import StudyError
from retrieval_heads.preflight import check_surroundings
from retrieval_heads.study.config import complete
from retrieval_heads.tables.documents import documents_table

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "real10k" / "documents.csv"
QUESTIONS = {
    "hq": {"text": "Where is it?", "type": "state"},
    "since": {"text": "Since when?", "type": "year"},
    "staff": {"text": "How many?", "type": "count"},
    "founder": {"text": "Who?", "type": "text"},
}
ROWS = [  # what a table may say, and below what is made of it
    {"name": "a", "body": "  Ann Lee began it in 1990 in Lima, Ohio.", "hq": "OH", "since": 1990, "staff": None},
    {"name": "b", "body": "It has 1,200 people in Utah, since 1901.", "hq": "Utah", "since": 1901, "staff": 1200},
    {"name": "c", "body": "It has 80 people. A year is 1999.", "hq": "Texas", "since": None, "staff": 80},
]
FOUNDERS = ["Ann Lee", "", None]
MADE = {  # the answer and where the text, without the white space around it, states it
    "a": {"hq": ("Ohio", 34), "since": ("1990", 20), "staff": None, "founder": ("Ann Lee", 0)},
    "b": {"hq": ("Utah", 23), "since": ("1901", 35), "staff": ("1200", 7), "founder": None},
    "c": {"hq": None, "since": None, "staff": ("80", 7), "founder": None},  # no text says Texas
}


LEAST = {"study": "own", "models": {"small": {"source": {"path": "x"}}}, "prompts": {"context_lengths": [512]}}


def study(questions=QUESTIONS, **documents):
    settings = {"source": "file", "text": "body", "id": "name", "answers": {"founder": "by"}} | documents
    return complete(LEAST | {"questions": questions, "documents": settings})


def write(path, rows):
    """Rows as a file of the kind that its ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    else:
        with path.open("w", newline="", encoding="utf-8-sig") as file:  # as spreadsheets write it
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


@pytest.fixture
def rows():
    return [row | {"by": by} for row, by in zip(ROWS, FOUNDERS, strict=True)]


def as_made(frame):
    """The same as MADE, from a documents table."""
    return {
        row["doc_id"]: {q: (row[q], row[f"{q}_start"]) if pd.notna(row[q]) else None for q in QUESTIONS}
        for row in frame.to_dict("records")
    }


class TestFile:
    @pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
    def test_a_table_becomes_documents(self, rows, tmp_path, ending):
        config = study(file=write(tmp_path / f"mine.{ending}", rows))
        document_source(config).check(config, packages=True)
        assert document_source(config).files(config) == [str(tmp_path / f"mine.{ending}")]
        frame = make_documents(config, 1)
        assert as_made(frame) == MADE
        assert dict(zip(frame["doc_id"], frame["text"], strict=True)) == {r["name"]: r["body"].strip() for r in rows}
        assert list(frame["split"]) == ["train", "train", "test"]
        assert set(frame["source"]) == {"file"}
        tables.write(frame, tmp_path / "documents.parquet", documents_table(QUESTIONS))

    def test_rows_without_names_are_numbered(self, rows, tmp_path):
        frame = make_documents(study(file=write(tmp_path / "mine.csv", rows), id=None), 1)
        assert sorted(frame["doc_id"]) == ["row-0001", "row-0002", "row-0003"]

    def test_a_column_says_the_split(self, rows, tmp_path):
        told = ["test", "train", "test"]
        rows = [row | {"part": split} for row, split in zip(rows, told, strict=True)]
        frame = make_documents(study(file=write(tmp_path / "mine.csv", rows), split="part"), 1)
        assert dict(zip(frame["doc_id"], frame["split"], strict=True)) == dict(zip("abc", told, strict=True))

    def test_a_long_text_is_read_whole(self, tmp_path):
        rows = [{"name": name, "body": f"{name} " + "word " * 50_000, "n": 3} for name in "ab"]
        config = study({"n": QUESTIONS["staff"]}, file=write(tmp_path / "mine.csv", rows), answers={})
        assert make_documents(config, 1)["text"].str.len().min() > 249_000

    @given(number=st.integers(2, 40), share=st.floats(0.01, 0.99), seed=st.integers(0, 999), more=st.integers(1, 3))
    @settings(max_examples=40)
    def test_splits_are_drawn_whole_and_stay(self, number, share, seed, more, tmp_path_factory):
        def tests(count, seed):
            rows = [{"name": f"d{i}", "body": f"The {i} th.", "n": ""} for i in range(count)]
            file = write(tmp_path_factory.mktemp("split") / "mine.csv", rows)
            config = study({"n": QUESTIONS["staff"]}, file=file, answers={}, test_share=share)
            frame = make_documents(config, seed)
            assert len(frame) == count
            return set(frame.loc[frame["split"] == "test", "doc_id"])

        drawn = tests(number, seed)
        assert len(drawn) == min(max(1, round(share * number)), number - 1)
        assert drawn == tests(number, seed)
        # Each further document sends at most one of the others from one split to the other.
        grown = tests(number + more, seed) & {f"d{i}" for i in range(number)}
        assert len(drawn ^ grown) <= more

    def test_another_seed_draws_another_split(self, tmp_path):
        rows = [{"name": f"d{i}", "body": f"The {i} th.", "n": ""} for i in range(30)]
        config = study({"n": QUESTIONS["staff"]}, file=write(tmp_path / "mine.csv", rows), answers={})
        splits = {tuple(make_documents(config, seed).sort_values("doc_id")["split"]) for seed in range(5)}
        assert len(splits) == 5


def bad(tmp_path, rows, ending="csv", **documents):
    """The sentence that a table of these rows is refused with, before any work."""
    config = study(**({"file": write(tmp_path / f"mine.{ending}", rows)} | documents))
    with pytest.raises(StudyError) as caught:
        document_source(config).check(config, packages=True)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence.replace(f"{tmp_path}/", "")


class TestBadFiles:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({1: {"name": "a"}}, "mine.csv: rows 1 and 2 are both called a; rename or remove one."),
            ({2: {"name": " "}}, "mine.csv: row 3 has an empty name; fill it or remove the row."),
            ({0: {"body": ""}}, "mine.csv: row 1 has an empty body; fill it or remove the row."),
            (
                {1: {"staff": "many"}},
                "mine.csv: row 2, column staff: the answer 'many' holds no value of type count; give exactly one.",
            ),
            ({2: {"since": "1990 or 1991"}}, "mine.csv: row 3, column since: the answer '1990 or 1991' holds several"),
            (
                {1: {"staff": "$1,200"}},
                "mine.csv: row 2, column staff: the answer '$1,200' holds no value of type count",
            ),
            ({0: {"hq": "Bavaria"}}, "mine.csv: row 1, column hq: the answer 'Bavaria' holds no value of type state"),
            ({1: {"body": ROWS[0]["body"]}}, "mine.csv: a and b have the same text; remove one of them."),
        ],
    )
    def test_a_wrong_cell_is_named(self, rows, tmp_path, change, sentence):
        rows = [row | change.get(i, {}) for i, row in enumerate(rows)]
        assert bad(tmp_path, rows).startswith(sentence)

    @pytest.mark.parametrize(
        ("documents", "sentence"),
        [
            ({"text": "txt"}, "documents.text: mine.csv has no column txt; it has name, body, hq, since, staff, by."),
            ({"id": "ID"}, "documents.id: mine.csv has no column ID; it has name, "),
            ({"answers": {}}, "documents.answers.founder: mine.csv has no column founder; it has name, "),
            ({"split": "part"}, "documents.split: mine.csv has no column part; it has name, "),
            ({"split": "hq"}, "mine.csv: row 1 has OH in column hq; write train or test."),
            ({"file": "nowhere.csv"}, "documents.file: there is no file nowhere.csv; check the path."),
        ],
    )
    def test_a_wrong_key_is_named(self, rows, tmp_path, documents, sentence):
        assert bad(tmp_path, rows, **documents).startswith(sentence)

    def test_an_empty_split_is_named(self, rows, tmp_path):
        rows = [row | {"part": "train"} for row in rows]
        sentence = "mine.csv: no document is left for the test split; give at least one for each of train and test."
        assert bad(tmp_path, rows, split="part") == sentence
        assert bad(tmp_path, rows[:1]).startswith("mine.csv: no document is left for the train split")

    @pytest.mark.parametrize(
        ("name", "content", "sentence"),
        [
            (
                "mine.xlsx",
                b"x",
                "mine.xlsx: files of documents end in .csv, .parquet, .jsonl; save it as one of these.",
            ),
            ("mine.csv", b"", "mine.csv: this file has no rows; write one for each document."),
            ("mine.csv", b"name,body\n", "mine.csv: this file has no rows"),
            (
                "mine.csv",
                "name,body\na,Zürich\n".encode("latin-1"),
                "mine.csv: this file is not UTF-8 text; save it as",
            ),
            (
                "mine.jsonl",
                '{"body": "Zürich"}'.encode("latin-1"),
                "mine.jsonl: this file is not UTF-8 text; save it as",
            ),
            (
                "mine.csv",
                b"name,body\na,b,c\n",
                "mine.csv: row 1 has not as many fields as the header; put a field with",
            ),
            ("mine.csv", b"name,body\na,b\nc\n", "mine.csv: row 2 has not as many fields as the header"),
            ("mine.csv", b"name,name\na,b\n", "mine.csv: two columns are called name; rename one."),
            (
                "mine.csv",
                b'name,body\na,"b\n',
                "mine.csv: line 2 is not valid CSV (unexpected end of data); correct it.",
            ),
            ("mine.jsonl", b'{"name": "a"}\n{"name": \n', "mine.jsonl: line 2 is no JSON object; write one object on"),
            ("mine.jsonl", b"[1]\n", "mine.jsonl: line 1 is no JSON object"),
            ("mine.parquet", b"PAR1 and no more", "mine.parquet: not a readable Parquet file; write it anew."),
        ],
    )
    def test_a_broken_file_is_named(self, tmp_path, name, content, sentence):
        (tmp_path / name).write_bytes(content)
        assert bad(tmp_path, ROWS, "tmp.csv", file=str(tmp_path / name)).startswith(sentence)

    def test_a_cell_that_is_no_text_is_named(self, rows, tmp_path):
        rows[1]["hq"] = ["Utah"]
        sentence = "mine.jsonl: row 2 has no text in column hq but ['Utah']; write text."
        assert bad(tmp_path, rows, "jsonl") == sentence

    def test_it_stops_a_study_before_any_work(self, rows, tmp_path, monkeypatch):
        monkeypatch.chdir(ROOT)
        config = study(file=write(tmp_path / "mine.csv", rows), text="txt") | {"results": str(tmp_path / "results")}
        with pytest.raises(StudyError, match=r"^documents\.text: .* has no column txt"):
            check_surroundings(config | {"models": {}})


# --- EDGAR-CORPUS --------------------------------------------------------------------------------------------------

ASKED = {"hq": QUESTIONS["hq"]}
FILINGS = {  # year → file name → Section 1, in the corpus' layout
    2019: {"10_2019.htm": "Item 1. Business. Acme is in Utah.", "11_2019.htm": "Item 1. Bolt is in Lima, Ohio."},
    2020: {"10_2020.htm": "Item 1. Acme is in Texas.", "12_2020.htm": "", "13_2020.htm": "Item 1. Cord. No place."},
}
TRUTH = [
    {"filename": "10_2019.htm", "hq": "Utah"},
    {"filename": "11_2019.htm", "hq": "OH"},
    {"filename": "10_2020.htm", "hq": "Texas"},
    {"filename": "12_2020.htm", "hq": "Maine"},  # its Section 1 is empty
    {"filename": "13_2020.htm", "hq": "Iowa"},  # its Section 1 does not say so
    {"filename": "99_2020.htm", "hq": "Iowa"},  # not in the corpus
]
SECTIONS = {name: text for year in FILINGS.values() for name, text in year.items() if text}
needs_datasets = pytest.mark.skipif(
    find_spec("datasets") is None, reason="needs the package datasets, from requirements-edgar.txt"
)


def corpus(folder, layout):
    """A small copy of the corpus, a file for each year and split as on the hub, or one for each year."""
    for year, filings in FILINGS.items():
        rows = [
            {"filename": name, "cik": name.split("_")[0], "year": str(year), "section_1": text, "section_1A": "Risks."}
            for name, text in filings.items()
        ]
        if layout == "hub":
            write(folder / str(year) / "train.jsonl", rows[:1])
            write(folder / str(year) / "validate.jsonl", rows[1:])
        else:
            write(folder / f"{year}.{layout}", rows)
    return str(folder)


def edgar(tmp_path, truth=TRUTH, layout="hub", **documents):
    settings = {
        "source": "edgar_corpus",
        "sections": corpus(tmp_path / "corpus", layout),
        "ground_truth": write(tmp_path / "truth.csv", truth),
    }
    return complete(LEAST | {"questions": ASKED, "documents": settings | documents})


class TestEdgarCorpus:
    @needs_datasets
    @pytest.mark.parametrize("layout", ["hub", "jsonl", "parquet"])
    def test_sections_are_joined_with_answers(self, tmp_path, layout, caplog):
        config = edgar(tmp_path, layout=layout)
        document_source(config).check(config, packages=True)
        with caplog.at_level("INFO", logger="retrieval_heads"):
            frame = make_documents(config, 1).set_index("doc_id")
        assert frame["text"].to_dict() == SECTIONS
        assert frame["hq"].dropna().to_dict() == {"10_2019.htm": "Utah", "11_2019.htm": "Ohio", "10_2020.htm": "Texas"}
        for name, answer in frame["hq"].dropna().items():
            place = answers.locate(frame["text"][name], answer, "state", frame["hq_start"][name])
            assert place is not None
        assert set(frame["split"]) == {"train", "test"}
        assert set(frame["source"]) == {"edgar_corpus"}
        assert "2 of 6 filings have no section_1 in the corpus and are left out, such as 12_2020.htm" in caplog.text
        assert "hq: 1 answers are left out, as their document does not state them" in caplog.text

    @needs_datasets
    @pytest.mark.parametrize("layout", ["hub", "jsonl"])
    def test_years_are_chosen(self, tmp_path, layout):
        frame = make_documents(edgar(tmp_path, layout=layout, years=[2019]), 1)
        assert set(frame["doc_id"]) == {"10_2019.htm", "11_2019.htm"}

    @needs_datasets
    def test_another_section_and_split(self, tmp_path):
        truth = [row | {"part": part} for row, part in zip(TRUTH[:2], ["test", "train"], strict=True)]
        sections = tmp_path / "other"
        write(sections / "x.jsonl", [{"filename": f"{n}_2019.htm", "section_2": f"Number {n}."} for n in (10, 11)])
        config = edgar(tmp_path, truth, sections=str(sections), section="section_2", split="part")
        frame = make_documents(config, 1).set_index("doc_id")
        assert frame["text"].to_dict() == {"10_2019.htm": "Number 10.", "11_2019.htm": "Number 11."}
        assert frame["split"].to_dict() == {"10_2019.htm": "test", "11_2019.htm": "train"}

    def test_its_files_are_what_it_depends_on(self, tmp_path):
        config = edgar(tmp_path, years=[2020])
        assert [Path(file).relative_to(tmp_path).as_posix() for file in document_source(config).files(config)] == [
            "truth.csv",
            "corpus/2020/train.jsonl",
            "corpus/2020/validate.jsonl",
        ]
        remote = edgar(tmp_path, sections="hf://datasets/owner/name")
        assert document_source(remote).files(remote) == [remote["documents"]["ground_truth"]]

    def test_without_the_library_it_says_what_to_install(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "datasets", None)
        monkeypatch.setattr("retrieval_heads.data.documents.edgar_corpus.find_spec", lambda name: None)
        config = edgar(tmp_path)
        document_source(config).check(config, packages=False)  # jobs have an environment of their own
        with pytest.raises(
            StudyError, match=r"datasets, which is not installed; run pip install --no-deps -r requirements-edgar"
        ):
            document_source(config).check(config, packages=True)
        assert (ROOT / "requirements-edgar.txt").is_file()

    @pytest.mark.parametrize(
        ("documents", "sentence"),
        [
            ({"sections": "nowhere"}, "documents.sections: there is no folder nowhere; check the path."),
            ({"ground_truth": "no.csv"}, "documents.ground_truth: there is no file no.csv; check the path."),
            ({"file_name": "file"}, "documents.file_name: truth.csv has no column file; it has filename, hq."),
            ({"answers": {"hq": "state"}}, "documents.answers.hq: truth.csv has no column state; it has filename, hq."),
            ({"years": [2019, 1066]}, "documents.years: corpus has no file or folder called 1066; take it out."),
        ],
    )
    def test_bad_keys_are_named_before_any_work(self, tmp_path, documents, sentence):
        config = edgar(tmp_path, **documents)
        with pytest.raises(StudyError) as caught:
            document_source(config).check(config, packages=False)
        assert str(caught.value).replace(f"{tmp_path}/", "") == sentence

    def test_a_folder_without_sections_is_named(self, tmp_path):
        (tmp_path / "empty").mkdir()
        config = edgar(tmp_path, sections=str(tmp_path / "empty"))
        with pytest.raises(StudyError, match=r"^documents\.sections: .*empty holds no \.jsonl or \.parquet file"):
            document_source(config).check(config, packages=False)

    @needs_datasets
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"section": "section_99"}, r"there is no column section_99; it has filename, cik, year, section_1"),
            (
                {"truth": [{"filename": "x.htm", "hq": "Utah"}]},
                r"the corpus has a section_1 for none of its filings, such",
            ),
            ({"truth": TRUTH[:1]}, r"truth\.csv: no document is left for the train split"),
        ],
    )
    def test_what_does_not_fit_the_corpus_is_named(self, tmp_path, change, sentence):
        with pytest.raises(StudyError, match=sentence):
            make_documents(edgar(tmp_path, **change), 1)

    @needs_datasets
    @pytest.mark.parametrize("name", ["2019.jsonl", "2019.parquet"])
    def test_a_broken_file_is_named(self, tmp_path, name):
        config = edgar(tmp_path, layout=name.rpartition(".")[2])
        (tmp_path / "corpus" / name).write_bytes(b"{broken")
        with pytest.raises(StudyError, match=rf"{name}: .* cannot be read from this file; get it anew"):
            make_documents(config, 1)

    @needs_datasets
    def test_a_filing_that_is_there_twice_is_named(self, tmp_path):
        config = edgar(tmp_path)
        write(tmp_path / "corpus" / "2021" / "train.jsonl", [{"filename": "10_2019.htm", "section_1": "Again."}])
        with pytest.raises(StudyError, match=r"2021/train\.jsonl: 10_2019\.htm is in the corpus twice; remove one"):
            make_documents(config, 1)


class TestPassages:
    """A column that says which passage of the text states an answer."""

    TEXT = "In 1990 it had 80 people.\n  In 2020 it has  80 people in Ohio, and 12 in Utah."
    QUESTION = {"staff": QUESTIONS["staff"]}  # noqa: RUF012 - it is not changed

    def make(self, tmp_path, passage, ending="csv", **documents):
        rows = [
            {"name": "a", "body": self.TEXT, "staff": 80, "told": passage},
            {"name": "b", "body": "It has 7 people, and 7 cows.", "staff": 7, "told": None},
        ]
        file = write(tmp_path / f"mine.{ending}", rows)
        return study(self.QUESTION, file=file, answers={}, passages={"staff": "told"}, **documents)

    @pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
    @pytest.mark.parametrize(
        ("passage", "before"),
        [
            ("In 1990 it had 80 people", "In 1990 it had "),
            ("it has 80 people", "In 2020 it has  "),  # white space may differ
            ("In 2020 it has\n80", "In 2020 it has  "),
            (None, "In 1990 it had "),
        ],
    )
    def test_the_answer_is_looked_for_within_the_passage(self, tmp_path, ending, passage, before):
        config = self.make(tmp_path, passage, ending)
        document_source(config).check(config, packages=True)
        starts = make_documents(config, 1).set_index("doc_id")["staff_start"]
        assert starts["a"] == self.TEXT.index(before) + len(before)
        assert starts["b"] == 7

    @pytest.mark.parametrize(
        ("passage", "sentence"),
        [
            (
                "80 people",
                "the passage '80 people' stands in the text 2 times; give more of it.",
            ),
            ("80 persons", "the passage '80 persons' stands in the text nowhere; copy it from there."),
            ("and 12 in Utah", "the passage 'and 12 in Utah' does not state the answer 80; correct one."),
            # A part of a number is none.
            ("In 1990 it had 8", "the passage 'In 1990 it had 8' does not state the answer 80; correct one."),
        ],
    )
    def test_a_passage_that_does_not_fit_is_told_before_any_work(self, tmp_path, passage, sentence):
        config = self.make(tmp_path, passage)
        with pytest.raises(StudyError) as caught:
            document_source(config).check(config, packages=True)
        assert str(caught.value).replace(f"{tmp_path}/", "") == f"mine.csv: row 1, column told: {sentence}"

    def test_a_passage_without_an_answer_is_told(self, rows, tmp_path):
        rows = [row | {"told": "It has 80 people"} for row in rows]
        sentence = bad(tmp_path, rows, passages={"staff": "told"})
        assert sentence == "mine.csv: row 1, column told: a passage without an answer; give both or none."

    def test_a_column_that_is_not_there_is_told(self, rows, tmp_path):
        assert bad(tmp_path, rows, passages={"staff": "told"}).startswith("documents.passages.staff: mine.csv has no")

    @needs_datasets
    def test_a_table_of_true_answers_may_have_one_too(self, tmp_path):
        truth = [row | {"told": ""} for row in TRUTH]
        truth[0]["told"] = "Acme is in Utah"
        frame = make_documents(edgar(tmp_path, truth, passages={"hq": "told"}), 1).set_index("doc_id")
        assert frame["hq_start"]["10_2019.htm"] == SECTIONS["10_2019.htm"].index("Utah")
        truth[0]["told"] = "Acme is in Texas"
        with pytest.raises(
            StudyError, match=r"truth\.csv: row 1, column told: the passage 'Acme is in Texas' stands in"
        ):
            make_documents(edgar(tmp_path, truth, passages={"hq": "told"}), 1)


class TestTwins:
    """A column with the value that a document's twin states in place of its answer."""

    def test_the_values_are_those_of_the_column(self, rows, tmp_path):
        for row, other in zip(rows, ["CO", "", ""], strict=True):
            row["other"] = other
        frame = make_documents(study(file=write(tmp_path / "mine.csv", rows), twins={"hq": "other"}), 1)
        twins = frame.set_index("doc_id")["hq_twin"]
        assert twins["a"] == "Colorado"
        assert twins[["b", "c"]].isna().all()
        assert frame[["since_twin", "staff_twin", "founder_twin"]].isna().all(axis=None)

    @pytest.mark.parametrize(
        ("value", "sentence"),
        [
            ("blue", "the answer 'blue' holds no value of type state; give exactly one."),
            ("Ohio", "the twin 'Ohio' states the answer; give another value."),
        ],
    )
    def test_one_that_is_none_is_told_before_any_work(self, rows, tmp_path, value, sentence):
        rows[0]["other"] = value
        rows[1]["other"] = rows[2]["other"] = None
        assert bad(tmp_path, rows, twins={"hq": "other"}) == f"mine.csv: row 1, column other: {sentence}"

    def test_one_without_an_answer_is_told(self, rows, tmp_path):
        rows = [row | {"other": "1950"} for row in rows]
        sentence = bad(tmp_path, rows, twins={"since": "other"})
        assert sentence == "mine.csv: row 3, column other: a twin without an answer; give both or none."

    def test_a_question_that_is_not_asked_is_told(self):
        with pytest.raises(StudyError, match=r"^documents\.twins\.until: this config asks no such question"):
            study(file="x.csv", twins={"until": "other"})


# --- the tables that come along, or lie beside the clone -----------------------------------------------------------


def ready_made(name, file):
    config = complete(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()))
    config["documents"]["file"] = str(file)
    return config


def test_the_worked_example_states_every_answer():
    frame = make_documents(ready_made("own-data", ROOT / "resources" / "own_data" / "observatories.csv"), 1)
    assert frame["founder"].notna().all()
    assert list(frame["split"]) == ["train"] * 3 + ["test"] * 2


def test_the_worked_example_shows_its_config_and_what_is_refused(monkeypatch):
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "own_data.md").read_text()
    shown = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    assert shown == yaml.safe_load((ROOT / "config" / "own-data.yaml").read_text())
    shown["documents"]["text"] = "text"
    config = complete(shown)
    with pytest.raises(StudyError) as caught:
        document_source(config).check(config, packages=True)
    assert f"    {caught.value}\n" in page


@pytest.mark.skipif(not REAL.is_file(), reason="the excerpts, ../shared/real10k, are not there")
def test_twenty_real_excerpts_become_documents():
    frame = make_documents(ready_made("real10k", REAL), 1)
    assert frame["split"].value_counts().to_dict() == {"train": 12, "test": 8}
    told = pd.read_csv(REAL, dtype=str).set_index("doc_id").loc[frame["doc_id"]]
    for question, asked in ready_made("real10k", REAL)["questions"].items():
        # Every label of these excerpts is stated in them, in whatever way of writing.
        assert frame[question].tolist() == told[question].where(told[question].notna(), None).tolist()
        for row in frame[frame[question].notna()].to_dict("records"):
            assert answers.locate(row["text"], row[question], asked["type"], row[f"{question}_start"])
