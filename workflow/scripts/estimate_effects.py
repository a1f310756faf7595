from typing import TYPE_CHECKING

from retrieval_heads import effects, tables
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    ablation = tables.read(snakemake.input[0], tables.ABLATION)
    cut, against_random = effects.from_rows(ablation, snakemake.params.seed, snakemake.params.resamples)
    tables.write(effects.summarise(ablation), snakemake.output.ablation_summary, tables.ABLATION_SUMMARY)
    tables.write(cut, snakemake.output.effects, effects.EFFECTS)
    tables.write(against_random, snakemake.output.against_random, effects.AGAINST_RANDOM)
