from typing import TYPE_CHECKING

from retrieval_heads import figures
from retrieval_heads.job import job
from retrieval_heads.study.study import Study
from retrieval_heads.tables import read_tables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    study = Study(snakemake.params.config, snakemake.params.methods, replacements=snakemake.params.replacements)
    figure = figures.draw(snakemake.params.figure, read_tables(snakemake.input), study)
    figures.save(figure, snakemake.output.png, snakemake.output.svg)
