from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.key_value_groups import group_overlap, touched_groups
from retrieval_heads.job import job
from retrieval_heads.tables.group_overlap import GROUP_OVERLAP
from retrieval_heads.tables.key_value_groups import KEY_VALUE_GROUPS
from retrieval_heads.tables.labels import LABELS
from retrieval_heads.tables.rankings import RANKINGS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params, paths = snakemake.params, snakemake.input
    rankings, labels = tables.read(paths.rankings, RANKINGS), tables.read(paths.labels, LABELS)
    touched = touched_groups(rankings, labels, params.levels, params.top_k)
    tables.write(touched, snakemake.output.touched, KEY_VALUE_GROUPS)
    tables.write(group_overlap(rankings, labels, params.top_k), snakemake.output.overlap, GROUP_OVERLAP)
