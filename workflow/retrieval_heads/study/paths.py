"""Where a study's outputs go: every path is built here, whole or with wildcards as rules need them."""

import re
from collections.abc import Iterable, Mapping
from itertools import product

from retrieval_heads.study.controls import CONTROLS, control, control_ways
from retrieval_heads.study.interventions import (
    ablated_lengths,
    ablated_variants,
    guarded_interventions,
    interventions,
)
from retrieval_heads.study.twins import unablated_lengths
from retrieval_heads.study.variants import variant_lengths, variants
from retrieval_heads.study.yardstick import yardstick

_STAGES = {
    "documents": "documents.parquet",
    "prompts": "prompts/{model}/{variant}/{length}.parquet",
    "scores": "scores/{model}/{variant}/{length}/{shard}.parquet",
    "generations": "generations/{model}/{variant}/{length}/{shard}.parquet",
    "rankings": "rankings/{model}/{variant}/{length}.parquet",
    "head_sets": "head_sets/{model}/{variant}/{length}/{intervention}.parquet",
    "unablated": "unablated/{model}/{variant}/{length}/{shard}.parquet",
    "replacements": "replacements/{model}/{variant}/{length}/{replacement}.safetensors",
    "ablation": "ablation/{model}/{variant}/{length}/{intervention}/{shard}.parquet",
    "head_effects": "head_effects/{model}/{variant}/{length}/{mode}/{shard}.parquet",
    "transfer": "transfer/{model}/{variant}/{length}/{intervention}/{shard}.parquet",
    "specificity": "specificity/{model}/{variant}/{length}.parquet",
    "compensation": "compensation/{model}/{variant}/{length}/{intervention}/{shard}.parquet",
    "compensation_heads": "compensation_heads/{model}/{variant}/{length}/{intervention}/{shard}.parquet",
    "looks": "looks/{model}/{variant}/{length}/{shard}.parquet",
    "labels": "labels/{model}.parquet",
    "guard": "guard/{model}/{variant}/{intervention}.parquet",
    "exports": "exports/{model}/{variant}/{length}",
    "tables": "tables/{table}.parquet",
    "figures": "figures/{figure}.svg",
    "pictures": "figures/{figure}.png",
    "pages": "pages/{page}.html",
    "findings": "findings.html",
    "markdown": "FINDINGS.md",
    "for_programs": "findings.json",
    "crate": "ro-crate-metadata.json",
}
"""What each stage writes, below the study's folder."""

_CONTROL_OF = {**{name: name for name in CONTROLS}, "compensation_heads": "compensation"}
"""The stages of controls, each with the control: it has one of its own name, and perhaps others."""


class Paths:
    """The paths of a study's outputs.

    Parameters
    ----------
    config : with all defaults filled in.
    """

    def __init__(self, config: Mapping):
        self._config = config
        self.folder = f"{config['results']}/{config['study']}"
        """The folder of all outputs of the study."""
        self.models = f"{config['results']}/models"
        """The folder of prepared models, which studies share."""

    def output(self, stage: str, **values: object) -> str:
        """What a stage writes; what is not given stays a wildcard.

        Parameters
        ----------
        stage : such as ``prompts``.
        values : of the wildcards, such as ``model`` and ``length``.
        """
        return f"{self.folder}/{_filled(_STAGES[stage], values)}"

    def log(self, rule: str, stage: str | None = None, **values: object) -> str:
        """The log of a rule's job, with the wildcards of what a stage writes."""
        wildcards = re.findall(r"{\w+}", _STAGES[stage]) if stage else []
        return f"{self.folder}/logs/{_filled('/'.join([rule, *wildcards]), values)}.log"

    def model(self) -> str:
        """The folder of a prepared model, with the wildcard ``artifact``."""
        return f"{self.models}/{{artifact}}"

    def model_log(self) -> str:
        """The log of a prepared model's job."""
        return f"{self.models}/logs/{{artifact}}.log"

    def shards(self, stage: str, **values: object) -> list[str]:
        """The files of a stage with these values: one for each shard of the documents."""
        number = self._config["compute"]["shards"]
        return [self.output(stage, **values, shard=f"{shard}-of-{number}") for shard in range(1, number + 1)]

    def every(self, stage: str) -> list[str]:
        """All files of a stage: one for each value of its wildcards.

        Heads are ablated at an intervention's own context lengths and in its own variants alone, one by one at and in
        the yardstick's; controls are made at their own lengths, in the variants in which their intervention ablates
        heads. The whole model answers in all variants, where anything is ablated.
        """
        config, pattern = self._config, _STAGES[stage]
        chosen: Iterable[str] = variants(config)
        lengths: Iterable[int] = config["prompts"]["context_lengths"]
        ways: list[dict]
        if (name := _CONTROL_OF.get(stage)) is not None:
            asked = control(config, name) or {"context_lengths": []}
            ways = [
                {"variant": variant, "length": length, "intervention": way}
                for (way, variant), length in product(control_ways(config, name), asked["context_lengths"])
            ]
        elif "{intervention}" in pattern:
            names = guarded_interventions(config) if stage == "guard" else interventions(config)
            ways = [
                {"variant": variant, "length": length, "intervention": name}
                for variant in chosen
                for name in names
                if variant in ablated_variants(config, name)
                for length in ablated_lengths(config, name)
            ]
        elif "{mode}" in pattern:
            one = yardstick(config) or {"variants": [], "context_lengths": [], "modes": []}
            ways = [
                {"variant": variant, "length": length, "mode": mode}
                for variant, mode, length in product(one["variants"], one["modes"], one["context_lengths"])
            ]
        else:
            if stage == "unablated":
                lengths = unablated_lengths(config)
            ways = [{"variant": variant, "length": length} for variant, length in product(chosen, lengths)]
        files = []
        # A variant may have prompts at some lengths alone.
        ways = [way for way in ways if way["length"] in variant_lengths(config, way["variant"])]
        for model, way in product(config["models"], ways):
            values = {"model": model, **way}
            files += self.shards(stage, **values) if "{shard}" in pattern else [self.output(stage, **values)]
        return list(dict.fromkeys(files))


def _filled(pattern: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        pattern = pattern.replace(f"{{{name}}}", str(value))
    return pattern
