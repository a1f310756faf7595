"""What is made of looks: means computed by hand, and tests that find nothing where there is nothing."""

import numpy as np
import pandas as pd
import pytest

from made_effects import rankings_of
from retrieval_heads import tables
from retrieval_heads.analysis.looks import summarise_looks
from retrieval_heads.tables.look_sets import LOOK_SETS
from retrieval_heads.tables.look_summary import LOOK_SUMMARY
from retrieval_heads.tables.looks import LOOKS, SHARES

CELL = {"model": "m", "context_length": 512, "variant": "plain", "depth": 0.5, "layers": 2, "heads": 2}
RANKINGS = rankings_of({("first", "q"): [4, 3, 0, 0], ("last", "q"): [0, 0, 4, 3]})


def looks_of(*prompts):
    """The looks table, from (document, correct, shares) of each prompt; a share that is not given is 0."""
    rows = [
        {
            **CELL,
            **{"prompt_id": str(number), "doc_id": document, "question": "q", "correct": correct, "rows": 4},
            **{name: np.array(shares.get(name, [0, 0, 0, 0]), np.float32) for name in SHARES},
        }
        for number, (document, correct, shares) in enumerate(prompts)
    ]
    return pd.DataFrame(rows, columns=LOOKS.columns)


def test_means_are_over_prompts_then_documents_of_right_answers(tmp_path):
    looks = looks_of(
        ("a", True, {"sink": [1.0, 0.5, 0, 0], "at_answer": [0, 0.5, 0, 0.2], "answer_chance": [0, 0.25, 0, 0.1]}),
        ("a", True, {"sink": [0.5, 0.5, 0, 0], "at_answer": [0, 0.5, 0, 0.2], "answer_chance": [0, 0.25, 0, 0.1]}),
        ("b", True, {"sink": [0.0, 0.0, 1, 1], "elsewhere": [0, 0.5, 0, 0.4]}),
        ("b", False, {"sink": [1, 1, 1, 1]}),
    )
    found = summarise_looks(looks, RANKINGS, 2, 1, 100)
    tables.write(found.look_summary, tmp_path / "look_summary.parquet", LOOK_SUMMARY)
    tables.write(found.look_sets, tmp_path / "look_sets.parquet", LOOK_SETS)
    heads = found.look_summary
    assert heads["sink"].tolist() == [0.375, 0.25, 0.5, 0.5]
    assert heads["at_answer"].tolist() == pytest.approx([0, 0.25, 0, 0.1])
    assert heads["beyond_chance"].tolist() == pytest.approx([0, 0.125, 0, 0.05])
    assert heads["prompts"].tolist() == [3] * 4 and heads["documents"].tolist() == [2] * 4
    sets = found.look_sets
    assert sets["method"].isna().tolist() == [True, False, False]
    every, first, _ = sets.to_dict("records")
    assert every["sink"] == pytest.approx(np.mean([0.375, 0.25, 0.5, 0.5])) and every["size"] == 4
    assert first["sink"] == pytest.approx((0.375 + 0.25) / 2) and first["size"] == 2
    # Of hits, 0.25 of the rows in document a and 0.25 in b, all of a's at the answer, half of those by chance.
    assert first["beyond_share"] == pytest.approx(0.0625 / 0.25)
    assert first["more_sink"] == pytest.approx((0.375 + 0.25) / 2 - 0.5)


def test_a_set_without_hits_or_others_has_no_test(tmp_path):
    looks = looks_of(*[(document, True, {"sink": [0.5] * 4}) for document in "abcdefg"])
    sets = summarise_looks(looks, rankings_of({("all", "q"): [4, 3, 2, 1]}), 4, 1, 100).look_sets
    tables.write(sets, tmp_path / "look_sets.parquet", LOOK_SETS)
    assert sets.loc[1, ["beyond_share", "beyond_share_p", "more_sink", "more_sink_p_family"]].isna().all()


def test_no_right_answer_gives_empty_tables(tmp_path):
    found = summarise_looks(looks_of(("a", False, {})), RANKINGS, 2, 1, 100)
    tables.write(found.look_summary, tmp_path / "look_summary.parquet", LOOK_SUMMARY)
    tables.write(found.look_sets, tmp_path / "look_sets.parquet", LOOK_SETS)
    assert found.look_sets.empty and found.look_summary.empty


def simulated(share, seed, documents=10):
    """Looks of heads that hit in 8 of 10 rows, with this share at the answer; by their tokens alone it would be 0.5."""
    rng = np.random.default_rng(seed)
    made = []
    for document in range(documents):
        at_answer = rng.binomial(8, share, size=4) / 10
        shares = {"at_answer": at_answer, "elsewhere": 0.8 - at_answer, "answer_chance": [0.4] * 4}
        made.append((f"d{document}", True, shares | {"sink": rng.uniform(0, 0.2, size=4)}))
    return summarise_looks(looks_of(*made), RANKINGS, 2, 1, 100)


@pytest.mark.thorough
def test_heads_that_look_for_the_token_alone_are_found_as_often_as_alpha():
    found = [simulated(0.5, seed) for seed in range(300)]
    of_heads = np.mean([(one.look_summary["p_family"] < 0.05).any() for one in found])
    of_sets = np.mean([(one.look_sets["beyond_share_p_family"] < 0.05).any() for one in found])
    sinks = np.mean([(one.look_sets["more_sink_p_family"] < 0.05).any() for one in found])
    # 300 draws of 0.05 lie below 0.09 but in 1 of 500.
    assert max(of_heads, of_sets, sinks) < 0.09


def test_heads_that_look_for_the_answer_are_found():
    found = simulated(0.9, 1)
    assert (found.look_summary["p_family"] < 0.05).all()
    top = found.look_sets.dropna(subset="method")
    assert (top["beyond_share_p_family"] < 0.05).all() and (top["beyond_share"] > 0.3).all()
