from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.needed_or_carrying import pair_effects
from retrieval_heads.job import job
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.needed_or_carrying import NEEDED_OR_CARRYING

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    params = snakemake.params
    effects = tables.read(snakemake.input[0], HEAD_EFFECTS)
    pairs = pair_effects(effects, params.alpha, params.seed, params.resamples)
    tables.write(pairs, snakemake.output[0], NEEDED_OR_CARRYING)
