from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.job import job
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.labels import LABELS
from retrieval_heads.tables.rankings import RANKINGS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    known = {table.name: table for table in (RANKINGS, ABLATION, GUARD, HEAD_EFFECTS, LABELS)}
    table = known[snakemake.wildcards.table]
    whole = tables.read_parts(snakemake.input, table)
    tables.write(whole, snakemake.output[0], table, tables.made_with(snakemake.input))
