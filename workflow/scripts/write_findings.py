from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.figures import note_in
from retrieval_heads.findings import rendering
from retrieval_heads.job import job
from retrieval_heads.study.study import Study
from retrieval_heads.tables import read_tables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    made_with = tables.made_with(snakemake.input.tables)
    params = snakemake.params
    study = Study(params.config, params.methods, made_with, params.replacements)
    figures = [Path(path) for path in snakemake.input.figures]
    notes = {path.stem: note_in(path) for path in figures}
    findings = rendering.build(study, read_tables(snakemake.input.tables), notes, snakemake.params.templates)
    folder = figures[0].parent
    for path in snakemake.output.tables:
        rendering.save(rendering.table_page(findings, Path(path).stem), path)
    rendering.save(rendering.map_page(findings), snakemake.output.map)
    rendering.save(rendering.markdown(findings, folder.name), snakemake.output.markdown)
    rendering.save(rendering.html(findings, folder), snakemake.output.html)
