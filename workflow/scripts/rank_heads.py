from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    scores = tables.read_all(snakemake.input, tables.SCORES)
    tables.write(rank_heads(scores), snakemake.output[0], tables.RANKINGS, tables.made_with(snakemake.input))
