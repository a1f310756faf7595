"""Where a study's outputs go: every path is built here, whole or with wildcards as rules need them."""

import re
from collections.abc import Mapping
from itertools import product

from retrieval_heads.study.controls import CONTROLS, control
from retrieval_heads.study.interventions import ablated_lengths, guarded_interventions, interventions
from retrieval_heads.study.variants import variants
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
    "transfer": "transfer/{model}/{variant}/{length}/{shard}.parquet",
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

        Heads are ablated at an intervention's own context lengths alone, one by one at the yardstick's, and controls
        are made at their own.
        """
        config, pattern = self._config, _STAGES[stage]
        ways: list[dict] = [{"length": length} for length in config["prompts"]["context_lengths"]]
        if stage in _CONTROL_OF:
            asked = control(config, _CONTROL_OF[stage]) or {"context_lengths": [], "interventions": []}
            ways = [{"length": length} for length in asked["context_lengths"]]
            if "{intervention}" in pattern:
                ways = [{"intervention": name, **way} for name in asked["interventions"] for way in ways]
        elif "{intervention}" in pattern:
            names = guarded_interventions(config) if stage == "guard" else interventions(config)
            ways = [
                {"length": length, "intervention": name} for name in names for length in ablated_lengths(config, name)
            ]
        elif "{mode}" in pattern:
            one = yardstick(config) or {"context_lengths": [], "modes": []}
            ways = [{"length": length, "mode": mode} for mode in one["modes"] for length in one["context_lengths"]]
        files = []
        for model, variant in product(config["models"], variants(config)):
            for way in ways:
                values = {"model": model, "variant": variant, **way}
                files += self.shards(stage, **values) if "{shard}" in pattern else [self.output(stage, **values)]
        return list(dict.fromkeys(files))


def _filled(pattern: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        pattern = pattern.replace(f"{{{name}}}", str(value))
    return pattern
