# What is decided by less than noise: cuts between neighbours of a ranking, and choices that rounding may turn.


rule measure_cuts:
    input:
        rankings=PATHS.every("rankings"),
        scores=PATHS.every("scores"),
        prompts=PATHS.every("prompts"),
    output:
        PATHS.output("tables", table="cuts"),
    log:
        PATHS.log("measure_cuts"),
    conda:
        "../envs/analysis.yaml"
    params:
        levels=LEVELS,
        top_k=config["analysis"]["top_k"],
        resamples=config["analysis"]["resamples"],
        seed=config["seed"],
        code=code("measure_cuts.py"),
    script:
        "../workflow/scripts/measure_cuts.py"


rule count_close_calls:
    input:
        generations=PATHS.every("generations"),
        scores=PATHS.every("scores"),
        unablated=PATHS.output("tables", table="unablated"),
        ablation=PATHS.output("tables", table="ablation"),
    output:
        PATHS.output("tables", table="close_calls"),
    log:
        PATHS.log("count_close_calls"),
    conda:
        "../envs/analysis.yaml"
    params:
        code=code(
            "count_close_calls.py",
            *table_files(["generations", "scores", "unablated", "ablation"]),
        ),
    script:
        "../workflow/scripts/count_close_calls.py"
