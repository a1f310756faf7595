# Controls of what a study finds, each made only where its config asks for it.

# --- transfer: the heads of one question, ablated while another is asked ------------------------------


# --- specificity: the same heads, ablated while facts and sums are asked that no context states -------


# --- compensation: what other heads make up for, what heads do together, what they restore ------------

# --- looks: what heads look at in the rows that produce the answer ------------------------------------

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
