ARTIFACTS = {
    model_artifact(name, entry["source"]): entry["source"]
    for name, entry in config["models"].items()
}


rule prepare_model:
    output:
        directory(f"{MODELS}/{{artifact}}"),
    log:
        f"{MODELS}/logs/{{artifact}}.log",
    wildcard_constraints:
        artifact="|".join(map(re.escape, ARTIFACTS)),
    cache: "omit-software"
    conda:
        "../envs/model.yaml"
    params:
        source=lookup("{artifact}", within=ARTIFACTS),
    script:
        "../workflow/scripts/prepare_model.py"
