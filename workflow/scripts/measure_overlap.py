from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.overlap import pairwise, unions
from retrieval_heads.job import job
from retrieval_heads.tables.overlap import OVERLAP
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.unions import UNIONS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    rankings = tables.read(snakemake.input[0], RANKINGS)
    tables.write(pairwise(rankings, params.top_k), snakemake.output.overlap, OVERLAP)
    tables.write(unions(rankings, params.categories, params.top_k), snakemake.output.unions, UNIONS)
