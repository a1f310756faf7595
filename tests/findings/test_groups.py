"""Key-value groups in the findings: how top heads lie among them, and random heads that share keys as they do."""

import copy

import pytest

from made_tables import TEMPLATES, analyse, make_ablation, make_labels, make_rankings, make_study, small_tables
from plain_sentences import faults
from retrieval_heads import figures
from retrieval_heads.analysis.key_value_groups import group_overlap, touched_groups
from retrieval_heads.figures._controls import RANDOM_HEADS
from retrieval_heads.findings import rendering
from retrieval_heads.findings.claims import Outcome
from retrieval_heads.findings.claims.ablation import top_heads_matter_more_than_random as rule
from retrieval_heads.findings.sections.blocks import Paragraph, TableBlock
from retrieval_heads.findings.sections.groups import groups
from retrieval_heads.study.study import Study

STUDY = make_study()


def with_groups(rankings, labels, study=STUDY):
    return {
        **small_tables(),
        "rankings": rankings,
        "labels": labels,
        "key_value_groups": touched_groups(rankings, labels, study.levels, study.top_k),
        "group_overlap": group_overlap(rankings, labels, study.top_k),
    }


def texts(section):
    return [block.text for block in section.blocks if isinstance(block, Paragraph)]


def tables_of(section):
    return {block.name: block for block in section.blocks if isinstance(block, TableBlock)}


def test_the_section_says_how_many_groups_are_touched_and_what_chance_gives():
    made = small_tables()
    section = groups(STUDY, made)
    (text,) = texts(section)
    largest = made["key_value_groups"].query("k == 20")
    assert text.startswith(
        "In small, heads share keys and values in 40 groups. The top 20 heads touch "
        f"{largest['touched'].mean():.1f} of them (mean over 24 rankings). As many heads of any layer would touch "
        f"{largest['chance'].mean():.1f} by chance, and as many in each of the same layers "
    )
    assert not faults(text)
    touched, agreement = tables_of(section)["touched_groups"], tables_of(section)["group_overlap"]
    # Each of three methods at three levels and at the size of the overlaps; one model goes unnamed.
    assert len(touched.rows) == 3 * 4 and touched.rows[0][:2] == ["Summed attention", "4"]
    of_method = made["key_value_groups"].query("method == 'wu24' and k == 10")
    assert ["Wu24", "10", "10.0", f"{of_method['touched'].mean():.1f}"] in [row[:4] for row in touched.rows]
    assert [row[:2] for row in agreement.rows[:2]] == [["Method", "10 × 8 heads"], ["Method", "10 × 4 groups"]]
    of_methods = made["group_overlap"].query("dimension == 'method'")
    assert agreement.rows[1][2] == f"{of_methods['jaccard'].mean():.3f}"


def test_a_model_whose_heads_share_nothing_is_named():
    rankings = make_rankings(STUDY, 10, 8)
    labels = make_labels(rankings)
    section = groups(STUDY, with_groups(rankings, labels.assign(key_value_group=labels["head"])))
    assert texts(section) == ["No two heads of small share keys and values: its groups are its heads."]
    assert not tables_of(section)


def test_published_results_have_no_such_section():
    made = {name: table for name, table in small_tables().items() if name not in ("key_value_groups", "group_overlap")}
    assert not groups(STUDY, made).blocks


def grouped_study():
    """A study that draws random heads by key-value group too."""
    config = copy.deepcopy(make_study(methods=("wu24",), questions=("hq_state", "inc_year"), levels=(10, 20)).config)
    for one in config["ablation"]["interventions"].values():
        one["random_draws"] = {"matched": 2, "grouped": 2, "unmatched": 1}
    return Study(config, {"wu24": {"label": "Wu24"}})


GROUPED = grouped_study()


@pytest.fixture(scope="module")
def made():
    """All tables of a study whose top heads cost much, and random ones little."""
    return analyse(GROUPED, make_rankings(GROUPED, 10, 8), make_ablation(GROUPED, 20, top=0.2))


def against(made, difference, p):
    """The tables in which top heads cost so much more than those that are drawn by group."""
    controls = made["against_random"].copy()
    ends = {"difference": difference, "difference_low": difference - 0.03, "difference_high": difference + 0.03}
    by_group = controls["matching"] == "group"
    controls.loc[by_group, [*ends, "p_holm"]] = [*ends.values(), p]
    return {**made, "against_random": controls}


def test_every_kind_of_random_heads_has_its_rows(made):
    assert made["against_random"]["matching"].value_counts().nunique() == 1
    assert set(made["against_random"]["matching"]) == {"layer", "group", "none"}
    assert set(made["mean_drops"]["matching"].dropna()) == {"layer", "group", "none"}
    text = rendering.markdown(rendering.build(GROUPED, made, {}, TEMPLATES))
    assert (
        "drawn up to 2 times beside each top set, from the same layers; drawn up to 2 times beside each top set, 75.0% "
        "from other key-value groups of the same layers, the rest from the nearest layers; drawn once beside each top "
        "set, from any layer" in text
    )
    assert "Some random heads that were matched by key-value group are from the nearest layers instead" in text
    assert "Prose, random heads matched by key-value group" in text


@pytest.mark.parametrize(
    ("difference", "p", "outcome", "verdict"),
    [
        (0.5, 0.001, Outcome.SUPPORTED, "The top heads cost more than these too"),
        (0.01, 0.6, Outcome.UNDECIDED, "The top heads do not cost more than these"),  # 5 points are ruled out
        (0.1, 0.2, Outcome.UNDECIDED, "Whether the top heads cost more than these too is not known"),
    ],
)
def test_top_heads_must_matter_more_than_random_ones_of_either_kind(made, difference, p, outcome, verdict):
    (claim,) = rule(against(made, difference, p), GROUPED)
    assert claim.outcome is outcome
    # The usual control comes first, and the other after it.
    assert "Ablating as many random heads from the same layers takes it to" in claim.sentence
    assert "Ablating as many random heads (75.0% of them from other key-value groups of the same layers, the rest " in (
        claim.sentence
    )
    assert f". {verdict}: the difference is {100 * difference:.1f} points (95% interval" in claim.sentence


def test_random_heads_by_group_alone_are_the_control(made):
    alone = against(made, 0.5, 0.001)
    alone["against_random"] = alone["against_random"].query("matching == 'group'")
    (claim,) = rule(alone, GROUPED)
    assert claim.outcome is Outcome.SUPPORTED and claim.sentence.count("key-value groups") == 1


def test_without_them_nothing_moves(made):
    without = {**made, "against_random": made["against_random"].query("matching != 'group'")}
    (claim,) = rule(without, GROUPED)
    (beside,) = rule(against(made, 0.5, 0.001), GROUPED)
    assert beside.sentence.startswith(claim.sentence) and beside.outcome is claim.outcome


def test_figures_show_all_kinds_or_the_usual_one(made):
    grid = figures.draw("figure8_option_c_grid", made, GROUPED)
    labels = {text.get_text() for legend in grid.legends for text in legend.get_texts()}
    assert labels >= set(RANDOM_HEADS.values())
    curves = figures.draw("figure8_option_a_by_question", made, GROUPED)
    labels = {text.get_text() for legend in curves.legends for text in legend.get_texts()}
    assert labels & set(RANDOM_HEADS.values()) == {"Random heads matched by layer"}


def test_with_draws_by_group_alone_figures_show_those(made):
    by_group = {
        name: table[table["matching"].isna() | (table["matching"] == "group")] if "matching" in table else table
        for name, table in made.items()
    }
    by_group["against_random"] = made["against_random"].query("matching == 'group'")
    curves = figures.draw("figure8_option_a_by_question", by_group, GROUPED)
    labels = {text.get_text() for legend in curves.legends for text in legend.get_texts()}
    assert labels & set(RANDOM_HEADS.values()) == {"Random heads matched by key-value group"}
