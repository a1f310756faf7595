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
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=model_runtime("transfer"),
    params:
        loading=loading,
        content=content,
        answer_types=ANSWER_TYPES,
        mode=intervention("mode"),
        scope=intervention("scope"),
        level=lambda _: control(config, "transfer")["level"],
        methods=lambda _: control(config, "transfer")["methods"],
        documents=lambda _: control(config, "transfer")["documents"],
        generation=config["generation"],
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


# --- compensation: what other heads make up for, what heads do together, what they restore ------------

# --- looks: what heads look at in the rows that produce the answer ------------------------------------
