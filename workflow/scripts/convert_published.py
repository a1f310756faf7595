from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.exchange import published
from retrieval_heads.identity import unchanged_files
from retrieval_heads.job import job
from retrieval_heads.tables.ablation_summary import ABLATION_SUMMARY
from retrieval_heads.tables.rankings import RANKINGS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), unchanged_files(snakemake, published=lambda: published.files(snakemake.params.config)):
    rankings, ablation_summary = published.convert(snakemake.params.config)
    tables.write(rankings, snakemake.output.rankings, RANKINGS)
    tables.write(ablation_summary, snakemake.output.ablation_summary, ABLATION_SUMMARY)
