from typing import TYPE_CHECKING

from retrieval_heads.job import job, log
from retrieval_heads.model.identity import unchanged
from retrieval_heads.model.loading import prepare_model

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

params, results = snakemake.params, snakemake.config["results"]
with job(snakemake), unchanged("models.*", params.source, params.content, results):
    log.info("making local weights")
    prepare_model(params.source, snakemake.output[0])
