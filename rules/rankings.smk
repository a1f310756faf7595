rule rank_heads:
    input:
        lambda wildcards: PATHS.shards("scores", **wildcards),
    output:
        PATHS.output("rankings"),
    log:
        PATHS.log("rank_heads", "rankings"),
    priority: 3
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("rank_heads.py"),
    script:
        "../workflow/scripts/rank_heads.py"


rule measure_reliability:
    input:
        scores=PATHS.every("scores"),
        prompts=PATHS.every("prompts"),
    output:
        PATHS.output("tables", table="reliability"),
    log:
        PATHS.log("measure_reliability"),
    conda:
        "../envs/analysis.yaml"
    params:
        splits=config["analysis"]["split_halves"],
        top_k=config["analysis"]["top_k"],
        seed=config["seed"],
        code=code("measure_reliability.py"),
    script:
        "../workflow/scripts/measure_reliability.py"


# Only of a study with several depths: whether heads are ranked alike at each.
rule compare_depths:
    input:
        scores=PATHS.every("scores"),
        prompts=PATHS.every("prompts"),
    output:
        PATHS.output("tables", table="depth_rankings"),
    log:
        PATHS.log("compare_depths"),
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("compare_depths.py"),
    script:
        "../workflow/scripts/compare_depths.py"
