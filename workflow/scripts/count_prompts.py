from typing import TYPE_CHECKING

from retrieval_heads import tables
from retrieval_heads.analysis.coverage import dataset_counts
from retrieval_heads.job import job
from retrieval_heads.tables.dataset_counts import DATASET_COUNTS
from retrieval_heads.tables.prompts import PROMPTS

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    counts = dataset_counts((tables.read(path, PROMPTS) for path in snakemake.input), snakemake.params.twins)
    tables.write(counts, snakemake.output[0], DATASET_COUNTS)
