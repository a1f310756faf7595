from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.looks import summarise_looks
from retrieval_heads.job import job
from retrieval_heads.tables.look_sets import LOOK_SETS
from retrieval_heads.tables.look_summary import LOOK_SUMMARY
from retrieval_heads.tables.looks import LOOKS
from retrieval_heads.tables.rankings import RANKINGS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params, source, output = snakemake.params, snakemake.input, snakemake.output
    looks, rankings = tables.read(source.looks, LOOKS), tables.read(source.rankings, RANKINGS)
    found = summarise_looks(looks, rankings, params.level, params.seed, params.resamples)
    tables.write(found.look_summary, output.look_summary, LOOK_SUMMARY)
    tables.write(found.look_sets, output.look_sets, LOOK_SETS)
