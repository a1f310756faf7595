from typing import TYPE_CHECKING

from retrieval_heads.identity import unchanged
from retrieval_heads.model import prepare_model
from retrieval_heads.runtime import job, log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

params, results = snakemake.params, snakemake.config["results"]
with job(snakemake), unchanged("models.*", params.source, params.content, results):
    log.info("making local weights")
    prepare_model(params.source, snakemake.output[0])
