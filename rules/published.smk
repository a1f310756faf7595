# In place of all stages from documents to ablation: results that others published.

# All that is read of the config: a new label converts nothing anew.
ASKED_OF_PUBLISHED = {
    "published": config["published"],
    **{section: list(config[section]) for section in ("methods", "questions")},
    "models": {
        name: {key: model[key] for key in ("grid",) if key in model}
        for name, model in config["models"].items()
    },
    "prompts": config["prompts"],
}


rule convert_published:
    input:
        published=given("published"),
    output:
        rankings=PATHS.output("tables", table="rankings"),
        ablation_summary=PATHS.output("tables", table="ablation_summary"),
    log:
        PATHS.log("convert_published"),
    conda:
        "../envs/analysis.yaml"
    params:
        config=Sealed(ASKED_OF_PUBLISHED),
        files=content_of("published"),
        code=code("convert_published.py"),
    script:
        "../workflow/scripts/convert_published.py"
