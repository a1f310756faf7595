"""What analysis, figures and report need to know of a study's config: settings, names to show, and their order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from retrieval_heads.errors import StudyError
from retrieval_heads.study.dimensions import DIMENSION, PUBLISHED, described
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.study.top_k import given_or_share, top_k_for


@dataclass(frozen=True)
class Study:
    """A study as its readers see it.

    Parameters
    ----------
    config : the study's config, with all defaults filled in.
    methods : name → ``label``, ``definition`` and ``paper`` (each optional), in the order in which to show them.
    made_with : what its tables were made with (:func:`retrieval_heads.tables.made_with`); models whose results were
        made elsewhere are not in it.
    replacements : an intervention's mode → ``label`` and ``definition`` of what replaces the output of an ablated head.
    """

    config: Mapping
    methods: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    made_with: Mapping[str, Any] = field(default_factory=dict)
    replacements: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The study's name, as in the path of its results."""
        return self.config["study"]

    @property
    def seed(self) -> int:
        """What every random choice derives from."""
        return self.config["seed"]

    @property
    def model_runs(self) -> Mapping[str, Mapping[str, str]]:
        """Model → how it ran, such as its ``dtype``; without models whose results were made elsewhere."""
        return self.made_with.get("models", {})

    @property
    def _analysis(self) -> Mapping:
        return self.config["analysis"]

    @property
    def top_k(self) -> int | None:
        """How many heads of a ranking count as its top; None for a share of the model's heads."""
        return self._analysis["top_k"]

    def top_k_of(self, heads: int) -> int:
        """How many heads of a ranking count as its top, in a model with so many heads."""
        return top_k_for(heads, self.top_k)

    def consensus_k(self, heads: int) -> int:
        """Mean rank up to which a head counts as agreed on by a method, in a model with so many heads."""
        return given_or_share(heads, 100 / 1024, self._analysis["consensus_k"], "consensus_k")

    def specialist_k(self, heads: int) -> int:
        """Mean rank beyond which a head counts as unimportant for a question, in a model with so many heads."""
        return given_or_share(heads, 200 / 1024, self._analysis["specialist_k"], "specialist_k")

    @property
    def published(self) -> Mapping:
        """Where published results come from; empty for a study of a model."""
        return self.config["published"] or {}

    @property
    def categories(self) -> dict[str, str]:
        """Question → category, such as numerical."""
        return {name: entry["category"] for name, entry in self.config["questions"].items()}

    @property
    def resamples(self) -> int:
        """Bootstrap resamples of the documents."""
        return self._analysis["resamples"]

    @property
    def alpha(self) -> float:
        """The level of the tests, after correction."""
        return self._analysis["alpha"]

    @property
    def smallest_effect(self) -> float:
        """The smallest difference in accuracy that matters. A finding is contradicted only if that is ruled out."""
        return self._analysis["smallest_effect"]

    @property
    def interventions(self) -> Mapping[str, Mapping]:
        """Each way in which heads are ablated, the headline first; nothing is known of how published ones were."""
        if self.published:
            return {PUBLISHED: {}}
        every = self.config["ablation"]["interventions"]
        return {name: every[name] for name in self.configured("intervention")}

    @property
    def headline(self) -> str:
        """The intervention that figures show, and that headlines are about."""
        return next(iter(self.interventions))

    @property
    def levels(self) -> list[int]:
        """How many heads are ablated, as the config asks; empty for published results, which have their own."""
        return sorted({level for one in self.interventions.values() for level in one.get("levels") or []})

    @property
    def quality_level(self) -> int:
        """At how many first heads of a ranking methods are tested: ``analysis.level``, else the headline's largest."""
        return int(self._analysis["level"] or max(self.interventions[self.headline]["levels"]))

    def level(self, effects: pd.DataFrame) -> int:
        """The number of ablated heads that headlines are about: config's ``analysis.level``, else the largest measured.

        Raises
        ------
        StudyError
            when that level was not measured. One that was asked for may have no row of its own, where all top sets end
            before it (see :func:`~retrieval_heads.tables.select.at_level`).
        """
        levels = sorted(effects["k"].unique())
        chosen = self._analysis["level"]
        if chosen is not None and chosen not in {*levels, *self.levels}:
            measured = ", ".join(map(str, levels))
            raise StudyError(f"analysis.level: {chosen} heads were not ablated; choose one of {measured}.")
        return int(chosen if chosen is not None else levels[-1])

    def at_level(self, level: int) -> "Study":
        """The same study with headlines about another number of heads."""
        return replace(self, config={**self.config, "analysis": {**self._analysis, "level": level}})

    def configured(self, dimension: str) -> list:
        """The values that the config names, in the order in which to show them."""
        return described(dimension).values(self.config)

    def in_config_order(self, dimension: str, values: Iterable) -> list:
        """The distinct values that are there, in the config's order; unknown ones after them, sorted."""
        values = values.unique() if isinstance(values, pd.Series) else values  # tables repeat them thousands of times
        found = {value for value in values if pd.notna(value)}
        known = [value for value in self.configured(dimension) if value in found]
        return known + sorted(found.difference(known))

    def told(self, dimensions: Iterable[str]) -> list[str]:
        """Those of these dimensions that readers are told of: one may go without saying where it has one value."""
        return [name for name in dimensions if not DIMENSION[name].silent_alone or len(self.configured(name)) > 1]

    def label(self, dimension: str, value: Any) -> str:
        """How a value is shown."""
        if dimension == "intervention":
            return self._intervention(value)
        one = described(dimension)
        entries = self.methods if dimension == "method" else self.config.get(one.labels_in or "") or {}
        return (entries.get(value) or {}).get("label") or one.show(value)

    def _intervention(self, name: str) -> str:
        """What replaces a head's output, and where; with its name, where another intervention does the same."""
        every = {key: (one["mode"], one["scope"]) for key, one in self.interventions.items() if one}
        if name not in every:
            return "as published" if name == PUBLISHED else name
        mode, scope = every[name]
        what = f"{self.replacements.get(mode, {}).get('label', mode)}, {SCOPES[scope].label}"
        return what if list(every.values()).count(every[name]) == 1 else f"{name} ({what})"
