# Rankings for other programs, and lists of heads that came from them.

EXPORTS = expand(
    f"{OUT}/exports/{{model}}/{{length}}",
    model=config["models"],
    length=config["prompts"]["context_lengths"],
)


rule export_rankings:
    input:
        rankings=(
            f"{OUT}/tables/rankings.parquet"
            if config["published"]
            else f"{OUT}/rankings/{{model}}/{{length}}.parquet"
        ),
        # Published results have no scores of single prompts.
        scores=lambda wildcards: [] if config["published"] else shards("scores", **wildcards),
    output:
        directory(f"{OUT}/exports/{{model}}/{{length}}"),
    log:
        f"{OUT}/logs/export_rankings/{{model}}/{{length}}.log",
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("export_rankings.py"),
    script:
        "../workflow/scripts/export_rankings.py"


rule compare_imports:
    input:
        rankings=f"{OUT}/tables/rankings.parquet",
        lists=[entry["file"] for entry in config["imports"].values()],
    output:
        f"{OUT}/tables/imports.parquet",
    log:
        f"{OUT}/logs/compare_imports.log",
    conda:
        "../envs/analysis.yaml"
    params:
        imports={
            name: {key: entry[key] for key in ("file", "model")}
            for name, entry in config["imports"].items()
        },
        top_k=config["analysis"]["top_k"],
        code=code("compare_imports.py"),
    script:
        "../workflow/scripts/compare_imports.py"
