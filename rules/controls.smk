# Controls of what a study finds, each made only where its config asks for it.

# --- transfer: the heads of one question, ablated while another is asked ------------------------------


# --- specificity: the same heads, ablated while facts and sums are asked that no context states -------


# --- compensation: what other heads make up for, what heads do together, what they restore ------------

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
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=model_runtime("looks"),
    params:
        loading=loading,
        content=content,
        documents=lambda _: control(config, "looks")["documents"],
        answer_types=ANSWER_TYPES,
        generation=config["generation"],
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
