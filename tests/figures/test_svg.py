"""Figures' SVG files: small, and as matplotlib draws them."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from test_figures import draw

from browser import NEEDS_BROWSER, photographed
from retrieval_heads import figures
from retrieval_heads.figures import _naming, _svg

DENSE = ["needed_and_carrying", "score_and_effect", "reliability_by_method", "quality_and_cost", "method_disagreement"]
"""Figures with many marks, or many names."""


def written(figure):
    """A figure's SVG as matplotlib writes it."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def with_all_kinds():
    """Marks of every kind: clipped, filled, hatched, see-through, dashed, many colours, named, rotated, pixels."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    random = np.random.default_rng(0)
    (points, lines), (bars, pixels) = figure.subplots(2, 2)
    x, y = random.normal(size=(2, 120))
    points.scatter(x, y, c=x, s=30 * np.abs(y), edgecolor="k", linewidth=0.4, alpha=0.5)
    points.scatter(x[:5], y[:5], marker="s", color="C3")
    points.set(xlim=(-1, 1), title="Clipped, see-through $x_1^2$")
    lines.plot(np.cumsum(x), "o--", color="C1", markersize=3, label="dashed")
    lines.fill_between(range(120), np.cumsum(x) - 1, np.cumsum(x) + 1, color="C1", alpha=0.2, linewidth=0)
    lines.errorbar(range(0, 120, 20), y[:6], np.abs(x[:6]), fmt="D", color="k", capsize=3)
    lines.legend()
    bars.bar(range(4), [3, -1, 2, 0.001], hatch=["", "//", "", "//"], edgecolor="k", color=["C0", "C1", "C0", "none"])
    bars.tick_params(axis="x", rotation=40)
    bars.set_xticks(range(4), ["one <&>", "two", "“three”", "four"])
    bars.add_patch(Rectangle((0, 0), 2, 2, fill=False, linewidth=3, joinstyle="miter"))
    pixels.imshow(random.random((5, 5)), cmap="Blues")
    pixels.grid(visible=False)
    _naming.name_marks(bars, [0, 1], [3, -1], ["L1H2", "L3H4"], fontsize=8, color="C2")
    return figure


def bytes_of_each(draw_marks, few=100, many=1100):
    """How many bytes one more mark takes."""
    sizes = []
    for number in (few, many):
        figure = Figure(figsize=(6, 4))
        draw_marks(figure.subplots(), np.random.default_rng(number).normal(size=(number, 2)))
        sizes.append(len(_svg.smaller(written(figure)).encode()))
    return (sizes[1] - sizes[0]) / (many - few)


@pytest.mark.parametrize(
    ("draw_marks", "most"),
    [
        (lambda ax, at: ax.scatter(*at.T), 46),
        (lambda ax, at: ax.scatter(*at.T, c=["k", "r"] * (len(at) // 2), edgecolor="w", linewidth=0.3), 66),
        (lambda ax, at: ax.plot(*at.T, "o", linestyle="none"), 46),
        (lambda ax, at: ax.plot(*at.T), 16),
        (lambda ax, at: ax.barh(range(len(at)), at[:, 0]), 46),
    ],
    ids=["points", "points in turn", "markers", "a line", "bars"],
)
def test_a_mark_is_its_place_and_little_else(draw_marks, most):
    assert bytes_of_each(draw_marks) < most


@pytest.mark.thorough
@pytest.mark.parametrize("name", DENSE)
def test_figures_of_many_methods_are_a_quarter_smaller_at_least(name, tmp_path):
    """Than matplotlib writes them, though texts are joined to paths, which takes bytes and spares a browser time."""
    figure = draw(name, "many methods")
    figures.save(figure, tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size < 0.75 * len(written(figure).encode())


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.thorough) for name in DENSE), None])
def test_names_are_those_that_are_referred_to(name):
    svg = _svg.smaller(written(draw(name, "many methods") if name else with_all_kinds()))
    referred = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    named = re.findall(r'\bid="([^"]+)"', svg)
    assert {a or b for a, b in referred} == set(named) and len(set(named)) == len(named)
    assert ElementTree.fromstring(svg).get("width").endswith("pt")


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("M 0 0 \nL 0 3.5 \n", "M0 0v3.5"),
        ("M 10.004 -0.5 L 20 -0.5 L 20 -0.004 L 9.5 3.25 L 9 4 z\n", "M10-.5h10v.5l-10.5 3.25-.5 .75z"),
        ("M 1 1 Q 2 2 3 1 Q 4 0 5 1 z M 7 7 L 8 8", "M1 1q1 1 2 0 1-1 2 0zM7 7l1 1"),
        ("M 0 0 C 0.123456 0 1 0.5 1 1", "M0 0c.12 0 1 .5 1 1"),
        ("M 0 0 A 1 1 0 0 0 2 2", "M 0 0 A 1 1 0 0 0 2 2"),
    ],
)
def test_paths_are_short(path, short):
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><path style="stroke: #000" d="{path}"/></svg>'
    assert f'd="{short}"' in _svg.smaller(svg)


def test_rounding_does_not_add_up():
    """Each point of a long path is where it was, to a hundredth of a point."""
    at = np.cumsum(np.full(500, 0.0149))
    path = "M 0 0 " + " ".join(f"L {x:.6f} {3 * x:.6f}" for x in at)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><path style="stroke: #000" d="{path}"/></svg>'
    d = re.search(r' d="M0 0l([^"]+)"', _svg.smaller(svg))[1]
    steps = [float(number) for number in re.findall(r"-?(?:\d+\.\d+|\.\d+|\d+)", d)]
    assert np.allclose(np.cumsum(np.reshape(steps, (-1, 2)), axis=0), np.column_stack([at, 3 * at]), atol=0.0051)


@NEEDS_BROWSER
@pytest.mark.parametrize("name", [None, pytest.param("needed_and_carrying", marks=pytest.mark.thorough)])
def test_they_look_as_matplotlib_draws_them(name, tmp_path):
    svg = written(draw(name, "many methods") if name else with_all_kinds())
    one, other = (pixels_of(text, tmp_path / folder) for folder, text in (("a", svg), ("b", _svg.smaller(svg))))
    assert one.shape == other.shape and (one < 0.5).mean() > 0.005
    apart = np.abs(one - other).max(axis=-1)
    assert apart.mean() < 0.002 and (apart > 0.5).mean() < 1e-5


def pixels_of(svg, folder):
    """What a browser shows of it, as (height, width, 3)."""
    folder.mkdir()
    (folder / "figure.svg").write_text(svg, encoding="utf-8")
    photographed(folder / "figure.svg", folder / "seen.png", "--window-size=720,640", "--hide-scrollbars")
    return imread(folder / "seen.png")[..., :3]
