"""What the findings say of noise: choices that rounding may turn, and top sets that end within noise."""

from made_tables import SMALL, make_close_calls, make_cuts, small_tables
from plain_sentences import faults
from retrieval_heads.findings.sections.blocks import Items, Paragraph, TableBlock
from retrieval_heads.findings.sections.heads import dominance
from retrieval_heads.findings.sections.setup import data

CHOICES = 2 * (2 + 3 + 1) * 100  # two lengths; training and test answers, three methods, one intervention


def told(calls):
    blocks = data(SMALL, {**small_tables(), "close_calls": calls}).blocks
    sentences = [block.text for block in blocks if isinstance(block, Paragraph) and "hang on choices" in block.text]
    lists = [block.texts for block in blocks if isinstance(block, Items)]
    return sentences, lists


def test_that_no_choice_is_close_is_said_shortly():
    sentences, lists = told(make_close_calls(SMALL))
    assert sentences == [
        f"Of {CHOICES:,} answers and scores that hang on choices, none is decided within numerical noise (0.0001 in ln "
        "of a probability)."
    ]
    assert lists == []


def test_close_choices_are_counted_by_what_was_chosen():
    (sentence,), (items,) = told(make_close_calls(SMALL, close=3))
    assert sentence.startswith(f"Of {CHOICES:,} answers and scores that hang on choices, 36 are decided within ")
    assert faults(sentence) == []
    assert items == [
        "6 of 200 answers with heads ablated (zero, all tokens)",
        "6 of 200 answers to training prompts",
        "6 of 200 scores by QRHead",
        "6 of 200 scores by Summed attention",
        "6 of 200 scores by Wu24",
        "6 of 200 answers of the whole model to test prompts",
    ]


def test_a_single_close_choice_is_the_only_one_told():
    calls = make_close_calls(SMALL)
    first = calls.index[calls["method"] == "wu24"][0]
    calls.loc[first, "close"] = 1
    (sentence,), (items,) = told(calls)
    assert ", 1 is decided within numerical noise" in sentence
    assert items == ["1 of 200 scores by Wu24"]


def ends(cuts):
    """Of each method, how many top sets end within numerical and sampling noise."""
    blocks = dominance(SMALL, {**small_tables(), "cuts": cuts}).blocks
    (shown,) = [block for block in blocks if isinstance(block, TableBlock)]
    assert shown.header[-2:] == ["Ends in numerical noise", "In sampling noise"]
    return {row[shown.header.index("Method")]: tuple(row[-2:]) for row in shown.rows}


def test_top_sets_that_end_within_noise_are_counted_for_each_method():
    rankings = small_tables()["rankings"]
    clear = make_cuts(SMALL, rankings)
    number = len(clear) // 3
    assert set(ends(clear).values()) == {(f"0 of {number}", f"0 of {number}")}
    near = clear.copy()
    first = near.index[near["method"] == "wu24"][:2]
    near.loc[first, "gap_low"] = -0.1
    near.loc[first[0], "gap"] = 0.0
    assert ends(near)["Wu24"] == (f"1 of {number}", f"2 of {number}")
    assert ends(near)["QRHead"] == (f"0 of {number}", f"0 of {number}")


def test_without_scores_of_prompts_nothing_is_said_of_noise():
    made = {name: table for name, table in small_tables().items() if name not in ("cuts", "close_calls")}
    (shown,) = [block for block in dominance(SMALL, made).blocks if isinstance(block, TableBlock)]
    assert shown.header[-1] == "Rankings"
    assert not any("noise" in block.text for block in data(SMALL, made).blocks if isinstance(block, Paragraph))
