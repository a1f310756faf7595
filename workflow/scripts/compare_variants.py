from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.variant_accuracy import accuracy_by_variant
from retrieval_heads.job import job
from retrieval_heads.tables.unablated import UNABLATED
from retrieval_heads.tables.variant_accuracy import VARIANT_ACCURACY

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    unablated = tables.read(snakemake.input[0], UNABLATED)
    found = accuracy_by_variant(unablated, snakemake.params.seed, snakemake.params.resamples)
    tables.write(found, snakemake.output[0], VARIANT_ACCURACY)
