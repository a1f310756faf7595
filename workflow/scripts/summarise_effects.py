from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.head_effects import summarise_effects
from retrieval_heads.job import job
from retrieval_heads.tables.head_effect_summary import HEAD_EFFECT_SUMMARY
from retrieval_heads.tables.head_effects import HEAD_EFFECTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    effects = tables.read(snakemake.input[0], HEAD_EFFECTS)
    summary = summarise_effects(effects, params.seed, params.resamples)
    tables.write(summary, snakemake.output[0], HEAD_EFFECT_SUMMARY)
