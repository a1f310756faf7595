rule write_documents:
    input:
        templates=sorted(map(str, Path(config["documents"]["templates"]).glob("*.yaml"))),
    output:
        f"{OUT}/documents.parquet",
    log:
        f"{OUT}/logs/write_documents.log",
    conda:
        "../envs/analysis.yaml"
    params:
        documents=config["documents"],
        questions=QUESTIONS,
        seed=config["seed"],
        code=code("write_documents.py"),
    script:
        "../workflow/scripts/write_documents.py"
