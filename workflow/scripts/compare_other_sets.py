from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.other_sets import compare_other_sets
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.job import job
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.other_sets import OTHER_SETS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    ablation = tables.read(snakemake.input[0], ABLATION)
    found = compare_other_sets(as_outcomes(ablation, snakemake.params.seed, snakemake.params.resamples))
    tables.write(found, snakemake.output[0], OTHER_SETS)
