# What made the study, for those who archive it. Asked for by name, for it tells times and machines.


rule crate:
    input:
        rules.all.input,
    output:
        PATHS.output("crate"),
    log:
        PATHS.log("crate"),
    conda:
        "../envs/crate.yaml"
    params:
        project=os.path.relpath(workflow.basedir),
        code=code("crate.py"),
    script:
        "../workflow/scripts/crate.py"
