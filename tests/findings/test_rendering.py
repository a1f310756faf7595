import dataclasses
import html
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import docutils.core
import jinja2
import pandas as pd
import pytest

from browser import NEEDS_BROWSER, WATCH, titled
from made_tables import (
    METHODS,
    SMALL,
    TEMPLATES,
    analyse,
    make_ablation,
    make_counts,
    make_rankings,
    make_reliability,
    make_study,
    small_tables,
)
from retrieval_heads import figures, plugins
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.digests import short_digest
from retrieval_heads.errors import StudyError
from retrieval_heads.figures import _layout
from retrieval_heads.findings import claims, rendering, sections
from retrieval_heads.findings.declarations import tables_shown
from retrieval_heads.findings.provenance import provenance
from retrieval_heads.plugins import describe
from retrieval_heads.release import VERSION
from retrieval_heads.study.needs import available
from retrieval_heads.study.wording import decimal, estimate, listed, p_value, percent, points
from retrieval_heads.tables.tests import AGAINST_RANDOM, DROP


def make_tables(study, rankings=None, **ablation):
    rankings = make_rankings(study, 10, 8) if rankings is None else rankings
    made = analyse(study, rankings, make_ablation(study, **ablation), make_reliability(study))
    return {**made, "dataset_counts": make_counts(study)}


STUDY = SMALL
GRIDS = {"small": (6, 4), "large": (10, 8)}
DRAWN = dict.fromkeys(figures.declarations())
"""All figures, none of which has nothing to show."""


@pytest.fixture(scope="module")
def tables():
    return {**small_tables(), "dataset_counts": make_counts(STUDY)}


@pytest.fixture(scope="module")
def built(tables):
    return rendering.build(STUDY, tables, DRAWN, TEMPLATES)


@pytest.fixture(scope="module")
def page(built, drawn):
    return rendering.html(built, drawn)


@pytest.fixture(scope="module")
def text(built):
    return rendering.markdown(built)


@pytest.fixture(scope="module")
def unequal():
    """A study of two models of different shape, the rankings of each, and all tables."""
    study = make_study(models=tuple(GRIDS), levels=(3, 10))
    parts = [make_rankings(make_study(models=(model,)), *grid) for model, grid in GRIDS.items()]
    return study, parts, analyse(study, pd.concat(parts, ignore_index=True), make_ablation(study, 3))


def text_of(page):
    """What a page says, without its markup and its scripts."""
    main = re.sub(r"</?(?:a|span)\b[^>]*>", "", page.split("<main>")[1].split("</main>")[0])
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main)))


def block_name(block):
    return getattr(block, "name", None)


@pytest.mark.thorough
class TestDocuments:
    def test_both_forms_say_the_same(self, built, text, page, tables):
        plain = text_of(page)
        for claim in claims.every_claim(tables, STUDY):
            assert claim.sentence in text.replace("\\", "")
            assert claim.sentence in plain
        for name, caption in built.captions.items():
            assert caption in text.replace("\\", ""), name
            assert caption in plain, name
        for name in figures.declarations():
            assert f"figures/{name}.png" in text

    def test_both_forms_have_the_same_order(self, built, text, page):
        in_text = re.findall(r"^###? (.+)$|\*\*((?:Figure|Table) \d+)\.", text, flags=re.M)
        in_page = re.findall(r"<h[23][^>]*>(.+?)</h[23]>|<strong>((?:Figure|Table) \d+)\.", page)
        assert [html.unescape("".join(part)) for part in in_page] == ["".join(part) for part in in_text]
        assert len(in_text) == len([part for part in built.parts if part]) + len(built.sections) + len(built.labels)
        assert text.index("[open it in findings.html](findings.html#head-map)") > text.index("\n### Map of all heads")

    def test_the_page_asks_for_nothing_from_outside(self, page):
        # The browser is told to refuse; what is ours does not try either. Figures name their formats.
        assert "default-src 'none'; img-src data:;" in page
        ours = re.sub(r'src="data:image/svg\+xml,[^"<>&]*"', 'src="data:"', page)
        assert set(re.findall(r"https?://[^/\"]+", ours)) <= {"https://arxiv.org"}
        assert not re.search(r"<(link|iframe)|@import|url\(|<script[^>]*src|fetch\(|import ", ours)
        assert re.findall(r'src="(?!data:)', ours) == []

    def test_the_page_works_without_scripts(self, page):
        assert not re.search(r"<(button|dialog|select)", page.split("<body>")[1].split("<script")[0])

    def test_contents_point_to_sections(self, built, text, page):
        for target in re.findall(r'href="#([^"]+)"', page):
            assert f'id="{target}"' in page
        headings = set(re.findall(r"^###? (.+)$", text, flags=re.M)) - set(built.parts)
        anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
        targets = set(re.findall(r"\]\(#([^)]+)\)", text))
        assert targets == anchors | {target for target in targets if f'<a id="{target}">' in text}
        assert len(anchors) == len(built.sections)

    def test_figures_keep_their_size(self, built, drawn, tmp_path):
        name, drawn = next(iter(figures.declarations())), shutil.copytree(drawn, tmp_path / "figures")
        (drawn / f"{name}.svg").write_text('<svg width="259.2pt" height="9pt" xmlns="http://www.w3.org/2000/svg"/>')
        assert f'<figure id="figure-{name}" class="small" style="--inches: 3.6">' in rendering.html(built, drawn)

    def test_is_the_same_each_time(self, text, page, drawn, tables):
        again = rendering.build(STUDY, tables, DRAWN, TEMPLATES)
        assert rendering.html(again, drawn) == page
        assert rendering.markdown(again) == text

    def test_markdown_tables_are_rectangular(self, text):
        for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1

    def test_how_models_ran_is_a_table_with_a_column_for_each(self, tables):
        runs = {
            "large": {"content": "0123456789abcdef", "dtype": "bfloat16", "device": "cuda", "quantization": "4bit"},
            "small": {
                "content": "f" * 64,
                "commit": "c" * 40,
                "dtype": "float32",
                "device": "cpu",
                "torch": "2.0, 2.1",
            },
        }
        study = dataclasses.replace(make_study(models=("small", "large")), made_with={"models": runs})
        section = sections.setup.made_with(study, tables)
        (table,) = (block for block in section.blocks if block_name(block) == "made_with")
        assert table.header == ["Of the model", "small", "large"]
        assert table.rows == [
            ["Content", "f" * 12, "0123456789ab"],
            ["Commit", "c" * 12, ""],
            ["Precision", "float32", "bfloat16"],
            ["Device", "cpu", "cuda"],
            ["Quantization", "", "4bit"],
            ["torch", "2.0, 2.1", ""],
        ]

    def test_what_made_them_stands_at_their_head(self, tables):
        made_with = {"code": {"rank_heads": "a"}, "models": {"small": {"dtype": "float32", "torch": "2.0"}}}
        study = dataclasses.replace(STUDY, made_with=made_with)
        made = rendering.build(study, tables, {}, TEMPLATES)
        _, _, head, *_ = rendering.markdown(made).splitlines()
        code, config = (short_digest(value) for value in ({"rank_heads": "a"}, STUDY.config))
        assert f"version {VERSION} of this workflow (code {code}, config {config}), seed 7; " in head
        assert head.endswith("small: dtype float32, torch 2.0.")
        (section,) = (section for section in made.sections if section.key == "made_with")
        assert section.blocks[0].text.startswith(f"Version {VERSION} of this workflow (code {code}, config {config}) ")

    def test_published_results_are_not_said_to_be_made_by_any_model(self, tables):
        study = dataclasses.replace(STUDY, config={**STUDY.config, "published": {"folder": "elsewhere"}})
        first, second = sections.setup.made_with(study, tables).blocks
        assert f"Version {VERSION}" in first.text and "with seed 7" in first.text
        assert second.text.startswith("The rankings were made elsewhere. Which weights and versions")

    def test_where_results_are_put_does_not_change_what_made_them(self):
        moved, other = ({**STUDY.config, **change} for change in ({"results": "elsewhere"}, {"seed": 8}))
        heads = [
            provenance(dataclasses.replace(STUDY, config=config)).config for config in (STUDY.config, moved, other)
        ]
        assert heads[0] == heads[1] != heads[2]

    def test_text_from_config_is_never_markup(self, drawn):
        study = make_study(models=("<script>|a_b*",), methods=("wu24",), questions=("hq_state",), levels=(5,))
        tables = make_tables(study, documents=1)
        made = rendering.build(study, tables, {}, TEMPLATES)
        assert "<script>|" not in rendering.html(made, drawn)
        assert "\\<script>\\|a\\_b\\*" in rendering.markdown(made)

    def test_a_study_with_one_of_each_says_so(self, drawn):
        study = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,))
        made = rendering.build(study, make_tables(study), {}, TEMPLATES)
        text = rendering.markdown(made)
        compared = " in these results, so what ablation costs is not compared with another."
        for line in (
            f"Headquarters state is the only question{compared}",
            "Wu24 is the only method in these results, so there is nothing to agree on.",
            f"small is the only model{compared}",
            f"512 tokens is the only context length{compared}",
            "No overlap can be measured between models, methods, questions and context lengths: no two can be",
            "Each method has a single ranking, so no head's rank can vary.",
        ):
            assert line in text
        for name in ("q1_drops", "q2_overlap", "q3_drops", "consensus_heads_table", "method_pairs", "length_drops"):
            assert name not in rendering.table_names(made)
        for section in made.sections:
            assert section.blocks, section.key

    def test_no_table_is_empty(self, built):
        for section in built.sections:
            for block in section.blocks:
                if isinstance(block, sections.TableBlock):
                    assert block.rows, block.name
                    assert {len(row) for row in block.rows} == {len(block.header)}, block.name

    def test_every_table_is_declared_for_the_workflows_own_report(self, built):
        everything = dict.fromkeys(available(STUDY.config), range(9))
        declared = tables_shown(everything)
        assert set(rendering.table_names(built)) - {"figure_index"} <= set(declared)
        for name in declared:
            assert rendering.caption(name, STUDY.config, TEMPLATES)

    def test_every_table_that_is_read_is_declared(self):
        """Those that a file of sections or claims asks for by name."""
        asked = re.compile(r"""tables(?:\[|\.get\()"(\w+)"|"(\w+)" (?:not )?in tables""")
        for kind in ("findings.sections", "findings.claims"):
            for path in plugins.files(kind).values():
                read = {"".join(names) for names in asked.findall(path.read_text(encoding="utf-8"))}
                assert read <= set(plugins.constants(path).get("TABLES", {})), path.name

    def test_a_study_without_ablation_says_so(self, tables):
        names = ("effects", "against_random", "ablation_summary", "steps", "mean_drops")
        none = {name: tables[name].iloc[:0] for name in names}
        ranked = tables["tests"][~tables["tests"]["subject"].isin([DROP, AGAINST_RANDOM])]
        text = rendering.markdown(rendering.build(STUDY, {**tables, **none, "tests": ranked}, {}, TEMPLATES))
        assert "No top heads were ablated beside an unablated baseline." in text

    def test_holes_are_named(self, tables):
        rankings, summary = tables["rankings"], tables["ablation_summary"]
        hole = (rankings["method"] == "wu24") & (rankings["question"] == "hq_state")
        missing = (summary["question"] == "inc_year") & (summary["source"] != "baseline")
        partial = (rankings["method"] == "qrhead") & (rankings["rank"] > 70)
        rankings, summary = rankings[~hole & ~partial], summary[~missing]
        made = analyse(STUDY, rankings, summary)
        text = rendering.markdown(rendering.build(STUDY, made, {}, TEMPLATES))
        for sentence in (
            "Wu24 ranked no heads for headquarters state at any length in small.",
            "QRHead was not ablated for year of incorporation at any length in small.",
            "QRHead lists only 70 of the 80 heads of small.",
        ):
            assert f"- {sentence}" in text

    def test_models_with_different_grids(self, unequal):
        study, _, made = unequal
        text = rendering.markdown(rendering.build(study, made, {}, TEMPLATES))
        assert "The heads of large and small are not compared: their grids differ." in text
        assert "The heads of no two models can be matched: their grids differ." in text

    @pytest.mark.parametrize("scored", [0, 2], ids=["no score", "few scores"])
    def test_ties_leave_no_hole_in_the_text(self, scored):
        """Of two models of different shape one has few scores, or none: top sets are small, or empty."""
        study = make_study(models=("small", "large"), methods=("wu24", "qrhead"), levels=(5, 20))
        small, large = (make_study(models=(model,), methods=("wu24", "qrhead")) for model in ("small", "large"))
        rankings = make_rankings(large, 10, 8)
        rankings = placed(rankings.assign(score=rankings["score"].where(rankings["rank"] <= scored, 0.0)))
        rankings = pd.concat([make_rankings(small, 6, 4), rankings], ignore_index=True)
        ablation = make_ablation(study)
        ablation["size"] = ablation["size"].where(ablation["model"] == "small", ablation["size"].clip(upper=scored))
        ablation = ablation[(ablation["size"] > 0) | (ablation["source"] == "baseline")]
        made = analyse(study, rankings, ablation, make_reliability(study).assign(jaccard=None, chance=None, p=None))
        built = rendering.build(study, {**made, "dataset_counts": make_counts(study)}, {}, TEMPLATES)
        text = rendering.markdown(built)
        assert not re.search(r"\b(nan|NaN|<NA>)\b", text)
        for section in built.sections:
            assert section.blocks, section.key
            for block in section.blocks:
                if isinstance(block, sections.TableBlock):
                    assert block.rows and {len(row) for row in block.rows} == {len(block.header)}, block.name
                    assert {cell for row in block.rows for cell in row}.isdisjoint({"None", "nan", "<NA>"}), block.name
        assert "Wu24 in large gives equal scores to heads" in text.replace("\\", "")
        assert "there is nothing to show" not in text

    def test_no_mean_is_over_two_grids(self, unequal):
        """Two models of different shape: each grid has its rows, with means by hand."""
        study, parts, made = unequal
        blocks = [block for section in rendering.build(study, made, {}, TEMPLATES).sections for block in section.blocks]
        tables = {block.name: block for block in blocks if isinstance(block, sections.TableBlock)}
        for name, dimension, a, b in (
            ("method_pairs", "method", "summed_attention", "wu24"),
            ("q2_overlap", "question", "inc_state", "hq_state"),
        ):
            header, rows = tables[name].header, tables[name].rows
            labels = [study.label(dimension, value) for value in (a, b)]
            shown = [dict(zip(header, row, strict=True)) for row in rows if row[1:3] == labels]
            assert [row["Grid"] for row in shown] == ["6 × 4", "10 × 8"]
            for row in shown:
                (model,) = (model for model, (layers, heads) in GRIDS.items() if row["Grid"] == f"{layers} × {heads}")
                expected = by_hand(
                    parts[list(GRIDS).index(model)], dimension, a, b, study.top_k_of(math.prod(GRIDS[model]))
                )
                assert row["Jaccard"] == decimal(expected)
            assert shown[0]["Jaccard"] != shown[1]["Jaccard"] and shown[0]["Chance"] != shown[1]["Chance"]

    def test_models_of_unequal_size_are_named_with_it(self, unequal):
        study, _, made = unequal
        built = rendering.build(study, made, {}, TEMPLATES)
        text = rendering.markdown(built)
        assert "| small (24 heads) | top heads |" in text and "| small (24 heads) − large (80 heads) |" in text
        assert "Differences with equal shares of heads (3 of 24 and 10 of 80) ablated, in points" in text
        blocks = [block for section in built.sections for block in section.blocks]
        for name in ("q1_drops", "q1_tests", "ablation_drops", "dominance"):
            (block,) = (block for block in blocks if block_name(block) == name)
            assert block.header[0] == "Grid" and {row[0] for row in block.rows} == {"6 × 4", "10 × 8"}, name
        study = make_study(models=("small", "large"), methods=("wu24",), questions=("hq_state",), levels=(5,))
        alike = rendering.markdown(
            rendering.build(study, analyse(study, make_rankings(study), make_ablation(study)), {}, TEMPLATES)
        )
        assert "| small | top heads |" in alike

    def test_what_was_drawn_is_told(self, tables, text):
        controls = tables["against_random"]
        some = controls.assign(matched=controls["matched"].where(controls["matching"] == "none", 0.8), draws=1)
        once = rendering.markdown(rendering.build(STUDY, {**tables, "against_random": some}, {}, TEMPLATES))
        assert "80.0% from the same layers, the rest from the nearest (1 draw)" in once
        assert "Some random heads that were matched by layer are from the nearest layers instead" in once
        assert "Random heads were drawn once for each top set." in once
        assert "from the same layers (2 draws)" in text and "Some random heads" not in text
        assert "Random heads were drawn 2 times at most for each top set." in text

    def test_sizes_below_the_level_stand_beside_it(self):
        study = make_study(methods=("wu24", "qrhead"), questions=("inc_year", "hq_state"), lengths=(512,))
        ablation = make_ablation(study)
        ablation["size"] = ablation["size"].clip(upper=7)
        built = rendering.build(study, analyse(study, make_rankings(study), ablation), {}, TEMPLATES)
        tables = {block.name: block for section in built.sections for block in section.blocks
                  if isinstance(block, sections.TableBlock)}  # fmt: skip
        # At level 20 no ranking tells more heads apart than at level 10: its rows stand for both.
        at = tables["against_random"].header.index("Heads")
        assert {row[at] for row in tables["against_random"].rows} == {"7"}
        at = tables["q1_tests"].header.index("Heads")
        assert {row[at] for row in tables["q1_tests"].rows} == {"7"}
        assert tables["effects"].header[-2:] == ["5 ablated", "10 ablated"]

    def test_a_figure_with_nothing_to_show_is_a_sentence(self, tables, drawn, tmp_path):
        drawn = shutil.copytree(drawn, tmp_path / "figures")
        reason = "No two models have equal grids of heads & differ <much>."
        figures.save(_layout.note(reason), drawn / "model_overlap.svg")
        figures.save(_layout.note(reason), drawn / "model_overlap.png")
        notes = {name: figures.note_in(drawn / f"{name}.svg") for name in DRAWN}
        assert [name for name, note in notes.items() if note] == ["model_overlap"] and notes["model_overlap"] == reason
        built = rendering.build(STUDY, tables, notes, TEMPLATES)
        said = f"Overlap of the top heads of each two models: there is nothing to show. {reason}"
        text, page = rendering.markdown(built), rendering.html(built, drawn)
        assert said in text.replace("\\", "") and said in text_of(page)
        assert (
            "model_overlap" not in text and "figure-model_overlap" not in page and "model_overlap" not in built.captions
        )
        assert page.count("<img") == len(DRAWN) - 1 + 1  # one of them small too, on the first screen

    def test_published_results_need_no_prompts(self, tables):
        made = analyse(STUDY, tables["rankings"], tables["ablation_summary"])
        text = rendering.markdown(rendering.build(STUDY, made, {}, TEMPLATES))
        assert "nan" not in re.findall(r"\w+", text.lower())
        assert "Outcomes of single prompts are not known" in text

    def test_a_missing_figure_is_named(self, built, tmp_path):
        with pytest.raises(StudyError, match=rf"{rendering.FIRST_FIGURE}\.svg: no such figure"):
            rendering.html(built, tmp_path)

    def test_table_pages(self, built):
        for name in rendering.table_names(built):
            page = rendering.table_page(built, name)
            assert page.count("<table>") == 1 and "<nav" not in page
            assert "head-map" not in page.split("<main>")[1].split("<script")[0]

    def test_map_page(self, built):
        page = rendering.map_page(built)
        assert page.count('id="head-map"') == 1 and 'id="head-map-data"' in page
        assert "<table>" not in page and "<nav" not in page


def by_hand(rankings, dimension, a, b, k):
    """The mean Jaccard of the first k heads of two values of a dimension, over all else."""
    others = [name for name in ("model", "method", "question", "context_length") if name != dimension]
    found = []
    for _, rows in rankings[rankings["rank"] <= k].groupby(others):
        one, other = (set(rows.loc[rows[dimension] == value, ["layer", "head"]].itertuples(index=False, name=None))
                      for value in (a, b))  # fmt: skip
        found.append(len(one & other) / len(one | other))
    return sum(found) / len(found)


class TestReferences:
    LABELS = {"figure:a": "Figure 3", "table:b_c": "Table 2"}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("As {figure:a} shows.", "As {figure:a} shows."),
            ("As {figure:gone} shows.", "As shows."),
            ("It falls ({figure:gone}).", "It falls."),
            ("It falls ({figure:gone}, {table:b_c}).", "It falls ({table:b_c})."),
            ("It falls ({figure:a}, {figure:gone} and {table:b_c}).", "It falls ({figure:a} and {table:b_c})."),
            ("A table is no figure ({figure:b_c}).", "A table is no figure."),
            ("{other:a} (and {figure:gone})", "{other:a} (and)"),
        ],
    )
    def test_to_what_is_not_shown_go(self, text, kept):
        assert rendering.without_missing_references(text, self.LABELS) == kept

    def test_become_links(self, built, drawn):
        text = "See {table:top_heads} & ({figure:nothing}, {figure:layer_distribution_by_method})."
        section = sections.Section("s", [sections.Paragraph(text), sections.Items([text])])
        made = dataclasses.replace(built, sections=[section, *built.sections])
        table, figure = built.labels["table:top_heads"], built.labels["figure:layer_distribution_by_method"]
        page, markdown = rendering.html(made, drawn), rendering.markdown(made)
        link = (
            f'See <a href="#table-top_heads">{table}</a> &amp; (<a href="#figure-layer_distribution_by_method">{figure}'
        )
        assert page.count(link) == 2
        link = f"See [{table}](#table-top_heads) & ([{figure}](#figure-layer_distribution_by_method))."
        assert markdown.count(link) == 2 and '<a id="table-top_heads"></a>' in markdown


TRY = """<script type="module">
await new Promise((done) => setTimeout(done, 1000));
const all = (selector) => [...document.querySelectorAll(selector)];
const column = () => all("#table-effects td:first-child").map((cell) => cell.textContent);
const sort = all("#table-effects th button").at(-1);
seen.orders = [0, 1, 2, 3].map((clicks) => {
  if (clicks) sort.click();
  return [sort.parentElement.getAttribute("aria-sort"), all("#table-effects tbody tr").map((row) => row.innerText)];
});
all(".enlarge")[0].click();
seen.enlarged = document.querySelector("dialog").open;
document.querySelector("dialog").close();
const before = getComputedStyle(document.body).backgroundColor;
document.querySelector(".theme").click();
seen.turned = getComputedStyle(document.body).backgroundColor !== before;
await new Promise((done) => setTimeout(done, 500));
const cells = (map) => [...map.querySelectorAll(".cell")].flatMap((path) => path.getAttribute("d").match(/M/g)).length;
seen.cells = all(".map:not(.small) .cells").map(cells);
seen.current = all("nav a[aria-current]").length;
seen.asked = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !/^data:/.test(name));
document.title = JSON.stringify(seen);
</script>"""


@NEEDS_BROWSER
def test_the_page_in_a_browser(page, tmp_path):
    """All that scripts do, with nothing asked from outside and nothing failing."""
    page = page.replace("<style>", f"{WATCH}<style>", 1).replace("</body>", f"{TRY}</body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    seen = titled(tmp_path / "page.html")
    assert (seen["refused"], seen["failed"], seen["asked"]) == ([], [], [])
    (_, first), (up, ascending), (down, descending), (again, last) = seen["orders"]
    assert (up, down, again, last) == ("ascending", "descending", None, first)
    values = [float(row.split("\t")[-1].split("%")[0]) for row in ascending]
    assert values == sorted(values) and values != [float(row.split("\t")[-1].split("%")[0]) for row in first]
    assert [row.split("\t")[-1].split("%")[0] for row in descending] == [f"{v:.1f}" for v in sorted(values)[::-1]]
    assert seen["enlarged"] and seen["turned"] and seen["current"] == 1
    assert seen["cells"] == [80] * len(METHODS)


class TestCaptions:
    @pytest.mark.parametrize("path", sorted((TEMPLATES / "captions").glob("*.rst")), ids=lambda path: path.stem)
    def test_reads_as_plain_text_and_as_rst(self, path: Path):
        text = rendering.caption(path.stem, STUDY.config, TEMPLATES)
        assert text.endswith(".") and "{{" not in text
        parts = docutils.core.publish_parts(
            text, writer="html", settings_overrides={"report_level": 1, "halt_level": 1}
        )
        assert parts["body"].count("<p>") == 1

    def test_every_figure_has_one(self):
        for name in figures.declarations():
            assert rendering.caption(name, STUDY.config, TEMPLATES)

    def test_a_missing_one_is_named(self):
        with pytest.raises(StudyError, match=r"report/captions/nothing\.rst: no such file"):
            rendering.caption("nothing", {}, TEMPLATES)

    def test_front_page(self):
        text = (TEMPLATES / "workflow.rst").read_text()
        text = jinja2.Template(text).render(snakemake=SimpleNamespace(config=STUDY.config))
        parts = docutils.core.publish_parts(text, writer="html", settings_overrides={"halt_level": 1})
        assert "512, 1024 tokens" in parts["html_body"]

    def test_the_front_page_takes_no_name_for_markup(self):
        """Names may end in an underscore, by which reST refers to something; a path may be anything."""
        names = {"study": "a_", "models": {"gpt_": {}, "b-_c_": {}}, "questions": {"founded_": {}}}
        config = STUDY.config | names | {"published": {"folder": "`x <javascript:run()>`_"}}
        text = (TEMPLATES / "workflow.rst").read_text()
        text = jinja2.Template(text).render(snakemake=SimpleNamespace(config=config))
        settings = {"report_level": 1, "halt_level": 1}
        page = docutils.core.publish_parts(text, writer="html", settings_overrides=settings)["html_body"]
        assert all(f">{name}<" in page for name in ("a_", "gpt_", "b-_c_", "founded_"))
        assert "javascript" not in page


def test_methods_describe_themselves():
    described = describe("methods", ["wu24", "unknown"])
    assert "arXiv 2404.15574" in described["wu24"]["paper"]
    assert described["wu24"]["definition"].endswith(".")
    assert described["unknown"] == {}


def test_numbers_in_words():
    row = {"drop": -0.0001, "drop_low": -0.25, "drop_high": 0.125}
    assert (percent(0.426), points(-0.031)) == ("42.6%", "−3.1")
    assert estimate(row, "drop", "") == "0.0 [−25.0, 12.5]"
    assert (p_value(0.0004), p_value(0.0123), p_value(float("nan"))) == ("< 0.001", "= 0.012", "")
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")
