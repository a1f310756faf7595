"""The first screen: an answer in three sentences for every kind of study, and one table of every claim."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from test_quality import STUDY as JUDGED
from test_quality import first_costs_most, tables_of
from test_rendering import text_of

from browser import NEEDS_BROWSER, titled
from made_tables import (
    SMALL,
    TEMPLATES,
    analyse,
    make_ablation,
    make_counts,
    make_rankings,
    make_reliability,
    make_study,
    small_tables,
    with_long_names,
)
from plain_sentences import faults, sentences
from retrieval_heads import figures
from retrieval_heads.findings import claims, rendering
from retrieval_heads.findings.claims.outcome import Claim, Effect, Outcome
from retrieval_heads.findings.sections import PARTS, TITLES, ClaimRow, ClaimTable, Section, Signs
from retrieval_heads.findings.sections.answer import answer
from retrieval_heads.study.wording import percent

pytestmark = pytest.mark.thorough

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome


def said(study, tables, signs=0):
    """The three sentences about some tables, which are short."""
    every = claims.every_claim(tables, study)
    found = [str(sentence) for sentence in answer(study, tables, every, signs).sentences]
    assert len(found) == 3
    for sentence in found:
        assert sentence.endswith(".") and not faults(sentence), faults(sentence)
        assert len(sentences(sentence)) == 1 and "nan" not in re.findall(r"\w+", sentence.lower())
    return found


def ablated(study=None, rankings=None, **how):
    study = study or make_study(methods=("wu24", "qrhead"), levels=(20,))
    rankings = make_rankings(study, 10, 8) if rankings is None else rankings
    return study, analyse(study, rankings, make_ablation(study, **how), make_reliability(study))


def without_yardstick(tables):
    """The tables of a study that measures no effects of single heads."""
    measured = ("head_effect_summary", "needed_or_carrying", "quality_tests")
    return {name: table for name, table in tables.items() if name not in measured}


class TestWhichHeads:
    def test_that_matter(self):
        study, tables = ablated(top=lambda method, k: 0.2 if method == "qrhead" else 0.6)
        which, *_ = said(study, tables)
        effects = tables["effects"].query("method == 'qrhead' and question.isna() and context_length.isna()")
        (accuracy,) = effects["accuracy"]
        rows = tables["profiles"].query("dimension == 'model' and method == 'qrhead'").sort_values("mean_rank")
        first = rows.iloc[0]
        assert which.startswith(f"The top 20 of 80 heads by QRHead (first L{first['layer']}H{first['head']}, ")
        assert f" matter: without them {percent(accuracy)} of answers are right, without random ones " in which
        assert "95% interval" in which and "Holm p" in which

    def test_that_do_not(self):
        study, tables = ablated(documents=60, top=0.92)
        which, *_ = said(study, tables)
        assert which.startswith("The top 20 of 80 heads of no method matter more than random ones (without those of ")

    def test_that_are_not_shown_to(self):
        study, tables = ablated(documents=4, top=0.2)
        which, *_ = said(study, tables)
        assert which.startswith("No method's top 20 of 80 heads are shown to matter more than random ones (without ")

    def test_without_random_heads(self):
        study, tables = ablated()
        which, *_ = said(study, {**tables, "against_random": tables["against_random"].iloc[:0]})
        assert which.startswith("Whether the top 20 of 80 heads by ") and "no random heads were ablated" in which

    def test_without_ablation(self):
        study, tables = ablated()
        names = ("effects", "against_random", "ablation_summary", "steps", "mean_drops")
        none = without_yardstick({**tables, **{name: tables[name].iloc[:0] for name in names}})
        which, method, sure = said(study, {**none, "tests": tables["tests"].iloc[:0]})
        assert which.startswith("No heads were ablated, so it is not known whether any matter (Wu24 in small (first L")
        assert "Which method finds them best is not known" in method and "from rankings alone" in sure

    def test_of_several_models(self):
        study = make_study(models=("small", "large"), methods=("wu24", "qrhead"), levels=(20,))
        which, *_ = said(*ablated(study, make_rankings(study, 10, 8), top=0.2))
        assert which.startswith("In each of 2 models, a method's top 20 heads matter more than random ones (small ")
        assert "; large without those of " in which
        which, *_ = said(*ablated(study, make_rankings(study, 10, 8), documents=4, top=0.2))
        assert which.startswith("In none of 2 models are a method's top 20 heads shown to matter (small without ")


class TestWhichMethod:
    @staticmethod
    def of(tables, outcome, first="qrhead", study=JUDGED):
        """The second sentence, where the claim that one method is best has this outcome."""
        study_, ablation = ablated(study)
        every = [claim for claim in claims.every_claim({**ablation, **tables}, study_)]
        (claim,) = (claim for claim in every if claim.rule == "one_method_is_best")
        assert claim.outcome is outcome
        sentence = str(answer(study_, {**ablation, **tables}, every, 0).sentences[1])
        assert not faults(sentence) and len(sentences(sentence)) == 1
        return sentence

    def test_is_best(self):
        sentence = self.of(tables_of(top=first_costs_most), SUPPORTED)
        assert sentence.startswith(
            "Of 2 methods, one is best: QRHead is first by single heads' effects and by ablation ("
        )

    def test_is_not_decided(self):
        sentence = self.of(tables_of(documents=4, top=first_costs_most), UNDECIDED)
        assert sentence.startswith(
            "Which of 2 methods is best is not decided: QRHead is first by single heads' effects"
        )
        assert ", if not surely (by effects, " in sentence

    def test_is_none_where_effects_and_ablation_name_two(self):
        other = tables_of(top=lambda method, k: 0.4 if method == "wu24" else 0.85)
        sentence = self.of(other, CONTRADICTED)
        assert "none is best: QRHead is first by single heads' effects, Wu24 by ablation" in sentence

    def test_by_what_ablation_costs_where_effects_are_not_known(self):
        study, tables = ablated(documents=40, top=lambda method, k: 0.1 if method == "qrhead" else 0.7)
        _, method, _ = said(study, without_yardstick(tables))
        assert method.startswith("By ablation alone, the top 20 heads of QRHead cost most, and those of Wu24 least (")
        study, tables = ablated(documents=4, top=0.5)
        _, method, _ = said(study, without_yardstick(tables))
        assert method.startswith("By ablation alone, no method is shown to find better heads than another (QRHead ")
        study, tables = ablated(documents=4, top=0.0)
        _, method, _ = said(study, without_yardstick(tables))
        assert "(each of 2 methods " in method and "Wu24" not in method

    def test_of_models_of_different_shape(self):
        study = make_study(models=("small", "large"), methods=("wu24", "qrhead"), levels=(5,))
        parts = [
            make_rankings(make_study(models=(model,), methods=("wu24", "qrhead")), *grid)
            for model, grid in (("small", (6, 4)), ("large", (10, 8)))
        ]
        study, tables = ablated(study, pd.concat(parts, ignore_index=True), documents=4, top=0.5)
        _, method, _ = said(study, without_yardstick(tables))
        assert method.startswith("By ablation alone, some methods find better heads in none of 2 groups of models with")
        assert "(6 × 4: " in method and "; 10 × 8: " in method

    def test_of_several_settings(self):
        study, tables = ablated(documents=4)
        _, method, _ = said(study, tables)
        assert method.startswith("In none of 2 settings is one method shown to be best (first by effects, small at 512")

    def test_stands_alone(self):
        _, method, _ = said(*ablated(make_study(methods=("wu24",), levels=(20,))))
        assert method == "Heads are ranked by Wu24 alone, so no method is held against another."


def test_how_sure_it_is_tells_all_claims_and_what_they_rest_on():
    tables = small_tables()
    every = claims.every_claim(tables, SMALL)
    number = {outcome: sum(claim.outcome is outcome for claim in every) for outcome in Outcome}
    *_, sure = said(SMALL, tables, signs=2)
    assert sure == (
        f"Of {len(every)} claims, {number[SUPPORTED]} are supported, {number[CONTRADICTED]} contradicted and "
        f"{number[UNDECIDED]} not decided, from {tables['effects']['documents'].max()} test documents, with 2 signs of "
        "trouble."
    )
    *_, counts = said(SMALL, analyse(SMALL, tables["rankings"], tables["ablation_summary"]))
    assert "from counts over " in counts and counts.endswith("without a sign of trouble.")


# --- the page ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built():
    tables = {**small_tables(), "dataset_counts": make_counts(SMALL)}
    return rendering.build(SMALL, tables, dict.fromkeys(figures.declarations()), TEMPLATES)


def test_sections_stand_under_the_question_that_they_answer(built):
    assert [section.key for section in built.sections] == [key for key in TITLES if key in {
        section.key for section in built.sections}]  # fmt: skip
    assert list(built.parts) == list(PARTS)
    assert [key for key in TITLES if key in claims.RULES] == list(claims.RULES)


def test_contents_show_the_questions(built, drawn):
    page = rendering.html(built, drawn)
    nav = page.split("<nav")[1].split("</nav>")[0]
    assert re.findall(r"<p>(.*?)</p>", nav) == re.findall(r'<h2 class="part">(.*?)</h2>', page) == list(PARTS)[1:]


def test_every_claim_is_in_the_table_once(built):
    (table,) = (block for section in built.sections for block in section.blocks if isinstance(block, ClaimTable))
    every = claims.every_claim({**small_tables(), "dataset_counts": make_counts(SMALL)}, SMALL)
    shown = [one for rows in table.parts.values() for row in rows for one in row.claim.parts or (row.claim,)]
    assert sorted(claim.sentence for claim in shown) == sorted(claim.sentence for claim in every)
    for part, rows in table.parts.items():
        assert {row.section for row in rows} <= set(PARTS[part])


def test_the_answer_and_the_signs_stand_first(built, drawn):
    text = text_of(rendering.html(built, drawn))
    assert len(built.answer) == 3 and all(sentence in text for sentence in built.answer)
    assert all(text.index(sentence) < text.index("Table 1.") for sentence in built.answer)
    assert all(sign.statement in text for sign in built.signs)
    assert all(sentence in rendering.markdown(built).replace("\\", "") for sentence in built.answer)


def test_without_signs_of_trouble_the_page_says_so(built, drawn):
    none = replace(built, sections=[Section("summary", [Signs([])])])
    for text in (rendering.html(none, drawn), rendering.markdown(none)):
        assert "The rules that look for signs of trouble in the data found none." in text


def test_the_first_figure_is_small_and_leads_to_its_place(built, drawn):
    page = rendering.html(built, drawn)
    assert f'<a class="preview" href="#figure-{rendering.FIRST_FIGURE}">' in page
    undrawn = rendering.build(SMALL, small_tables(), {"layer_distribution_by_method": None}, TEMPLATES)
    assert '<a class="preview" href="#figure-layer_distribution_by_method">' in rendering.html(undrawn, drawn)
    assert 'class="preview"' not in rendering.html(rendering.build(SMALL, small_tables(), {}, TEMPLATES), drawn)


@pytest.mark.parametrize(("height", "high"), [("200", False), ("900", True)])
def test_a_first_figure_that_is_high_shows_its_upper_part(built, drawn, tmp_path, height, high):
    for file in drawn.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace("200pt", f"{height}pt"))
    page = rendering.html(built, tmp_path)
    assert ('class="preview high"' in page) == ("(its upper part)" in page) == high


def family(effects):
    """A table of a claim that sums up others, one for each effect, and of one that stands alone."""
    parts = tuple(
        Claim("works", f"Method {i} works", SUPPORTED, f"Method {i} works.", effect=effect)
        for i, effect in enumerate(effects)
    )
    summed = Claim("works", "A method works: all", SUPPORTED, "A method works.", parts=parts)
    alone = Claim("alone", "It <stands> alone", UNDECIDED, "It stands alone.")
    return ClaimTable("conclusions", "Claims", {"For what?": [ClaimRow(summed, "q1"), ClaimRow(alone, "q2")]})


def test_a_family_is_one_row_that_opens_to_its_members(built, drawn):
    effects = [Effect(40.0 + 10 * i, 30.0, 60.0, "points", p) for i, p in enumerate((0.0001, 0.02, None))]
    section = Section("summary", [family(effects)])
    page = rendering.html(replace(built, sections=[section, Section("q1", [])]), drawn)
    assert "40.0 to 60.0 points" in page and "≤ 0.020" in page and "Show all 3" in page
    for i, effect in enumerate(effects):
        assert f"Method {i} works" in page and f"{effect.value:.1f} points (30.0 to 60.0)" in page
    assert 'href="#q1"' in page and 'href="#q2"' not in page  # a section that is not on the page
    assert "It &lt;stands&gt; alone" in page
    text = rendering.markdown(replace(built, sections=[section]))
    assert "| A method works: all | Supported | 40.0 to 60.0 points | ≤ 0.020 | [Q1: " in text
    assert "| It \\<stands> alone | Not enough data |  |  | [Q2: " in text


WATCH = """<script type="module">
const frame = document.querySelector("iframe");
await new Promise((done) => frame.addEventListener("load", done));
await new Promise((done) => setTimeout(done, 1500));
const page = frame.contentDocument;
const wide = page.scrollingElement.scrollWidth;
const bottom = page.querySelector(".signs").getBoundingClientRect().bottom;
document.title = JSON.stringify([wide, Math.round(bottom)]);
</script>"""


@NEEDS_BROWSER
@pytest.mark.parametrize("study", [SMALL, with_long_names(SMALL)], ids=["short names", "long names"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 860)])
def test_nothing_scrolls_sideways_and_the_answer_fits_a_screen(study, drawn, tmp_path, width, height):
    tables = {**small_tables(), "dataset_counts": make_counts(study)}
    built = rendering.build(study, tables, dict.fromkeys(figures.declarations()), TEMPLATES)
    (tmp_path / "page.html").write_text(rendering.html(built, drawn), encoding="utf-8")
    frame = f'<iframe src="page.html" style="width: {width}px; height: {height}px; border: 0"></iframe>'
    (tmp_path / "outer.html").write_text(f"<!doctype html><title></title>{frame}{WATCH}", encoding="utf-8")
    options = ["--allow-file-access-from-files", "--window-size=1400,1000"]
    wide, bottom = titled(tmp_path / "outer.html", *options)
    assert wide <= width
    assert bottom <= height or width < 1280


def test_a_study_of_published_results_has_an_answer():
    study, tables = ablated()
    made = without_yardstick(analyse(study, tables["rankings"], tables["ablation_summary"]))
    which, method, sure = said(study, made)
    assert "matter" in which and "By ablation alone" in method and "from counts over " in sure
    assert isinstance(made["effects"], pd.DataFrame) and made["effects"]["documents"].isna().all()
