from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.ablation.head_sets import choose_head_sets
from retrieval_heads.job import job
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.labels import LABELS
from retrieval_heads.tables.rankings import RANKINGS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    rankings = tables.read(snakemake.input[0], RANKINGS)
    rankings = rankings[rankings["method"].isin(params.methods)]
    labels = tables.read(snakemake.input.labels[0], LABELS) if snakemake.input.labels else None
    plain = tables.read(snakemake.input.plain[0], RANKINGS) if snakemake.input.plain else None
    plain = None if plain is None else plain[plain["method"].isin(params.methods)]
    sets = choose_head_sets(
        rankings, params.levels, params.random_draws, params.seed, labels, plain, params.without_induction
    )
    tables.write(sets, snakemake.output[0], HEAD_SETS)
