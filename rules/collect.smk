# The parts of a table that several jobs make, put together: what analysis, figures and findings begin with.


def unablated_beside(wildcards):
    """What the whole model answers wherever heads are ablated, for the table that has both."""
    if wildcards.table != "ablation":
        return []
    return [
        file
        for model in config["models"]
        for variant in variants(config)
        for length in ablated_lengths(config)
        for file in PATHS.shards("unablated", model=model, variant=variant, length=length)
    ]


rule collect_table:
    input:
        parts=lambda wildcards: PATHS.every(wildcards.table),
        unablated=unablated_beside,
    output:
        PATHS.output("tables"),
    log:
        PATHS.log("collect_table", "tables"),
    wildcard_constraints:
        table="rankings|ablation|guard|head_effects|labels",
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("collect_table.py"),
    script:
        "../workflow/scripts/collect_table.py"
