# Sets depend on levels and draws alone: a random one is the same under every intervention that draws it.
rule choose_head_sets:
    input:
        rules.rank_heads.output[0],
    output:
        f"{OUT}/head_sets/{{model}}/{{length}}/{{intervention}}.parquet",
    log:
        f"{OUT}/logs/choose_head_sets/{{model}}/{{length}}/{{intervention}}.log",
    conda:
        "../envs/analysis.yaml"
    params:
        levels=intervention("levels"),
        random_draws=intervention("random_draws"),
        seed=config["seed"],
        code=code("choose_head_sets.py"),
    script:
        "../workflow/scripts/choose_head_sets.py"


rule ablate_heads:
    input:
        prompts=rules.build_prompts.output[0],
        head_sets=rules.choose_head_sets.output[0],
        model=model_input,
    output:
        f"{OUT}/ablation/{{model}}/{{length}}/{{intervention}}/{{shard}}.parquet",
    log:
        f"{OUT}/logs/ablate_heads/{{model}}/{{length}}/{{intervention}}/{{shard}}.log",
    conda:
        "../envs/model.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=model_runtime("ablation"),
    params:
        loading=loading,
        content=content,
        answer_types={key: question["type"] for key, question in config["questions"].items()},
        mode=intervention("mode"),
        scope=intervention("scope"),
        documents=intervention("documents"),
        generation=config["generation"],
        code=code("ablate_heads.py", *answer_files()),
    script:
        "../workflow/scripts/ablate_heads.py"


# What the sets leave of the model's language: one job for all lengths, as a text is read so quickly.
rule measure_guard:
    input:
        head_sets=lambda wildcards: [
            f"{OUT}/head_sets/{wildcards.model}/{length}/{wildcards.intervention}.parquet"
            for length in ablated_lengths(config, wildcards.intervention)
        ],
        prose="resources/guard/prose.txt",
        model=model_input,
    output:
        f"{OUT}/guard/{{model}}/{{intervention}}.parquet",
    log:
        f"{OUT}/logs/measure_guard/{{model}}/{{intervention}}.log",
    conda:
        "../envs/model.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=guard_runtime,
    params:
        content=content,
        loading=loading,
        mode=intervention("mode"),
        scope=intervention("scope"),
        code=code("measure_guard.py"),
    script:
        "../workflow/scripts/measure_guard.py"


rule collect_table:
    input:
        lambda wildcards: parts(wildcards.table),
    output:
        f"{OUT}/tables/{{table}}.parquet",
    log:
        f"{OUT}/logs/collect_table/{{table}}.log",
    wildcard_constraints:
        table="rankings|ablation|guard",
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("collect_table.py"),
    script:
        "../workflow/scripts/collect_table.py"


rule summarise_ablation:
    input:
        f"{OUT}/tables/ablation.parquet",
    output:
        f"{OUT}/tables/ablation_summary.parquet",
    log:
        f"{OUT}/logs/summarise_ablation.log",
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("summarise_ablation.py"),
    script:
        "../workflow/scripts/summarise_ablation.py"
