"""Whether the same heads are on top in each variant of the prompts as in the plain one."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis.same_heads import against_plain
from retrieval_heads.figures import _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.same_heads import ALIKE

TITLE = "Whether the same heads serve other variants of the prompts"
SECTION = "variants"
TABLES = ("same_heads",)
NEEDS = {"variant": 2, "split_halves": 1}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel for each variant, and of several models in each; a line per method."""
    rows = against_plain(study, tables["same_heads"])
    if rows.empty:
        return _layout.note("No heads were ranked in two variants.")
    told = rows["sameness_low"].notna()
    if not told.any():
        return _layout.note(
            "Rankings from halves of the documents do not agree surely enough with each other for any two variants to "
            "be compared."
        )
    models, methods = study.in_config_order("model", rows["model"]), study.in_config_order("method", rows["method"])
    variants = study.in_config_order("variant", rows["variant"])
    names = [study.label("variant", variant) for variant in variants]
    height = 0.19 * len(methods) + 0.45
    figure, axes = _layout.panels([study.label("model", model) for model in models], names, height=height)
    low, high = min(0.0, rows["sameness_low"].min()), max(1.2, rows["sameness_high"].max())
    for line, model in zip(axes, models, strict=True):
        for ax, variant in zip(line, variants, strict=True):
            here = rows[(rows["model"] == model) & (rows["variant"] == variant)].set_index("method")
            for place, method in enumerate(methods):
                if method not in here.index:
                    continue
                row = here.loc[method]
                if np.isnan(row["sameness_low"]):
                    ax.text(0.02 * high, place, "untold", color=_style.RANDOM, va="center", fontsize=7)
                    continue
                arms = _style.interval_arms(row["sameness"], row["sameness_low"], row["sameness_high"])
                look = _style.method_style(study, method)
                ax.errorbar(row["sameness"], place, xerr=arms[:, None], elinewidth=0.9, **look)
            ax.axvline(ALIKE, color=_style.INK, linestyle=(0, (4, 2)), linewidth=0.7, zorder=0.8)
            ax.set_xlim(low - 0.04, high + 0.04)
            ax.grid(axis="x")
            ax.set_yticks(range(len(methods)), [study.label("method", method) for method in methods])
            ax.set_ylim(len(methods) - 0.5, -0.5)
    figure.supxlabel("Heads shared with the plain variant, beside those that halves of the documents share")
    return figure
