from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.coverage import dataset_counts
from retrieval_heads.job import job
from retrieval_heads.tables import analysis

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    counts = dataset_counts(tables.read(path, tables.PROMPTS) for path in snakemake.input)
    tables.write(counts, snakemake.output[0], analysis.DATASET_COUNTS)
