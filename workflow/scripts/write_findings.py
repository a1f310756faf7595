from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_heads import report, tables
from retrieval_heads.derived import read_tables
from retrieval_heads.figures import note_in
from retrieval_heads.runtime import job
from retrieval_heads.study import Study

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    made_with = tables.made_with(snakemake.input.tables)
    study = Study(snakemake.params.config, snakemake.params.methods, made_with)
    figures = [Path(path) for path in snakemake.input.figures]
    notes = {path.stem: note_in(path) for path in figures}
    findings = report.build(study, read_tables(snakemake.input.tables), notes)
    folder = figures[0].parent
    for path in snakemake.output.tables:
        report.save(report.table_page(findings, Path(path).stem), path)
    report.save(report.map_page(findings), snakemake.output.map)
    report.save(report.markdown(findings, folder.name), snakemake.output.markdown)
    report.save(report.html(findings, folder), snakemake.output.html)
