from typing import TYPE_CHECKING

from retrieval_heads import derived, tables
from retrieval_heads.imports import compare
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    rankings = tables.read(snakemake.input.rankings, tables.RANKINGS)
    found = compare(rankings, snakemake.params.imports, snakemake.params.top_k)
    tables.write(found, snakemake.output[0], derived.IMPORTS)
