"""Where a study's outputs go: every path is built here, whole or with wildcards as rules need them."""

import re
from collections.abc import Mapping
from itertools import product

from retrieval_heads.study.interventions import ablated_lengths, interventions

_STAGES = {
    "documents": "documents.parquet",
    "prompts": "prompts/{model}/{length}.parquet",
    "scores": "scores/{model}/{length}/{shard}.parquet",
    "generations": "generations/{model}/{length}/{shard}.parquet",
    "rankings": "rankings/{model}/{length}.parquet",
    "head_sets": "head_sets/{model}/{length}/{intervention}.parquet",
    "unablated": "unablated/{model}/{length}/{shard}.parquet",
    "replacements": "replacements/{model}/{length}/{replacement}.safetensors",
    "ablation": "ablation/{model}/{length}/{intervention}/{shard}.parquet",
    "guard": "guard/{model}/{intervention}.parquet",
    "exports": "exports/{model}/{length}",
    "tables": "tables/{table}.parquet",
    "figures": "figures/{figure}.svg",
    "pictures": "figures/{figure}.png",
    "pages": "pages/{page}.html",
    "findings": "findings.html",
    "markdown": "FINDINGS.md",
}
"""What each stage writes, below the study's folder."""


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
        """All files of a stage: for each model and context length and, in ablation, for each intervention.

        Heads are ablated at an intervention's lengths alone, and its guard is about all of them together.
        """
        models, lengths = self._config["models"], self._config["prompts"]["context_lengths"]
        ways = interventions(self._config)
        if stage == "guard":
            return [self.output(stage, model=model, intervention=name) for model, name in product(models, ways)]
        if stage == "ablation":
            return [
                file
                for model, name in product(models, ways)
                for length in ablated_lengths(self._config, name)
                for file in self.shards(stage, model=model, length=length, intervention=name)
            ]
        if "{shard}" in _STAGES[stage]:
            return [
                file
                for model, length in product(models, lengths)
                for file in self.shards(stage, model=model, length=length)
            ]
        return [self.output(stage, model=model, length=length) for model, length in product(models, lengths)]


def _filled(pattern: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        pattern = pattern.replace(f"{{{name}}}", str(value))
    return pattern
