# The parts of a table that several jobs make, put together: what analysis, figures and findings begin with.


rule collect_table:
    input:
        parts=lambda wildcards: PATHS.every(wildcards.table),
        unablated=unablated_beside,
    output:
        PATHS.output("tables"),
    log:
        PATHS.log("collect_table", "tables"),
    wildcard_constraints:
        table="|".join(COLLECTED),
    conda:
        "../envs/analysis.yaml"
    params:
        code=code("collect_table.py"),
    script:
        "../workflow/scripts/collect_table.py"
