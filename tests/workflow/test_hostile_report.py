"""Snakemake's report of a study with attacks at every key of its config that takes text: they are no part of it."""

import json
import shutil

import pytest
import yaml

from browser import NEEDS_BROWSER
from hostile_text import hostile_config, in_browser, listening
from projects import TINY

PATH = "' onload=hacked=1 x=\" `here`_ |image| name_ [here](javascript:hacked=1)"
"""A path is part of the report. What would end a script is refused in it; all else may stand there."""

# What the report shows of results and rules once they are clicked on.
SHOW = """
seen.inputs = Object.values(rules).flatMap((rule) => rule.input);
const all_of_it = [...Object.values(results).map((one) => one.caption), ...Object.values(rules).map((one) => one.code)];
document.querySelector("#app").innerHTML = [workflow_desc, ...all_of_it].join("");
"""


@pytest.fixture
def attacked(study):
    """The tiny study, as if it had been run with such a config; its texts, and what a browser asked for."""
    file = study.path("config", "tiny.yaml")
    with listening() as (attacks, asked):
        config, taken = hostile_config(yaml.safe_load(file.read_text(encoding="utf-8")), attacks, but="path")
        assert {key[0] for key in taken} >= {"models", "questions", "prompts", "generation"}
        shutil.copytree(study.path("resources", "haystack"), study.path(PATH))
        config["prompts"]["haystack"] = PATH
        file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        study.snakemake(*TINY, "--touch", "--cores", "1")
        yield study, list(taken.values()), asked


@pytest.mark.slow
@NEEDS_BROWSER
def test_no_text_of_a_config_is_a_parameter_or_in_the_report(attacked, tmp_path):
    study, texts, asked = attacked
    records = [
        json.loads(file.read_text()) for file in study.path(".snakemake", "metadata").rglob("*") if file.is_file()
    ]
    params = {record["rule"]: "\n".join(record["params"]) for record in records}
    assert len(params) > 30 and sum("sealed" in shown for shown in params.values()) > 20
    quoted = [form for text in texts for form in (text, repr(text)[1:-1])]
    assert [(rule, text) for rule, shown in params.items() for text in quoted if text in shown] == []
    study.snakemake(*TINY, "--report", "report.html")
    page = study.path("report.html").read_text(encoding="utf-8")
    assert [text for text in texts if text in page or json.dumps(text)[1:-1] in page] == []
    seen = in_browser(page, tmp_path, SHOW)
    assert (seen["hacked"], seen["refused"], seen["failed"], asked) == (None, [], [], [])
    assert any(file.startswith(PATH) for file in seen["inputs"])
    assert not [link for link in seen["links"] if link.startswith(("javascript:hacked", "http://127"))]
