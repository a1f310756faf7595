# Helpers for all rules: the checked config, where outputs go, what code a rule depends on.

import contextlib
import math
import os
import re

import psutil
from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake.settings.types import DeploymentMethod

from retrieval_heads import plugins, runs
from retrieval_heads.data.documents import document_source
from retrieval_heads.data.haystack import haystack_files
from retrieval_heads.identity import files_content
from retrieval_heads.study.checks import require_one_file
from retrieval_heads.study.config import complete, told
from retrieval_heads.study.controls import ITEM_KINDS, control, transferred_sets
from retrieval_heads.study.interventions import (
    ablated_lengths,
    ablated_methods,
    ablated_variants,
    count_head_sets,
    interventions,
)
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.sealed import Sealed
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.preflight import check_surroundings
from retrieval_heads.plugins import describe
from retrieval_heads.errors import StudyError
from retrieval_heads.engine.extent import (
    DEFAULT_GRID,
    GUARD_TOKENS,
    plain_passes,
    single_head_passes,
)
from retrieval_heads.engine.pace import passes_over
from retrieval_heads.model.identity import model_content, model_folder
from retrieval_heads.model.guards import described_grid, loaded_bytes
from retrieval_heads.outputs import COLLECTED, outputs
from retrieval_heads.provenance import code_digest
from retrieval_heads.study.method_entries import file_of, parameters_of, replacement_of
from retrieval_heads.study.methods import (
    described_methods,
    fitted_methods,
    methods_at,
    twin_methods,
)
from retrieval_heads.study.modes import fitted_modes, twin_modes
from retrieval_heads.study.needs import available
from retrieval_heads.study.paths import Paths
from retrieval_heads.study.twins import (
    twinned_documents,
    unablated_documents,
    uses_twins,
)
from retrieval_heads.study.variants import (
    asked_questions,
    decoyed,
    prompt_settings,
    variant_lengths,
    variants,
)
from retrieval_heads.study.yardstick import yardstick, yardstick_modes
from retrieval_heads.versions import library_versions, pinned_versions, recorded_versions

try:
    # As a module of another workflow, this one is given its config by that, and no file.
    if not workflow.modifier.skip_configfile:
        require_one_file(workflow.configfiles)
    config = complete(config)
    in_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    check_surroundings(config, packages=not in_conda)
except StudyError as error:
    raise WorkflowError(str(error))


def end_jobs():
    """End what this process has started: interrupted, Snakemake would wait for it."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.terminate()


def claim_outputs():
    """Have no other run make the study meanwhile, or a model that it has to prepare, for the first time or anew."""
    claims = Path(config["results"], ".running")
    to_prepare = [
        job.output[0] for job in workflow.dag.needrun_jobs() if job.name == "prepare_model"
    ]
    try:
        runs.claim(claims / config["study"], PATHS.folder)
        for folder in map(Path, to_prepare):
            runs.claim(claims / "models" / folder.name, str(folder))
    except StudyError as error:
        raise WorkflowError(str(error))


PATHS = Paths(config)
# Relative, so that a project that is moved elsewhere stays as done as it is.
TEMPLATES = os.path.relpath(Path(workflow.basedir, "report"))
# The files that no job makes, by the name of the input that they are.
GIVEN = {
    "lists": [entry["file"] for entry in config["imports"].values()],
    "templates": sorted(map(str, Path(TEMPLATES).rglob("*.*"))),
}
if config["published"]:
    from retrieval_heads.exchange import published

    GIVEN["published"] = published.files(config)
else:
    GIVEN |= {
        "sources": document_source(config).files(config),
        "haystack": haystack_files(config["prompts"]["haystack"]),
        "prose": ["resources/guard/prose.txt"],
        "asked": [f"resources/controls/{kind}.yaml" for kind in ITEM_KINDS],
    }


def find_content():
    """What the study rests on that may change while it runs: files, models, and the versions of libraries."""
    results, models = config["results"], {} if config["published"] else config["models"]
    return {
        "files": {name: files_content(files, results) for name, files in GIVEN.items()},
        "models": {
            name: model_content(model["source"], results, not in_conda)
            for name, model in models.items()
        },
        "versions": models and (pinned_versions() if in_conda else library_versions()),
    }


try:
    BEGAN_WITH = runs.as_it_began(PATHS.folder, find_content, not workflow.is_main_process)
except StudyError as error:
    raise WorkflowError(str(error))

# Where analysis begins: answers to single prompts, or, in published results, counts of them.
ABLATED = "ablation_summary" if config["published"] else "ablation"
# How far rankings depend on the documents can be seen where scores of single prompts are known.
NOISE = ["reliability"] if not config["published"] and config["analysis"]["split_halves"] else []
# Of all interventions: how many top heads are ablated.
LEVELS = sorted({k for one in interventions(config).values() for k in one["levels"]})
# What replaces the outputs of ablated heads, as far as it must be fitted to a model first.
FITTED = fitted_modes()
# What takes them from the twin of each prompt.
TWINNED = twin_modes()
ANSWER_TYPES = {key: question["type"] for key, question in config["questions"].items()}
# What holds text of the user's is sealed: Snakemake writes parameters into its report, and tells which have changed.
CATEGORIES = Sealed({key: question["category"] for key, question in config["questions"].items()})
GENERATION = Sealed(config.get("generation", {}))


wildcard_constraints:
    model="|".join(map(re.escape, config["models"])),
    intervention="|".join(map(re.escape, interventions(config))) or "none",
    variant="|".join(map(re.escape, variants(config))),
    length=r"\d+",
    mode="|".join(map(re.escape, yardstick_modes(config))) or "none",
    shard=r"\d+-of-\d+",


def code(script, *more):
    """A hash of a script and of all code it uses: a change of it makes the rule's outputs stale."""
    return code_digest(Path(workflow.basedir) / "workflow" / "scripts" / script, *more)


def table_files(names):
    """The files that describe tables, for rules that read tables by name."""
    return [plugins.files("tables")[name] for name in names]


def answer_files():
    """The files of the study's types of answers, for rules that read or judge answers."""
    types = {question["type"] for question in config["questions"].values()}
    return [plugins.files("data.answers")[name] for name in types]


def method_files():
    """The files of the study's methods, and of what these put in place of heads' outputs."""
    methods, known = config["methods"], plugins.files("ablation.replacements")
    modes = {replacement_of(name, entry) for name, entry in methods.items()} - {None}
    return [
        *(plugins.files("methods")[file_of(name, entry)] for name, entry in methods.items()),
        *(known[mode] for mode in sorted(modes)),
    ]


def folder_of(model):
    """Where a model lies, or will once it is prepared."""
    source = config["models"][model]["source"]
    return str(model_folder(model, source, BEGAN_WITH["models"][model], config["results"]))


def model_input(wildcards):
    """The folder that a job loads its model from. One of the user's tells by its content when it is new, not by time."""
    path = folder_of(wildcards.model)
    return ancient(path) if "path" in config["models"][wildcards.model]["source"] else path


def content(wildcards):
    """What a job's model is: a change of it makes the job's outputs stale."""
    return BEGAN_WITH["models"][wildcards.model]


def given(name):
    """Files that no job makes, as an input: they tell by their content when they are new, not by time."""
    return ancient(GIVEN[name])


def content_of(*names):
    """What such inputs are: a change of it makes the job's outputs stale."""
    return {name: BEGAN_WITH["files"][name] for name in names}


def versions(output):
    """The versions of libraries that a job runs with: others make its output stale, unless the config accepts them.
    Then they are the ones that Snakemake has recorded of it."""

    def of_job(wildcards):
        recorded = None
        if config["compute"]["accept_versions"]:
            file = IOFile(output.format(**wildcards))
            recorded = recorded_versions(workflow.persistence.params(file) or [])
        return recorded or BEGAN_WITH["versions"]

    return of_job


def loading(wildcards):
    """How a job loads its model."""
    model = config["models"][wildcards.model]
    return {key: model.get(key) for key in ("dtype", "quantization", "trust_remote_code")}


def intervention(key):
    """What holds for the intervention of a job, as a parameter of its rule."""
    return lambda wildcards: interventions(config)[wildcards.intervention][key]


def under_control(name, function):
    """What a function of wildcards gives for a job of a control, whose intervention the config names."""

    def of_job(wildcards):
        chosen = {"intervention": control(config, name)["intervention"]}
        return function(type(wildcards)(fromdict={**wildcards, **chosen}))

    return of_job


def asked_by_control(name, key):
    """What a control asks for, as a parameter of its rule."""
    return lambda wildcards: control(config, name)[key]


def mode_of(wildcards):
    """What replaces the outputs of ablated heads in a job: the mode of its intervention, or its own."""
    return wildcards.get("mode") or intervention("mode")(wildcards)


def states(wildcards, lengths):
    """The states of a job's replacement at some context lengths; none where it needs no fit."""
    mode = mode_of(wildcards)
    if mode not in FITTED:
        return []
    return [
        PATHS.output(
            "replacements",
            model=wildcards.model,
            variant=wildcards.variant,
            length=length,
            replacement=mode,
        )
        for length in lengths
    ]


def unablated_beside(wildcards):
    """What the whole model answers wherever heads are ablated, for a table that has both."""
    if wildcards.table == "ablation":
        lengths = ablated_lengths(config)
    elif wildcards.table == "transfer":
        lengths = control(config, "transfer")["context_lengths"]
    else:
        return []
    return [
        file
        for model in config["models"]
        for variant in ablated_variants(config)
        for length in lengths
        for file in PATHS.shards("unablated", model=model, variant=variant, length=length)
    ]


def scores_by_model():
    """Model → the files with its scores, of all variants, lengths and shards."""
    return {
        model: [
            file
            for variant in variants(config)
            for length in variant_lengths(config, variant)
            for file in PATHS.shards("scores", model=model, variant=variant, length=length)
        ]
        for model in config["models"]
    }


def answered(wildcards):
    """What the whole model answers at a job's context length, where the job asks only prompts that are answered as
    their twins are."""
    if mode_of(wildcards) not in TWINNED:
        return []
    values = {key: wildcards[key] for key in ("model", "variant", "length")}
    return PATHS.shards("unablated", **values)


def method_states(wildcards):
    """The states of what the study's methods put in place of heads' outputs, as far as it must be fitted first."""
    return [
        PATHS.output(
            "replacements",
            model=wildcards.model,
            variant=wildcards.variant,
            length=wildcards.length,
            replacement=mode,
        )
        for mode in sorted(
            set(fitted_methods(config, int(wildcards.length), wildcards.variant).values())
        )
    ]


def ablation_code(script, *files):
    """The digest of a script that ablates heads, with the file of what replaces their outputs, and further ones."""
    known = plugins.files("ablation.replacements")
    return lambda wildcards: code(script, known[mode_of(wildcards)], *files)


def compared_config():
    """The parts of the config that tests depend on: what is compared, without how it is shown."""
    return {
        **{key: config[key] for key in ("study", "seed", "methods", "prompts", "analysis")},
        "models": dict.fromkeys(config["models"]),
        "questions": {key: {"category": category} for key, category in CATEGORIES.items()},
    }


def first_heads(wildcards):
    """How many first heads of a ranking tests are about: `analysis.level`, else the headline's largest level."""
    levels = interventions(config)[config["ablation"]["headline"]]["levels"]
    return config["analysis"]["level"] or max(levels)


def judged_config():
    """The parts of the config that the quality of rankings depends on: what is compared, and what a document costs."""
    prompts = ("context_lengths", "depths", "suffix_budget", "variants")
    return {
        **{key: config[key] for key in ("study", "seed", "methods", "analysis", "published")},
        "questions": dict.fromkeys(config["questions"]),
        "prompts": {key: config["prompts"][key] for key in prompts if key in config["prompts"]},
        "generation": {"max_new_tokens": config["generation"]["max_new_tokens"]},
        "ablation": {
            "headline": config["ablation"]["headline"],
            "interventions": {
                name: {"levels": one["levels"]} for name, one in interventions(config).items()
            },
        },
    }


def shown_config():
    """The parts of the config that a figure can show."""
    shown = {
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
    return shown | {"ablation": shown_interventions()}


def described_replacements():
    """Label and definition of what replaces the output of ablated heads."""
    modes = {one["mode"] for one in interventions(config).values()}
    return describe("ablation.replacements", sorted(modes | set(yardstick_modes(config))))


def shown_interventions():
    """How heads are ablated, as far as that is shown beside what came of it."""
    return {
        "headline": None if config["published"] else config["ablation"]["headline"],
        "interventions": {
            name: {key: one[key] for key in ("mode", "scope", "levels")}
            for name, one in interventions(config).items()
        },
    }


# --- what model jobs ask a cluster for -----------------------------------------------------------
# Rules of thumb, explained in docs/scaling.md. A run on one machine limits none of this but the gpu.

# Minutes for a context of 1,000 tokens and a gigabyte of weights: half the speed that an A100 should reach.
MINUTES_PER_CONTEXT = 0.01 / 60
# How many documents of a split a table of the user's holds is known once it is read.
DOCUMENTS_OF_A_TABLE = 200


def weights_mb(model):
    """Megabytes of a prepared model. As long as there is none, Snakemake asks again later."""
    return sum(file.stat().st_size for file in os.scandir(str(model))) / 1e6


def model_mem_mb(wildcards, input, attempt):
    """Memory: Python and torch, the weights twice, a megabyte for each token; twice as much at each retry."""
    how = loading(wildcards)
    loaded = loaded_bytes(str(input.model), how["dtype"], how["quantization"]) / 1e6
    return 2 ** (attempt - 1) * math.ceil(
        4000 + 2 * loaded + int(wildcards.get("length", GUARD_TOKENS))
    )


def guard_runtime(wildcards, input, attempt):
    """Minutes for the guard: half an hour, and what a short text takes under each set of each question and length."""
    name = wildcards.intervention
    sets = count_head_sets(config, name, wildcards.variant) * len(config["questions"])
    sets *= len(ablated_lengths(config, name))
    work = sets * GUARD_TOKENS / 1000 * weights_mb(input.model) / 1000
    return attempt * math.ceil(30 + MINUTES_PER_CONTEXT * work)


def grid_of(model):
    """Layers of a prepared model, and heads in each; those of the default model where its config has other names."""
    # As long as the folder is missing, Snakemake asks again later; it would not if a file in it were.
    os.listdir(str(model))
    return described_grid(str(model)) or DEFAULT_GRID


def side_by_side():
    """How many jobs that ask a model run at a time, on one machine: as many as the config says, if it has the cores."""
    cores = workflow.resource_settings.cores
    alone = workflow.non_local_exec or not workflow.is_main_process or cores is None
    return 1 if alone else min(config["compute"]["side_by_side"], cores)


def model_threads(wildcards):
    """Threads of a job that asks a model: all that gain something, or its share of the cores."""
    jobs = side_by_side()
    return 8 if jobs == 1 else workflow.resource_settings.cores // jobs


def model_gpus(wildcards):
    """The GPU of a job that asks a model. Those that are to run side by side claim none, as they share one if any."""
    return int(side_by_side() == 1)


def study_passes(wildcards, input):
    """Plain passes of the whole study, for the job that tells how long it takes: the first shard. Of jobs that run side
    by side, each has its part of them. No limit, and no parameter, for it makes nothing stale."""
    passes = plain_passes(config, DOCUMENTS_OF_A_TABLE, grid_of(input.model)) / side_by_side()
    return round(passes) * wildcards.shard.startswith("1-of-")


def contexts_for_each_head(wildcards, input):
    """How many contexts are run in the time that it takes to ablate every head by itself in one prompt."""
    length = int(wildcards.length)
    asked = config["prompts"]["suffix_budget"] + config["generation"]["max_new_tokens"]
    return single_head_passes(grid_of(input.model), length, asked) / passes_over(length)


def model_runtime(stage):
    """Minutes for a job's share of a stage: half an hour, and what its contexts take; more at each retry."""
    split = "train" if stage in ("scores", "replacements") else "test"
    given = config["documents"].get(split, DOCUMENTS_OF_A_TABLE)

    def minutes(wildcards, input, attempt):
        contexts, documents = 1, given
        if stage == "ablation":
            name = wildcards.intervention
            one = interventions(config)[name]
            documents = one["documents"] or given
            # Where the context is read by the whole model, a head set runs through the suffix alone.
            shared = not SCOPES[one["scope"]].in_context
            share = config["prompts"]["suffix_budget"] / int(wildcards.length) if shared else 1
            sets = count_head_sets(config, name, wildcards.variant)
            contexts += share * sets * len(config["questions"])
        if stage == "transfer":
            one = control(config, "transfer")
            documents = one["documents"] or given
            share = config["prompts"]["suffix_budget"] / int(wildcards.length)
            contexts += share * transferred_sets(config) * len(config["questions"])
        if stage == "compensation":
            one = control(config, "compensation")
            documents = one["documents"] or given
            # At most as long as for each head by itself, and behind two contexts for each set.
            share = config["prompts"]["suffix_budget"] / int(wildcards.length)
            sets = 2 * share * count_head_sets(config, wildcards.intervention)
            contexts += 1 + len(one["questions"]) * (
                sets + contexts_for_each_head(wildcards, input)
            )
        if stage == "unablated":
            documents = unablated_documents(config, int(wildcards.length))[0] or given
            # With the document and without, and with its twin.
            twinned, _ = twinned_documents(config, int(wildcards.length), wildcards.variant)
            contexts = 2 + (twinned != 0)
        if stage == "specificity":
            # All items stand behind one context, which is run once, or once for each head set.
            one, documents = control(config, "specificity"), 1
            sets = count_head_sets(config, one["intervention"]) * len(config["questions"])
            share = config["prompts"]["suffix_budget"] / int(wildcards.length)
            contexts += sets * (1 + share * len(ITEM_KINDS) * one["items"])
        if stage == "looks":
            documents = control(config, "looks")["documents"] or given
        if stage == "head_effects":
            one = yardstick(config)
            documents = one["documents"] or given
            contexts += len(one["questions"]) * contexts_for_each_head(wildcards, input)
        if stage == "scores":
            length = int(wildcards.length)
            contexts += bool(twin_methods(config, length, wildcards.variant))
            for name, entry in methods_at(config, length, wildcards.variant).items():
                if file_of(name, entry) == "single_head_effect":
                    share = min(1, parameters_of(name, entry)["documents"] / given)
                    contexts += (
                        share * len(config["questions"]) * contexts_for_each_head(wildcards, input)
                    )
        jobs = config["compute"]["shards"] if "shard" in wildcards.keys() else 1
        prompts = documents * len(config["prompts"]["depths"]) / jobs
        thousands = prompts * contexts * int(wildcards.length) / 1000
        work = thousands * weights_mb(input.model) / 1000
        return attempt * math.ceil(30 + MINUTES_PER_CONTEXT * work)

    return minutes
