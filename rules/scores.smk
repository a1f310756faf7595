rule score_heads:
    input:
        prompts=rules.build_prompts.output[0],
        states=method_states,
        model=model_input,
    output:
        scores=PATHS.output("scores"),
        generations=PATHS.output("generations"),
    log:
        PATHS.log("score_heads", "scores"),
    # What others wait for comes first, and then what takes longest, so that the last jobs are short.
    priority: 3
    conda:
        "../envs/model.yaml"
    threads: model_threads
    resources:
        gpu=model_gpus,
        mem_mb=model_mem_mb,
        runtime=model_runtime("scores"),
        passes=study_passes,
    params:
        loading=loading,
        content=content,
        versions=versions(PATHS.output("scores")),
        methods=lambda wildcards: Sealed(
            methods_at(config, int(wildcards.length), wildcards.variant)
        ),
        answer_types=ANSWER_TYPES,
        generation=GENERATION,
        code=code(
            "score_heads.py",
            *method_files(),
            *answer_files(),
        ),
    script:
        "../workflow/scripts/score_heads.py"
