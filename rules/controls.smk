# Controls of what a study finds, each made only where its config asks for it.

# --- transfer: the heads of one question, ablated while another is asked ------------------------------


# --- specificity: the same heads, ablated while facts and sums are asked that no context states -------


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
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=model_runtime("compensation"),
    params:
        loading=loading,
        content=content,
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
