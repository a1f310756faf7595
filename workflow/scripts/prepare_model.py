from typing import TYPE_CHECKING

from retrieval_heads.model import prepare_model
from retrieval_heads.runtime import job, log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    log.info("making local weights")
    prepare_model(snakemake.params.source, snakemake.output[0])
