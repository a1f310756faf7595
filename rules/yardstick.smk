# What rankings are held against: what every head by itself does for the answers to test prompts.


rule measure_effects:
    input:
        prompts=rules.build_prompts.output[0],
        state=lambda wildcards: states(wildcards, [wildcards.length]),
        # A prompt counts under a mode that needs its twin if the whole model answers both.
        unablated=lambda wildcards: answered(wildcards) if wildcards.mode in TWINNED else [],
        model=model_input,
    output:
        PATHS.output("head_effects"),
    log:
        PATHS.log("measure_effects", "head_effects"),
    conda:
        "../envs/model.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=model_runtime("head_effects"),
    params:
        loading=loading,
        content=content,
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
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        loading=loading,
        content=content,
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
        levels=sorted({k for one in interventions(config).values() for k in one["levels"]}),
        top_k=config["analysis"]["top_k"],
        code=code("measure_groups.py"),
    script:
        "../workflow/scripts/measure_groups.py"
