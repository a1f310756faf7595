from typing import TYPE_CHECKING

from retrieval_heads.job import job
from retrieval_heads.verification import verifying

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    folder = snakemake.params.folder
    verifying.report(verifying.verify(folder, snakemake.config), folder)
