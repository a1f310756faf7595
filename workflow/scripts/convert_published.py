from typing import TYPE_CHECKING

from retrieval_heads import derived, published, tables
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    rankings, ablation_summary = published.convert(snakemake.params.config)
    tables.write(rankings, snakemake.output.rankings, tables.RANKINGS)
    tables.write(ablation_summary, snakemake.output.ablation_summary, derived.ABLATION_SUMMARY)
