"""A figure of a dimension that no other figure shows is one file in ``figures/`` and its caption."""

import json

import pandas as pd
import pytest

from made_tables import make_ablation, make_study
from projects import TINY
from retrieval_heads import tables
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.tables.effects import EFFECTS

FIGURE = '''
"""Accuracy by depth and context length."""

from matplotlib.figure import Figure

from retrieval_heads.tables.select import at

TITLE = "Accuracy by depth"
SECTION = "ablation"
TABLES = ("effects",)
NEEDS = {"depth": 2}


def draw(tables, study):
    """A line for each context length: accuracy of the unablated model over depth."""
    figure = Figure()
    ax = figure.subplots()
    for depth in study.configured("depth"):
        rows = at(tables["effects"], pooled=["question"], depth=depth)
        for length, group in rows.groupby("context_length"):
            ax.plot(depth, group["baseline"].iloc[0], "o", label=study.label("context_length", length))
    ax.set_xlabel(study.label("depth", study.configured("depth")[0]))
    return figure
'''
DRAW = """
import json, sys
sys.path.insert(0, "workflow")
from retrieval_heads import figures, tables
from retrieval_heads.study.study import Study
config = json.load(open("study.json"))
drawn = figures.draw("accuracy_by_depth", tables.read_tables(["effects.parquet"]), Study(config, {"wu24": {}}))
(ax,) = drawn.axes
print(json.dumps([[line.get_label(), *line.get_xdata(), *line.get_ydata()] for line in ax.lines]))
"""
DEPTHS = [0.2, 0.8]


@pytest.fixture(scope="module")
def made():
    """A study whose model answers deep needles alone, at two lengths: its config, and its ablation table."""
    study = make_study(methods=("wu24",), questions=("hq_state", "inc_year"), levels=(5,))
    rows = make_ablation(study, 4)
    shallow, deep = (
        rows.assign(depth=depth, prompt_id=rows["prompt_id"] + f"/{depth}", correct=depth == 0.8) for depth in DEPTHS
    )
    config = {**study.config, "prompts": {**study.config["prompts"], "depths": DEPTHS}}
    return config, pd.concat([shallow, deep], ignore_index=True)


@pytest.fixture
def with_figure(project):
    """A copy of the project with one more figure."""
    project.path("workflow", "retrieval_heads", "figures", "accuracy_by_depth.py").write_text(FIGURE[1:])
    project.path("report", "captions", "accuracy_by_depth.rst").write_text("Accuracy of the unablated model.\n")
    return project


def test_effects_know_single_depths_beside_all_of_them(made):
    effects = estimate_effects(as_outcomes(made[1], 1, 50)).effects
    pooled = effects[effects["question"].isna() & effects["context_length"].isna()]
    pooled = pooled.set_index(pooled["depth"].astype(object).fillna("all"))
    assert pooled["baseline"].to_dict() == pytest.approx({0.2: 0.0, 0.8: 1.0, "all": 0.5})
    assert pooled["prompts"].to_dict() == {0.2: 16, 0.8: 16, "all": 32}


def test_a_study_of_one_depth_has_no_rows_for_it(made):
    effects = estimate_effects(as_outcomes(made[1][made[1]["depth"] == 0.8], 1, 50)).effects
    assert effects["depth"].isna().all()


def test_a_file_and_a_caption_add_a_figure_of_depths(made, with_figure):
    config, ablation = made
    tables.write(estimate_effects(as_outcomes(ablation, 1, 50)).effects, with_figure.path("effects.parquet"), EFFECTS)
    with_figure.path("study.json").write_text(json.dumps(config))
    run = with_figure.python("-c", DRAW)
    assert run.returncode == 0, run.stderr
    lengths = [f"{length:,} tokens" for length in config["prompts"]["context_lengths"]]
    assert json.loads(run.stdout) == [[label, depth, depth == 0.8] for depth in DEPTHS for label in lengths]


def test_the_workflow_draws_it_where_there_are_several_depths(with_figure):
    rule = "draw_accuracy_by_depth"
    assert rule not in with_figure.plan("--quiet", "host", *TINY)
    with_figure.change("config/tiny.yaml", "prompts:\n", "prompts:\n  depths: [0.2, 0.8]\n")
    assert rule in with_figure.plan("--quiet", "host", *TINY)
