from typing import TYPE_CHECKING

from retrieval_heads import derived, tables
from retrieval_heads.profiles import profile_heads
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    rankings = tables.read(snakemake.input[0], tables.RANKINGS)
    tables.write(profile_heads(rankings, snakemake.params.top_k), snakemake.output[0], derived.PROFILES)
