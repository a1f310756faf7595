from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_heads import making, tables
from retrieval_heads.figures import note_in
from retrieval_heads.findings import for_programs, rendering
from retrieval_heads.identity import unchanged_files
from retrieval_heads.job import job
from retrieval_heads.study.study import Study
from retrieval_heads.tables import read_tables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_files(snakemake):
    made_with = tables.made_with(snakemake.input.tables, making.told())
    params, output = snakemake.params, snakemake.output
    study = Study(params.config, params.methods, made_with, params.replacements)
    figures = [Path(path) for path in snakemake.input.figures]
    notes = {path.stem: note_in(path) for path in figures}
    read = read_tables(snakemake.input.tables)
    findings = rendering.build(study, read, notes, params.templates)
    folder = figures[0].parent
    # All is put together before anything is written.
    pages = {path: rendering.table_page(findings, Path(path).stem) for path in output.tables} | {
        output.map: rendering.map_page(findings),
        output.markdown: rendering.markdown(findings, folder.name),
        output.for_programs: for_programs.as_json(for_programs.data(study, read, findings, params.code)),
        output.html: rendering.html(findings, folder),
    }
    for path, text in pages.items():
        rendering.save(text, path)
