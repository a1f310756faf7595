rule prepare_model:
    output:
        directory(f"{MODELS}/{{artifact}}"),
    wildcard_constraints:
        artifact="|".join(map(re.escape, ARTIFACTS)),
    log:
        f"{MODELS}/logs/{{artifact}}.log",
    cache: "omit-software"
    conda:
        "../envs/model.yaml"
    params:
        source=lookup("{artifact}", within=ARTIFACTS),
    script:
        "../workflow/scripts/prepare_model.py"
