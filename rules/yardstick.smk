# What rankings are held against: what every head by itself does for the answers to test prompts.


rule measure_effects:
    input:
        prompts=rules.build_prompts.output[0],
        state=lambda wildcards: states(wildcards, [wildcards.length]),
        model=model_input,
    output:
        PATHS.output("head_effects"),
    log:
        PATHS.log("measure_effects", "head_effects"),
    conda:
        "../envs/model.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=model_mem_mb,
        runtime=model_runtime("head_effects"),
    params:
        loading=loading,
        content=content,
        documents=lambda _: yardstick(config)["documents"],
        questions=lambda _: yardstick(config)["questions"],
        code=ablation_code("measure_effects.py"),
    script:
        "../workflow/scripts/measure_effects.py"
