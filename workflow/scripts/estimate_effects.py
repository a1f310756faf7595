from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis import effects
from retrieval_heads.job import job
from retrieval_heads.tables import analysis
from retrieval_heads.tables.analysis import read_tables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    (results,) = read_tables(snakemake.input).values()
    made = effects.of(results, snakemake.params.seed, snakemake.params.resamples)
    tables.write(made.effects, snakemake.output.effects, analysis.EFFECTS)
    tables.write(made.against_random, snakemake.output.against_random, analysis.AGAINST_RANDOM)
    tables.write(made.steps, snakemake.output.steps, analysis.STEPS)
