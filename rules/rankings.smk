rule rank_heads:
    input:
        lambda wildcards: shards("scores", **wildcards),
    output:
        f"{OUT}/rankings/{{model}}/{{length}}.parquet",
    log:
        f"{OUT}/logs/rank_heads/{{model}}/{{length}}.log",
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("rank_heads.py"),
    script:
        "../workflow/scripts/rank_heads.py"


rule measure_reliability:
    input:
        scores=parts("scores"),
        prompts=parts("prompts"),
    output:
        f"{OUT}/tables/reliability.parquet",
    log:
        f"{OUT}/logs/measure_reliability.log",
    conda:
        "../envs/analysis.yaml"
    params:
        splits=config["analysis"]["split_halves"],
        top_k=config["analysis"]["top_k"],
        seed=config["seed"],
        code=code("measure_reliability.py"),
    script:
        "../workflow/scripts/measure_reliability.py"
