rule build_prompts:
    input:
        documents=rules.write_documents.output[0],
        haystack=given("haystack"),
        # Decoys are worded as documents are.
        sources=lambda wildcards: (given("sources") if decoyed(config, wildcards.variant) else []),
        model=model_input,
    output:
        PATHS.output("prompts"),
    log:
        PATHS.log("build_prompts", "prompts"),
    conda:
        "../envs/model.yaml"
    params:
        # Prompts do not depend on which other lengths and variants there are.
        prompts=lambda wildcards: Sealed(prompt_settings(config, wildcards.variant)),
        questions=lambda wildcards: Sealed(asked_questions(config, wildcards.variant)),
        documents=lambda wildcards: (
            Sealed(config["documents"]) if decoyed(config, wildcards.variant) else None
        ),
        seed=config["seed"],
        content=content,
        files=lambda wildcards: content_of(
            "haystack", *(["sources"] if decoyed(config, wildcards.variant) else [])
        ),
        versions=versions(PATHS.output("prompts")),
        trust_remote_code=lookup("{model}/trust_remote_code", within=config["models"]),
        code=lambda wildcards: code(
            "build_prompts.py",
            *answer_files(),
            *(
                [plugins.files("data.documents")[config["documents"]["source"]]]
                if decoyed(config, wildcards.variant)
                else []
            ),
        ),
    script:
        "../workflow/scripts/build_prompts.py"


rule count_prompts:
    input:
        PATHS.every("prompts"),
    output:
        PATHS.output("tables", table="dataset_counts"),
    log:
        PATHS.log("count_prompts"),
    conda:
        "../envs/analysis.yaml"
    params:
        twins=uses_twins(config),
        code=code("count_prompts.py"),
    script:
        "../workflow/scripts/count_prompts.py"
