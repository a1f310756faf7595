from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.job import job
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.scores import SCORES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    rankings = rank_heads(tables.Stream(snakemake.input, SCORES))
    tables.write(rankings, snakemake.output[0], RANKINGS)
