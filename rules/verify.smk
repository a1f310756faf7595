# Whether the results are all there, whole, unaltered, in their places, and agree with each other. It has no inputs, so
# that nothing is made for it, however stale; and no output, so that it runs whenever it is asked for.


localrules:
    verify,


rule verify:
    log:
        PATHS.log("verify"),
    conda:
        "../envs/report.yaml"
    params:
        folder=PATHS.folder,
        code=code("verify.py"),
    script:
        "../workflow/scripts/verify.py"
