"""Imported lists of heads: what they may be, and how they agree with rankings."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from made_tables import (
    TEMPLATES,
    analyse,
    make_ablation,
    make_counts,
    make_rankings,
    make_study,
)
from retrieval_heads import tables
from retrieval_heads.errors import StudyError
from retrieval_heads.exchange import external_lists, published
from retrieval_heads.exchange.exports import export_rankings
from retrieval_heads.exchange.external_lists import compare, read_list
from retrieval_heads.findings import claims, rendering
from retrieval_heads.findings.claims import Outcome, overlap
from retrieval_heads.preflight import check_surroundings
from retrieval_heads.study.config import complete
from retrieval_heads.tables.imports import IMPORTS
from tiny_models import safetensors

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "llama3_8b"
LEAST = {
    "study": "least",
    "models": {"small": {"source": {"path": "somewhere"}}},
    "documents": {"train": 2, "test": 1},
    "questions": {"hq_state": {"text": "Where?", "type": "state"}},
    "prompts": {"context_lengths": [512]},
}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


class TestReading:
    def test_a_score_is_a_number_or_a_list_of_them(self, tmp_path):
        file = write(tmp_path / "list.json", {"0-1": [0, 0.5], "12-31": 0.25, "3-0": [1]})
        assert read_list(file) == {(0, 1): [0.0, 0.5], (12, 31): [0.25], (3, 0): [1.0]}

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            ("{", "not valid JSON"),
            ("{}", "lists no heads"),
            ("[]", "lists no heads"),
            ('["0-1"]', "lists no heads"),
            ('"0-1"', "lists no heads"),
            ('{"L0H1": [1]}', "'L0H1' names no head and should be layer-head, such as 16-19"),
            ('{"0-1-2": [1]}', "'0-1-2' names no head"),
            ('{"00-1": [1]}', "'00-1' names no head"),
            ('{"-1-1": [1]}', "'-1-1' names no head"),
            ('{"0-1": []}', "the value of 0-1"),
            ('{"0-1": {}}', "the value of 0-1"),
            ('{"0-1": null}', "the value of 0-1"),
            ('{"0-1": [true]}', "the value of 0-1"),
            ('{"0-1": ["1"]}', "the value of 0-1"),
            ('{"0-1": [NaN]}', "the value of 0-1"),
            ('{"0-1": 1e999}', "the value of 0-1"),
            ('{"0-1": [[1]]}', "the value of 0-1"),
            ('{"0-1": [1], "0-1": [2]}', "0-1 is there twice"),
        ],
    )
    def test_what_is_no_such_list_is_refused(self, tmp_path, content, fault):
        file = write(tmp_path / "list.json", content)
        with pytest.raises(StudyError) as error:
            read_list(file)
        assert str(error.value).startswith(f"{file}: ") and fault in str(error.value)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(StudyError, match=r"nowhere\.json: no such file; correct the path under imports"):
            read_list(tmp_path / "nowhere.json")


class TestConfig:
    def test_the_only_model_need_not_be_named(self):
        config = complete({**LEAST, "imports": {"theirs": {"file": "x.json"}}})
        assert config["imports"] == {"theirs": {"file": "x.json", "model": "small"}}
        assert complete(config) == config

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            ({}, r"imports\.theirs\.model: this key is missing; write one of small, large"),
            ({"model": "other"}, r"imports\.theirs\.model: other is no model of this study; write one of small, large"),
        ],
    )
    def test_it_is_said_where_there_are_several(self, model, message):
        models = {name: {"source": {"path": "somewhere"}} for name in ("small", "large")}
        with pytest.raises(StudyError, match=message):
            complete({**LEAST, "models": models, "imports": {"theirs": {"file": "x.json", **model}}})

    @pytest.mark.parametrize("entry", [{}, {"file": ""}, {"file": "x.json", "method": "wu24"}, "x.json"])
    def test_what_is_no_entry_is_refused(self, entry):
        with pytest.raises(StudyError, match=r"^imports\.theirs"):
            complete({**LEAST, "imports": {"theirs": entry}})

    @pytest.fixture
    def config(self, tmp_path):
        shape = {"num_hidden_layers": 5, "num_attention_heads": 4, "model_type": "llama"}
        (tmp_path / "model").mkdir()
        write(tmp_path / "model" / "config.json", shape)
        (tmp_path / "model" / "model.safetensors").write_bytes(safetensors())
        write(tmp_path / "model" / "tokenizer.json", "{}")
        changed = {
            "models": {"small": {"source": {"path": str(tmp_path / "model")}}},
            "results": str(tmp_path / "results"),
            "ablation": {"levels": [2]},
            "imports": {"theirs": {"file": str(tmp_path / "list.json")}},
        }
        return complete({**LEAST, **changed})

    def test_lists_are_held_against_the_model_before_any_work(self, config, tmp_path, monkeypatch):
        monkeypatch.chdir(ROOT)
        with pytest.raises(StudyError, match=r"list\.json: no such file"):
            check_surroundings(config)
        write(tmp_path / "list.json", {"0-0": [1], "4-4": [1]})
        with pytest.raises(StudyError, match=r"list\.json: lists L4H4, but small has 5 layers of 4 heads"):
            check_surroundings(config)
        write(tmp_path / "list.json", {"0-0": [1], "4-3": [1]})
        check_surroundings(config)


STUDY = make_study(models=("small", "large"), questions=("hq_state", "inc_year"), levels=(20,), top_k=4)
RANKINGS = make_rankings(STUDY, 5, 4)


def own_list(path, heads):
    """A list that orders these heads as they come."""
    return {"file": write(path, {f"{layer}-{head}": [1.0 / (n + 1)] for n, (layer, head) in enumerate(heads)})}


def heads_of(rankings, **values):
    for name, value in values.items():
        rankings = rankings[rankings[name] == value]
    return list(rankings.sort_values("rank")[["layer", "head"]].itertuples(index=False, name=None))


CELL = {"model": "small", "method": "wu24", "question": "hq_state", "context_length": 512, "variant": "plain"}


class TestComparing:
    def test_a_ranking_agrees_with_itself_wholly(self, tmp_path):
        mine = {"model": "small", **own_list(tmp_path / "list.json", heads_of(RANKINGS, **CELL))}
        found = compare(RANKINGS, {"mine": mine}, top_k=4).set_index(list(CELL)).sort_index()
        same = found.loc[tuple(CELL.values())]
        assert (same["jaccard"], same["rbo"], same["spearman"]) == pytest.approx((1, 1, 1))
        assert (same["listed"], same["k"]) == (20, 4)

    def test_every_ranking_of_its_model_has_a_row_and_no_other(self, tmp_path):
        mine = {"model": "large", **own_list(tmp_path / "list.json", [(0, 0)])}
        found = compare(RANKINGS, {"mine": mine})
        assert set(found["model"]) == {"large"}
        assert len(found) == 3 * 2 * 2
        tables.write(found, tmp_path / "imports.parquet", IMPORTS)
        pd.testing.assert_frame_equal(tables.read(tmp_path / "imports.parquet", IMPORTS), found, check_dtype=False)

    def test_values_by_hand(self, tmp_path):
        """The top 4 are heads 0 to 3 of layer 0; the list has two of them and two others."""
        order = [(0, 0), (0, 1), (0, 2), (0, 3), *((layer, head) for layer in range(1, 5) for head in range(4))]
        own = pd.DataFrame(
            [{**CELL, "layer": layer, "head": head, "rank": n, "last": n} for n, (layer, head) in enumerate(order, 1)]
        )
        mine = {"model": "small", **own_list(tmp_path / "list.json", [(0, 0), (4, 0), (0, 1), (4, 1)])}
        (row,) = compare(own, {"mine": mine}, top_k=4).to_dict("records")
        assert row["jaccard"] == pytest.approx(2 / 6)
        # C(4, i) C(16, 4 − i) / C(20, 4) for i heads in common
        chances = [1820 / 4845, 2240 / 4845, 720 / 4845, 64 / 4845, 1 / 4845]
        assert row["chance"] == pytest.approx(sum(p * i / (8 - i) for i, p in enumerate(chances)))
        assert row["p"] == pytest.approx(sum(chances[2:]))
        # 1, 1, 2 and 2 heads in common down to depths 1 to 4. The other 16 of the list share places 5 to 20: each is
        # among the first d with chance (d − 4) / 16. Of the study's first d, two have it wholly down to depth 16, three
        # from 17 and four from 18 (L4H0, L4H1), and the others by that chance. With persistence 3/4:
        shared = [1, 1, 2, 2, *(2 + (d - 2) * (d - 4) / 16 for d in range(5, 17))]
        shared += [3 + 14 * 13 / 16, *(4 + (d - 4) * (d - 4) / 16 for d in range(18, 21))]
        agreement = sum(x / d * 0.75**d for d, x in enumerate(shared, 1)) / 3
        assert shared[-1] == 20 and row["rbo"] == pytest.approx(agreement + 0.75**20)

    def test_a_list_that_ties_at_the_level_has_the_heads_above(self, tmp_path):
        entry = {"model": "small", "file": write(tmp_path / "list.json", {"0-0": 1, "0-1": 0.5, "0-2": 0.5, "0-3": 0})}
        assert set(compare(RANKINGS, {"theirs": entry}, top_k=2)["size_b"]) == {1}
        assert set(compare(RANKINGS, {"theirs": entry}, top_k=3)["size_b"]) == {3}
        entry["file"] = write(tmp_path / "list.json", {"0-0": 0, "0-1": 0})
        found = compare(RANKINGS, {"theirs": entry}, top_k=1)
        assert set(found["size_b"]) == {0} and found[["jaccard", "chance", "p"]].isna().all(axis=None)
        assert found["rbo"].notna().all()

    def test_equal_scores_in_a_list_share_their_places(self, tmp_path):
        file = write(tmp_path / "list.json", {"10-1": 0.5, "2-1": [0.25, 0.75], "2-0": 0.5, "0-0": 0.1})
        ranked = external_lists.rank_list(read_list(file))
        assert list(zip(ranked["layer"], ranked["head"], strict=True)) == [(2, 0), (2, 1), (10, 1), (0, 0)]
        assert ranked["rank"].tolist() == [2, 2, 2, 4] and ranked["last"].tolist() == [3, 3, 3, 4]

    def test_heads_that_the_model_does_not_have_are_refused(self, tmp_path):
        mine = {"model": "small", **own_list(tmp_path / "list.json", [(0, 0), (5, 0)])}
        with pytest.raises(StudyError, match=r"list\.json: lists L5H0, but small has 5 layers of 4 heads; name the"):
            compare(RANKINGS, {"mine": mine})


@pytest.fixture(scope="module")
def made():
    """All tables of a study of one model."""
    study = make_study(levels=(20,), lengths=(512,))
    rankings = make_rankings(study, 10, 8)
    analysed = analyse(study, rankings, make_ablation(study))
    return study, {**analysed, "dataset_counts": make_counts(study)}


def with_list(made, path, heads, **entry):
    study, found = made
    entries = {"theirs": {"model": "small", "label": "their list", **own_list(path, heads), **entry}}
    config = {**study.config, "imports": entries}
    return type(study)(config, study.methods), {**found, "imports": compare(found["rankings"], entries)}


@pytest.mark.thorough
class TestReport:
    def test_the_rule_reaches_all_three_outcomes(self, made, tmp_path):
        rankings = made[1]["rankings"]
        order = heads_of(rankings, method="wu24", question="hq_state")
        tops = {head for n in range(1, 5) for head in heads_of(rankings, method="wu24", rank=n)}
        others = [head for head in order if head not in tops]

        def about_wu24(heads):
            study, found = with_list(made, tmp_path / "list.json", heads)
            (claim,) = (c for c in overlap.imported_heads_are_top_heads(found, study) if "Wu24" in c.statement)
            return claim

        same = about_wu24(order)
        assert same.outcome is Outcome.SUPPORTED
        assert same.sentence.startswith(
            "Rankings by Wu24 and their list agree more than chance. Their top heads have a mean Jaccard of "
        )
        assert about_wu24(others).outcome is Outcome.CONTRADICTED
        # One head in common is above what chance gives, and not significant.
        assert about_wu24([order[0], *others]).outcome is Outcome.UNDECIDED

    def test_a_section_shows_them(self, made, tmp_path):
        heads = heads_of(made[1]["rankings"], method="wu24", question="hq_state")
        study, found = with_list(made, tmp_path / "a.json", heads[:30])
        built = rendering.build(study, found, {}, TEMPLATES)
        (section,) = (section for section in built.sections if section.key == "imports")
        text = rendering.markdown(built)
        for claim in claims.of_section("imports", found, study):
            assert claim.sentence in text.replace("\\", "")
        (block,) = (block for block in section.blocks if getattr(block, "name", "") == "imports")
        assert block.header[:4] == ["List", "Method", "Heads listed", "k"]
        mean = found["imports"].query("method == 'wu24'")["jaccard"].mean()
        (row,) = (row for row in block.rows if row[1] == "Wu24")
        assert row[:5] == ["their list", "Wu24", "30", "4", f"{mean:.3f}"]
        assert len(block.rows) == 3

    def test_without_lists_there_is_no_section(self, made):
        built = rendering.build(*made, {}, TEMPLATES)
        assert "imports" not in {section.key for section in built.sections}
        assert "Imported" not in rendering.markdown(built)

    def test_a_list_whose_model_has_no_ranking_is_told(self, made, tmp_path):
        study, found = with_list(made, tmp_path / "a.json", [(0, 0)])
        found["imports"] = found["imports"].iloc[:0]
        assert "their list has no ranking of this study to stand beside" in rendering.markdown(
            rendering.build(study, found, {}, TEMPLATES)
        )


@pytest.mark.skipif(not REAL.is_dir(), reason="the published data, ../shared/llama3_8b, are not there")
def test_published_rankings_come_back_through_their_export(tmp_path):
    config = yaml.safe_load((ROOT / "config" / "published-llama3-8b.yaml").read_text(encoding="utf-8"))
    config["published"]["folder"] = str(REAL)
    rankings, _ = published.convert(complete(config))
    model, method, question, length = rankings[["model", "method", "question", "context_length"]].iloc[0]
    here = rankings[(rankings["model"] == model) & (rankings["context_length"] == length)]
    export_rankings(here, [], tmp_path / "out")
    mine = {"mine": {"model": model, "file": str(tmp_path / "out" / method / f"{question}.json")}}
    found = compare(rankings, mine).set_index(["model", "method", "question", "context_length"])
    same = found.loc[(model, method, question, length)]
    assert (same["jaccard"], same["rbo"], same["spearman"]) == pytest.approx((1, 1, 1))
    assert (found.drop(index=[(model, method, question, length)])["jaccard"] < 1).all()
