import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrieval_heads import tables
from retrieval_heads.data import answers
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.documents.generator import FACTS, load_templates
from retrieval_heads.errors import StudyError
from retrieval_heads.tables.documents import documents_table

TEMPLATES = Path(__file__).parents[2] / "resources" / "documents"


def study(**documents):
    plain = {"missing_rate": 0.0, "variety": 9, "distractors": 0.0}
    defaults = {"source": "generator", "train": 4, "test": 3, "templates": str(TEMPLATES), **plain}
    questions = {fact: {"type": type} for fact, type in FACTS.items()}
    return {"documents": defaults | documents, "questions": questions}


def stated(frame, fact):
    return frame[frame[fact].notna()]


def values(text, type):
    return [value.value for value in answers.find_values(text, type)]


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1), st.integers(1, 9))
@settings(max_examples=30)
@example(3823, 0.0, 1.0, 1)  # where a distractor's year could be the number of employees
def test_every_answer_is_found_where_the_table_says(seed, missing_rate, distractors, variety):
    frame = make_documents(study(missing_rate=missing_rate, distractors=distractors, variety=variety), seed)
    for fact, type in FACTS.items():
        for row in stated(frame, fact).to_dict("records"):
            answer, start = row[fact], row[f"{fact}_start"]
            found = answers.locate(row["text"], answer, type, start)
            assert found is not None
            assert (
                answers.canonical(row["text"][found.start : found.end], type)
                == answer
                == answers.canonical(answer, type)
            )
            # A fact is said once, and no distractor says the same.
            assert values(row["text"], type).count(answer) == 1


@given(st.integers(0, 10_000), st.floats(0, 1))
@settings(max_examples=30)
def test_without_distractors_only_the_facts_are_values(seed, missing_rate):
    frame = make_documents(study(missing_rate=missing_rate, distractors=0), seed)
    for row in frame.to_dict("records"):
        facts = {fact: row[fact] for fact in FACTS if pd.notna(row[fact])}
        assert set(values(row["text"], "state")) == {v for f, v in facts.items() if FACTS[f] == "state"}
        assert set(values(row["text"], "year")) == {v for f, v in facts.items() if FACTS[f] == "year"}
        # A year that no word tells to be one, as in "dates from 1987", may be a count too.
        counts = set(values(row["text"], "count"))
        assert counts - {facts.get("inc_year")} == {v for f, v in facts.items() if FACTS[f] == "count"}


def test_distractors_come_with_their_density():
    found = {}
    for density in (0.0, 0.3, 1.0):
        frame = make_documents(study(train=60, test=0, missing_rate=1, distractors=density), 1)
        found[density] = {
            type: sum(len(values(t, type)) for t in frame["text"]) / 60 for type in ("state", "year", "count")
        }
    for type in found[0.0]:
        assert found[0.0][type] == 0
        assert 0.5 < found[0.3][type] < 2.5
        assert found[1.0][type] >= 4


def test_a_setting_changes_no_more_than_it_says():
    plain, hard, other = (
        make_documents(study(missing_rate=0.3, **options), 1)
        for options in ({"distractors": 0}, {"distractors": 1}, {"distractors": 0, "variety": 1})
    )
    for fact in FACTS:
        assert plain[fact].equals(hard[fact])
        assert plain[fact].equals(other[fact])


@pytest.mark.parametrize("distractors", [0, 0.3, 1])
@pytest.mark.parametrize("missing_rate", [0, 1])
def test_documents_are_150_to_500_tokens_long(distractors, missing_rate):
    frame = make_documents(study(train=150, test=0, missing_rate=missing_rate, distractors=distractors), 2)
    words = frame["text"].str.split().str.len()
    # Measured on 7,500 documents with the default model's tokenizer: 1.17 to 1.59 tokens a word.
    assert words.min() * 1.17 >= 150
    assert words.max() * 1.6 <= 500


def test_companies_are_told_apart():
    frame = make_documents(study(train=400, test=400, missing_rate=1), 3)
    names = frame["text"].str.extract(r"((?:[A-Z]\w+ ){2})", expand=False)
    assert frame["text"].is_unique
    assert frame["text"].str.startswith("Item 1. Business\n\n").all()
    assert names.notna().all()
    vocabulary = load_templates(TEMPLATES).vocabulary
    name = re.compile(f"(?:{'|'.join(vocabulary['first'])}) (?:{'|'.join(vocabulary['second'])}) ")
    assert frame["text"].map(lambda text: name.search(text)[0]).is_unique
    assert not any(values(word, "state") for key in ("first", "second", "cities") for word in vocabulary[key])


def test_states_of_incorporation_and_headquarters_differ():
    frame = make_documents(study(train=200, test=0), 4)
    assert (frame["inc_state"] != frame["hq_state"]).all()
    assert frame["inc_state"].nunique() > 40


def test_facts_come_in_varying_order():
    frame = make_documents(study(train=60, test=0), 5)
    starts = frame[[f"{fact}_start" for fact in FACTS]]
    assert len({tuple(row.argsort()) for row in starts.to_numpy(int)}) > 10


def test_seeds_and_further_documents():
    frame = make_documents(study(missing_rate=0.2, distractors=0.3), 1)
    assert frame.equals(make_documents(study(missing_rate=0.2, distractors=0.3), 1))
    assert not (frame["text"] == make_documents(study(missing_rate=0.2, distractors=0.3), 2)["text"]).any()
    more = make_documents(study(missing_rate=0.2, distractors=0.3, train=9, test=8), 1)
    assert frame.equals(more[more["doc_id"].isin(frame["doc_id"])].reset_index(drop=True))
    fewer = study(missing_rate=0.2, distractors=0.3)
    del fewer["questions"]["inc_year"]
    assert frame.drop(columns=["inc_year", "inc_year_start", "inc_year_twin"]).equals(make_documents(fewer, 1))


def test_missing_facts():
    frame = make_documents(study(train=300, test=0, missing_rate=0.1), 6)
    for fact in FACTS:
        assert 0.03 < frame[fact].isna().mean() < 0.2
        assert (frame[fact].isna() == frame[f"{fact}_start"].isna()).all()
    nothing = make_documents(study(missing_rate=1, distractors=1), 6)
    assert nothing[[*FACTS, *(f"{fact}_start" for fact in FACTS)]].isna().all(axis=None)


def test_the_table_fits_its_schema(tmp_path):
    frame = make_documents(study(missing_rate=0.3), 7)
    assert list(frame["doc_id"]) == [f"train-000{i}" for i in (1, 2, 3, 4)] + [f"test-000{i}" for i in (1, 2, 3)]
    assert set(frame["source"]) == {"generator"}
    table = documents_table(FACTS)
    tables.write(frame, tmp_path / "documents.parquet", table)
    again = tables.read(tmp_path / "documents.parquet", table)
    assert again["text"].tolist() == frame["text"].tolist()
    assert (again["inc_year_start"].fillna(-1) == frame["inc_year_start"].fillna(-1)).all()
    tables.write(make_documents(study(missing_rate=1), 7), tmp_path / "nulls.parquet", table)


PLAINEST = {
    "inc_state": "The company was incorporated under the laws of the state of {}.",
    "inc_year": "The company was first incorporated in the year {}.",
    "employee_count": "The total number of people whom the company employs is {}.",
    "hq_state": "The headquarters of the company are located in {}.",
}


def test_variety_one_is_the_plainest_phrasing():
    for row in make_documents(study(variety=1), 8).to_dict("records"):
        for fact, type in FACTS.items():
            surface = f"{int(row[fact]):,}" if type == "count" else row[fact]
            assert PLAINEST[fact].format(surface) in row["text"]


def test_every_fact_is_said_in_at_least_six_ways():
    facts = load_templates(TEMPLATES).facts
    assert set(facts) == set(FACTS)
    assert all(len(set(phrasings)) >= 6 for phrasings in facts.values())


@pytest.mark.parametrize("variety", [1, 2, 4, 9])
def test_variety_is_the_number_of_phrasings_used(tmp_path, variety):
    folder = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    ways = ["Plain", "Plainer", "Fancy", "Fancier"]
    phrasings = {fact: [f"{way} {{answer}} {fact}." for way in ways] for fact in FACTS}
    (folder / "facts.yaml").write_text(yaml.safe_dump(phrasings))
    text = " ".join(make_documents(study(train=60, test=0, templates=str(folder), variety=variety), 9)["text"])
    for fact in FACTS:
        assert set(re.findall(rf"\b({'|'.join(ways)}) [^.]* {fact}\.", text)) == set(ways[:variety])


def test_fillers_are_many():
    fillers = load_templates(TEMPLATES).fillers
    sentences = [sentence for topic in fillers.values() for sentence in topic]
    assert len(set(sentences)) == len(sentences) >= 60


def test_a_question_that_the_documents_do_not_answer():
    config = study()
    config["questions"]["ceo"] = {"type": "text"}
    with pytest.raises(StudyError, match=r"questions\.ceo"):
        make_documents(config, 1)
    config = study()
    config["questions"]["inc_year"]["type"] = "count"
    with pytest.raises(StudyError, match=r"questions\.inc_year"):
        make_documents(config, 1)


def test_an_unknown_source():
    with pytest.raises(StudyError, match=r"documents\.source"):
        make_documents(study(source="oracle"), 1)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("facts.yaml", None),
        ("facts.yaml", "inc_state: ["),
        ("facts.yaml", "- a list"),
        ("facts.yaml", "inc_state: [In {answer}.]"),
        ("facts.yaml", "inc_state: [No answer.]"),
        ("fillers.yaml", "introduction: [In {state} it is.]\nproducts: [Good.]"),
        ("fillers.yaml", "products: [Good.]"),
        ("distractors.yaml", "plant: 7"),
        ("vocabulary.yaml", "first: [Adler]"),
        ("vocabulary.yaml", "{first: [A], second: [B], endings: [C], cities: [D], industries: {Toys: {product: [E]}}}"),
    ],
)
def test_bad_templates_are_named(tmp_path, file, text):
    folder = Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(StudyError, match=file):
        make_documents(study(templates=str(folder)), 1)
