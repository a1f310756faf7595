from functools import cache, lru_cache

import numpy as np
import pandas as pd
import pytest

from made_tables import make_rankings, make_reliability, make_study
from retrieval_heads import figures
from retrieval_heads.analysis import overlap
from retrieval_heads.analysis.hypotheses.rankings import within_and_between_categories
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.analysis.statistics import mean_interval
from retrieval_heads.figures import _style
from retrieval_heads.study.wording import p_value
from retrieval_heads.tables.heads import Grid, by_grid
from retrieval_heads.tables.heads import of_grid as rows_of_grid
from retrieval_heads.tables.tests import HEAD_OVERLAP, TESTS

pytestmark = pytest.mark.thorough

STUDIES = {
    "small": make_study(),
    "one of each": make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,)),
    "long": make_study(models=("a", "b"), lengths=(512, 1024, 2048)),
    "many models": make_study(models=("a", "b", "c", "d"), questions=("inc_year", "hq_state"), lengths=(512,)),
    "two grids": make_study(models=("a", "b", "c"), lengths=(512, 1024, 2048)),
}
GRIDS = {"a": (6, 12), "b": (9, 30), "c": (9, 30)}


def tables_for(study, rankings):
    pairs = overlap.pairwise(rankings, study.top_k)
    tests = pd.DataFrame(
        [
            {**row, **grid._asdict()}
            for grid, rows in by_grid(pairs[pairs["dimension"] == "question"])
            for row in within_and_between_categories(study, HEAD_OVERLAP, rows)
        ],
        columns=TESTS.columns,
    )
    return {
        "rankings": rankings,
        "overlap": pairs,
        "unions": overlap.unions(rankings, study.categories, study.top_k),
        "reliability": make_reliability(study),
        "tests": tests.assign(p_holm=tests["p"]),
    }


@cache
def tables_of(name):
    study = STUDIES[name]
    return tables_for(study, two_grids(study) if name == "two grids" else make_rankings(study, layers=16, heads=8))


def two_grids(study):
    """Model a is of another shape than b and c."""
    lengths = study.config["prompts"]["context_lengths"]
    parts = [make_rankings(make_study(models=(model,), lengths=lengths), *grid) for model, grid in GRIDS.items()]
    return pd.concat(parts, ignore_index=True)


def draw(name, study="small", **changed):
    tables = {**tables_of(study), **changed}
    return figures.load(name).draw({table: tables[table] for table in figures.load(name).TABLES}, STUDIES[study])


@lru_cache(maxsize=16)
def picture(name, study="small"):
    """A figure of a study as it is, for tests that look at it and change nothing."""
    return draw(name, study)


def pairs_of(dimension, study="small", table="overlap", **values):
    rows = tables_of(study)[table]
    rows = rows[rows["dimension"] == dimension]
    for name, value in values.items():
        rows = rows[rows[name] == value]
    return rows


def written(figure):
    return " ".join(" ".join(text.get_text().split()) for ax in [figure, *figure.axes] for text in ax.texts)


def cells(ax):
    return ax.collections[0].get_array()


def marks(ax, marker):
    """Heights of the marks of this kind."""
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return [float(value) for line in lines for value in line.get_ydata()]


def level(ax, label="Chance"):
    return next(line for line in ax.lines if line.get_label() == label).get_ydata()[0]


class TestSummary:
    def test_every_pair_is_a_dot_in_its_row(self):
        jaccard, _, spearman = picture("overlap_summary").axes
        names = [label.get_text() for label in jaccard.get_yticklabels()]
        assert names == ["Question\n36 pairs", "Context length\n12 pairs", "Method\n24 pairs"]
        for ax, measure in ((jaccard, "jaccard"), (spearman, "spearman")):
            dots = [line for line in ax.lines if line.get_markersize() == 3]
            for line, dimension in zip(dots, ("question", "context_length", "method"), strict=True):
                assert line.get_xdata().tolist() == pairs_of(dimension)[measure].tolist()

    def test_mean_deviation_and_chance_are_the_tables(self):
        ax = picture("overlap_summary").axes[0]
        rows = pairs_of("question")
        bars = ax.containers[0]
        ends = bars.lines[2][0].get_segments()[0][:, 0]
        assert bars.lines[0].get_xdata()[0] == pytest.approx(rows["jaccard"].mean())
        assert (ends[1] - ends[0]) / 2 == pytest.approx(rows["jaccard"].std(ddof=0))
        assert f"{rows['jaccard'].mean():.2f} ± {rows['jaccard'].std(ddof=0):.2f}" in written(ax.figure)
        (line, *_) = [line for line in ax.lines if line.get_label() == "Chance"]
        assert line.get_xdata()[0] == pytest.approx(rows["chance"].mean())

    def test_one_of_each_has_nothing_to_compare(self):
        figure = picture("overlap_summary", "one of each")
        assert "No two rankings" in written(figure)


class TestQuestions:
    def test_cells_are_means_and_ranges_of_their_panel(self):
        ax = picture("question_overlap_heatmaps", "long").axes[0]
        rows = pairs_of("question", "long", method="summed_attention", model="a")
        # Questions of one category are neighbours, so that the two states come first.
        states = rows[(rows["a"] == "hq_state") & (rows["b"] == "inc_state")]
        assert cells(ax)[0, 0] == pytest.approx(states["jaccard"].mean()) and len(states) == 3
        ranges = [(low, high) for low, high in rows.groupby(["a", "b"])["jaccard"].agg(["min", "max"]).to_numpy()]
        drawn = [text.get_text().split("\n")[1] for text in ax.texts if "\n" in text.get_text()]
        assert sorted(drawn) == sorted(f"{low:.2f}–{high:.2f}" for low, high in ranges if high > low) and drawn

    def test_models_come_together_where_cells_would_be_too_narrow(self):
        study = make_study(models=tuple("abcdefghij"), methods=("wu24",), lengths=(512,))
        tables = tables_for(study, make_rankings(study))
        figure = figures.load("question_overlap_heatmaps").draw(tables, study)
        rows = tables["overlap"]
        rows = rows[(rows["dimension"] == "question") & (rows["a"] == "hq_state") & (rows["b"] == "inc_state")]
        assert cells(figure.axes[0])[0, 0] == pytest.approx(rows["jaccard"].mean()) and len(rows) == 10

    def test_single_rankings_stand_beside_unions(self):
        left, right, bar = picture("q2_head_overlap_questions").axes
        states = {"a": "hq_state", "b": "inc_state"}
        single, union = (pairs_of("question", table=table, **states) for table in ("overlap", "unions"))
        assert cells(left)[0, 0] == pytest.approx(single["jaccard"].mean()) and len(single) == 6
        assert cells(right)[0, 0] == union["jaccard"].item()
        assert right.texts[0].get_text().endswith(f"chance {union['chance'].item():.2f}")
        levels = [pairs_of("question", table=table)["chance"].mean() for table in ("overlap", "unions")]
        assert [line.get_ydata()[0] for line in bar.lines] == pytest.approx(levels)

    def test_frames_are_around_questions_of_one_category(self):
        ax = picture("q2_head_overlap_questions").axes[0]
        assert [(round(frame.get_x()), round(frame.get_y())) for frame in ax.patches] == [(0, 0), (2, 2)]
        study = make_study(questions=("inc_year", "employee_count"))
        tables = tables_for(study, make_rankings(study))
        figure = figures.load("q2_head_overlap_questions").draw(tables, study)
        assert not figure.axes[0].patches and not figure.legends


class TestCategories:
    def means(self):
        rows = pairs_of("question")
        category = STUDIES["small"].categories
        kind = [category[a] if category[a] == category[b] else "" for a, b in zip(rows["a"], rows["b"], strict=True)]
        return rows.assign(kind=kind, same=[value != "" for value in kind])

    def test_left_sets_within_against_between(self):
        ax = picture("q2_numerical_vs_categorical").axes[0]
        rows = self.means()
        rows = rows[rows["method"] == "wu24"].groupby(["context_length", "same"])["jaccard"].mean().unstack()
        (dots, *_) = [line for line in ax.lines if line.get_marker() == "s" and line.get_markersize() == 3.5]
        assert dots.get_xdata().tolist() == pytest.approx(rows[False].tolist())
        assert dots.get_ydata().tolist() == pytest.approx(rows[True].tolist())
        test = tables_of("small")["tests"].iloc[0]
        assert f"{abs(test['difference']):.3f}" in ax.get_title(loc="left")
        both = self.means().groupby(["method", "context_length", "same"])["jaccard"].mean().unstack()
        assert test["difference"] == pytest.approx((both[True] - both[False]).mean())

    def test_right_has_each_category_and_the_unions(self):
        ax = picture("q2_numerical_vs_categorical").axes[1]
        names = [label.get_text() for label in ax.get_xticklabels()]
        found = [name.split("\np ")[0] for name in names]
        assert found == ["Within\ncategorical", "Within\nnumerical", "Between\ncategories"]
        tests = tables_of("small")["tests"].set_index("a")
        assert names[1].endswith(p_value(tests.loc["numerical", "p_holm"]))
        rows = self.means()
        rows = rows[(rows["method"] == "qrhead") & (rows["kind"] == "numerical")]
        dots = [line for line in ax.lines if line.get_marker() == "^" and line.get_markersize() == 3]
        assert dots[1].get_ydata().tolist() == rows["jaccard"].tolist()
        unions = pairs_of("question", table="unions")
        assert sorted(marks(ax, "*")) == sorted(unions["jaccard"])
        assert marks(ax, "h") == pairs_of("category", table="unions")["jaccard"].tolist()
        assert sorted(marks(ax, "_")) == sorted([*unions["chance"], *pairs_of("category", table="unions")["chance"]])

    def test_means_of_three_configurations_and_more_have_intervals(self):
        ax = picture("q2_numerical_vs_categorical", "long").axes[1]
        (bars, *_) = ax.containers
        low, high = bars.lines[2][0].get_segments()[0][:, 1]
        mean = bars.lines[0].get_ydata()[0]
        rows = pairs_of("question", "long", method="summed_attention", a="hq_state", b="inc_state")["jaccard"]
        found = mean_interval(rows.to_numpy(), 5000, np.random.default_rng(0))
        assert mean == pytest.approx(rows.mean()) and low < mean < high
        assert [low, high] == pytest.approx([found.low, found.high], abs=0.03)
        few = picture("q2_numerical_vs_categorical").axes[1].containers[0].lines[2][0].get_segments()[0][:, 1]
        assert few[0] == few[1]

    def test_a_category_takes_two_questions(self):
        study = make_study(questions=("inc_year", "hq_state"))
        figure = figures.load("q2_numerical_vs_categorical").draw(tables_for(study, make_rankings(study)), study)
        assert "No category has two questions" in written(figure)


class TestLengths:
    def test_each_two_lengths_and_neighbouring_ones(self):
        figure = picture("token_length_overlap", "long")
        heat, dots = figure.axes[:2]
        every = {pair: pairs_of("context_length", "long", method="summed_attention", a=pair[0], b=pair[1])["jaccard"]
                 for pair in (("512", "1024"), ("1024", "2048"), ("512", "2048"))}  # fmt: skip
        assert cells(heat)[1, 0] == pytest.approx(every["512", "2048"].mean())
        assert [label.get_text() for label in figure.axes[5].get_xticklabels()] == ["512 –\n1,024", "1,024 –\n2,048"]
        means = [line.get_ydata()[0] for line in dots.lines if line.get_label() == "Mean"]
        assert means == pytest.approx([every["512", "1024"].mean(), every["1024", "2048"].mean()])
        single = [value for marker in "os^D" for value in marks(dots, marker)]
        assert sorted(single) == sorted([*every["512", "1024"], *every["1024", "2048"]])
        assert level(dots) == pytest.approx(pairs_of("context_length", "long")["chance"].mean())

    def test_two_lengths_make_one_panel_of_dots(self):
        (ax,) = picture("token_length_overlap").axes
        single = [value for marker in "os^D" for value in marks(ax, marker)]
        assert sorted(single) == sorted(pairs_of("context_length")["jaccard"])
        assert ax.get_title(loc="left") == "512 tokens and 1,024 tokens"


class TestMethods:
    def test_agreement_is_drawn_at_each_length(self):
        figure = picture("method_overlap", "long")
        assert len(figure.axes) == 9
        ax = figure.axes[1]  # the study's first two methods, by rank-biased overlap
        rows = pairs_of("method", "long", a="summed_attention", b="wu24")
        (line,) = [line for line in ax.lines if line.get_label() == "Mean"]
        assert line.get_ydata().tolist() == pytest.approx(rows.groupby("context_length")["rbo"].mean().tolist())
        assert sorted([*marks(ax, "o"), *marks(ax, "s")]) == sorted(rows["rbo"])
        assert level(ax) == pytest.approx(rows["rbo_chance"].mean()) and level(figure.axes[2]) == 0

    def test_unions_come_with_their_chance(self):
        single, union, _ = picture("method_head_overlap").axes
        assert cells(single)[0, 0] == pytest.approx(
            pairs_of("method", a="summed_attention", b="wu24")["jaccard"].mean()
        )
        row = pairs_of("method", table="unions", a="summed_attention", b="wu24").iloc[0]
        assert cells(union)[0, 0] == row["jaccard"]
        assert union.texts[0].get_text() == f"{row['jaccard']:.2f}\nchance {row['chance']:.2f}"

    def test_halves_stand_above_pairs_of_methods(self):
        ax = picture("reliability_by_method").axes[0]
        names = [label.get_text() for label in ax.get_yticklabels()]
        assert (
            names[0] == "Summed attention,\ntwo halves" and names[3] == "Summed attention –\nWu24" and len(names) == 6
        )
        means = [bars.lines[0].get_xdata()[0] for bars in ax.containers]
        halves = tables_of("small")["reliability"].groupby("method")["jaccard"].mean()
        assert means[:3] == pytest.approx(halves[["summed_attention", "wu24", "qrhead"]].tolist())
        assert means[4] == pytest.approx(pairs_of("method", a="qrhead", b="summed_attention")["jaccard"].mean())

    def test_halves_of_a_single_method_stand_alone(self):
        study = STUDIES["one of each"]
        figure = picture("reliability_by_method", "one of each")
        assert len(figure.axes[0].containers) == 1
        none = make_reliability(study).head(0)
        assert "No configuration has scores in both halves" in written(
            draw("reliability_by_method", "one of each", reliability=none)
        )


class TestModels:
    def test_marks_are_means_over_lengths_with_their_range(self):
        (ax,) = picture("model_overlap", "long").axes
        rows = pairs_of("model", "long", method="summed_attention")
        bars = ax.containers[:5]  # four questions, and all of them
        values = [rows.loc[rows["question"] == question, "jaccard"] for question in STUDIES["long"].config["questions"]]
        for drawn, expected in zip(bars, [*values, rows["jaccard"]], strict=True):
            assert drawn.lines[0].get_ydata()[0] == pytest.approx(expected.mean())
            ends = drawn.lines[2][0].get_segments()[0][:, 1]
            assert ends == pytest.approx([expected.min(), expected.max()])
        assert ax.get_title(loc="left") == "a and b"

    def test_many_models_make_a_heatmap_for_each_method(self):
        figure = picture("model_overlap", "many models")
        rows = pairs_of("model", "many models", method="summed_attention", a="a", b="d")
        assert len(figure.axes) == 4  # three methods and the colour bar
        assert cells(figure.axes[0])[2, 0] == pytest.approx(rows["jaccard"].mean())

    def test_grids_that_differ_cannot_be_compared(self):
        study = make_study(models=("a", "b"))
        parts = [make_rankings(make_study(models=(model,)), layers) for model, layers in (("a", 6), ("b", 8))]
        figure = figures.load("model_overlap").draw(tables_for(study, pd.concat(parts)), study)
        assert "their grids of heads differ" in written(figure)


def of_grid(dimension, grid, table="overlap", **values):
    return pairs_of(dimension, "two grids", table, **grid._asdict(), **values)


class TestGrids:
    """Models of two shapes: every mean and every chance level is of one of them, named by its models."""

    NAMES = {Grid(6, 12): "a", Grid(9, 30): "b, c"}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("name", "dimension", "a", "b"),
        [
            ("q2_head_overlap_questions", "question", "hq_state", "inc_state"),
            ("method_head_overlap", "method", "summed_attention", "wu24"),
        ],
    )
    def test_single_rankings_and_unions(self, name, dimension, a, b):
        figure = picture(name, "two grids")
        lines, bars = [figure.axes[:2], figure.axes[2:4]], figure.axes[4:]
        for (single, union), bar, (grid, models) in zip(lines, bars, self.NAMES.items(), strict=True):
            assert union.texts[0].get_text() == models or models in [text.get_text() for text in union.texts]
            assert cells(single)[0, 0] == pytest.approx(of_grid(dimension, grid, a=a, b=b)["jaccard"].mean())
            assert cells(union)[0, 0] == of_grid(dimension, grid, "unions", a=a, b=b)["jaccard"].item()
            chances = [of_grid(dimension, grid, table)["chance"].mean() for table in ("overlap", "unions")]
            assert [line.get_ydata()[0] for line in bar.lines] == pytest.approx(chances)

    def test_heatmaps_of_questions_are_of_one_model(self):
        figure = picture("question_overlap_heatmaps", "two grids")
        for ax, model in zip(figure.axes, "abc", strict=False):
            rows = pairs_of("question", "two grids", model=model)
            assert ax.get_title(loc="left") == f"{model}\n(chance {rows['chance'].mean():.3f})"
            states = rows[
                (rows["method"] == "summed_attention") & (rows["a"] == "hq_state") & (rows["b"] == "inc_state")
            ]
            assert cells(ax)[0, 0] == pytest.approx(states["jaccard"].mean())
        assert not figure.axes[-1].lines  # the colour bar has no chance level that would be for all

    def test_heatmaps_of_questions_are_of_one_grid_where_cells_would_be_too_narrow(self):
        models = tuple("abcdefghij")
        study = make_study(models=models, methods=("wu24",), lengths=(512,))
        parts = [
            make_rankings(
                make_study(models=(model,), methods=("wu24",), lengths=(512,)), *((6, 4) if model < "d" else (5, 8))
            )
            for model in models
        ]
        tables = tables_for(study, pd.concat(parts, ignore_index=True))
        figure = figures.load("question_overlap_heatmaps").draw(tables, study)
        left, right, _ = figure.axes
        for ax, grid in ((left, Grid(6, 4)), (right, Grid(5, 8))):
            rows = rows_of_grid(tables["overlap"][tables["overlap"]["dimension"] == "question"], grid)
            states = rows[(rows["a"] == "hq_state") & (rows["b"] == "inc_state")]
            assert cells(ax)[0, 0] == pytest.approx(states["jaccard"].mean())
            assert f"(chance {rows['chance'].mean():.3f})" in ax.get_title(loc="left")
        assert right.get_title(loc="left").startswith("d, e, f")

    def test_summary(self):
        ax = picture("overlap_summary", "two grids").axes[0]
        names = [label.get_text().split("\n")[0] for label in ax.get_yticklabels()]
        # No two models of the first grid can be compared.
        assert names == [
            "Question (a)", "Question (b, c)", "Context length (a)", "Context length (b, c)", "Model (b, c)",
            "Method (a)", "Method (b, c)",
        ]  # fmt: skip
        levels = [line.get_xdata()[0] for line in ax.lines if line.get_label() == "Chance"]
        means = [bars.lines[0].get_xdata()[0] for bars in ax.containers]
        for place, (dimension, grid) in enumerate((("question", Grid(6, 12)), ("question", Grid(9, 30)))):
            assert means[place] == pytest.approx(of_grid(dimension, grid)["jaccard"].mean())
            assert levels[place] == pytest.approx(of_grid(dimension, grid)["chance"].mean())

    def test_lengths(self):
        figure = picture("token_length_overlap", "two grids")
        bars = figure.axes[-2:]
        heat, dots = figure.axes[6:8]  # the first method in models b and c
        rows = of_grid("context_length", Grid(9, 30), method="summed_attention")
        assert "Summed\nattention (b,\nc)" in [text.get_text() for text in dots.texts]
        both = rows[(rows["a"] == "512") & (rows["b"] == "1024")]["jaccard"]
        assert cells(heat)[0, 0] == pytest.approx(both.mean())
        assert next(line.get_ydata()[0] for line in dots.lines if line.get_label() == "Mean") == pytest.approx(
            both.mean()
        )
        chances = [of_grid("context_length", grid)["chance"].mean() for grid in self.NAMES]
        assert [bar.lines[0].get_ydata()[0] for bar in bars] == pytest.approx(chances)
        assert (level(figure.axes[1]), level(dots)) == pytest.approx(tuple(chances))

    def test_two_lengths(self):
        study = make_study(models=tuple(GRIDS))
        tables = tables_for(study, two_grids(study))
        first, second = figures.load("token_length_overlap").draw(tables, study).axes
        assert first.get_title(loc="left") == "512 tokens and 1,024 tokens (a)"
        for ax, grid in ((first, Grid(6, 12)), (second, Grid(9, 30))):
            rows = tables["overlap"]
            rows = rows_of_grid(rows[rows["dimension"] == "context_length"], grid)
            assert level(ax) == pytest.approx(rows["chance"].mean())
            assert sorted(value for marker in "os^D" for value in marks(ax, marker)) == sorted(rows["jaccard"])

    def test_methods(self):
        figure = picture("method_overlap", "two grids")
        assert len(figure.axes) == 2 * 3 * 3
        for first, grid in ((0, Grid(6, 12)), (9, Grid(9, 30))):
            ax = figure.axes[first]  # Jaccard of the study's first two methods
            rows = of_grid("method", grid, a="summed_attention", b="wu24")
            (line,) = [line for line in ax.lines if line.get_label() == "Mean"]
            assert line.get_ydata().tolist() == pytest.approx(rows.groupby("context_length")["jaccard"].mean().tolist())
            assert level(ax) == pytest.approx(rows["chance"].mean())

    def test_halves(self):
        ax = picture("reliability_by_method", "two grids").axes[0]
        names = [" ".join(label.get_text().split()) for label in ax.get_yticklabels()]
        assert names[:2] == ["Summed attention (a), two halves", "Summed attention (b, c), two halves"]
        assert names[6] == "Summed attention – Wu24 (a)" and len(names) == 12
        halves = tables_of("two grids")["reliability"]
        of_b_and_c = halves[(halves["model"] != "a") & (halves["method"] == "summed_attention")]
        means = [bars.lines[0].get_xdata()[0] for bars in ax.containers]
        assert means[1] == pytest.approx(of_b_and_c["jaccard"].mean())
        assert means[6] == pytest.approx(
            of_grid("method", Grid(6, 12), a="summed_attention", b="wu24")["jaccard"].mean()
        )

    def test_categories(self):
        figure = picture("q2_numerical_vs_categorical", "two grids")
        for (left, right), grid in ((figure.axes[:2], Grid(6, 12)), (figure.axes[2:], Grid(9, 30))):
            test = tables_of("two grids")["tests"].query("a == 'within'").set_index(["layers", "heads"]).loc[grid]
            name, compared, *_ = left.get_title(loc="left").splitlines()
            assert name == self.NAMES[grid]
            assert "beyond chance" in compared and f"{abs(test['difference']):.3f}" in compared
            assert level(left) == level(right) == pytest.approx(of_grid("question", grid)["chance"].mean())
            assert marks(right, "h") == of_grid("category", grid, "unions")["jaccard"].tolist()

    def test_many_models(self):
        models = tuple("abcdefg")
        study = make_study(models=models, questions=("inc_year", "hq_state"), lengths=(512,))
        parts = [
            make_rankings(
                make_study(models=(model,), questions=("inc_year", "hq_state"), lengths=(512,)),
                *((6, 4) if model < "d" else (5, 8)),
            )
            for model in models
        ]
        tables = tables_for(study, pd.concat(parts, ignore_index=True))
        figure = figures.load("model_overlap").draw(tables, study)
        assert len(figure.axes) == 2 * 3 + 2
        pairs = tables["overlap"][tables["overlap"]["dimension"] == "model"]
        for bar, grid in zip(figure.axes[-2:], (Grid(6, 4), Grid(5, 8)), strict=True):
            assert bar.lines[0].get_ydata()[0] == pytest.approx(rows_of_grid(pairs, grid)["chance"].mean())
        assert cells(figure.axes[0]).shape == (2, 2) and cells(figure.axes[3]).shape == (3, 3)


@pytest.mark.parametrize(
    "name",
    [
        "overlap_summary", "question_overlap_heatmaps", "q2_head_overlap_questions", "q2_numerical_vs_categorical",
        "token_length_overlap", "method_overlap", "model_overlap", "method_head_overlap", "reliability_by_method",
    ],
)  # fmt: skip
def test_holes_leave_what_there_is(name):
    study = STUDIES["long"]
    rankings = make_rankings(study)
    names = rankings[["model", "method", "question", "context_length"]].astype(str).agg("/".join, axis=1)
    rng = np.random.default_rng(1)
    kept = {one: rng.random() < 0.5 for one in sorted(set(names))}
    figure = figures.load(name).draw(tables_for(study, rankings[names.map(kept)]), study)
    figure.canvas.draw()
    nothing = figures.load(name).draw({table: rows.head(0) for table, rows in tables_of("long").items()}, study)
    assert written(nothing).startswith("No ")


def test_pairs_of_which_a_top_set_is_empty_have_ranks_alone():
    """Wu24 gives no head of one length a score: its pairs there have no Jaccard, but rank-biased overlap."""
    study = STUDIES["small"]
    rankings = make_rankings(study, layers=16, heads=8)
    tied = (rankings["method"] == "wu24") & (rankings["context_length"] == 512)
    tables = tables_for(study, placed(rankings.assign(score=rankings["score"].mask(tied, 0.0))))
    rows = tables["overlap"]
    assert rows["jaccard"].isna().sum() == 2 * 4 + 6 + 4  # two other methods, pairs of questions, the other length
    rows = rows[(rows["dimension"] == "method") & (rows["a"] == "summed_attention") & (rows["b"] == "wu24")]
    jaccard, rbo, _ = figures.load("method_overlap").draw(tables, study).axes[:3]
    (mean,) = [line.get_ydata() for line in jaccard.lines if line.get_label() == "Mean"]
    assert np.isnan(mean[0]) and mean[1] == pytest.approx(rows["jaccard"].mean())
    assert level(jaccard) == pytest.approx(rows["chance"].mean())
    (mean,) = [line.get_ydata() for line in rbo.lines if line.get_label() == "Mean"]
    assert mean.tolist() == pytest.approx(rows.groupby("context_length")["rbo"].mean().tolist())
    for name in (
        "q2_head_overlap_questions",
        "method_head_overlap",
        "question_overlap_heatmaps",
        "token_length_overlap",
    ):
        assert "nan" not in written(figures.load(name).draw(tables, study))


def test_equal_values_have_a_range_of_nothing():
    # Their mean can lie beside them by rounding, and matplotlib refuses negative lengths.
    values = np.full(3, 0.1)
    assert _style.interval_arms([values.mean()], 0.1, 0.1)[0][0] >= 0
    assert _style.interval_arms([0.1], 0.1, 0.1).tolist() == [[0.0], [0.0]]
