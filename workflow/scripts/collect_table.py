from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.job import job
from retrieval_heads.tables.ablation import ABLATION, ABLATION_SHARD
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.labels import LABELS
from retrieval_heads.tables.looks import LOOKS
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.unablated import UNABLATED

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    known = {table.name: table for table in (RANKINGS, ABLATION, GUARD, HEAD_EFFECTS, LABELS, LOOKS)}
    table = known[snakemake.wildcards.table]
    source = snakemake.input
    if table is ABLATION:
        unablated = tables.read_parts(source.unablated, UNABLATED)
        shards = [tables.read(part, ABLATION_SHARD) for part in source.parts]
        whole = pd.concat([join_unablated(shard, unablated) for shard in shards], ignore_index=True)
    else:
        whole = tables.read_parts(source.parts, table)
    tables.write(whole, snakemake.output[0], table, tables.made_with(source))
