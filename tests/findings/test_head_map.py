import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from browser import NEEDS_BROWSER, titled
from made_tables import METHODS, QUESTIONS, TEMPLATES, make_labels, make_rankings, make_study
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.findings import head_map

SCRIPT = (TEMPLATES / "head_map.js").read_text(encoding="utf-8")
STUDY = make_study(models=("small", "large"))
NODE = shutil.which("node")


@pytest.fixture(scope="module")
def rankings():
    """Two models with grids of their own; of the larger one, one method ranks some heads only."""
    small = make_rankings(make_study(models=("small",)), 6, 4)
    large = make_rankings(make_study(models=("large",)), 8, 5, seed=1)
    partial = (large["method"] == "wu24") & (large["rank"] > 7)
    return pd.concat([small, large[~partial]], ignore_index=True)


@pytest.fixture(scope="module")
def data(rankings):
    """What the script finds in the page."""
    found = head_map.data(STUDY, rankings)
    text = re.search(
        r'<script type="application/json" id="head-map-data">(.*?)</script>', head_map.scripts(found, SCRIPT)
    )[1]
    assert json.loads(text) == found
    return found


def of(data, *labels):
    """The ranking of a model, method, question and length, all as they are shown."""
    lists = [[model["label"] for model in data["models"]], data["methods"], data["questions"], data["lengths"]]
    places = [values.index(label) for values, label in zip(lists, labels, strict=True)]
    (ranking,) = (ranking for ranking in data["rankings"] if ranking["of"] == places)
    return ranking


def test_choices_are_in_the_studys_order(data):
    assert data["models"] == [
        {"label": "small", "layers": 6, "heads": 4, "top": STUDY.top_k_of(24)},
        {"label": "large", "layers": 8, "heads": 5, "top": STUDY.top_k_of(40)},
    ]
    assert data["methods"] == [method["label"] for method in METHODS.values()]
    assert data["questions"] == [question["label"] for question in QUESTIONS.values()]
    assert data["lengths"] == ["512 tokens", "1,024 tokens"]
    assert len(data["rankings"]) == 2 * 3 * 4 * 2


def test_ranks_and_scores_are_those_of_the_table(data, rankings):
    widths = {"small": 4, "large": 5}
    for (model, method, question, length), rows in rankings.groupby(
        ["model", "method", "question", "context_length"], sort=False
    ):
        ranking = of(
            data, model, METHODS[method]["label"], QUESTIONS[question]["label"], STUDY.label("context_length", length)
        )
        at = rows["layer"] * widths[model] + rows["head"]
        assert [ranking["ranks"][i] for i in at] == list(rows["rank"])
        assert [ranking["scores"][i] for i in at] == pytest.approx(list(rows["score"]), rel=5e-4)
        for values in (ranking["ranks"], ranking["scores"]):
            assert sum(value is not None for value in values) == len(rows)


def test_what_is_known_of_a_head_stands_beside_its_ranks(rankings):
    labels = make_labels(rankings)
    found = head_map.data(STUDY, rankings, labels)
    head = labels[(labels["model"] == "large") & (labels["layer"] == 3) & (labels["head"] == 2)].iloc[0]
    note = found["models"][1]["notes"][3 * 5 + 2]
    assert note.startswith("induction head (" if head["is_induction"] else "no induction head (")
    assert f"({head['induction']:.2f}), on the first token {100 * head['sink_share']:.1f}%, key-value group 1" in note
    assert note.endswith(f", writes {head['write_norm']:.2f}")
    unknown = head_map.data(STUDY, rankings, make_labels(rankings, written=False))
    assert not any("writes" in note for model in unknown["models"] for note in model["notes"])


def test_heads_that_a_ranking_does_not_list_are_blank(data):
    ranking = of(data, "large", "Wu24", "Headquarters state", "512 tokens")
    assert sorted(rank for rank in ranking["ranks"] if rank is not None) == list(range(1, 8))
    assert len(ranking["ranks"]) == len(ranking["scores"]) == 40
    assert [rank is None for rank in ranking["ranks"]] == [score is None for score in ranking["scores"]]


def test_a_large_study_stays_small():
    study = make_study(models=("one", "two"), lengths=(2048, 4096, 6144, 8192))  # 32 configurations of 3 methods
    text = head_map.scripts(head_map.data(study, make_rankings(study, 32, 32)), SCRIPT)
    assert len(text.split('id="head-map-data">')[1].split("</script>")[0]) < 1.5e6


def test_is_the_same_each_time(rankings):
    shuffled = rankings.sample(frac=1, random_state=np.random.default_rng(3))
    assert head_map.data(STUDY, shuffled) == head_map.data(STUDY, rankings)


def test_text_from_config_never_ends_the_script():
    name = "</script><script>alert(1)<!--"
    study = make_study(models=(name,), methods=("wu24",))
    text = head_map.scripts(head_map.data(study, make_rankings(study)), SCRIPT)
    carried = text.split("</script>")[0]
    assert "\\u003c/script>" in carried and carried.count("<") == 1
    assert json.loads(carried.split(">", 1)[1])["models"][0]["label"] == name


def test_the_page_embeds_no_library(data):
    """All that a map is drawn with is its own script."""
    text = head_map.scripts(data, SCRIPT)
    assert len(re.findall("<script", text)) == 2 and "import " not in SCRIPT
    assert len(text) - len(json.dumps(data, separators=(",", ":"))) < 30_000


@pytest.mark.skipif(NODE is None, reason="needs node")
class TestScript:
    """What is shown of a selection, as the page's own script finds it."""

    @staticmethod
    def run(data, expression):
        script = SCRIPT
        script += f"\nconst data = {json.dumps(data)};\nconsole.log(JSON.stringify({expression}));"
        done = subprocess.run([NODE, "--input-type=module"], input=script, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def test_one_ranking(self, data):
        (found,) = self.run(data, "[means(data, { model: 0, question: 3, length: 1 }, 2)]")
        ranking = of(data, "small", "QRHead", "Headquarters state", "1,024 tokens")
        assert [head["rank"] for head in found] == ranking["ranks"]
        assert [head["score"] for head in found] == ranking["scores"]
        assert {head["rankings"] for head in found} == {1}

    @pytest.mark.parametrize(("question", "length"), [("null", "null"), ("1", "null"), ("null", "0")])
    def test_means(self, data, rankings, question, length):
        found = self.run(data, f"means(data, {{ model: 0, question: {question}, length: {length} }}, 0)")
        rows = rankings[(rankings["model"] == "small") & (rankings["method"] == "summed_attention")]
        rows = rows[rows["question"] == "inc_year"] if question == "1" else rows
        rows = rows[rows["context_length"] == 512] if length == "0" else rows
        expected = rows.groupby(["layer", "head"])[["rank", "score"]].mean()
        assert [head["rank"] for head in found] == pytest.approx(list(expected["rank"]))
        assert [head["score"] for head in found] == pytest.approx(list(expected["score"]), rel=1e-3)

    def test_means_with_heads_that_are_not_listed(self, data):
        found = self.run(data, "means(data, { model: 1, question: null, length: null }, 1)")
        rankings = [ranking for ranking in data["rankings"] if ranking["of"][:2] == [1, 1]]
        for head, shown in enumerate(found):
            ranks = [ranking["ranks"][head] for ranking in rankings]
            listed = [rank for rank in ranks if rank is not None]
            if not listed:
                assert shown is None
                continue
            assert (shown["listed"], shown["rankings"]) == (len(listed), 8)
            assert shown["rank"] == pytest.approx(np.mean([(8 + 40) / 2 if rank is None else rank for rank in ranks]))
        assert None in found and any(shown and shown["listed"] < 8 for shown in found)

    def test_equal_heads_share_their_rank_and_are_counted(self, rankings):
        study = make_study(models=("small",), methods=("wu24",), questions=("hq_state",))
        scores = [0.5, 0.4, 0.4, *[0.0] * 21]
        rows = make_rankings(study).sort_values(["context_length", "layer", "head"])
        tied = head_map.data(study, placed(rows.assign(score=scores * 2)))
        choice = "{ model: 0, question: 0, length: %s }"
        found = self.run(tied, f"means(data, {choice % 0}, 0)")
        assert [head["rank"] for head in found] == [1, 2.5, 2.5, *[14] * 21]
        assert [head["equal"] for head in found] == [0, 1, 1, *[20] * 21]
        assert {head["equal"] for head in self.run(tied, f"means(data, {choice % 'null'}, 0)")} == {0}

    def test_over_all_methods_there_is_a_mean_rank_alone(self, data, rankings):
        found = self.run(data, "means(data, { model: 0, question: null, length: null }, null)")
        expected = rankings[rankings["model"] == "small"].groupby(["layer", "head"])["rank"].mean()
        assert [head["rank"] for head in found] == pytest.approx(list(expected))
        assert {head["score"] for head in found} == {None}

    def test_the_top_heads_are_those_of_the_top_set(self, data):
        """The set of a level holds the heads whose last place, as ties have it, is no later (docs/methods.md)."""
        ranks = [1, 3, 3, 3, 5, None]
        found = [None if rank is None else {"rank": rank} for rank in ranks]
        tops = self.run(data, f"[0, 1, 2, 3, 4, 5].map((top) => topHeads({json.dumps(found)}, top))")
        assert [sum(top) for top in tops] == [0, 1, 1, 1, 4, 5]
        assert tops[4] == [True] * 4 + [False] * 2

    def test_the_first_rank_and_the_largest_score_are_brightest(self, data):
        found = [
            {"rank": rank, "score": score, "rankings": 1}
            for rank, score in zip((1, 2, 3, 4), (9, 4, 0, -1), strict=True)
        ]
        shown = json.dumps([*found, None])
        by_rank, by_score = self.run(data, f'["rank", "score"].map((by) => shaded({shown}, by))')
        assert by_rank["shares"][-1] is None and by_score["shares"] == [1, 0.5, 0.1, 0, None]
        assert by_rank["shares"][0] == 1 and by_rank["shares"][:4] == sorted(by_rank["shares"][:4], reverse=True)
        assert (by_rank["title"], by_score["title"]) == ("Rank", "Score")
        assert [text for _, text in by_rank["ticks"]] == ["1", "3"]
        assert by_score["ticks"][0] == [pytest.approx(0.1), "0"] and len(by_score["ticks"]) >= 3
        equal = json.dumps([{"rank": 2, "score": 0, "rankings": 1}] * 3)
        for shown in self.run(data, f'["rank", "score"].map((by) => shaded({equal}, by))'):
            assert all(0 <= share <= 1 for share in shown["shares"])

    def test_words(self, data):
        one = {"rank": 3, "equal": 0, "score": -0.01234, "listed": 1, "rankings": 1}
        two, many = {**one, "rank": 3.5, "equal": 1}, {**one, "rank": 14, "equal": 20, "score": 0}
        some = {"rank": 3.25, "equal": 0, "score": 0.5, "listed": 1, "rankings": 4}
        of_all = {**some, "score": None}
        assert self.run(data, f"[null, ...{json.dumps([one, two, many, some, of_all])}].map(described)") == [
            "not listed",
            "rank 3, score −0.01234",
            "rank 3.5 (equal with 1 other), score −0.01234",
            "rank 14 (equal with 20 others), score 0",
            "mean rank 3.3, mean score 0.5, listed in 1 of 4",
            "mean rank 3.3, listed in 1 of 4",
        ]


TRY = """<script type="module">
await new Promise((done) => setTimeout(done, 500));
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const [large, small] = all(".map");
const cells = all(".cells", large);
const drawn = (root) => all(".cell", root).flatMap((path) => path.getAttribute("d").match(/M/g)).length;
const tip = large.querySelector(".tip");
const said = () => (tip.hidden ? null : [...tip.children].map((line) => line.textContent));
const frames = () => all(".frame", large).filter((frame) => frame.getAttribute("visibility") === "visible");
const press = (key) => cells[0].dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const seen = { cells: cells.map(drawn), small: all(".cells", small).map(drawn), tips: [], frames: [] };
const note = () => { seen.tips.push(said()); seen.frames.push(frames().length); };

note();
const { left, top, width, height } = cells[0].getBoundingClientRect();
cells[0].dispatchEvent(new PointerEvent("pointermove", { clientX: left + width * 0.9, clientY: top + height * 0.99 }));
note();
cells[0].dispatchEvent(new PointerEvent("pointerleave"));
note();
for (const key of ["Home", "ArrowUp", "ArrowRight", "ArrowDown", "ArrowDown", "End", "Escape"]) {
  press(key);
  note();
}
seen.told = large.querySelector(".told").textContent;
seen.reachable = cells.every((each) => each.tabIndex === 0 && each.getAttribute("aria-label"));
const select = all("select", large)[0];
select.selectedIndex = 1;
select.dispatchEvent(new Event("change"));
seen.other = all(".cells", large).map(drawn);
seen.dots = all(".cells", large).map((each) => each.querySelector(".dots").getAttribute("d").match(/M/g).length);
document.title = JSON.stringify(seen);
</script>"""


@NEEDS_BROWSER
def test_heads_are_pointed_at_and_reached_by_keys(data, rankings, tmp_path):
    maps = '<div class="map" id="head-map"></div><div class="map small"></div>'
    page = f"<!doctype html><title></title>{maps}{head_map.scripts(data, SCRIPT)}{TRY}"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    seen = titled(tmp_path / "page.html")
    assert seen["cells"] == [24] * len(METHODS) and seen["small"] == [24]
    names = [tip and tip[0] for tip in seen["tips"]]
    # Pointed at below and to the right, left, and then led about by keys, from the head that was pointed at.
    assert names == [None, "L0H3", None, "L0H0", "L1H0", "L1H1", "L0H1", "L0H1", "L0H3", None]
    assert seen["frames"] == [len(METHODS) if name else 0 for name in names]
    ranks = rankings[(rankings["model"] == "small") & (rankings["layer"] == 0) & (rankings["head"] == 3)]
    for (method, described), line in zip(METHODS.items(), seen["tips"][1][1:], strict=True):
        rank = ranks.loc[ranks["method"] == method, "rank"].mean()
        assert re.fullmatch(rf"{re.escape(described['label'])} mean rank ([\d.]+), mean score .*", line)
        assert float(line.split("mean rank ")[1].split(",")[0]) == pytest.approx(rank, abs=0.051)
    assert seen["told"].startswith("L0H3. ") and seen["reachable"]
    partial = len(rankings[rankings["model"] == "large"].query("method == 'wu24'").drop_duplicates(["layer", "head"]))
    assert seen["other"] == [40, partial, 40]
    of_large = rankings[rankings["model"] == "large"].groupby(["method", "layer", "head"])["rank"].mean()
    last = [of_large[method].rank(method="max") for method in ("summed_attention", "qrhead")]
    assert [seen["dots"][0], seen["dots"][2]] == [int((places <= STUDY.top_k_of(40)).sum()) for places in last]
