FINDINGS = f"{OUT}/findings.html"
SHOWN_TABLES = {
    "dataset_counts": "Prompts",
    "baseline": "Accuracy with no head cut",
    "top_heads": "Top heads of each method",
    "effects": "Accuracy with the top heads cut",
    "against_random": "Top heads against random ones",
    "overlap": "Overlap along each dimension",
    "overlap_pairs": "Overlap of each pair of values",
}


rule write_findings:
    input:
        tables=expand(
            f"{OUT}/tables/{{table}}.parquet",
            table=[
                "rankings",
                "ablation_summary",
                "effects",
                "against_random",
                "overlap",
                "dataset_counts",
            ],
        ),
        figures=expand(f"{OUT}/figures/{{figure}}.svg", figure=FIGURES),
        templates=sorted(map(str, Path(workflow.basedir, "report").rglob("*.*"))),
    output:
        html=report(
            FINDINGS,
            caption="../report/captions/findings.rst",
            category="Findings",
            labels={"page": "All findings"},
        ),
        markdown=f"{OUT}/FINDINGS.md",
        tables=[
            report(
                f"{OUT}/pages/{name}.html",
                caption=f"../report/captions/{name}.rst",
                category="Tables",
                labels={"table": title},
            )
            for name, title in SHOWN_TABLES.items()
        ],
    log:
        f"{OUT}/logs/write_findings.log",
    conda:
        "../envs/report.yaml"
    params:
        config=config,
        methods=describe_methods(config["methods"]),
        code=code("write_findings.py", *folder.files("figures").values()),
    script:
        "../workflow/scripts/write_findings.py"
