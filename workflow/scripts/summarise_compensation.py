from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.compensation import summarise_heads, summarise_sets
from retrieval_heads.job import job
from retrieval_heads.tables.compensation import COMPENSATION
from retrieval_heads.tables.compensation_heads import COMPENSATION_HEADS
from retrieval_heads.tables.head_compensation import HEAD_COMPENSATION
from retrieval_heads.tables.set_compensation import SET_COMPENSATION

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params, source, made = snakemake.params, snakemake.input, snakemake.output
    of_heads, of_sets = tables.read(source.heads, COMPENSATION_HEADS), tables.read(source.sets, COMPENSATION)
    heads = summarise_heads(of_heads, params.alpha, params.seed, params.resamples)
    tables.write(heads, made.heads, HEAD_COMPENSATION)
    tables.write(summarise_sets(of_sets, params.seed, params.resamples), made.sets, SET_COMPENSATION)
