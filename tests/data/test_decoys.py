"""Decoys: the haystack says of another company, in the document's own words, what the document says of its own."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from planted import planted_tokenizer
from projects import ROOT
from retrieval_heads import tables
from retrieval_heads.data.answers import find_values, judge
from retrieval_heads.data.documents import document_source, make_documents
from retrieval_heads.data.documents.generator import load_templates
from retrieval_heads.data.encoding import decode
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import NO_ANSWER, NO_ROOM_FOR_DECOYS, OK
from retrieval_heads.data.wordings import content_words
from retrieval_heads.errors import StudyError
from retrieval_heads.preflight import check_surroundings
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.variants import asked_questions, prompt_settings
from retrieval_heads.tables.prompts import PROMPTS

CONFIG = read_yaml(ROOT / "config" / "config.yaml", "")
CONFIG["documents"] |= {"templates": str(ROOT / "resources" / "documents"), "train": 4, "test": 8, "missing_rate": 0.1}
CONFIG["prompts"]["variants"] = {"plain": {}, "decoy": {"decoy": True}}
CONFIG = complete(CONFIG)
FACTS = load_templates(CONFIG["documents"]["templates"]).facts
TYPES = {key: question["type"] for key, question in CONFIG["questions"].items()}


@pytest.fixture(scope="module")
def decoy():
    return document_source(CONFIG).decoys(CONFIG)


@pytest.fixture(scope="module")
def documents():
    return make_documents(CONFIG, 1)


@pytest.fixture(scope="module")
def built(documents, decoy):
    """The prompts of both variants, at two depths, and the tokenizer."""
    hay = load_haystack(ROOT / "resources" / "haystack")
    asked = " ".join(f"{q['text']}{q['answer_prefix']}" for q in CONFIG["questions"].values())
    tokenizer = planted_tokenizer(" ".join([hay, *documents["text"], asked, "states: Question: N/A Answer:"]))
    made = {}
    for variant in ("plain", "decoy"):
        settings = prompt_settings(CONFIG, variant) | {"depths": [0.0, 0.4]}
        builder = Builder(
            *("small", tokenizer, hay, asked_questions(CONFIG, variant), settings, 1024, 1, variant),
            decoy if variant == "decoy" else None,
        )
        made[variant] = builder.build(documents)
    return made, tokenizer


@pytest.mark.parametrize("wording", [(fact, wording) for fact in FACTS for wording in FACTS[fact]], ids=str)
def test_every_wording_says_the_same_of_another_company(decoy, wording):
    fact, template = wording
    answer = {"state": "Ohio", "year": "1950", "count": "4,821"}[TYPES[fact]]
    own = {"company": "Harlow Bay Plastics, Inc.", "short": "Harlow Bay", "hq_city": "Salem", "answer": answer}
    sentence = template
    for slot, value in own.items():
        sentence = sentence.replace(f"{{{slot}}}", value)
    told = decoy("Harlow Bay makes gauges.", sentence, np.random.default_rng(0))
    assert "Harlow Bay" not in told and "company" not in told.replace("Company", "").lower().split()
    assert [value.value for value in find_values(told, TYPES[fact])] == [
        value.value for value in find_values(sentence, TYPES[fact])
    ]
    # All words but for those that name who it is about.
    about = {"company", "registrant", "harlow", "bay", "plastics", "inc"}
    assert set(content_words(sentence)) - about <= set(content_words(told))


def test_one_generator_draws_one_company(decoy):
    names = {decoy("", "The company was incorporated.", np.random.default_rng(3)) for _ in range(3)}
    others = {decoy("", "The company was incorporated.", np.random.default_rng(seed)) for seed in range(20)}
    assert len(names) == 1 and len(others) > 10


def test_the_paragraph_states_another_value_at_the_recorded_place(built, tmp_path):
    made, tokenizer = built
    tables.write(made["decoy"], tmp_path / "prompts.parquet", PROMPTS)
    used = made["decoy"][made["decoy"]["status"] == OK]
    assert len(used) > 60
    for row in used.itertuples():
        stated = decode(tokenizer, list(row.input_ids[row.decoy_start : row.decoy_end])).strip()
        assert judge(stated, row.decoy_answer, TYPES[row.question]).correct
        assert row.decoy_answer not in (row.answer, row.twin_answer)
        # It stands outside the needle, and in no other place of the context but there.
        assert row.decoy_end <= row.needle_start or row.decoy_start >= row.needle_end
        needle = decode(tokenizer, list(row.input_ids[row.needle_start : row.needle_end]))
        assert judge(needle, row.decoy_answer, TYPES[row.question]).outcome != "correct"
        if row.no_needle_ids is not None:
            haystack = decode(tokenizer, list(row.no_needle_ids[: row.suffix_start]))
            assert decode(tokenizer, list(row.input_ids[row.decoy_start - 6 : row.decoy_end])) in haystack


def test_all_else_is_what_it_is_in_the_plain_variant(built):
    made, _ = built
    both = made["decoy"][made["decoy"]["status"] == OK].merge(made["plain"], on="prompt_id", suffixes=("", "_plain"))
    for row in both.itertuples():
        assert len(row.input_ids) == len(row.input_ids_plain)
        changed = [i for i, (a, b) in enumerate(zip(row.input_ids, row.input_ids_plain, strict=True)) if a != b]
        assert changed and max(changed) < row.suffix_start
        assert max(changed) < row.needle_start or min(changed) >= row.needle_end
        assert row.needle_start == row.needle_start_plain and row.answer_start == row.answer_start_plain
    plain = made["plain"]
    assert plain[["decoy_start", "decoy_end", "decoy_answer"]].isna().all(axis=None)


def test_facts_of_one_document_are_stated_of_one_company_side_by_side(built):
    made, _ = built
    used = made["decoy"][(made["decoy"]["status"] == OK) & (made["decoy"]["depth"] == 0.4)]
    for _, rows in used.groupby("doc_id"):
        places = sorted(zip(rows["decoy_start"], rows["decoy_end"], strict=True))
        assert all(end < start and start - end < 40 for (_, end), (start, _) in pairwise(places))


def test_what_does_not_fit_is_left_out_with_its_reason(documents, decoy):
    hay = load_haystack(ROOT / "resources" / "haystack")
    tokenizer = planted_tokenizer(" ".join([hay, *documents["text"]]))
    settings = prompt_settings(CONFIG, "decoy")
    # Digits and names of the decoy are spelt in pieces here, so that it is longer than a needle leaves room for.
    prompts = Builder(
        *("small", tokenizer, hay, asked_questions(CONFIG, "decoy"), settings, 400, 1, "decoy"), decoy
    ).build(documents)
    assert NO_ROOM_FOR_DECOYS in set(prompts["status"])
    assert prompts.loc[prompts["status"] == NO_ROOM_FOR_DECOYS, "input_ids"].isna().all()
    assert set(prompts["status"]) <= {OK, NO_ROOM_FOR_DECOYS, NO_ANSWER, "the document does not fit into the context"}


@pytest.mark.parametrize(
    ("generated", "outcome"),
    [(" Texas.", "decoy"), (" Ohio, not Texas", "correct"), (" Texas, not Ohio", "decoy"), (" Iowa", "distractor")],
)
def test_an_answer_by_the_decoys_value_is_wrong_and_told_apart(generated, outcome):
    found = judge(generated, "Ohio", "state", "It left Iowa for Ohio.", "Texas")
    assert found.outcome == outcome and found.correct == (outcome == "correct")


def test_a_source_without_decoys_is_refused(tmp_path):
    file = tmp_path / "documents.csv"
    pd.DataFrame({"text": ["It is in Ohio."] * 4, "hq_state": ["Ohio"] * 4}).to_csv(file, index=False)
    config = read_yaml(ROOT / "config" / "config.yaml", "")
    config["documents"] = {"source": "file", "file": str(file)}
    config["questions"] = {"hq_state": config["questions"]["hq_state"]}
    config |= {"yardstick": None, "controls": {}, "results": str(tmp_path)}
    for one in config["ablation"]["interventions"].values():
        one.pop("documents", None)
    config["methods"] = {"wu24": {}}
    config["ablation"]["methods"] = ["wu24"]
    config["prompts"] |= {
        "variants": {"plain": {}, "decoy": {"decoy": True}},
        "haystack": str(ROOT / "resources/haystack"),
    }
    with pytest.raises(StudyError, match=r"^prompts\.variants\.decoy\.decoy: documents of source file have no decoys"):
        check_surroundings(complete(config))
