from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.specificity import beside_items, measure_specificity
from retrieval_heads.job import job
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.specificity import SPECIFICITY
from retrieval_heads.tables.specificity_summary import SPECIFICITY_SUMMARY

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params, (ablation, items) = snakemake.params, snakemake.input
    held_against = beside_items(tables.read(ablation, ABLATION), params.methods, params.levels)
    found = measure_specificity(held_against, tables.read(items, SPECIFICITY), params.seed, params.resamples)
    tables.write(found, snakemake.output[0], SPECIFICITY_SUMMARY)
