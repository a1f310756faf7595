from typing import TYPE_CHECKING

from retrieval_heads import derived, tables
from retrieval_heads.overlap import pairwise, unions
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    rankings = tables.read(snakemake.input[0], tables.RANKINGS)
    tables.write(pairwise(rankings, params.top_k), snakemake.output.overlap, derived.OVERLAP)
    tables.write(unions(rankings, params.categories, params.top_k), snakemake.output.unions, derived.UNIONS)
