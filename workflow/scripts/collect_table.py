from typing import TYPE_CHECKING

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.job import job
from retrieval_heads.tables.ablation import ABLATION, ABLATION_SHARD
from retrieval_heads.tables.compensation import COMPENSATION
from retrieval_heads.tables.compensation_heads import COMPENSATION_HEADS
from retrieval_heads.tables.guard import GUARD
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.labels import LABELS
from retrieval_heads.tables.looks import LOOKS
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.specificity import SPECIFICITY
from retrieval_heads.tables.transfer import TRANSFER, TRANSFER_SHARD
from retrieval_heads.tables.unablated import UNABLATED

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    of_model = (RANKINGS, UNABLATED, ABLATION, GUARD, HEAD_EFFECTS, LABELS)
    of_controls = (TRANSFER, SPECIFICITY, COMPENSATION, COMPENSATION_HEADS, LOOKS)
    known = {table.name: table for table in (*of_model, *of_controls)}
    table = known[snakemake.wildcards.table]
    source = snakemake.input
    if of_shard := {"ablation": ABLATION_SHARD, "transfer": TRANSFER_SHARD}.get(table.name):
        unablated = tables.read_parts(source.unablated, UNABLATED)
        shards = [tables.read(part, of_shard) for part in source.parts]
        whole = pd.concat([join_unablated(shard, unablated, table) for shard in shards], ignore_index=True)
    else:
        whole = tables.read_parts(source.parts, table)
    tables.write(whole, snakemake.output[0], table)
