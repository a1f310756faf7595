from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.job import job
from retrieval_heads.tables import read_tables
from retrieval_heads.tables.against_random import AGAINST_RANDOM
from retrieval_heads.tables.effects import EFFECTS
from retrieval_heads.tables.steps import STEPS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    (results,) = read_tables(snakemake.input).values()
    made = estimate_effects(as_outcomes(results, snakemake.params.seed, snakemake.params.resamples))
    tables.write(made.effects, snakemake.output.effects, EFFECTS)
    tables.write(made.against_random, snakemake.output.against_random, AGAINST_RANDOM)
    tables.write(made.steps, snakemake.output.steps, STEPS)
