# One rule for each figure that has something to show, so that each depends on its own tables and code alone.

from retrieval_heads.figures import declarations, drawable

declared_figures = declarations()
FIGURES = {name: declared_figures[name] for name in drawable(available(config))}

for figure in FIGURES.values():

    rule:
        name:
            f"draw_{figure.name}"
        input:
            **{table: PATHS.output("tables", table=table) for table in figure.tables},
        output:
            png=report(
                PATHS.output("pictures", figure=figure.name),
                caption=f"../report/captions/{figure.name}.rst",
                category=figure.section.capitalize(),
                labels={"figure": figure.title},
            ),
            svg=PATHS.output("figures", figure=figure.name),
        log:
            PATHS.log("draw_figure", "figures", figure=figure.name),
        group:
            "analysis"
        conda:
            "../envs/report.yaml"
        params:
            figure=figure.name,
            config=Sealed(shown_config()),
            methods=Sealed(described_methods(config)),
            replacements=Sealed(described_replacements()),
            code=code(
                "draw_figure.py",
                plugins.files("figures")[figure.name],
                *table_files(figure.tables),
            ),
        script:
            "../workflow/scripts/draw_figure.py"
