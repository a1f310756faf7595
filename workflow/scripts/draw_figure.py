from typing import TYPE_CHECKING

from retrieval_heads import figures
from retrieval_heads.derived import read_tables
from retrieval_heads.figures import style
from retrieval_heads.runtime import job
from retrieval_heads.study import Study

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    study = Study(snakemake.params.config, snakemake.params.methods)
    figure = figures.draw(snakemake.params.figure, read_tables(snakemake.input), study)
    style.save(figure, snakemake.output.png, snakemake.output.svg)
