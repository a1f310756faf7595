from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.outcomes import summarise
from retrieval_heads.job import job
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.ablation_summary import ABLATION_SUMMARY

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    ablation = tables.read(snakemake.input[0], ABLATION)
    tables.write(summarise(ablation), snakemake.output[0], ABLATION_SUMMARY)
