rule score_heads:
    input:
        prompts=rules.build_prompts.output[0],
        model=model_input,
    output:
        scores=f"{OUT}/scores/{{model}}/{{length}}/{{shard}}.parquet",
        generations=f"{OUT}/generations/{{model}}/{{length}}/{{shard}}.parquet",
    log:
        f"{OUT}/logs/score_heads/{{model}}/{{length}}/{{shard}}.log",
    conda:
        "../envs/model.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=model_runtime("scores"),
        passes=study_passes,
    params:
        loading=loading,
        content=content,
        methods=config["methods"],
        answer_types={key: question["type"] for key, question in config["questions"].items()},
        generation=config["generation"],
        code=code(
            "score_heads.py",
            *map(plugins.files("methods").get, config["methods"]),
            *answer_files(),
        ),
    script:
        "../workflow/scripts/score_heads.py"
