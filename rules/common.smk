# Helpers for all rules: the checked config, where outputs go, what code a rule depends on.

import re

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from retrieval_heads import folder
from retrieval_heads.config import ablated_lengths, check_surroundings, complete, model_artifact
from retrieval_heads.declared import describe_methods, report_tables
from retrieval_heads.errors import StudyError
from retrieval_heads.provenance import code_digest

try:
    config = complete(config)
    in_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    check_surroundings(config, packages=not in_conda)
except StudyError as error:
    raise WorkflowError(str(error))

OUT = f"{config['results']}/{config['study']}"
MODELS = f"{config['results']}/models"
# Where analysis begins: answers to single prompts, or, in published results, counts of them.
ABLATED = "ablation_summary" if config["published"] else "ablation"
# How far rankings depend on the documents can be seen where scores of single prompts are known.
NOISE = ["reliability"] if not config["published"] and config["analysis"]["split_halves"] else []
CATEGORIES = {key: question["category"] for key, question in config["questions"].items()}


wildcard_constraints:
    model="|".join(map(re.escape, config["models"])),
    length=r"\d+",
    shard=r"\d+-of-\d+",


def code(script, *more):
    """A hash of a script and of all code it uses: a change of it makes the rule's outputs stale."""
    return code_digest(Path(workflow.basedir) / "workflow" / "scripts" / script, *more)


def model_folder(wildcards):
    """Where the prepared model of a job lies."""
    return (
        f"{MODELS}/{model_artifact(wildcards.model, config['models'][wildcards.model]['source'])}"
    )


def loading(wildcards):
    """How a job loads its model."""
    model = config["models"][wildcards.model]
    return {key: model.get(key) for key in ("dtype", "quantization", "trust_remote_code")}


def shards(stage, model, length):
    """The files of a stage for one model and context length: one for each shard of the documents."""
    number = config["compute"]["shards"]
    return expand(
        f"{OUT}/{stage}/{model}/{length}/{{shard}}-of-{number}.parquet",
        shard=range(1, number + 1),
    )


def parts(stage):
    """All files of a stage, which has them for each model and context length."""
    lengths = (
        ablated_lengths(config) if stage == "ablation" else config["prompts"]["context_lengths"]
    )
    if stage in ("scores", "ablation"):
        return [
            file
            for model in config["models"]
            for length in lengths
            for file in shards(stage, model, length)
        ]
    return expand(
        f"{OUT}/{stage}/{{model}}/{{length}}.parquet", model=config["models"], length=lengths
    )


def dimensions():
    """The study's values of each dimension, and what else a figure or table may need to have something to show."""
    lengths = config["prompts"]["context_lengths"]
    return {
        "model": list(config["models"]),
        "method": list(config["methods"]),
        "question": list(config["questions"]),
        "context_length": lengths,
        "category": sorted(set(CATEGORIES.values())),
        "ablated_length": lengths if config["published"] else ablated_lengths(config),
        "documents": [] if config["published"] else ["train", "test"],
        "split_halves": list(range(config["analysis"]["split_halves"])) if NOISE else [],
        "import": list(config["imports"]),
    }


def compared_config():
    """The parts of the config that tests depend on: what is compared, without how it is shown."""
    return {
        **{key: config[key] for key in ("study", "seed", "methods", "prompts", "analysis")},
        "models": dict.fromkeys(config["models"]),
        "questions": {key: {"category": category} for key, category in CATEGORIES.items()},
    }


def shown_config():
    """The parts of the config that a figure can show."""
    return {
        key: config[key]
        for key in (
            "study",
            "seed",
            "models",
            "questions",
            "methods",
            "prompts",
            "analysis",
            "published",
        )
    }
