from retrieval_heads.data.documents import document_source

# What the model is asked, without what is only shown: a new label asks nothing anew.
QUESTIONS = {
    key: {name: question[name] for name in ("text", "type", "answer_prefix")}
    for key, question in config["questions"].items()
}


rule write_documents:
    input:
        document_source(config).files(config),
    output:
        PATHS.output("documents"),
    log:
        PATHS.log("write_documents"),
    conda:
        "../envs/edgar.yaml"
        if config["documents"]["source"] == "edgar_corpus"
        else "../envs/analysis.yaml"
    params:
        documents=config["documents"],
        questions=QUESTIONS,
        seed=config["seed"],
        code=code(
            "write_documents.py",
            plugins.files("data.documents")[config["documents"]["source"]],
            *answer_files(),
        ),
    script:
        "../workflow/scripts/write_documents.py"
