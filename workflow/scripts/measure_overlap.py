from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.overlap import pairwise
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    rankings = tables.read(snakemake.input[0], tables.RANKINGS)
    tables.write(pairwise(rankings, snakemake.params.top_k), snakemake.output[0], tables.OVERLAP)
