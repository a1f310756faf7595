import json
import logging
import re
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dotted import put
from projects import ROOT, Project, planned
from retrieval_heads import tables
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.errors import StudyError
from retrieval_heads.exchange import published
from retrieval_heads.preflight import check_surroundings
from retrieval_heads.study.config import complete
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables.ablation_summary import ABLATION_SUMMARY
from retrieval_heads.tables.rankings import RANKINGS

READY_MADE = ROOT / "config" / "published-llama3-8b.yaml"
REAL = ROOT.parent / "shared" / "llama3_8b"
LENGTHS = (512, 1024)


def make_config(folder, **changes):
    question = {"text": "What?", "type": "text"}
    return complete(
        {
            "study": "made",
            "published": {"folder": str(folder), "names": {"wu24": "copying"}},
            "models": {"small": {"grid": [13, 31]}},
            "methods": {"wu24": {}, "qrhead": {}},
            "questions": {"place": question, "year": question},
            "prompts": {"context_lengths": list(LENGTHS)},
            **changes,
        }
    )


def make_ranking(question, length):
    return {
        "question": question,
        "total_tokens": length,
        "samples_processed": 9,
        "head_rankings": [
            {"head": "L1H0", "score": 0.5, "rank": 1, "num_samples": 4},
            {"head": "L0H1", "score": 0.25, "rank": 3},
            {"head": "L12H30", "score": 0.25, "rank": 2},
            {"head": "L0H0", "score": -1, "rank": 4},
        ],
    }


def make_ablation(question, length):
    return {
        "question": question,
        "total_tokens": length,
        "baseline": {"accuracy": 0.9, "correct": 9, "total": 10},
        "top_heads_ablations": [
            {"num_heads": 1, "accuracy": 0.6, "correct": 6, "total": 10},
            {"num_heads": 2, "accuracy": 0, "correct": 0, "total": 10},
        ],
        "random_heads_ablations": [
            {"num_heads": 1, "accuracy": 0.8, "correct": 8, "total": 10},
            {"num_heads": 2, "accuracy": 0.3, "correct": 3, "total": 10},
        ],
    }


def make_folder(folder, methods=("copying", "qrhead"), models=("small",), questions=("place", "year"), lengths=LENGTHS):
    """A folder of published results; every file of a kind says the same."""
    for method, model, question, length in product(methods, models, questions, lengths):
        for kind, content in (("rankings", make_ranking), ("ablations", make_ablation)):
            file = folder / kind / method / model / question / f"tokens_{length}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content(question, length)))
    return folder


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "results")


@pytest.fixture
def config(folder):
    return make_config(folder)


RANKING = "rankings/copying/small/place/tokens_512.json"
ABLATION = "ablations/copying/small/place/tokens_512.json"


def edit(file, key, value):
    """Put a value into a JSON file, at a dotted key; ``...`` takes the key away."""
    content = json.loads(file.read_text())
    put(content, key, value)
    file.write_text(json.dumps(content))


class TestConversion:
    def test_scores_decide_which_heads_share_places(self, config):
        rankings, _ = published.convert(config)
        assert len(rankings) == 2 * 2 * 2 * 4
        one = rankings[(rankings["method"] == "wu24") & (rankings["question"] == "year")]
        one = one[one["context_length"] == 1024]
        # Their ranks 2 and 3 are an order that the equal scores do not give.
        assert one[["layer", "head", "score", "rank", "last", "n_samples"]].to_numpy().tolist() == [
            [1, 0, 0.5, 1, 1, 4],
            [0, 1, 0.25, 2.5, 3, 9],
            [12, 30, 0.25, 2.5, 3, 9],
            [0, 0, -1, 4, 4, 9],
        ]
        assert one["score_sd"].isna().all()
        assert set(one["model"]) == {"small"}

    def test_ablations_become_counts_and_the_baseline_stands_once(self, config):
        _, summary = published.convert(config)
        one = summary[(summary["question"] == "place") & (summary["context_length"] == 512)].drop(columns=CELL)
        rows = [tuple(None if pd.isna(value) else value for value in row) for row in one.itertuples(index=False)]
        assert rows[:5] == [
            ("baseline", None, None, None, 0, 0, None, "published", "zero", "all", 0.9, 9, 10),
            ("method", "wu24", None, None, 1, 1, None, "published", "zero", "all", 0.6, 6, 10),
            # Two heads were ablated, though the second ties with the third.
            ("method", "wu24", None, None, 2, 2, None, "published", "zero", "all", 0.0, 0, 10),
            ("random", "wu24", "none", 0, 1, 1, None, "published", "zero", "all", 0.8, 8, 10),
            ("random", "wu24", "none", 0, 2, 2, None, "published", "zero", "all", 0.3, 3, 10),
        ]
        assert rows[5:] == [(source, "qrhead", *rest) for source, _, *rest in rows[1:5]]
        assert len(summary) == 4 * 9

    def test_both_are_tables_that_effects_can_be_estimated_from(self, config, tmp_path):
        rankings, summary = published.convert(config)
        for frame, table in ((rankings, RANKINGS), (summary, ABLATION_SUMMARY)):
            path = tmp_path / f"{table.name}.parquet"
            tables.write(frame, path, table)
            pd.testing.assert_frame_equal(tables.read(path, table), frame, check_dtype=False)
        found = estimate_effects(as_outcomes(tables.read(path, ABLATION_SUMMARY), 0)).effects
        cell = found[found["question"].eq("place") & found["context_length"].eq(512) & found["method"].eq("wu24")]
        assert cell.set_index("k")["drop"].round(9).to_dict() == {1: 0.3, 2: 0.9}

    def test_files_are_those_of_the_config(self, config, folder):
        assert len(published.files(config)) == 2 * 2 * 2 * 2
        assert str(folder / RANKING) in published.files(config)
        (folder / RANKING).unlink()
        assert str(folder / RANKING) not in published.files(config)


class TestHoles:
    @pytest.fixture(autouse=True)
    def said(self, caplog):
        caplog.set_level(logging.WARNING)
        return caplog

    def test_a_missing_ranking_is_named_and_left_out(self, config, folder, said):
        (folder / RANKING).unlink()
        published.check(config)
        rankings, summary = published.convert(config)
        assert said.messages == [f"{folder / RANKING}: no such file; its configuration is left out"]
        found = set(rankings[["method", "question", "context_length"]].itertuples(index=False, name=None))
        assert len(found) == 7
        assert ("wu24", "place", 512) not in found
        assert len(summary) == 4 * 9

    def test_a_missing_ablation_leaves_the_baseline_of_the_others(self, config, folder, said):
        (folder / ABLATION).unlink()
        published.check(config)
        _, summary = published.convert(config)
        assert said.messages == [f"{folder / ABLATION}: no such file; its configuration is left out"]
        assert len(summary) == 4 * 9 - 4
        assert (summary["source"] == "baseline").sum() == 4

    def test_files_that_are_not_asked_for_are_counted(self, folder, said):
        make_folder(folder, methods=("copying",), models=("big",))
        (folder / "README.md").touch()
        rankings, _ = published.convert(make_config(folder))
        example = folder / "ablations" / "copying" / "big" / "place" / "tokens_1024.json"
        assert said.messages == [f"{folder}: files that this study does not ask for: 8, such as {example}"]
        assert set(rankings["model"]) == {"small"}

    def test_nothing_is_said_of_a_whole_study(self, config, said):
        published.convert(config)
        assert said.messages == []


class TestSurroundings:
    def test_a_whole_folder_is_taken(self, config):
        published.check(config)

    @pytest.mark.parametrize("kind", ["rankings", "ablations"])
    def test_a_folder_that_is_not_there_is_named(self, config, folder, kind):
        (folder / kind).rename(folder / "elsewhere")
        message = rf"^published\.folder: there is no folder \S+/{kind}; files are expected as \S+/{kind}/METHOD/MODEL/"
        with pytest.raises(StudyError, match=message):
            published.check(config)

    @pytest.mark.parametrize("kind", ["rankings", "ablations"])
    def test_a_folder_in_which_there_is_nothing_is_named(self, config, folder, kind):
        for file in (folder / kind).rglob("*.json"):
            file.unlink()
        with pytest.raises(StudyError, match=rf"^published\.folder: \S+/{kind} has no file that this study asks for"):
            published.check(config)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"methods": {"summed_attention": {}, "wu24": {}}},
                r"methods\.summed_attention: there is no ranking for it, as "
                r"\S+/results/rankings/summed_attention/MODEL/QUESTION/tokens_LENGTH\.json; give its name in the",
            ),
            (
                {"models": {"small": {}, "big": {}}},
                r"models\.big: there is no ranking for it, as \S+/rankings/METHOD/big/QUESTION/tokens_LENGTH\.json",
            ),
            (
                {"questions": {name: {"text": "?", "type": "text"} for name in ("place", "size")}},
                r"questions\.size: there is no ranking for it, as \S+/rankings/METHOD/MODEL/size/tokens_LENGTH\.json",
            ),
            (
                {"prompts": {"context_lengths": [512, 768]}},
                r"prompts\.context_lengths: there is no ranking at 768, as \S+/QUESTION/tokens_768\.json; take it out",
            ),
        ],
    )
    def test_what_no_ranking_has_is_refused_with_its_key(self, folder, changes, message):
        with pytest.raises(StudyError, match=f"^{message}"):
            published.check(make_config(folder, **changes))

    def test_a_name_is_looked_for_as_the_results_call_it(self, folder):
        config = make_config(folder, published={"folder": str(folder)})
        with pytest.raises(StudyError, match=r"^methods\.wu24: .*/rankings/wu24/MODEL/.* under published\.names"):
            published.check(config)
        config["published"]["names"] = {"wu24": "copied"}
        with pytest.raises(StudyError, match=r"^methods\.wu24: .*/rankings/copied/MODEL/"):
            published.check(config)


HUGE = 10**400
RANKS = "the ranks in head_rankings should be 1 to 4 in the order of falling scores"
BAD = [  # kind of file, key, its value, what the message says
    ("rankings", "head_rankings", ..., "head_rankings is missing and should be a list of objects"),
    ("rankings", "head_rankings", {}, r"head_rankings is \{\} and should be a list of objects"),
    ("rankings", "head_rankings", [1], r"head_rankings is \[1\] and should be a list of objects"),
    ("rankings", "head_rankings", [], "head_rankings is empty and should list heads"),
    ("rankings", "head_rankings.1.head", ..., r"head_rankings\[1\]\.head is missing and should be a name like L14H31"),
    *(
        ("rankings", "head_rankings.1.head", name, r"head_rankings\[1\]\.head is .* and should be a name like L14H31")
        for name in ("H3", "L1", "L-1H0", "L1H0 ", "l1h0", "L1H٣", "L99999H0", 3, None, ["L0H0"])
    ),
    ("rankings", "head_rankings.1.head", "L1H0", "head_rankings has head L1H0 twice and should have each once"),
    ("rankings", "head_rankings.1.head", "L01H0", "head_rankings has head L1H0 twice"),
    *(
        (
            "rankings",
            "head_rankings.1.score",
            value,
            rf"head_rankings\[1\]\.score is .*{shown}.* and should be a finite number",
        )
        for value, shown in (
            (float("nan"), "NaN"),
            (float("inf"), "Infinity"),
            ("0.5", "0.5"),
            (None, "null"),
            (True, "true"),
            (HUGE, "1000"),
        )
    ),
    ("rankings", "head_rankings.1.score", ..., r"head_rankings\[1\]\.score is missing"),
    (
        "rankings",
        "head_rankings.1.rank",
        ...,
        r"head_rankings\[1\].rank is missing and should be a whole",
    ),
    ("rankings", "head_rankings.1.rank", 0, r"head_rankings\[1\]\.rank is 0 and should be a whole number from 1"),
    ("rankings", "head_rankings.1.rank", 3.0, r"head_rankings\[1\]\.rank is 3\.0 and should be a whole number"),
    ("rankings", "head_rankings.1.rank", 5, RANKS),
    ("rankings", "head_rankings.1.rank", 2, RANKS),
    ("rankings", "head_rankings.1.score", 0.3, RANKS),
    ("rankings", "head_rankings.3.score", 0.75, RANKS),
    ("rankings", "head_rankings.0.num_samples", -1, r"head_rankings\[0\]\.num_samples is -1 and should be a whole"),
    ("rankings", "head_rankings.0.num_samples", HUGE, r"head_rankings\[0\]\.num_samples is 1000.* and should be"),
    (
        "rankings",
        "head_rankings.0.num_samples",
        10,
        r"head_rankings\[0\]\.num_samples is 10 and should be at most .* 9",
    ),
    ("rankings", "samples_processed", ..., "samples_processed is missing and should be a whole number from 1"),
    ("rankings", "samples_processed", 0, "samples_processed is 0 and should be a whole number from 1"),
    ("rankings", "question", "year", 'question is "year" and should be place as the file\'s path says'),
    ("rankings", "total_tokens", 1024, "total_tokens is 1024 and should be 512 as the file's path says"),
    ("ablations", "question", None, "question is null and should be place"),
    ("ablations", "total_tokens", "512", 'total_tokens is "512" and should be 512'),
    ("ablations", "baseline", ..., "baseline is missing and should be an object"),
    ("ablations", "baseline", [], r"baseline is \[\] and should be an object"),
    ("ablations", "baseline.accuracy", ..., r"baseline\.accuracy is missing and should be 9 / 10 = 0\.9"),
    ("ablations", "baseline.accuracy", 0.9 + 1e-8, r"baseline\.accuracy is 0\.900\d+ and should be 9 / 10 = 0\.9"),
    ("ablations", "baseline.correct", 11, r"baseline\.correct is 11 and should be a whole number from 0 to total, 10"),
    ("ablations", "baseline.correct", -1, r"baseline\.correct is -1 and should be"),
    ("ablations", "baseline.correct", 9.0, r"baseline\.correct is 9\.0 and should be"),
    ("ablations", "baseline.total", 0, r"baseline\.total is 0 and should be a whole number from 1"),
    ("ablations", "baseline.total", True, r"baseline\.total is true and should be"),
    ("ablations", "top_heads_ablations", ..., "top_heads_ablations is missing and should be a list of objects"),
    ("ablations", "random_heads_ablations", None, "random_heads_ablations is null and should be a list of objects"),
    *(
        (
            "ablations",
            "top_heads_ablations.0.accuracy",
            value,
            rf"top_heads_ablations\[0\]\.accuracy is {shown}.* and should be 6 / 10 = 0\.6",
        )
        for value, shown in ((float("nan"), "NaN"), (float("inf"), "Infinity"), (0.7, "0.7"), (HUGE, "1000"))
    ),
    *(
        (
            "ablations",
            list_,
            [{"num_heads": 1, "accuracy": correct / total, "correct": correct, "total": total}],
            rf"{list_}\[0\]\.total is {total} and should be 10, as in baseline",
        )
        for list_ in ("top_heads_ablations", "random_heads_ablations")
        for correct, total in ((4, 40), (0, 9))
    ),
    (
        "ablations",
        "top_heads_ablations.0.num_heads",
        5,
        r"top_heads_ablations\[0\]\.num_heads is 5 and should be at most 4, as its ranking lists no more",
    ),
    (
        "ablations",
        "random_heads_ablations.0.num_heads",
        404,
        r"random_heads_ablations\[0\]\.num_heads is 404 and should be at most 403, as small has no more",
    ),
    ("ablations", "top_heads_ablations.1.num_heads", 1, "top_heads_ablations has num_heads 1 twice and should have"),
    ("ablations", "random_heads_ablations.1.num_heads", 1, "random_heads_ablations has num_heads 1 twice"),
    (
        "ablations",
        "random_heads_ablations.1.num_heads",
        0,
        r"random_heads_ablations\[1\]\.num_heads is 0 and should be a whole number from 1",
    ),
]


class TestMalformedContent:
    @pytest.mark.parametrize(
        ("kind", "key", "value", "message"), BAD, ids=[f"{key}={value}"[:50] for _, key, value, _ in BAD]
    )
    def test_it_is_refused_with_file_and_place(self, config, folder, kind, key, value, message):
        file = folder / kind / "copying" / "small" / "place" / "tokens_512.json"
        edit(file, key, value)
        hint = "; correct the file, or take it away to leave its configuration out.$"
        with pytest.raises(StudyError, match=f"^{re.escape(str(file))}: {message}.*{hint}") as caught:
            published.convert(config)
        assert len(str(caught.value)) < len(str(file)) + 250

    @pytest.mark.parametrize("file", [RANKING, ABLATION])
    @pytest.mark.parametrize("content", [b"", b"{", b"\xff{}", b'{"question": "place",}'])
    def test_what_is_no_json(self, config, folder, file, content):
        (folder / file).write_bytes(content)
        with pytest.raises(StudyError, match=f"^{re.escape(str(folder / file))}: not valid JSON; get the published"):
            published.convert(config)

    @pytest.mark.parametrize("content", ["[]", "null", "3", '"text"'])
    def test_what_is_no_object(self, config, folder, content):
        (folder / RANKING).write_text(content)
        with pytest.raises(StudyError, match=r"tokens_512\.json: the content is .* and should be an object; correct"):
            published.convert(config)

    def test_a_number_that_only_overflows_when_read(self, config, folder):
        text = (folder / RANKING).read_text()
        (folder / RANKING).write_text(text.replace('"score": 0.5', '"score": 1e999'))
        with pytest.raises(StudyError, match=r"head_rankings\[0\]\.score is Infinity and should be a finite number"):
            published.convert(config)

    @pytest.mark.parametrize(
        ("file", "part", "key"), [(RANKING, '"rank": 2', '"rank"'), (ABLATION, '"correct": 9', '"correct"')]
    )
    def test_a_key_that_is_there_twice(self, config, folder, file, part, key):
        text = (folder / file).read_text(encoding="utf-8")
        (folder / file).write_text(text.replace(part, f"{part}, {key}: 3", 1), encoding="utf-8")
        with pytest.raises(
            StudyError, match=rf"^{re.escape(str(folder / file))}: {key[1:-1]} is there twice; keep one"
        ):
            published.convert(config)

    def test_baselines_of_methods_that_disagree(self, config, folder):
        other = folder / "ablations" / "qrhead" / "small" / "place" / "tokens_512.json"
        edit(other, "baseline", {"accuracy": 0.8, "correct": 8, "total": 10})
        message = rf"^{re.escape(str(other))}: baseline has 8 of 10 correct and should be 9 of 10 as in \S+{ABLATION}; "
        with pytest.raises(StudyError, match=message):
            published.convert(config)

    @pytest.mark.parametrize(
        ("file", "key", "value"),
        [
            (RANKING, "question", ...),
            (RANKING, "total_tokens", ...),
            (RANKING, "head_rankings.0.num_samples", 0),
            (ABLATION, "baseline.accuracy", 0.9 + 1e-12),
            (ABLATION, "random_heads_ablations", []),
            (ABLATION, "notes", "none"),
        ],
    )
    def test_what_may_differ_is_taken(self, config, folder, file, key, value):
        edit(folder / file, key, value)
        published.convert(config)


def list_heads(file, names):
    heads = [{"head": name, "score": 1 / place, "rank": place} for place, name in enumerate(names, 1)]
    edit(file, "head_rankings", heads)


class TestGrid:
    """A head that the model cannot have is refused, as far as the config or the rankings tell what it has."""

    @pytest.mark.parametrize(("grid", "head"), [([13, 31], "L13H0"), ([13, 31], "L0H31"), ([13, 30], "L12H30")])
    def test_the_config_tells(self, folder, grid, head):
        list_heads(folder / RANKING, ["L0H0", head])
        with pytest.raises(
            StudyError, match=rf"{RANKING}: .*{head}.* beyond the {grid[0]} layers of {grid[1]} heads that"
        ):
            published.convert(make_config(folder, models={"small": {"grid": grid}}))

    def test_a_ranking_of_all_heads_tells(self, folder):
        grid = [f"L{layer}H{head}" for layer in range(13) for head in range(31)]
        list_heads(folder / RANKING, grid)
        other = "rankings/qrhead/small/year/tokens_1024.json"
        config = make_config(folder, models={"small": {}})
        published.convert(config)
        list_heads(folder / other, ["L0H0", "L1H31"])
        with pytest.raises(
            StudyError, match=rf"{other}: .*L1H31.* beyond the 13 layers of 31 heads that other rankings"
        ):
            published.convert(config)

    @pytest.mark.parametrize("head", ["L9999H9999", "L512H0", "L0H512"])
    def test_where_nothing_tells_what_no_model_has(self, folder, head):
        config = make_config(folder, models={"small": {}})
        list_heads(folder / RANKING, ["L0H0", head, "L511H511"])
        with pytest.raises(StudyError, match=rf"{RANKING}: .*{head}.* unless models\.small\.grid is given"):
            published.convert(config)
        published.convert(make_config(folder, models={"small": {"grid": [10_000, 10_000]}}))

    def test_what_is_guessed_is_told(self, folder, caplog):
        published.convert(make_config(folder, models={"small": {}}))
        assert [message for message in caplog.messages if "13 layers of 31 heads are taken" in message]

    def test_random_heads_are_bounded_by_what_is_known(self, folder):
        edit(folder / ABLATION, "random_heads_ablations.0.num_heads", 500)
        with pytest.raises(StudyError, match=r"num_heads is 500 and should be at most 403, as small has no more"):
            published.convert(make_config(folder, models={"small": {}}))
        published.convert(make_config(folder, models={"small": {"grid": [13, 40]}}))

    def test_a_list_of_ones_own_is_held_against_it(self, folder, tmp_path):
        (tmp_path / "list.json").write_text('{"13-0": 1}', encoding="utf-8")
        config = make_config(folder, imports={"theirs": {"file": str(tmp_path / "list.json")}})
        with pytest.raises(StudyError, match=r"list\.json: lists L13H0, but small has 13 layers of 31 heads"):
            check_surroundings(config | {"results": str(tmp_path)})


@pytest.fixture(scope="module")
def real():
    config = complete(yaml.safe_load(READY_MADE.read_text()))
    config["published"]["folder"] = str(REAL)
    return config


@pytest.fixture(scope="module")
def converted(real):
    published.check(real)
    return published.convert(real)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"needs ../shared/{REAL.name}, which is no part of the project")
class TestRealResults:
    def test_there_are_96_configurations(self, real, converted):
        assert len(published.files(real)) == 192 == len(list(REAL.rglob("*.json")))
        rankings, summary = converted
        assert len(rankings[["model", "method", "question", "context_length"]].drop_duplicates()) == 96
        assert summary["source"].value_counts().to_dict() == {"method": 576, "random": 576, "baseline": 32}

    def test_they_are_those_of_the_files(self, real, converted):
        names = real["published"]["names"]
        keys = ["method", "model", "question", "context_length"]
        rankings = dict(list(converted[0].groupby(keys)))
        summary = converted[1].astype({"draw": float})
        cut = dict(list(summary[summary["source"] != "baseline"].groupby(keys)))
        baselines = summary[summary["source"] == "baseline"].set_index(keys[1:])
        assert len(rankings) == len(cut) == 96
        for key, ranking in rankings.items():
            method, model, question, length = key
            place = Path(names.get(method, method), model, question, f"tokens_{length}.json")
            heads = json.loads((REAL / "rankings" / place).read_text())["head_rankings"]
            shown = "L" + ranking["layer"].astype(str) + "H" + ranking["head"].astype(str)
            mine = ranking.assign(given=shown.map({head["head"]: head["rank"] for head in heads})).sort_values("given")
            assert mine["score"].tolist() == [head["score"] for head in heads]
            assert mine["rank"].is_monotonic_increasing
            # Heads that share places have the mean and the last of the ranks that were given to them.
            tied = mine.groupby("rank")
            assert (tied["given"].transform("mean") == mine["rank"]).all()
            assert (tied["given"].transform("max") == mine["last"]).all()
            step = 1e-6 * mine["score"].abs().max()
            assert (tied["score"].max() - tied["score"].min() <= step).all()
            apart = -mine.groupby("rank")["score"].agg(["min", "max"]).pipe(lambda of: of["max"].shift(-1) - of["min"])
            assert (apart.dropna() > 0).all()
            ablation = json.loads((REAL / "ablations" / place).read_text())
            for source, part in (("method", "top_heads_ablations"), ("random", "random_heads_ablations")):
                rows = cut[key][cut[key]["source"] == source]
                assert rows[["k", "correct", "total", "accuracy"]].to_numpy().tolist() == [
                    [level[name] for name in ("num_heads", "correct", "total", "accuracy")] for level in ablation[part]
                ]
            baseline = baselines.loc[key[1:]]
            assert [baseline["correct"], baseline["total"]] == [
                ablation["baseline"]["correct"],
                ablation["baseline"]["total"],
            ]


# --- the workflow --------------------------------------------------------------------------------------------------


STUDY = ["--configfile", f"config/{READY_MADE.name}"]


@pytest.fixture
def project(tmp_path):
    """A copy of the project with made results for the study that comes with it."""
    copy = Project.new(tmp_path / "project")
    settings = yaml.safe_load(READY_MADE.read_text())
    copy.change(f"config/{READY_MADE.name}", settings["published"]["folder"], "published")
    methods = [settings["published"]["names"].get(name, name) for name in settings["methods"]]
    grid = settings["models"], settings["questions"], settings["prompts"]["context_lengths"]
    make_folder(copy.path("published"), methods, *grid)
    return copy


def test_a_published_study_plans_no_model(project):
    rules = set(planned(project.plan(*STUDY)))
    assert {"convert_published", "measure_overlap", "estimate_effects", "write_findings"} <= rules
    of_models = "documents|model|prompts|scores|rankings|ablation"
    named = {
        name
        for file in of_models.split("|")
        for name in re.findall(r"^rule (\w+):", (ROOT / "rules" / f"{file}.smk").read_text(), re.MULTILINE)
    }
    assert len(named) >= 10
    assert not named & rules


def test_a_wrong_folder_gets_one_sentence_before_any_work(project):
    project.change(f"config/{READY_MADE.name}", "wu24: retrieval_head_wu24", "wu24: no_such_name")
    said = project.plan(*STUDY, succeed=False)
    assert "methods.wu24: there is no ranking for it, as published/rankings/no_such_name/MODEL" in said
    assert said.count("  File ") == 1, "where the workflow was refused, and not the way through the package"


@pytest.mark.slow
def test_a_published_study_yields_its_findings_and_knows_what_is_stale(project):
    def stale():
        return set(planned(project.plan(*STUDY)))

    project.snakemake("--cores", "2", *STUDY)
    out = project.path("results", READY_MADE.stem)
    assert "Retrieval heads: published-llama3-8b" in (out / "findings.html").read_text()
    assert len(pd.read_parquet(out / "tables" / "rankings.parquet")) == 96 * 4
    assert not (out / "tables" / "dataset_counts.parquet").exists()
    assert not project.path("results", "models").exists()
    assert stale() == set()
    project.change(f"config/{READY_MADE.name}", "label: Llama-3-8B-Instruct", "label: Instruct")
    assert "convert_published" not in stale()
    file = project.path("published", "rankings", "qrhead", "llama3_base", "hq_state", "tokens_2048.json")
    edit(file, "head_rankings.0.score", 0.75)
    assert {"convert_published", "measure_overlap", "write_findings"} <= stale()
