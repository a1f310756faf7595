rule write_documents:
    input:
        sources=given("sources"),
    output:
        PATHS.output("documents"),
    log:
        PATHS.log("write_documents"),
    conda:
        "../envs/edgar.yaml"
        if config["documents"]["source"] == "edgar_corpus"
        else "../envs/analysis.yaml"
    params:
        documents=Sealed(config["documents"]),
        questions=Sealed(asked_questions(config, PLAIN)),
        seed=config["seed"],
        files=content_of("sources"),
        code=code(
            "write_documents.py",
            plugins.files("data.documents")[config["documents"]["source"]],
            *answer_files(),
        ),
    script:
        "../workflow/scripts/write_documents.py"
