"""What the findings say of single heads is what the tables hold."""

import dataclasses

import pytest

from made_tables import (
    SMALL,
    analyse,
    make_ablation,
    make_effects,
    make_labels,
    make_rankings,
    make_study,
    small_tables,
)
from plain_sentences import faults
from retrieval_heads.analysis.head_effects import strongest, summarise_effects
from retrieval_heads.findings.sections.blocks import Paragraph, TableBlock
from retrieval_heads.findings.sections.yardstick import every_head
from retrieval_heads.tables.heads import head_name


def said(study=SMALL, **changed):
    section = every_head(study, {**small_tables(), **changed})
    text = " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))
    assert not faults(text)
    return text, {block.name: block for block in section.blocks if isinstance(block, TableBlock)}


def test_the_strongest_heads_come_with_their_labels():
    text, shown = said()
    summary, labels = (small_tables()[name] for name in ("head_effect_summary", "labels"))
    first = strongest(summary[summary["context_length"] == 512], 12)
    block = shown["strongest_heads"]
    assert block.header == ["Context", "Head", "Effect", "Best rank", "Induction", "Sink", "Group", "‖W_O z‖"]
    lines = [line for line in block.rows if line[0] == "512 tokens"]
    assert [line[1] for line in lines] == [head_name(row.layer, row.head) for row in first.itertuples()]
    for line, row in zip(lines, first.itertuples(), strict=True):
        label = labels[(labels["layer"] == row.layer) & (labels["head"] == row.head)].iloc[0]
        assert line[2] == f"{row.effect:.2f} [{row.effect_low:.2f}, {row.effect_high:.2f}]".replace("-", "−")
        assert line[4] == f"{label['induction']:.2f}" and line[6] == str(label["key_value_group"])
    head = first.iloc[0]
    assert f"over 16 prompts about 4 documents, {head_name(head['layer'], head['head'])} has the largest effect" in text


@pytest.mark.thorough
def test_several_modes_are_told_apart():
    study = make_study()
    study.config["yardstick"]["modes"] = ["zero", "uniform"]
    tables = analyse(study, make_rankings(study), make_ablation(study, 3))
    text, shown = said(study, **tables)
    assert "In small at 512 tokens (zero)" in text and "In small at 512 tokens (uniform)" in text
    assert {line[1] for line in shown["strongest_heads"].rows} == {"zero", "uniform"}


def test_induction_heads_are_named_by_strength():
    labels = make_labels(small_tables()["rankings"]).assign(induction=0.0, is_induction=False, sink_share=0.1)
    text, _ = said(labels=labels)
    assert "Of the 80 heads of small, 0 are induction heads." in text and "Of all heads, 0 rest" in text
    labels.loc[[3, 9], ["induction", "is_induction"]] = [[0.4, True], [0.9, True]]
    text, _ = said(labels=labels)
    assert "2 are induction heads (L1H1 and L0H3). Such a head gives at least 0.3 of its attention" in text


def test_an_architecture_whose_heads_cannot_be_told_apart_is_said():
    text, shown = said(labels=make_labels(small_tables()["rankings"], written=False))
    assert "How much the heads of small write is not known" in text
    assert {line[-1] for line in shown["strongest_heads"].rows} == {""}
    assert "is not known" not in said()[0]


def test_one_document_gives_no_interval():
    effects = make_effects(SMALL, small_tables()["rankings"], documents=1)
    text, shown = said(head_effects=effects, head_effect_summary=summarise_effects(effects, 1, 200))
    assert "about 1 document," in text and "the interval of" not in text
    assert all("[" not in line[2] for line in shown["strongest_heads"].rows)


def test_a_study_without_a_yardstick_says_so():
    section = every_head(SMALL, {name: small_tables()[name] for name in ("rankings", "labels")})
    text = " ".join(block.text for block in section.blocks)
    assert text.startswith(
        "This study measures no effects of single heads: its config has no section called yardstick."
    )
    assert "induction heads" in text


def test_published_results_have_no_effects_and_say_so():
    config = {**SMALL.config, "published": {"folder": "somewhere"}}
    del config["yardstick"]
    section = every_head(dataclasses.replace(SMALL, config=config), {"rankings": small_tables()["rankings"]})
    assert [block.text for block in section.blocks] == [
        "Published results do not tell what single heads do, so rankings are held against no effects."
    ]


def test_a_yardstick_without_prompts_says_so():
    effects = make_effects(SMALL, small_tables()["rankings"], documents=0)
    text, shown = said(head_effects=effects, head_effect_summary=summarise_effects(effects, 1, 200))
    assert "No prompt of the yardstick could be asked" in text and not shown
