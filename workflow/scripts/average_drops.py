from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis import drops
from retrieval_heads.job import job
from retrieval_heads.tables import analysis
from retrieval_heads.tables.analysis import read_tables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    (results,) = read_tables(snakemake.input).values()
    means = drops.mean_drops(drops.of(results, params.seed, params.resamples), params.categories)
    tables.write(means, snakemake.output[0], analysis.MEAN_DROPS)
