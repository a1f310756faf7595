from retrieval_heads.model.sources import source_module

# Sources of the models that are not used where they lie.
PREPARED = {
    Path(folder_of(name)).name: {"source": entry["source"], "content": BEGAN_WITH["models"][name]}
    for name, entry in config["models"].items()
    if "path" not in entry["source"]
}


rule prepare_model:
    output:
        directory(PATHS.model()),
    log:
        PATHS.model_log(),
    wildcard_constraints:
        artifact="|".join(map(re.escape, PREPARED)) or "none",
    # Only where all is in the folder itself: a model of a hub is made of links into somebody's own cache.
    cache: False if any("hub" in model["source"] for model in PREPARED.values()) else "omit-software"
    conda:
        "../envs/model.yaml"
    params:
        source=lambda wildcards: Sealed(PREPARED[wildcards.artifact]["source"]),
        content=lookup("{artifact}/content", within=PREPARED),
        # A hub's model is linked, whatever the versions; it would be fetched anew, with another commit perhaps.
        versions=lambda wildcards: (
            None
            if "hub" in PREPARED[wildcards.artifact]["source"]
            else versions(PATHS.model())(wildcards)
        ),
        code=lambda wildcards: code(
            "prepare_model.py", source_module(PREPARED[wildcards.artifact]["source"]).__file__
        ),
    script:
        "../workflow/scripts/prepare_model.py"
