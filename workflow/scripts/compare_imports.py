from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.exchange.external_lists import compare
from retrieval_heads.identity import unchanged_files
from retrieval_heads.job import job
from retrieval_heads.tables.imports import IMPORTS
from retrieval_heads.tables.rankings import RANKINGS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_files(snakemake):
    rankings = tables.read(snakemake.input.rankings, RANKINGS)
    found = compare(rankings, snakemake.params.imports, snakemake.params.top_k)
    tables.write(found, snakemake.output[0], IMPORTS)
