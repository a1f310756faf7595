"""Exported rankings: their three forms, and the way back."""

import csv
import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_tables import make_scores
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.exchange import exports, external_lists
from retrieval_heads.exchange.exports import export_rankings


def scores_of(by_head, question="place", **of):
    """The scores table from (layer, head) → score of each prompt, for all heads of a grid; prompts last first."""
    layers, heads = (max(numbers) + 1 for numbers in zip(*by_head, strict=True))
    by_prompt = np.array([by_head[head] for head in sorted(by_head)]).T.reshape(-1, layers, heads)
    prompts = {f"p{number}": scores for number, scores in enumerate(by_prompt)}
    return make_scores(dict(reversed(prompts.items())), question=question, **of)


SCORES_OF_HEADS = {(0, 0): [0.0, 0.5], (0, 1): [0.125, 0.25], (1, 0): [1.0, 0.5], (1, 1): [0.1875, 0.1875]}


def export(scores, folder):
    """Export in two parts what is ranked in one."""
    rankings = rank_heads([scores])
    export_rankings(rankings, [scores[:1], scores[1:]], folder)
    return rankings


@pytest.fixture
def exported(tmp_path):
    export(scores_of(SCORES_OF_HEADS), tmp_path / "512")
    return tmp_path / "512" / "wu24"


def test_json_lists_the_scores_of_all_heads_prompt_by_prompt(exported):
    text = (exported / "place.json").read_text()
    assert text == '{"0-0": [0.0, 0.5], "0-1": [0.125, 0.25], "1-0": [1.0, 0.5], "1-1": [0.1875, 0.1875]}\n'


def test_csv_is_the_ranking(exported):
    rows = list(csv.reader((exported / "place.csv").open()))
    assert rows[0] == ["rank", "last", "layer", "head", "score", "n_samples", "score_sd"]
    # Two heads with a mean of 0.1875 share places 3 and 4.
    assert [row[:4] for row in rows[1:]] == [
        ["1.0", "1", "1", "0"],
        ["2.0", "2", "0", "0"],
        ["3.5", "4", "0", "1"],
        ["3.5", "4", "1", "1"],
    ]
    assert [float(row[4]) for row in rows[1:]] == [0.75, 0.25, 0.1875, 0.1875]
    assert {row[5] for row in rows[1:]} == {"2"}


def test_the_plain_list_has_a_place_in_each_line_the_first_first(exported):
    assert (exported / "place.txt").read_text() == "1-0\n0-0\n0-1 1-1\n"


def test_each_method_and_question_has_its_own_scores(tmp_path):
    cells = [("wu24", "place", 0.125), ("wu24", "year", 0.25), ("qrhead", "place", 0.5)]
    scores = pd.concat([scores_of({(0, 0): [score]}, method=m, question=q) for m, q, score in cells])
    export(scores, tmp_path / "512")
    for method, question, score in cells:
        assert json.loads((tmp_path / "512" / method / f"{question}.json").read_text()) == {"0-0": [score]}
    assert len(list((tmp_path / "512").rglob("*.*"))) == 9


def test_without_scores_of_prompts_a_head_has_its_score(tmp_path):
    rankings = rank_heads([scores_of(SCORES_OF_HEADS)])
    export_rankings(rankings, [], tmp_path / "512")
    written = json.loads((tmp_path / "512" / "wu24" / "place.json").read_text())
    assert written == {"0-0": 0.25, "0-1": 0.1875, "1-0": 0.75, "1-1": 0.1875}


def test_a_model_without_rankings_has_an_empty_folder(tmp_path):
    export(make_scores({}), tmp_path / "512")
    assert list((tmp_path / "512").iterdir()) == []


def test_a_folder_is_made_whole_or_not_at_all(tmp_path, monkeypatch, exported):
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    scores = scores_of({(0, 0): [1.0]})

    def fail(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(exports.json, "dumps", fail)
        with pytest.raises(ZeroDivisionError):
            export(scores, tmp_path / "512")
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
    export(scores, tmp_path / "512")
    assert (exported / "place.txt").read_text() == "0-0\n"
    assert [path.name for path in tmp_path.iterdir()] == ["512"]


@st.composite
def by_heads(draw):
    """(layer, head) → one score a prompt."""
    prompts, layers, heads = (draw(st.integers(1, 4)) for _ in range(3))
    lists = st.lists(st.floats(-1, 1, width=32), min_size=prompts, max_size=prompts)
    return {head: draw(lists) for head in product(range(layers), range(heads))}


@settings(max_examples=40)
@given(by_heads())
def test_what_is_exported_and_imported_is_the_same_ranking(tmp_path_factory, by_head):
    folder = tmp_path_factory.mktemp("export") / "512"
    ranking = export(scores_of(by_head), folder)
    read = external_lists.read_list(folder / "wu24" / "place.json")
    assert read == by_head
    again = external_lists.rank_list(read)
    columns = ["layer", "head", "score", "rank", "last", "n_samples"]
    pd.testing.assert_frame_equal(again[columns], ranking[columns])
    lines = (folder / "wu24" / "place.txt").read_text().splitlines()
    assert [[tuple(map(int, name.split("-"))) for name in line.split(" ")] for line in lines] == [
        list(zip(heads["layer"], heads["head"], strict=True)) for _, heads in ranking.groupby("last")
    ]
