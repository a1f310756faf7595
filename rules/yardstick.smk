# What rankings are held against: what every head by itself does for the answers to test prompts.


rule measure_effects:
    input:
        prompts=rules.build_prompts.output[0],
        state=lambda wildcards: states(wildcards, [wildcards.length]),
        # A prompt counts under a mode that needs its twin if the whole model answers both.
        unablated=answered,
        model=model_input,
    output:
        PATHS.output("head_effects"),
    log:
        PATHS.log("measure_effects", "head_effects"),
    priority: 1
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("head_effects"),
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("head_effects")),
        documents=lambda _: yardstick(config)["documents"],
        questions=lambda _: yardstick(config)["questions"],
        code=ablation_code("measure_effects.py"),
    script:
        "../workflow/scripts/measure_effects.py"


# What is known of heads whatever they are asked: a few short passes for each model.
rule label_heads:
    input:
        model=model_input,
    output:
        PATHS.output("labels"),
    log:
        PATHS.log("label_heads", "labels"),
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("labels")),
        seed=config["seed"],
        code=code("label_heads.py"),
    script:
        "../workflow/scripts/label_heads.py"


rule summarise_effects:
    input:
        PATHS.output("tables", table="head_effects"),
    output:
        PATHS.output("tables", table="head_effect_summary"),
    log:
        PATHS.log("summarise_effects"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("summarise_effects.py"),
    script:
        "../workflow/scripts/summarise_effects.py"


# Heads that share keys and values, as their labels tell: how top sets lie among them, and rankings of whole groups.
rule measure_groups:
    input:
        rankings=PATHS.output("tables", table="rankings"),
        labels=PATHS.output("tables", table="labels"),
    output:
        touched=PATHS.output("tables", table="key_value_groups"),
        overlap=PATHS.output("tables", table="group_overlap"),
    log:
        PATHS.log("measure_groups"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        levels=LEVELS,
        top_k=config["analysis"]["top_k"],
        code=code("measure_groups.py"),
    script:
        "../workflow/scripts/measure_groups.py"


rule pair_effects:
    input:
        PATHS.output("tables", table="head_effects"),
    output:
        PATHS.output("tables", table="needed_or_carrying"),
    log:
        PATHS.log("pair_effects"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        alpha=config["analysis"]["alpha"],
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("pair_effects.py"),
    script:
        "../workflow/scripts/pair_effects.py"


# What says which heads matter: their effects, where these are measured, and what is lost without a ranking's first.
JUDGED_BY = [
    "rankings",
    "labels",
    "ablation",
    *(["head_effects"] if yardstick_modes(config) else []),
]


rule measure_quality:
    input:
        expand(PATHS.output("tables"), table=JUDGED_BY),
    output:
        ranking_quality=PATHS.output("tables", table="ranking_quality"),
        quality_tests=PATHS.output("tables", table="quality_tests"),
    log:
        PATHS.log("measure_quality"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        config=Sealed(judged_config()),
        planted={
            name: model["planted"]
            for name, model in config["models"].items()
            if "planted" in model
        },
        code=code("measure_quality.py", *table_files(JUDGED_BY)),
    script:
        "../workflow/scripts/measure_quality.py"
