FINDINGS = PATHS.output("findings")
SHOWN_TABLES = report_tables(available(config))

TOLD = [
    "rankings",
    "ablation_summary",
    "overlap",
    "unions",
    "profiles",
    "effects",
    "against_random",
    "steps",
    "mean_drops",
    "tests",
    *NOISE,
    *GUARD,
    *(["imports"] if config["imports"] else []),
    *([] if config["published"] else ["dataset_counts"]),
]


rule write_findings:
    input:
        tables=expand(
            PATHS.output("tables"),
            table=TOLD,
        ),
        figures=expand(PATHS.output("figures"), figure=FIGURES),
        # Relative, so that a project that is moved elsewhere stays as done as it is.
        templates=sorted(map(os.path.relpath, Path(workflow.basedir, "report").rglob("*.*"))),
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
        tables=[
            report(
                PATHS.output("pages", page=name),
                caption=f"../report/captions/{name}.rst",
                category="Tables",
                labels={"table": title},
            )
            for name, title in SHOWN_TABLES.items()
        ],
    log:
        PATHS.log("write_findings"),
    group:
        "analysis"
    conda:
        "../envs/report.yaml"
    params:
        config=config,
        methods=describe_methods(config["methods"]),
        replacements=described_replacements(),
        code=code("write_findings.py", *plugins.files("figures").values(), *table_files(TOLD)),
    script:
        "../workflow/scripts/write_findings.py"
