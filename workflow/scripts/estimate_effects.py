from typing import TYPE_CHECKING

from retrieval_heads import derived, effects, tables
from retrieval_heads.derived import read_tables
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    (results,) = read_tables(snakemake.input).values()
    made = effects.of(results, snakemake.params.seed, snakemake.params.resamples)
    tables.write(made.effects, snakemake.output.effects, derived.EFFECTS)
    tables.write(made.against_random, snakemake.output.against_random, derived.AGAINST_RANDOM)
    tables.write(made.steps, snakemake.output.steps, derived.STEPS)
