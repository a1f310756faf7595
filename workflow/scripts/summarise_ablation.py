from typing import TYPE_CHECKING

from retrieval_heads import derived, effects, tables
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    ablation = tables.read(snakemake.input[0], tables.ABLATION)
    tables.write(effects.summarise(ablation), snakemake.output[0], derived.ABLATION_SUMMARY)
