# From here on a study is two tables, rankings and what ablation did, wherever they came from.
# These rules take seconds each: a cluster runs all of them as one job.


rule measure_overlap:
    input:
        PATHS.output("tables", table="rankings"),
    output:
        overlap=PATHS.output("tables", table="overlap"),
        unions=PATHS.output("tables", table="unions"),
    log:
        PATHS.log("measure_overlap"),
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
        PATHS.output("tables", table="rankings"),
    output:
        PATHS.output("tables", table="profiles"),
    log:
        PATHS.log("profile_heads"),
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
        PATHS.output("tables", table=ABLATED),
    output:
        effects=PATHS.output("tables", table="effects"),
        against_random=PATHS.output("tables", table="against_random"),
        steps=PATHS.output("tables", table="steps"),
    log:
        PATHS.log("estimate_effects"),
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
        expand(PATHS.output("tables"), table=["rankings", ABLATED]),
    output:
        PATHS.output("tables", table="mean_drops"),
    log:
        PATHS.log("average_drops"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        seed=config["seed"],
        resamples=config["analysis"]["resamples"],
        categories=CATEGORIES,
        code=code("average_drops.py", *table_files(["rankings", ABLATED])),
    script:
        "../workflow/scripts/average_drops.py"


TESTED = ["rankings", "overlap", "profiles", ABLATED, *NOISE]


rule test_hypotheses:
    input:
        expand(PATHS.output("tables"), table=TESTED),
    output:
        PATHS.output("tables", table="tests"),
    log:
        PATHS.log("test_hypotheses"),
    group:
        "analysis"
    conda:
        "../envs/analysis.yaml"
    params:
        config=Sealed(compared_config()),
        methods=dict.fromkeys(config["methods"], {}),
        code=code("test_hypotheses.py", *table_files(TESTED)),
    script:
        "../workflow/scripts/test_hypotheses.py"
