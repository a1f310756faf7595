import re
from pathlib import Path
from types import SimpleNamespace

import docutils.core
import jinja2
import pandas as pd
import pytest

from made_tables import METHODS, make_ablation, make_counts, make_rankings, make_study, no_collection  # noqa: F401
from retrieval_heads import claims, effects, figures, overlap, report
from retrieval_heads.claims import Outcome
from retrieval_heads.declared import describe_methods
from retrieval_heads.errors import StudyError
from retrieval_heads.wording import estimate, listed, p_value, percent, points


def make_tables(study, rankings=None, **ablation):
    rankings = make_rankings(study, 10, 8) if rankings is None else rankings
    rows = make_ablation(study, **ablation)
    effect, control = effects.from_rows(rows, seed=study.seed, resamples=200)
    return {
        "rankings": rankings,
        "ablation_summary": effects.summarise(rows),
        "effects": effect,
        "against_random": control,
        "overlap": overlap.pairwise(rankings),
        "dataset_counts": make_counts(study),
    }


STUDY = make_study()


@pytest.fixture(scope="module")
def tables():
    return make_tables(STUDY)


@pytest.fixture
def drawn(tmp_path):
    for name in figures.declarations():
        (tmp_path / f"{name}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return tmp_path


@pytest.fixture
def built(tables):
    return report.build(STUDY, tables, figures.declarations())


class TestClaims:
    """Each rule, driven to each outcome."""

    BRIEF = make_study(methods=("summed_attention", "qrhead"), questions=("inc_year", "hq_state"), levels=[20])

    def outcome(self, rule, study=BRIEF, tables=None, **ablation):
        found = rule(tables or make_tables(study, **ablation), study)
        assert found and len({claim.outcome for claim in found}) == 1
        return found[0]

    def test_baseline(self):
        assert self.outcome(claims.baseline_is_usable).outcome is Outcome.SUPPORTED
        low = self.outcome(claims.baseline_is_usable, baseline=0.15)
        assert low.outcome is Outcome.CONTRADICTED and "too few for a cut to show" in low.sentence
        few = self.outcome(claims.baseline_is_usable, documents=3)
        assert few.outcome is Outcome.UNDECIDED

    def test_top_heads_against_random(self):
        rule = claims.top_heads_matter_more_than_random
        found = self.outcome(rule, top=lambda method, k: 0.2)
        assert found.outcome is Outcome.SUPPORTED
        row = effects.at(
            make_tables(self.BRIEF, top=lambda method, k: 0.2)["against_random"],
            pooled=("question", "context_length"),
            method="summed_attention",
            matching="layer",
            k=20,
        ).iloc[0]
        assert f"by {100 * row['difference']:.1f} points" in found.sentence
        assert "Cutting the top 20 heads of Summed attention in small takes accuracy from" in found.sentence
        assert "random heads of the same layers" in found.sentence and "Holm p < 0.001" in found.sentence

        same = self.outcome(rule, top=lambda method, k: 1.1, random=1.1, documents=40)
        assert same.outcome is Outcome.CONTRADICTED and "do not cost 5.0 points more" in same.sentence
        worse = self.outcome(rule, top=lambda method, k: 0.9, random=0.2)
        assert worse.outcome is Outcome.CONTRADICTED

        few = self.outcome(rule, top=lambda method, k: 0.2, documents=5)
        assert few.outcome is Outcome.UNDECIDED and "too few documents" in few.sentence
        wide = make_tables(self.BRIEF)
        unclear = {"difference": 0.05, "difference_low": -0.02, "difference_high": 0.12, "p_holm": 0.3}
        wide["against_random"] = wide["against_random"].assign(**unclear)
        wide = self.outcome(rule, tables=wide)
        assert wide.outcome is Outcome.UNDECIDED and "not significant" in wide.sentence

    def test_top_heads_without_a_control(self, tables):
        tables = {**tables, "against_random": tables["against_random"].iloc[:0]}
        found = claims.top_heads_matter_more_than_random(tables, STUDY)
        assert [claim.outcome for claim in found] == [Outcome.UNDECIDED] * 3
        assert "no random heads were cut" in found[0].sentence

    def test_top_heads_from_counts_alone(self):
        rows = make_ablation(STUDY, top=lambda method, k: 0.2)
        effect, control = effects.from_counts(effects.summarise(rows))
        (found, *_) = claims.top_heads_matter_more_than_random({"effects": effect, "against_random": control}, STUDY)
        assert found.outcome is Outcome.SUPPORTED
        assert "Holm" not in found.sentence and "80 prompts)" in found.sentence

    def test_overlap(self):
        rule = claims.top_heads_are_shared
        alike = make_rankings(STUDY, 10, 8, shared=100.0)
        one_taste = alike.assign(method="a")
        alike = pd.concat([one_taste[alike["method"] == "wu24"].assign(method=name) for name in METHODS])
        assert self.outcome(rule, tables=self._overlaps(alike)).outcome is Outcome.SUPPORTED

        turned = alike.copy()  # three methods, none of whose top heads is another's
        shift = turned["method"].map({name: place for place, name in enumerate(METHODS)}) * 20
        turned["rank"] = (turned["rank"] - 1 + shift) % 80 + 1
        found = {claim.sentence.split(" agree")[0]: claim for claim in rule(self._overlaps(turned), STUDY)}
        assert found["Rankings that differ only in their method"].outcome is Outcome.CONTRADICTED

        small = make_rankings(STUDY, 2, 2, shared=100.0)  # one head of four: nothing can be significant
        assert Outcome.UNDECIDED in {claim.outcome for claim in rule(self._overlaps(small), STUDY)}

    def test_all_rules_speak(self, tables):
        assert {claim.rule for claim in claims.claims(tables, STUDY)} == {rule.__name__ for rule in claims.RULES}

    @staticmethod
    def _overlaps(rankings):
        return {"rankings": rankings, "overlap": overlap.pairwise(rankings)}


class TestDocuments:
    def test_both_forms_say_the_same(self, built, drawn, tables):
        text, page = report.markdown(built), report.html(built, drawn)
        plain = (
            re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<main>")[1]))
            .replace("&lt;", "<")
            .replace("&#39;", "'")
        )
        for claim in claims.claims(tables, STUDY):
            assert claim.sentence in text.replace("\\", "")
            assert claim.sentence in plain
        for name, caption in built.captions.items():
            assert caption in text.replace("\\", ""), name
            assert caption in plain, name
        for name in figures.declarations():
            assert f"figures/{name}.png" in text

    def test_the_page_asks_for_nothing_from_outside(self, built, drawn):
        page = report.html(built, drawn)
        assert not re.search(r"<(script|link|iframe)", page)
        assert not re.search(r"(src|url\()\s*=?\s*[\"']?(?!data:)[a-z/]", page.replace('src="data:', ""))

    def test_contents_point_to_sections(self, built, drawn):
        page = report.html(built, drawn)
        for target in re.findall(r'href="#([^"]+)"', page):
            assert f'id="{target}"' in page

    def test_is_the_same_each_time(self, built, drawn, tables):
        again = report.build(STUDY, tables, figures.declarations())
        assert report.html(again, drawn) == report.html(built, drawn)
        assert report.markdown(again) == report.markdown(built)

    def test_markdown_tables_are_rectangular(self, built):
        for block in re.findall(r"(?:^\|.*\n)+", report.markdown(built), flags=re.M):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1

    def test_text_from_config_is_never_markup(self, drawn):
        study = make_study(models=("<script>|a_b*",))
        tables = make_tables(study, documents=1)
        made = report.build(study, tables, [])
        assert "<script>" not in report.html(made, drawn)
        assert "\\<script>\\|a\\_b\\*" in report.markdown(made)

    def test_a_study_with_one_of_each_says_so(self, drawn):
        study = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,))
        text = report.markdown(report.build(study, make_tables(study), []))
        assert "Context length: only one value can be compared" in text
        assert "Overlap along each dimension" not in text

    def test_a_study_without_ablation_says_so(self, tables):
        none = {name: tables[name].iloc[:0] for name in ("effects", "against_random", "ablation_summary")}
        text = report.markdown(report.build(STUDY, {**tables, **none}, []))
        assert "No top heads were cut beside an uncut baseline." in text

    def test_holes_are_named(self, tables):
        rankings = tables["rankings"]
        hole = (rankings["method"] == "wu24") & (rankings["question"] == "hq_state")
        tables = {**tables, "rankings": rankings[~hole], "overlap": overlap.pairwise(rankings[~hole])}
        text = report.markdown(report.build(STUDY, tables, []))
        assert "- Wu24 ranked no heads for headquarters state at 512 tokens in small." in text

    def test_published_results_need_no_prompts(self, tables):
        tables = {name: table for name, table in tables.items() if name != "dataset_counts"}
        effect, control = effects.from_counts(tables["ablation_summary"])
        text = report.markdown(report.build(STUDY, {**tables, "effects": effect, "against_random": control}, []))
        assert "nan" not in text.lower().replace("finance", "")

    def test_a_missing_figure_is_named(self, built, tmp_path):
        with pytest.raises(StudyError, match=r"layer_distribution_by_method\.svg: no such figure"):
            report.html(built, tmp_path)

    def test_table_pages(self, built):
        for name in report.table_names(built):
            page = report.table_page(built, name)
            assert page.count("<table>") == 1 and "<nav" not in page


class TestCaptions:
    @pytest.mark.parametrize("path", sorted((report.TEMPLATES / "captions").glob("*.rst")), ids=lambda path: path.stem)
    def test_reads_as_plain_text_and_as_rst(self, path: Path):
        text = report.caption(path.stem, STUDY.config)
        assert text.endswith(".") and "{{" not in text
        parts = docutils.core.publish_parts(
            text, writer="html", settings_overrides={"report_level": 1, "halt_level": 1}
        )
        assert parts["body"].count("<p>") == 1

    def test_every_figure_has_one(self):
        for name in figures.declarations():
            assert report.caption(name, STUDY.config)

    def test_a_missing_one_is_named(self):
        with pytest.raises(StudyError, match=r"report/captions/nothing\.rst: no such file"):
            report.caption("nothing", {})

    def test_front_page(self):
        text = (report.TEMPLATES / "workflow.rst").read_text()
        text = jinja2.Template(text).render(snakemake=SimpleNamespace(config=STUDY.config))
        parts = docutils.core.publish_parts(text, writer="html", settings_overrides={"halt_level": 1})
        assert "512, 1024 tokens" in parts["html_body"]


def test_methods_describe_themselves():
    described = describe_methods(["wu24", "unknown"])
    assert "arXiv 2404.15574" in described["wu24"]["paper"]
    assert described["wu24"]["definition"].endswith(".")
    assert described["unknown"] == {}


def test_numbers_in_words():
    row = {"drop": -0.0001, "drop_low": -0.25, "drop_high": 0.125}
    assert (percent(0.426), points(-0.031)) == ("42.6%", "−3.1")
    assert estimate(row, "drop", "") == "0.0 [−25.0, 12.5]"
    assert (p_value(0.0004), p_value(0.0123), p_value(float("nan"))) == ("< 0.001", "= 0.012", "")
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")
