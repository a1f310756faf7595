# Rankings for other programs, and lists of heads that came from them.


rule export_rankings:
    input:
        rankings=(
            PATHS.output("tables", table="rankings")
            if config["published"]
            else PATHS.output("rankings")
        ),
        # Published results have no scores of single prompts.
        scores=lambda wildcards: [] if config["published"] else PATHS.shards("scores", **wildcards),
    output:
        directory(PATHS.output("exports")),
    log:
        PATHS.log("export_rankings", "exports"),
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("export_rankings.py"),
    script:
        "../workflow/scripts/export_rankings.py"


rule compare_imports:
    input:
        rankings=PATHS.output("tables", table="rankings"),
        lists=given("lists"),
    output:
        PATHS.output("tables", table="imports"),
    log:
        PATHS.log("compare_imports"),
    conda:
        "../envs/analysis.yaml"
    params:
        imports=Sealed(
            {
                name: {key: entry[key] for key in ("file", "model")}
                for name, entry in config["imports"].items()
            }
        ),
        files=content_of("lists"),
        top_k=config["analysis"]["top_k"],
        code=code("compare_imports.py"),
    script:
        "../workflow/scripts/compare_imports.py"
