from typing import TYPE_CHECKING

from retrieval_heads import derived, tables
from retrieval_heads.analysis import dataset_counts
from retrieval_heads.runtime import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    counts = dataset_counts(tables.read(path, tables.PROMPTS) for path in snakemake.input)
    tables.write(counts, snakemake.output[0], derived.DATASET_COUNTS)
