from retrieval_heads.findings.declarations import tables_read, tables_shown

FINDINGS = f"{OUT}/findings.html"
TABLES_READ = tables_read(dimensions())
TABLES_SHOWN = tables_shown(dimensions())
# Relative, so that a project that is moved elsewhere stays as done as it is.
TEMPLATES = os.path.relpath(Path(workflow.basedir, "report"))


rule write_findings:
    input:
        tables=expand(
            f"{OUT}/tables/{{table}}.parquet",
            table=TABLES_READ,
        ),
        figures=expand(f"{OUT}/figures/{{figure}}.svg", figure=FIGURES),
        templates=sorted(map(str, Path(TEMPLATES).rglob("*.*"))),
    output:
        html=report(
            FINDINGS,
            caption="../report/captions/findings.rst",
            category="Findings",
            labels={"page": "All findings"},
        ),
        map=report(
            f"{OUT}/pages/head_map.html",
            caption="../report/captions/head_map.rst",
            category="Findings",
            labels={"page": "Map of all heads"},
        ),
        markdown=f"{OUT}/FINDINGS.md",
        tables=[
            report(
                f"{OUT}/pages/{name}.html",
                caption=f"../report/captions/{name}.rst",
                category="Tables",
                labels={"table": title},
            )
            for name, title in TABLES_SHOWN.items()
        ],
    log:
        f"{OUT}/logs/write_findings.log",
    group:
        "analysis"
    conda:
        "../envs/report.yaml"
    params:
        config=config,
        methods=describe_methods(config["methods"]),
        templates=TEMPLATES,
        code=code("write_findings.py", *plugins.files("figures").values(), *table_files(TABLES_READ)),
    script:
        "../workflow/scripts/write_findings.py"
