# From here on a study is two tables, rankings and what ablation did, wherever they came from.
# These rules take seconds each: a cluster runs all of them as one job.


rule measure_overlap:
    input:
        f"{OUT}/tables/rankings.parquet",
    output:
        overlap=f"{OUT}/tables/overlap.parquet",
        unions=f"{OUT}/tables/unions.parquet",
    log:
        f"{OUT}/logs/measure_overlap.log",
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        top_k=config["analysis"]["top_k"],
        categories=CATEGORIES,
        code=code("measure_overlap.py"),
    script:
        "../workflow/scripts/measure_overlap.py"


rule profile_heads:
    input:
        f"{OUT}/tables/rankings.parquet",
    output:
        f"{OUT}/tables/profiles.parquet",
    log:
        f"{OUT}/logs/profile_heads.log",
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        top_k=config["analysis"]["top_k"],
        code=code("profile_heads.py"),
    script:
        "../workflow/scripts/profile_heads.py"


rule estimate_effects:
    input:
        f"{OUT}/tables/{ABLATED}.parquet",
    output:
        effects=f"{OUT}/tables/effects.parquet",
        against_random=f"{OUT}/tables/against_random.parquet",
        steps=f"{OUT}/tables/steps.parquet",
    log:
        f"{OUT}/logs/estimate_effects.log",
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        code=code("estimate_effects.py", *table_files([ABLATED])),
    script:
        "../workflow/scripts/estimate_effects.py"


rule average_drops:
    input:
        f"{OUT}/tables/{ABLATED}.parquet",
    output:
        f"{OUT}/tables/mean_drops.parquet",
    log:
        f"{OUT}/logs/average_drops.log",
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        categories=CATEGORIES,
        code=code("average_drops.py", *table_files([ABLATED])),
    script:
        "../workflow/scripts/average_drops.py"


TESTED = ["rankings", "overlap", "profiles", ABLATED, *NOISE]


rule test_hypotheses:
    input:
        expand(f"{OUT}/tables/{{table}}.parquet", table=TESTED),
    output:
        f"{OUT}/tables/tests.parquet",
    log:
        f"{OUT}/logs/test_hypotheses.log",
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        config=compared_config(),
        methods=dict.fromkeys(config["methods"], {}),
        code=code("test_hypotheses.py", *table_files(TESTED)),
    script:
        "../workflow/scripts/test_hypotheses.py"
