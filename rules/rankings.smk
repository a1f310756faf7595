rule rank_heads:
    input:
        rules.score_heads.output.scores,
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
