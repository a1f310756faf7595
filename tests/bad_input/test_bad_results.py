"""Results of others and of older versions, items, and what programs hand in: what is wrong is told in one sentence."""

import copy
import json

import pandas as pd
import pytest
from bad_input_case import require_one_sentence, require_refused
from result_cases import ABLATION, FINDINGS, HANDED_IN, ITEMS, LISTS, PUBLISHED_FILES, RANKING, as_text

from dotted import put
from retrieval_heads import api, cli, tables
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.data.control_items import load_items
from retrieval_heads.exchange import external_lists, published
from retrieval_heads.findings.json_schema import FORMAT
from retrieval_heads.study.config import complete
from retrieval_heads.tables.rankings import RANKINGS
from tiny_models import made


@pytest.mark.parametrize("case", [None, *PUBLISHED_FILES], ids=lambda case: case.kind if case else "as it should be")
def test_a_published_file_that_is_wrong_is_refused(tmp_path, case):
    contents = {"rankings": copy.deepcopy(RANKING), "ablations": copy.deepcopy(ABLATION)}
    if case is not None:
        kind, key, value = case.given
        put(contents[kind], key, value)
    for kind, content in contents.items():
        file = tmp_path / kind / "wu24" / "small" / "place" / "tokens_512.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(content), encoding="utf-8")
    config = complete(
        {
            "study": "others",
            "published": {"folder": str(tmp_path)},
            "models": {"small": {}},
            "methods": {"wu24": {}},
            "questions": {"place": {"text": "Where?", "type": "state"}},
            "prompts": {"context_lengths": [512]},
        }
    )
    if case is None:
        assert len(published.convert(config)[0]) == 2
        return
    require_refused(case, lambda: published.convert(config))


@pytest.mark.parametrize("case", LISTS, ids=lambda case: case.kind)
def test_an_imported_list_that_is_wrong_is_refused(tmp_path, case):
    file = tmp_path / "list.json"
    file.write_text(case.given, encoding="utf-8")
    require_refused(case, lambda: external_lists.require_within(file, external_lists.read_list(file), "small", (5, 8)))


@pytest.mark.parametrize("case", ITEMS, ids=lambda case: case.kind)
def test_items_that_are_wrong_are_refused(tmp_path, case):
    file = tmp_path / "facts.yaml"
    file.write_text(case.given, encoding="utf-8")
    require_refused(case, lambda: load_items([file]))


@pytest.fixture
def study(tmp_path):
    """The folder of a finished study of a model with 4 layers of 5 heads, and its findings."""
    findings = {
        "format": FORMAT, "study": "a", "title": "a", "code": "a digest",
        "config": {"study": "a", "models": {"small": {}}, "analysis": {"top_k": 5}, "ablation": {}},
        "models": {"small": {"layers": 4, "heads": 5}}, "labels": {"model": {"small": "Small"}},
        "answer": [], "sections": [], "claims": [], "signs": [], "figures": [], "tables": [],
    }  # fmt: skip
    names = [name for name in RANKINGS.columns if name not in ("rank", "last")]
    rows = [("small", "wu24", "place", 512, "plain", head // 5, head % 5, 20.0 - head, 9, 0.1) for head in range(20)]
    folder = tmp_path / "a"
    tables.write(placed(pd.DataFrame(rows, columns=names)), folder / "tables" / "rankings.parquet", RANKINGS)
    (folder / "findings.json").write_text(json.dumps(findings), encoding="utf-8")
    return folder, findings


@pytest.mark.parametrize("case", FINDINGS, ids=lambda case: case.kind)
def test_findings_that_are_wrong_are_compared_with_none(study, tmp_path, capsys, case):
    folder, findings = study
    assert cli.main(["compare", str(folder), str(folder), "--to", str(tmp_path / "sound")]) == 0
    capsys.readouterr()
    (folder / "findings.json").write_text(as_text(case.given, findings), encoding="utf-8")
    assert cli.main(["compare", str(folder), str(folder), "--to", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    require_one_sentence(said.err.removesuffix("\n"), case.names, case.fix)
    assert not said.out and not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", HANDED_IN, ids=lambda case: case.kind)
def test_what_a_program_hands_in_wrongly_is_refused(study, case):
    function, given = case.given

    def call():
        if function == "top_heads":
            return api.top_heads(study[0], **({"method": "wu24", "k": 3} | given))
        if function == "make_methods":
            return api.make_methods(given)
        if function == "score_heads":
            return api.score_heads(None, given, None)
        with api.ablated(made("llama"), given):
            return None

    require_refused(case, lambda: call())
