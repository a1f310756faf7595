from typing import TYPE_CHECKING

from retrieval_heads import derived, drops, tables
from retrieval_heads.derived import read_tables
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    (results,) = read_tables(snakemake.input).values()
    means = drops.mean_drops(drops.of(results, params.seed, params.resamples), params.categories)
    tables.write(means, snakemake.output[0], derived.MEAN_DROPS)
