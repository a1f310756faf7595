# Controls of what a study finds, each made only where its config asks for it.

# --- transfer: the heads of one question, ablated while another is asked ------------------------------


rule transfer_heads:
    input:
        prompts=rules.build_prompts.output[0],
        head_sets=rules.choose_head_sets.output[0],
        unablated=answered,
        state=lambda wildcards: states(wildcards, [wildcards.length]),
        model=model_input,
    output:
        PATHS.output("transfer"),
    log:
        PATHS.log("transfer_heads", "transfer"),
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("transfer"),
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("transfer")),
        answer_types=ANSWER_TYPES,
        mode=intervention("mode"),
        scope=intervention("scope"),
        level=asked_by_control("transfer", "level"),
        methods=asked_by_control("transfer", "methods"),
        documents=asked_by_control("transfer", "documents"),
        generation=GENERATION,
        code=ablation_code("transfer_heads.py", *answer_files()),
    script:
        "../workflow/scripts/transfer_heads.py"


rule measure_transfer:
    input:
        PATHS.output("tables", table="transfer"),
    output:
        drops=PATHS.output("tables", table="transfer_drops"),
        tests=PATHS.output("tables", table="transfer_tests"),
    log:
        PATHS.log("measure_transfer"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("measure_transfer.py"),
    script:
        "../workflow/scripts/measure_transfer.py"


# --- specificity: the same heads, ablated while facts and sums are asked that no context states -------


rule ask_items:
    input:
        prompts=rules.build_prompts.output[0],
        head_sets=under_control(
            "specificity", lambda wildcards: PATHS.output("head_sets", **wildcards)
        ),
        state=under_control("specificity", lambda wildcards: states(wildcards, [wildcards.length])),
        asked=given("asked"),
        model=model_input,
    output:
        PATHS.output("specificity"),
    log:
        PATHS.log("ask_items", "specificity"),
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("specificity"),
    params:
        loading=loading,
        content=content,
        files=content_of("asked"),
        versions=versions(PATHS.output("specificity")),
        prompts=lambda wildcards: Sealed(prompt_settings(config, wildcards.variant)),
        # An item's answer is begun where those of the study's questions are.
        prefixed=lambda wildcards: any(
            question["answer_prefix"]
            for question in asked_questions(config, wildcards.variant).values()
        ),
        seed=config["seed"],
        generation=GENERATION,
        most=asked_by_control("specificity", "items"),
        methods=asked_by_control("specificity", "methods"),
        levels=asked_by_control("specificity", "levels"),
        intervention=asked_by_control("specificity", "intervention"),
        mode=under_control("specificity", intervention("mode")),
        scope=under_control("specificity", intervention("scope")),
        code=under_control(
            "specificity",
            ablation_code(
                "ask_items.py",
                *(plugins.files("data.answers")[type] for type in ITEM_KINDS.values()),
            ),
        ),
    script:
        "../workflow/scripts/ask_items.py"


rule measure_specificity:
    input:
        expand(PATHS.output("tables"), table=["ablation", "specificity"]),
    output:
        PATHS.output("tables", table="specificity_summary"),
    log:
        PATHS.log("measure_specificity"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        methods=asked_by_control("specificity", "methods"),
        levels=asked_by_control("specificity", "levels"),
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("measure_specificity.py"),
    script:
        "../workflow/scripts/measure_specificity.py"


# --- compensation: what other heads make up for, what heads do together, what they restore ------------


rule measure_compensation:
    input:
        prompts=rules.build_prompts.output[0],
        head_sets=rules.choose_head_sets.output[0],
        # Under a mode that needs twins, a prompt counts if the whole model answers it and its twin.
        unablated=answered,
        state=lambda wildcards: states(wildcards, [wildcards.length]),
        model=model_input,
    output:
        sets=PATHS.output("compensation"),
        heads=PATHS.output("compensation_heads"),
    log:
        PATHS.log("measure_compensation", "compensation"),
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("compensation"),
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("compensation")),
        mode=intervention("mode"),
        documents=asked_by_control("compensation", "documents"),
        questions=asked_by_control("compensation", "questions"),
        methods=asked_by_control("compensation", "methods"),
        code=ablation_code("measure_compensation.py"),
    script:
        "../workflow/scripts/measure_compensation.py"


rule summarise_compensation:
    input:
        sets=PATHS.output("tables", table="compensation"),
        heads=PATHS.output("tables", table="compensation_heads"),
    output:
        sets=PATHS.output("tables", table="set_compensation"),
        heads=PATHS.output("tables", table="head_compensation"),
    log:
        PATHS.log("summarise_compensation"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        alpha=config["analysis"]["alpha"],
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("summarise_compensation.py"),
    script:
        "../workflow/scripts/summarise_compensation.py"


# --- looks: what heads look at in the rows that produce the answer ------------------------------------


rule observe_looks:
    input:
        prompts=rules.build_prompts.output[0],
        model=model_input,
    output:
        PATHS.output("looks"),
    log:
        PATHS.log("observe_looks", "looks"),
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("looks"),
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("looks")),
        documents=asked_by_control("looks", "documents"),
        answer_types=ANSWER_TYPES,
        generation=GENERATION,
        code=code("observe_looks.py", *answer_files()),
    script:
        "../workflow/scripts/observe_looks.py"


rule summarise_looks:
    input:
        looks=PATHS.output("tables", table="looks"),
        rankings=PATHS.output("tables", table="rankings"),
    output:
        look_summary=PATHS.output("tables", table="look_summary"),
        look_sets=PATHS.output("tables", table="look_sets"),
    log:
        PATHS.log("summarise_looks"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        level=first_heads,
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("summarise_looks.py"),
    script:
        "../workflow/scripts/summarise_looks.py"


# --- variants: the same asked in other ways, and sets of heads made from top sets ---------------------
# Made where a study has several variants, or ablates such sets.


rule compare_variants:
    input:
        PATHS.output("tables", table="unablated"),
    output:
        PATHS.output("tables", table="variant_accuracy"),
    log:
        PATHS.log("compare_variants"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("compare_variants.py"),
    script:
        "../workflow/scripts/compare_variants.py"


rule measure_same_heads:
    input:
        scores=PATHS.every("scores"),
        prompts=PATHS.every("prompts"),
    output:
        PATHS.output("tables", table="same_heads"),
    log:
        PATHS.log("measure_same_heads"),
    conda:
        "../envs/analysis.yaml"
    params:
        # Heads are matched within a model alone.
        scores=scores_by_model(),
        splits=config["analysis"]["split_halves"],
        resamples=config["analysis"]["resamples"],
        top_k=config["analysis"]["top_k"],
        seed=config["seed"],
        code=code("measure_same_heads.py"),
    script:
        "../workflow/scripts/measure_same_heads.py"


rule compare_other_sets:
    input:
        PATHS.output("tables", table="ablation"),
    output:
        PATHS.output("tables", table="other_sets"),
    log:
        PATHS.log("compare_other_sets"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("compare_other_sets.py"),
    script:
        "../workflow/scripts/compare_other_sets.py"
