from retrieval_heads.findings.declarations import tables_read, tables_shown

FINDINGS = PATHS.output("findings")
TABLES_READ = tables_read(available(config))
TABLES_SHOWN = tables_shown(available(config))


rule write_findings:
    input:
        tables=expand(
            PATHS.output("tables"),
            table=TABLES_READ,
        ),
        figures=expand(PATHS.output("figures"), figure=FIGURES),
        templates=given("templates"),
    output:
        html=report(
            FINDINGS,
            caption="../report/captions/findings.rst",
            category="Findings",
            labels={"page": "All findings"},
        ),
        map=report(
            PATHS.output("pages", page="head_map"),
            caption="../report/captions/head_map.rst",
            category="Findings",
            labels={"page": "Map of all heads"},
        ),
        markdown=PATHS.output("markdown"),
        for_programs=PATHS.output("for_programs"),
        tables=[
            report(
                PATHS.output("pages", page=name),
                caption=f"../report/captions/{name}.rst",
                category="Tables",
                labels={"table": title},
            )
            for name, title in TABLES_SHOWN.items()
        ],
    log:
        PATHS.log("write_findings"),
    group:
        "analysis"
    conda:
        "../envs/report.yaml"
    params:
        config=Sealed(told(config)),
        methods=Sealed(described_methods(config)),
        files=content_of("templates"),
        templates=lambda wildcards, input: os.path.commonpath(input.templates),
        code=code(
            "write_findings.py", *plugins.files("figures").values(), *table_files(TABLES_READ)
        ),
        replacements=Sealed(described_replacements()),
    script:
        "../workflow/scripts/write_findings.py"
