from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    known = {table.name: table for table in (tables.RANKINGS, tables.ABLATION, tables.GUARD)}
    table = known[snakemake.wildcards.table]
    whole = tables.read_all(snakemake.input, table)
    tables.write(whole, snakemake.output[0], table, tables.made_with(snakemake.input))
