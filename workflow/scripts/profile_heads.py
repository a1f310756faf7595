from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.head_profiles import profile_heads
from retrieval_heads.job import job
from retrieval_heads.tables.profiles import PROFILES
from retrieval_heads.tables.rankings import RANKINGS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    rankings = tables.read(snakemake.input[0], RANKINGS)
    tables.write(profile_heads(rankings, snakemake.params.top_k), snakemake.output[0], PROFILES)
