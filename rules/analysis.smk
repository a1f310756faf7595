# From here on a study is two tables, rankings and ablation, wherever they came from.


rule collect_table:
    input:
        lambda wildcards: parts(wildcards.table),
    output:
        f"{OUT}/tables/{{table}}.parquet",
    log:
        f"{OUT}/logs/collect_table/{{table}}.log",
    wildcard_constraints:
        table="rankings|ablation",
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("collect_table.py"),
    script:
        "../workflow/scripts/collect_table.py"


rule count_prompts:
    input:
        parts("prompts"),
    output:
        f"{OUT}/tables/dataset_counts.parquet",
    log:
        f"{OUT}/logs/count_prompts.log",
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("count_prompts.py"),
    script:
        "../workflow/scripts/count_prompts.py"


rule measure_overlap:
    input:
        f"{OUT}/tables/rankings.parquet",
    output:
        f"{OUT}/tables/overlap.parquet",
    log:
        f"{OUT}/logs/measure_overlap.log",
    conda:
        "../envs/analysis.yaml"
    params:
        top_k=config["analysis"]["top_k"],
        code=code("measure_overlap.py"),
    script:
        "../workflow/scripts/measure_overlap.py"


rule estimate_effects:
    input:
        f"{OUT}/tables/ablation.parquet",
    output:
        ablation_summary=f"{OUT}/tables/ablation_summary.parquet",
        effects=f"{OUT}/tables/effects.parquet",
        against_random=f"{OUT}/tables/against_random.parquet",
    log:
        f"{OUT}/logs/estimate_effects.log",
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("estimate_effects.py"),
    script:
        "../workflow/scripts/estimate_effects.py"
