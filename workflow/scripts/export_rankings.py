from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.exchange.exports import export_rankings
from retrieval_heads.job import job
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.scores import SCORES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    wildcards = snakemake.wildcards
    rankings = tables.read(snakemake.input.rankings, RANKINGS)
    own = {"model": wildcards.model, "variant": wildcards.variant, "context_length": int(wildcards.length)}
    here = (rankings[list(own)] == own).all(axis=1)
    export_rankings(rankings[here], tables.Stream(snakemake.input.scores, SCORES), snakemake.output[0])
