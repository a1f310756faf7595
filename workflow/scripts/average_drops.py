from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.drops import mean_drops
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.analysis.overlap import grids
from retrieval_heads.job import job
from retrieval_heads.tables import read_tables
from retrieval_heads.tables.mean_drops import MEAN_DROPS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    found = read_tables(snakemake.input)
    results = found["ablation"] if "ablation" in found else found["ablation_summary"]
    outcomes = as_outcomes(results, params.seed, params.resamples)
    means = mean_drops(outcomes, params.categories, grids(found["rankings"]))
    tables.write(means, snakemake.output[0], MEAN_DROPS)
